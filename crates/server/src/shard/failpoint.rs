//! Faults that a test plants through a message. Compiled only with the feature `failpoints`, which no
//! release has, and alive only in development mode.

use std::time::Duration;

use parlour_protocol::dialect::Payload;

use crate::config::Config;

/// Panics on `!panic`, and holds the shard's thread up on `!stall` and a number of milliseconds.
#[expect(clippy::panic, reason = "that is what it is for")]
pub(super) fn reach(config: &Config, payload: Payload<'_>) {
    let Payload::Text(text) = payload else { return };
    if !config.dev {
        return;
    }
    if text == "!panic" {
        panic!("a planted fault");
    }
    if let Some(ms) = text.strip_prefix("!stall ").and_then(|ms| ms.parse().ok()) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}
