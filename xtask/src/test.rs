//! The one command that decides whether the project is well: step after step, until one fails.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{api, deploy, faults, licences, shell, tidy, web};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only these steps
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave out these steps
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
}

/// A step returns how many checks it made.
type Step = fn() -> Result<u32>;

/// What is cheap comes first; what builds on something comes after it.
const STEPS: [(&str, &str, Step); 12] = [
    ("tools", "what the other steps need is here, or is installed", tools),
    ("format", "cargo fmt --check", format),
    ("tidy", "the house rules and the documents", check_tidy),
    ("licences", "whence the dependencies come, and under which licences", licences::check),
    ("deploy", "the files of deploy, by the checkers of those who read them", deploy::check),
    ("web", "types and tests of the web client, and its committed build", check_web),
    ("lint", "cargo clippy, warnings are errors", lint),
    ("build", "all programs and tests", build),
    ("test", "cargo test --workspace", test),
    ("api", "whatever the OpenAPI document allows or forbids, against a running server", api::check),
    ("faults", "kill -9 of servers and databases under load, a few of each", faults::short),
    ("browser", "the web client in a real browser against the real server", browser),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    check_names(options)?;
    let is_wanted = |name: &str| {
        let named = |list: &[String]| list.iter().any(|wanted| wanted == name);
        (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
    };
    let mut passed = 0;
    let mut times = Vec::new();
    for (name, what, step) in STEPS.into_iter().filter(|(name, ..)| is_wanted(name)) {
        println!("\n==> {name}: {what}");
        let begun = Instant::now();
        passed += step().with_context(|| {
            format!("step `{name}` failed after {passed} checks; alone: cargo xtask test --only {name}")
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("==> {name}: well, {seconds:.1} s");
        times.push(format!("{name} {seconds:.1} s"));
    }
    println!("\n{}", times.join(", "));
    println!("{passed} passed, 0 failed");
    Ok(())
}

fn check_names(options: &Options) -> Result<()> {
    for name in options.only.iter().chain(&options.skip) {
        if !STEPS.iter().any(|(step, ..)| step == name) {
            let known: Vec<_> = STEPS.iter().map(|(step, ..)| *step).collect();
            bail!("there is no step `{name}`; the steps are {}", known.join(", "));
        }
    }
    Ok(())
}

fn tools() -> Result<u32> {
    let compilers = [("gcc", "build-essential"), ("node", "nodejs"), ("npm", "npm")];
    for (program, package) in compilers {
        if !is_installed(program) {
            bail!("{program} is not installed; on Debian: apt-get install {package}");
        }
    }
    if !is_installed("chromium") {
        println!("chromium is not installed; installing it for the browser test");
        apt_get_install("chromium")
            .context("the browser test needs chromium: install it, or leave out the step `browser`")?;
    }
    if !is_installed("systemd-analyze") {
        apt_get_install("systemd").context("the units are checked with systemd-analyze: install systemd")?;
    }
    if !has_postgres() {
        install_postgres().context("the tests of the store need PostgreSQL: install it")?;
    }
    web::install()?;
    Ok(1)
}

/// Whether the tests will find a server: Debian keeps its programs off the path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    is_installed("postgres")
        || versions.into_iter().any(|version| version.path().join("bin/postgres").exists())
}

fn install_postgres() -> Result<()> {
    println!("PostgreSQL is not installed; installing it for the tests, which start their own servers");
    // Otherwise the distribution makes and starts a server of its own.
    let settings = Path::new("/etc/postgresql-common/createcluster.d");
    std::fs::create_dir_all(settings)?;
    std::fs::write(settings.join("parlour.conf"), "create_main_cluster = false\n")?;
    apt_get_install("postgresql")
}

fn apt_get_install(package: &str) -> Result<()> {
    shell::program("apt-get", &["update", "--quiet"]).run()?;
    shell::program("apt-get", &["install", "--yes", "--quiet", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn format() -> Result<u32> {
    shell::cargo(&["fmt", "--all", "--check"]).run().context("`cargo fmt --all` repairs it")?;
    Ok(1)
}

fn check_tidy() -> Result<u32> {
    tidy::run()?;
    Ok(1)
}

fn check_web() -> Result<u32> {
    web::npm(&["run", "check"]).run()?;
    let mut passed = 0;
    web::npm(&["test"]).watch(|line| passed += node_passed(line))?;
    web::check_build()?;
    Ok(passed + 2)
}

fn lint() -> Result<u32> {
    shell::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]).run()?;
    Ok(1)
}

/// Builds programs and tests in one go, so that both share their dependencies.
fn build() -> Result<u32> {
    shell::cargo(&["build", "--workspace", "--bins", "--tests"]).run()?;
    Ok(1)
}

fn test() -> Result<u32> {
    let mut passed = 0;
    shell::cargo(&["test", "--workspace"]).watch(|line| passed += cargo_passed(line))?;
    Ok(passed)
}

fn browser() -> Result<u32> {
    let server = shell::target().join("debug/parlour");
    if !server.exists() {
        build()?;
    }
    let mut passed = 0;
    web::npm(&["run", "test:browser"])
        .env("PARLOUR_BIN", server)
        .watch(|line| passed += node_passed(line))?;
    Ok(passed)
}

/// Reads `test result: ok. 12 passed; 0 failed; ...`.
fn cargo_passed(line: &str) -> u32 {
    let count = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Reads `# pass 12`, or the same with another mark in front.
fn node_passed(line: &str) -> u32 {
    let count = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).strip_prefix("pass ");
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_other_runners_are_counted() {
        assert_eq!(cargo_passed("test result: ok. 12 passed; 0 failed; 0 ignored"), 12);
        assert_eq!(cargo_passed("test result: FAILED. 11 passed; 1 failed"), 0);
        assert_eq!(node_passed("# pass 7"), 7);
        assert_eq!(node_passed("ℹ pass 7"), 7);
        assert_eq!(node_passed("pass the salt"), 0);
    }

    #[test]
    fn steps_that_do_not_exist_are_refused() {
        let options = Options { only: vec!["formt".to_owned()], skip: Vec::new() };
        let text = check_names(&options).expect_err("a misspelt step").to_string();
        assert!(text.contains("format"), "{text}");
    }
}
