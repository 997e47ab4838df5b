//! `parlour tail`: prints what happens in rooms.

mod render;
mod server;

use anyhow::bail;
use clap::Args;
use parlour_client::{Client, JoinOptions, Update, Updates};
use parlour_protocol::RequestId;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::Event;

pub(crate) use render::{Line, note, plain, print};
pub(crate) use server::ServerArgs;

/// Arguments of `parlour tail`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailArgs {
    /// A room to print; may be given several times
    #[arg(long, short, required = true, value_name = "ROOM")]
    room: Vec<String>,
    /// How many of the last messages to print first, at most 500
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    history: u32,
    /// Print each event as one line of JSON, as docs/protocol.md describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Who watches a room, where anybody may take a name and none was given.
const NAME: &str = "tail";

const EXAMPLES: &str = "\
Examples:
  parlour tail --room general
  parlour tail --room general --user watcher --json | jq -r .payload.text
  PARLOUR_TOKEN=$(cat token) parlour tail --room alerts --url ws://chat.example.com/ws

Times are UTC. What concerns the connection goes to the standard error. Ctrl-C ends it.";

/// Prints rooms until Ctrl-C.
///
/// # Errors
/// The server does not let this client in, or ends the connection for good.
pub(crate) async fn run(args: TailArgs) -> anyhow::Result<()> {
    let (client, mut updates) = args.server.connect(Some(NAME)).await?;
    let outcome = tokio::select! {
        outcome = follow(&args, &client, &mut updates) => outcome,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    };
    client.close().await;
    outcome
}

async fn follow(args: &TailArgs, client: &Client, updates: &mut Updates) -> anyhow::Result<()> {
    for room in &args.room {
        let options = JoinOptions { history: Some(args.history), ..JoinOptions::default() };
        client.join(room, options).await?;
    }
    while let Some(update) = updates.next().await {
        match update {
            Update::Ended(lost) => bail!("{}", plain(&lost.to_string())),
            Update::Event(event) if args.json => {
                let mut line = Vec::new();
                DialectId::Json.dialect().encode(&event, None::<&RequestId>, &mut line);
                print(&String::from_utf8_lossy(&line))?;
            }
            Update::Event(event) => {
                let line = Line::of(&event, "");
                // With several rooms it must be seen which one a line is from.
                let tag = room_of(&event).filter(|_| args.room.len() > 1);
                line.map_or(Ok(()), |line| print(&line.tagged(tag)))?;
            }
            update => {
                if let Some(note) = note(&update) {
                    eprintln!("{note}");
                }
            }
        }
    }
    Ok(())
}

fn room_of(event: &Event) -> Option<&str> {
    let room = match event {
        Event::Message(message) => &message.room,
        Event::MemberJoined(notice) | Event::MemberLeft(notice) => &notice.room,
        Event::Edited(change) => &change.room,
        Event::Deleted(change) => &change.room,
        Event::Reacted(change) => &change.room,
        Event::Pinned(change) => &change.room,
        Event::RoomChanged(change) => &change.room,
        Event::RoleChanged(change) => &change.room,
        Event::Sanctioned(change) => &change.room,
        _ => return None,
    };
    Some(room.as_str())
}
