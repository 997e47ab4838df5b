//! The wire as clients see it: transcripts, hostile input, round trips, and the document.

mod bad_changes;
mod bad_input;
mod document;
mod round_trip;
mod samples;
mod transcripts;

use parlour_protocol::dialect::{Context, Decoded, DialectId, Payload};
use parlour_protocol::{Event, RequestId};

/// Reads one frame.
fn decode(dialect: DialectId, payload: Payload<'_>, context: Context<'_>) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    dialect.dialect().decode(payload, context, &mut |one| decoded.push(one));
    decoded
}

/// Writes one event.
fn encode(dialect: DialectId, event: &Event, id: Option<&RequestId>) -> Vec<u8> {
    let mut out = Vec::new();
    dialect.dialect().encode(event, id, &mut out);
    out
}
