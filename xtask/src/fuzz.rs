//! Fuzzes every target. `cargo-fuzz` must be installed; a stable compiler will do.

use anyhow::{Context as _, Result};

use crate::shell;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The only target to run
    target: Option<String>,
    /// How long to run each target, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    for target in
        targets()?.iter().filter(|target| options.target.as_ref().is_none_or(|only| only == *target))
    {
        let limit = format!("-max_total_time={}", options.seconds);
        // The first folder takes what is found; the seeds stay as they are.
        let (found, seeds) = (shell::target().join("corpus").join(target), format!("fuzz/corpus/{target}"));
        std::fs::create_dir_all(&found)?;
        shell::cargo(&["fuzz", "run", target, &found.to_string_lossy(), &seeds, "--", &limit])
            .env("RUSTC_BOOTSTRAP", "1") // the sanitizer flags are unstable
            .run()
            .context("is cargo-fuzz installed? `cargo install cargo-fuzz` does it")?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let folder = std::fs::read_dir(shell::root().join("fuzz/fuzz_targets")).context("fuzz/fuzz_targets")?;
    let mut names = Vec::new();
    for entry in folder {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
