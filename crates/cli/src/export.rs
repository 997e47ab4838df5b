//! `parlour export`: rooms into a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use parlour_server::archive::{self, Begun, Totals};
use parlour_server::store::Store;

use crate::database::DatabaseArgs;
use crate::meter::Meter;

/// Arguments of `parlour export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only the room of this name, or those that begin with what stands before its `*`
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    room: String,
    /// The file; one that was cut short is continued. Without it: standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Writes the database as it was at the beginning, also while a server uses it:
  parlour export --data-dir parlour-data --output rooms.jsonl
  parlour export --room 'support:*' | zstd > support.jsonl.zst
  parlour import --verify rooms.jsonl";

pub(crate) async fn run(args: ExportArgs) -> anyhow::Result<()> {
    let store = args.database.open_view()?;
    let mut meter = Meter::new("exported");
    let mut progress = |totals| meter.show(totals);
    match &args.output {
        Some(path) => {
            let totals = to_file(&*store, &args.room, path, &mut progress).await?;
            println!("{}", meter.finish(totals));
        }
        None => {
            let mut out = io::stdout().lock();
            let totals =
                archive::export(&*store, &args.room, Begun::default(), &mut out, &mut progress).await?;
            meter.finish(totals);
        }
    }
    Ok(())
}

async fn to_file(
    store: &dyn Store,
    pattern: &str,
    path: &Path,
    progress: &mut dyn FnMut(Totals),
) -> anyhow::Result<Totals> {
    let mut file = create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let begun = archive::resume(store, pattern, &mut file).await;
    let begun = begun.with_context(|| format!("cannot continue {}", path.display()))?;
    let totals = archive::export(store, pattern, begun, &mut file, progress).await?;
    file.sync_all()?;
    Ok(totals)
}

/// Opens a file that only its owner may read: it holds what people said.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
