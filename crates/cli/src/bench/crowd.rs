//! Everybody who comes in before a load begins.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use parlour_server::config;

use super::engine::Engine;
use super::engine::connection::{Dial, Id};
use super::progress::Progress;

/// Connections that are on their way at the same time.
const OPENING: usize = 256;
/// Longest time in which nothing new happens while something must.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long nothing may come before a load begins: notices of comings have been told.
const QUIET: Duration = Duration::from_millis(300);
/// Longest sleep, so that time-outs are noticed.
const NAP: Duration = Duration::from_millis(100);

/// Who came in.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) ids: Vec<Id>,
    /// Why there are no more.
    pub(crate) limit: Option<String>,
}

/// Connects everybody, and waits until the rooms have come to rest.
///
/// # Errors
/// Also if not everybody comes in.
pub(crate) fn open_everybody(
    engine: &mut Engine,
    dials: impl IntoIterator<Item = anyhow::Result<Dial>>,
    progress: &mut Progress,
) -> anyhow::Result<Vec<Id>> {
    let Opened { ids, limit } = open_all(engine, dials, progress)?;
    if let Some(limit) = limit {
        bail!("not everybody came in: {limit}");
    }
    wait_for_quiet(engine)?;
    Ok(ids)
}

/// Connects one after the other, several at the same time, until all are in their rooms or one
/// cannot come in.
///
/// # Errors
/// Of the operating system, other than that it has no more of something.
pub(crate) fn open_all(
    engine: &mut Engine,
    dials: impl IntoIterator<Item = anyhow::Result<Dial>>,
    progress: &mut Progress,
) -> anyhow::Result<Opened> {
    let (mut opened, mut dials) = (Opened::default(), dials.into_iter());
    let (mut live, mut heard) = (engine.live(), Instant::now());
    loop {
        while opened.limit.is_none() && engine.opening() < OPENING {
            let Some(dial) = dials.next() else {
                break;
            };
            match engine.open(dial?) {
                Ok(id) => opened.ids.push(id),
                Err(error) => opened.limit = Some(explain(&error)),
            }
        }
        if engine.opening() == 0 {
            return Ok(opened);
        }
        engine.turn(NAP)?;
        if let Some((reason, times)) = engine.tally.closed.iter().next() {
            opened.limit = Some(format!("{times} x {reason}"));
        }
        if engine.live() != live {
            (live, heard) = (engine.live(), Instant::now());
        }
        if heard.elapsed() > PATIENCE {
            bail!("{} connections get no answer", engine.opening());
        }
        progress.show(|| format!("{live} connected"));
    }
}

/// Names the limit that a connection has met.
pub(crate) fn explain(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            format!("the generator has no more descriptors than {} (ulimit -Hn)", config::raise_open_files())
        }
        Some(libc::EADDRNOTAVAIL) => "the generator has no more local ports".to_owned(),
        _ => error.to_string(),
    }
}

/// Lets pass what was under way when the load was set up.
///
/// # Errors
/// A server that does not come to rest.
pub(crate) fn wait_for_quiet(engine: &mut Engine) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut messages, mut since) = (engine.tally.messages, began);
    while since.elapsed() < QUIET {
        engine.turn(QUIET.saturating_sub(since.elapsed()))?;
        // Heartbeats go on.
        if engine.tally.messages != messages {
            (messages, since) = (engine.tally.messages, Instant::now());
        }
        ensure!(began.elapsed() < PATIENCE, "the rooms do not come to rest");
    }
    Ok(())
}
