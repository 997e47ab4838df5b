//! One line per second and cause; the rest is counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

use crate::metrics::SharedCounter;

/// Between two lines of the same cause.
const INTERVAL: Duration = Duration::from_secs(1);

/// Decides which lines are written.
///
/// A cause is a place in the code, so the table has as many entries as there are such places.
#[derive(Debug)]
pub(super) struct Limiter {
    causes: Mutex<HashMap<Identifier, Cause>>,
    suppressed: &'static SharedCounter,
}

#[derive(Debug)]
struct Cause {
    next: Instant,
    suppressed: u64,
}

impl Limiter {
    pub(super) fn new(suppressed: &'static SharedCounter) -> Self {
        Self { causes: Mutex::default(), suppressed }
    }

    /// Decides about one line: `None` to leave it out, or how many were left out before it.
    ///
    /// Lines for debugging are asked for by somebody who wants them all.
    pub(super) fn admit(&self, metadata: &Metadata<'_>, now: Instant) -> Option<u64> {
        if *metadata.level() > Level::INFO {
            return Some(0);
        }
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = causes.entry(metadata.callsite()).or_insert(Cause { next: now, suppressed: 0 });
        if now < cause.next {
            cause.suppressed += 1;
            self.suppressed.add(1);
            return None;
        }
        cause.next = now + INTERVAL;
        Some(std::mem::take(&mut cause.suppressed))
    }
}
