//! `parlour import`: rooms out of a file.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use parlour_server::archive;

use crate::database::DatabaseArgs;
use crate::meter::Meter;

/// Arguments of `parlour import`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct ImportArgs {
    /// The file that `parlour export` wrote
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only checks the file
    #[arg(long)]
    verify: bool,
}

const NOTES: &str = "\
The whole file is checked before anything is stored. Stop the server first. An import that was
interrupted is started again in the same way: what is there already is compared and skipped.
New rooms get new epochs, so clients fetch them anew instead of resuming.";

pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let file = || open(&args.file);
    let mut meter = Meter::new("verified");
    let totals = archive::verify(file()?, &mut |totals| meter.show(totals))?;
    println!("{}", meter.finish(totals));
    if args.verify {
        return Ok(());
    }
    let store = args.database.open()?;
    let mut meter = Meter::new("imported");
    let totals = archive::import(&*store, file()?, &mut |totals| meter.show(totals)).await?;
    println!("{}", meter.finish(totals));
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}
