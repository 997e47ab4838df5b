//! `parlour migrate`: from the embedded store to PostgreSQL.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use parlour_server::archive;
use parlour_server::config::{Flags, Mode};
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::sqlite::SqliteStore;

use crate::meter::Meter;
use crate::options::configure;

/// Arguments of `parlour migrate`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct MigrateArgs {
    /// The data directory to read
    #[arg(long, value_name = "DIRECTORY", default_value = "parlour-data")]
    data_dir: PathBuf,
    /// The configuration that names the PostgreSQL database; without one, DATABASE_URL does
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

const NOTES: &str = "\
Copies all rooms, and what users have read, into the PostgreSQL database. Stop the server first; the
data directory is only read. A migration that was interrupted is started again in the same way: what
is there already is compared and skipped. Rooms get new epochs, so clients fetch them anew.
  DATABASE_URL=postgres://parlour@db/parlour parlour migrate --data-dir parlour-data";

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let config = configure(args.config.as_deref(), Flags::new(Mode::Serve))?;
    let database = config.database.context("no PostgreSQL database: set DATABASE_URL, or `database`")?;
    anyhow::ensure!(args.data_dir.is_dir(), "there is no directory {}", args.data_dir.display());
    // Opened as a server opens it: none can run meanwhile.
    let from = SqliteStore::open(&args.data_dir)?;
    let to = PostgresStore::open(database.reveal())?;
    let mut meter = Meter::new("migrated");
    let totals = archive::copy(&from, &to, &mut |totals| meter.show(totals)).await?;
    println!("{}", meter.finish(totals));
    Ok(())
}
