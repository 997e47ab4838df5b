//! The SDK against a server that says what the test wants.

mod fake;
mod outage;
mod requests;
mod tokens;

use std::time::Duration;

use parlour_client::{Event, Update, Updates};

/// Waits for the next update that is not about the connection.
async fn next(updates: &mut Updates) -> Update {
    loop {
        match updates.next().await.expect("an update") {
            Update::Connected(_)
            | Update::Reconnecting { .. }
            | Update::Rejoined(_)
            | Update::Behind { .. } => {}
            update => return update,
        }
    }
}

/// Collects the numbers of the next messages.
async fn seqs(updates: &mut Updates, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        match next(updates).await {
            Update::Event(Event::Message(message)) => seqs.push(message.seq.0),
            other => unreachable!("not a message: {other:?}"),
        }
    }
    seqs
}

/// Fails instead of hanging.
async fn within_limits<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test ends in time")
}
