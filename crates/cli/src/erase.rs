//! `parlour erase`: whatever a user has said is no longer kept.

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use url::Url;

use crate::admin;

/// Arguments of `parlour erase`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct EraseArgs {
    /// Whose messages, reactions, roles and receipts are erased
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The administration address of the server, which must run
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: Url,
}

const NOTES: &str = "\
What was said is gone from the database, from its files, from the memory of the server and, as far as
they are connected, of clients. Numbers and times stay, under a name that means nothing. There is no
way back. Backups and exports made before still hold it.";

/// What the server answers.
#[derive(Debug, Deserialize)]
struct Erased {
    alias: String,
    rooms: u64,
}

pub(crate) fn run(args: &EraseArgs) -> anyhow::Result<()> {
    let mut path = Url::clone(&args.admin);
    path.path_segments_mut().ok().context("the URL is no address")?.clear().extend(["users", &args.user]);
    let answer = admin::ask("DELETE", &admin::authority(&args.admin)?, path.path())?;
    let Erased { alias, rooms } = serde_json::from_str(&answer).context("an answer of another server")?;
    println!("{} is erased: `{alias}` stands in its place, {rooms} rooms were changed", args.user);
    Ok(())
}
