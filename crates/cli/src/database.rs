//! Which database the commands for operators work on.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use parlour_server::config::{Config, Flags, Mode};
use parlour_server::store::Store;
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::sqlite::SqliteStore;

use crate::options::configure;

/// Options that lead to a database: the one that `serve` would use.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// The data directory of the server, which counts instead of its configuration
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// The configuration of the server; without one, DATABASE_URL or ./parlour-data
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where a database is.
enum Place {
    Directory(PathBuf),
    Server(String),
}

impl DatabaseArgs {
    /// Opens the database as it is now, for reading beside a running server.
    pub(crate) fn open_view(&self) -> anyhow::Result<Box<dyn Store>> {
        Ok(match self.place()? {
            Place::Directory(directory) => Box::new(SqliteStore::open_read_only(&directory)?),
            Place::Server(url) => Box::new(PostgresStore::open_read_only(&url)?),
        })
    }

    /// Opens the database for writing.
    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn Store>> {
        Ok(match self.place()? {
            Place::Directory(directory) => Box::new(SqliteStore::open(&directory)?),
            Place::Server(url) => Box::new(PostgresStore::open(&url)?),
        })
    }

    fn place(&self) -> anyhow::Result<Place> {
        if let Some(directory) = &self.data_dir {
            return Ok(Place::Directory(directory.clone()));
        }
        let Config { database, data_dir, .. } = configure(self.config.as_deref(), Flags::new(Mode::Serve))?;
        match (database, data_dir) {
            (Some(url), _) => Ok(Place::Server(url.reveal().to_owned())),
            (None, Some(directory)) => Ok(Place::Directory(directory)),
            (None, None) => bail!("the configuration keeps nothing: `data_dir` is `:memory:`"),
        }
    }
}
