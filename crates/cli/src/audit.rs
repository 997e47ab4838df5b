//! `parlour audit`: was the log of who did what changed?

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlour_server::audit::{Head, beside, verify};

/// Arguments of `parlour audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check that no line was changed, inserted or removed
    #[command(after_help = NOTES)]
    Verify(VerifyArgs),
}

const NOTES: &str = "\
The file FILE.head names the last line; without it nobody can say whether lines are missing at the end.
Keep what this command prints somewhere else: with --number and --hash it also proves, later, that all
lines up to there are still the same.";

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The log: `audit.jsonl` in the data directory unless `audit.path` says otherwise
    file: PathBuf,
    /// A line that must be there, by its number
    #[arg(long, requires = "hash")]
    number: Option<u64>,
    /// The hash that this line must have
    #[arg(long, requires = "number")]
    hash: Option<String>,
}

pub(crate) fn run(args: AuditArgs) -> anyhow::Result<()> {
    let AuditCommand::Verify(VerifyArgs { file, number, hash }) = args.command;
    let log = || File::open(&file).map(BufReader::new).with_context(|| file.display().to_string());
    let noted = fs::read_to_string(beside(&file)).ok();
    let noted = noted.map(|note| Head::parse(&note).context("the file `.head` beside it is malformed"));
    let end = verify(log()?, noted.transpose()?.as_ref()).with_context(|| file.display().to_string())?;
    if let (Some(number), Some(hash)) = (number, hash) {
        verify(log()?, Some(&Head { number, hash })).with_context(|| file.display().to_string())?;
    }
    println!("{} lines are as they were written; the last one is", end.number);
    println!("--number {} --hash {}", end.number, end.hash);
    Ok(())
}
