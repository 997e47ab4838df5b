//! How far a long command is, for a person at a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use parlour_server::archive::Totals;

/// Time between two lines.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows progress on standard error, and nothing where that is no terminal.
#[derive(Debug)]
pub(crate) struct Meter {
    verb: &'static str,
    began: Instant,
    next: Instant,
    is_terminal: bool,
}

impl Meter {
    /// Begins; `verb` says what was done with the entries: `exported`.
    pub(crate) fn new(verb: &'static str) -> Self {
        let now = Instant::now();
        Self { verb, began: now, next: now, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Shows how far it is, now and then.
    pub(crate) fn show(&mut self, totals: Totals) {
        let now = Instant::now();
        if self.is_terminal && now >= self.next {
            self.next = now + PAUSE;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.sentence(totals));
        }
    }

    /// Takes the progress away, and says what was done.
    pub(crate) fn finish(self, totals: Totals) -> String {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.sentence(totals)
    }

    fn sentence(&self, Totals { rooms, entries }: Totals) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        format!(
            "{} {rooms} rooms with {entries} entries in {seconds:.1} s ({:.0} per second)",
            self.verb,
            entries as f64 / seconds.max(0.001)
        )
    }
}
