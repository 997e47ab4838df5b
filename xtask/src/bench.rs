//! Runs the benchmarks and keeps their figures with a description of the machine.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::{machine, shell};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only benchmarks whose name contains this
    filter: Option<String>,
}

/// Loads against a real server, each beside its baseline: `parlour bench --help`.
const LOADS: [&str; 7] = ["fanout", "saturation", "idle", "publish", "slow", "flood", "storm"];

/// A benchmark of a package.
#[derive(Debug)]
struct Bench {
    package: String,
    name: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = machine::describe();
    println!("{report}");
    let wanted = |bench: &Bench| options.filter.as_ref().is_none_or(|filter| bench.name.contains(filter));
    for bench in benches()?.into_iter().filter(wanted) {
        writeln!(report, "\n{}/{}", bench.package, bench.name)?;
        let arguments = ["bench", "--package", &bench.package, "--bench", &bench.name];
        shell::cargo(&arguments).watch(|line| {
            report.push_str(line);
            report.push('\n');
        })?;
    }
    for load in
        LOADS.into_iter().filter(|load| options.filter.as_ref().is_none_or(|filter| load.contains(filter)))
    {
        writeln!(report, "\nparlour bench {load}")?;
        let arguments = ["run", "--release", "--quiet", "--package", "parlour", "--", "bench", load];
        shell::cargo(&arguments).watch(|line| {
            report.push_str(line);
            report.push('\n');
        })?;
    }
    let path = shell::target().join("bench.txt");
    std::fs::write(&path, report).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nThe figures are in {}", path.display());
    Ok(())
}

/// Lists the benchmarks that the packages declare.
fn benches() -> Result<Vec<Bench>> {
    let text = shell::cargo(&["metadata", "--no-deps", "--format-version", "1"]).read()?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("a list of packages")?;
    let mut benches = Vec::new();
    for package in packages {
        let targets = package["targets"].as_array().context("a list of targets")?;
        for target in targets.iter().filter(|target| target["kind"][0] == "bench") {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            benches.push(Bench { package: text(&package["name"]), name: text(&target["name"]) });
        }
    }
    Ok(benches)
}
