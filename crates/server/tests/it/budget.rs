//! The bound on what waits for all slow clients together.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::harness::TestServer;
use crate::harness::wire::{Wire, Wish};

const MESSAGE_BYTES: usize = 8 * 1024;
/// Messages in one answer, which is half a mebibyte.
const PAGE: u64 = 64;
const MIB: usize = 1024 * 1024;
const BUDGET: usize = 21 * MIB;

/// A client that asks and does not read.
struct Sleeper {
    wire: Wire,
    asked: usize,
}

impl Sleeper {
    async fn open(server: &TestServer, user: &str) -> Self {
        let wish = Wish { user, receive_buffer: 4 * 1024, ..Wish::default() };
        let mut wire = Wire::with(server, wish).await;
        wire.until("welcome").await;
        Self { wire, asked: 0 }
    }

    /// Asks for a mebibyte, and waits until it is on its way.
    async fn ask(&mut self, server: &TestServer) {
        let told = server.metric("parlour_messages_sent_total").await;
        for _ in 0..2 {
            self.asked += 1;
            let query = json!({"room": "long", "limit": PAGE});
            self.wire.say(&json!({"type": "history", "id": self.asked, "payload": query}).to_string()).await;
        }
        server.await_metric("parlour_messages_sent_total", told + 2.0).await;
    }

    /// Asks until the kernel takes hardly any more for it.
    async fn block(&mut self, server: &TestServer) {
        let others = server.metric("parlour_outbox_bytes").await;
        while server.metric("parlour_outbox_bytes").await < others + MIB as f64 {
            assert!(self.asked < 100, "it never blocks");
            self.ask(server).await;
        }
    }
}

#[tokio::test]
async fn who_lags_most_goes_first_and_the_others_stay() {
    let server = TestServer::start_with(|config| {
        config.limits.rate_per_s = 0;
        config.limits.outbox_bytes = 1 << 30;
        config.limits.outbox_total_bytes = BUDGET;
        // Nobody reads for a while, and the machine may be busy.
        [config.timeouts.stall, config.timeouts.ping, config.timeouts.pong] = [Duration::from_secs(300); 3];
    })
    .await;
    let mut publisher = server.json("Publisher").await;
    publisher.join("long").await;
    for number in 0..PAGE {
        publisher.publish("long", &format!("{number}{}", " ".repeat(MESSAGE_BYTES))).await;
    }
    // On both shards.
    let mut sleepers = Vec::new();
    for user in ["Small", "Large", "Middle"] {
        let mut sleeper = Sleeper::open(&server, user).await;
        sleeper.block(&server).await;
        sleepers.push(sleeper);
    }
    for (sleeper, mebibytes) in sleepers.iter_mut().zip([2, 10, 4]) {
        for _ in 0..mebibytes {
            sleeper.ask(&server).await;
        }
    }
    assert_eq!(server.metric("parlour_shed_total").await, 0.0, "all fits");
    // The small one brings it beyond the bound, and the large one pays.
    for _ in 0..6 {
        sleepers[0].ask(&server).await;
    }
    server.await_metric("parlour_shed_total", 1.0).await;
    let [mut small, mut large, mut middle] = <[Sleeper; 3]>::try_from(sleepers).ok().expect("three");
    // On a busy machine it is cut off before it has read as far as the reason.
    let mut rest = Vec::new();
    let _ = large.wire.tcp.read_to_end(&mut rest).await;
    assert!(rest.len() < large.asked * MIB / 2, "it did not get everything");
    for sleeper in [&mut small, &mut middle] {
        for id in 1..=sleeper.asked {
            assert_eq!(sleeper.wire.until("history").await["id"], id, "all that was asked for");
        }
    }
    assert!(server.metric("parlour_outbox_bytes").await <= BUDGET as f64);
    drop(large);
    server.await_metric("parlour_outbox_bytes", 0.0).await;
    assert_eq!(server.metric("parlour_evicted_slow_total").await, 1.0);
    server.drain().await;
}
