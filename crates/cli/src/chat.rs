//! `parlour chat`: talk in a terminal, line by line.
//!
//! The commands are those of the plain-text dialect, and its code reads and renders them; only the
//! connection is the SDK's, which survives outages.

mod typed;

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IsTerminal as _};

use anyhow::anyhow;
use clap::Args;
use parlour_client::{Client, Error, Event, JoinOptions, RoomName, Update, Updates};
use parlour_protocol::command::{Command, Private, Publish};
use tokio::sync::mpsc;

use crate::tail::{Line, ServerArgs, note, plain, print};
use typed::{Typed, read};

/// Lines of the keyboard that wait to be sent.
const LINES: usize = 16;
/// Own messages that are not shown again; more means that the server does not echo them.
const UNSEEN: usize = 1_000;

/// Arguments of `parlour chat`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChatArgs {
    /// The room to enter
    #[arg(long, short, default_value = "general", value_name = "ROOM")]
    room: String,
    /// How many of the last messages to show first, at most 500
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    history: u32,
    #[command(flatten)]
    server: ServerArgs,
}

const EXAMPLES: &str = "\
Examples:
  parlour chat --room general --user Alice
  echo 'backup done' | parlour chat --room ops --user cron --history 0

What you type is said in the room. /help lists the commands; /quit or Ctrl-D leaves. Times are UTC.";

/// Talks until the input ends.
///
/// # Errors
/// The server does not let this client in, or ends the connection for good.
pub(crate) async fn run(args: ChatArgs) -> anyhow::Result<()> {
    let (client, updates) = args.server.connect(None).await?;
    let (sent, echoes) = mpsc::channel(UNSEEN);
    let mut chat = Chat::new(client.clone(), sent);
    let options = JoinOptions { history: Some(args.history), ..JoinOptions::default() };
    let joined =
        client.join(&args.room, options).await.map_err(|error| anyhow!(plain(&error.to_string())))?;
    chat.room = Some(joined.room);

    let screen = show(updates, echoes);
    tokio::pin!(screen);
    let typing = chat.talk(keyboard());
    let failed = tokio::select! {
        ended = &mut screen => return ended,
        typed = typing => typed?,
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| 0)?,
    };
    client.close().await;
    // What was said before the goodbye is still shown.
    screen.await?;
    match failed {
        0 => Ok(()),
        failed => Err(anyhow!("{failed} of the lines could not be carried out")),
    }
}

/// Reads lines on a thread of its own: a blocked read of the keyboard must not hold up the end.
fn keyboard() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        // A line that is no text ends the input like Ctrl-D.
        for line in io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}

/// The person's side of the conversation.
struct Chat {
    client: Client,
    room: Option<RoomName>,
    /// The cids of what was said here, for the screen.
    sent: mpsc::Sender<String>,
    /// Whether the person sees what they type.
    is_terminal: bool,
    cid_prefix: String,
    cids: u64,
}

impl Chat {
    fn new(client: Client, sent: mpsc::Sender<String>) -> Self {
        // The keys of the standard hasher are random: one prefix per run of the program.
        let cid_prefix = format!("chat-{:016x}", RandomState::new().hash_one(std::process::id()));
        Self { client, room: None, sent, is_terminal: io::stdin().is_terminal(), cid_prefix, cids: 0 }
    }

    /// Carries out line after line; returns how many failed.
    async fn talk(mut self, mut lines: mpsc::Receiver<String>) -> io::Result<u32> {
        let mut failed = 0;
        while let Some(line) = lines.recv().await {
            match read(&line, self.room.as_ref()) {
                Typed::Nothing => {}
                Typed::Quit => break,
                Typed::Wrong(refusal) => {
                    failed += 1;
                    show_answer(&Event::Error(refusal), "")?;
                }
                Typed::Help => show_answer(&typed::help(), "/help")?,
                Typed::Command(command, word) => failed += self.carry_out(command, &word).await?,
            }
        }
        Ok(failed)
    }

    async fn carry_out(&mut self, mut command: Command, word: &str) -> io::Result<u32> {
        if let Command::Publish(Publish { cid, .. }) | Command::Private(Private { cid, .. }) = &mut command {
            self.cids += 1;
            let own = format!("{}-{}", self.cid_prefix, self.cids);
            if self.is_terminal {
                // Full means that nothing comes back; then an echo is the lesser evil.
                let _ = self.sent.try_send(own.clone());
            }
            *cid = Some(own.into());
        }
        match self.client.request(command).await {
            Ok(event) => {
                self.follow(&event).await;
                show_answer(&event, word)?;
                Ok(0)
            }
            Err(Error::Refused(refusal)) => show_answer(&Event::Error(refusal), word).map(|()| 1),
            Err(error) => print(&format!("! {}", plain(&error.to_string()))).map(|()| 1),
        }
    }

    /// Keeps to one room at a time, as the plain-text dialect does.
    async fn follow(&mut self, event: &Event) {
        match event {
            Event::Joined(joined) => {
                let before = self.room.replace(joined.room.clone());
                if let Some(before) = before.filter(|before| *before != joined.room) {
                    // If this fails, the room goes on talking, which is plain to see.
                    let _ = self.client.leave(before.as_str()).await;
                }
            }
            Event::Left(left) if self.room.as_ref() == Some(&left.room) => self.room = None,
            _ => {}
        }
    }
}

/// Shows what happens until the client is closed.
async fn show(mut updates: Updates, mut sent: mpsc::Receiver<String>) -> anyhow::Result<()> {
    let mut unseen = std::collections::HashSet::new();
    while let Some(update) = updates.next().await {
        while let Ok(cid) = sent.try_recv() {
            unseen.insert(cid);
        }
        match update {
            Update::Ended(lost) => return Err(anyhow!(plain(&lost.to_string()))),
            // Their own words stand on the screen already.
            Update::Event(event) if cid(&event).is_some_and(|cid| unseen.remove(cid)) => {}
            Update::Event(event) => show_answer(&event, "")?,
            update => note(&update).map_or(Ok(()), |note| print(&note))?,
        }
    }
    Ok(())
}

fn cid(event: &Event) -> Option<&str> {
    match event {
        Event::Message(message) => message.cid.as_deref(),
        Event::Private(message) => message.cid.as_deref(),
        _ => None,
    }
}

fn show_answer(event: &Event, word: &str) -> io::Result<()> {
    Line::of(event, word).map_or(Ok(()), |line| print(&line.tagged(None)))
}
