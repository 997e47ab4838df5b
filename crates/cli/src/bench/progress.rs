//! How far a measurement is: one line on a terminal, rewritten, and nothing elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Time between two lines.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    /// What stands before everything: the round and its part.
    stage: String,
    next: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, stage: String::new(), next: Instant::now() }
    }

    /// Begins another part.
    pub(crate) fn stage(&mut self, stage: impl Into<String>) {
        self.stage = stage.into();
        self.next = Instant::now();
        self.show(String::new);
    }

    /// Shows how far it is, now and then.
    pub(crate) fn show(&mut self, how_far: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.is_terminal && now >= self.next {
            self.next = now + PAUSE;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}  {}", self.stage, how_far());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
