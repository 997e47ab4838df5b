//! The task runner: everything that the project does to itself, without shell scripts.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod api;
mod bench;
mod deploy;
mod faults;
mod fuzz;
mod licences;
mod machine;
mod python;
mod sanitize;
mod shell;
mod test;
mod tidy;
mod web;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every check: formatting, lints, documents, the web client, all tests, a real browser
    Test(test::Options),
    /// Run the committed benchmarks and keep their figures
    Bench(bench::Options),
    /// Print where the code differs from the house rules, and fail on those that matter
    Tidy,
    /// Build the web client into web/dist
    Web,
    /// Write the generated documents anew
    Docs,
    /// Fuzz every target for some time
    Fuzz(fuzz::Options),
    /// Test the one crate with unsafe code under AddressSanitizer; needs a nightly compiler
    Sanitize,
    /// Kill servers and databases under load, and check that nothing promised is lost
    Faults(faults::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Tidy => tidy::run(),
        Task::Web => web::build(),
        Task::Docs => docs(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Sanitize => sanitize::run(),
        Task::Faults(options) => faults::run(&options),
    }
}

/// Writes the documents that tests compare with the code.
fn docs() -> anyhow::Result<()> {
    let arguments = ["test", "--package", "parlour-server", "--lib"];
    shell::cargo(&arguments).env("PARLOUR_BLESS", "1").run()
}
