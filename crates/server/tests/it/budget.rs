//! The bound on what waits for all slow clients together.

use serde_json::json;

use crate::harness::TestServer;
use crate::harness::wire::{Wire, Wish};

const MESSAGE_BYTES: usize = 8 * 1024;
/// Messages in one answer, which is half a mebibyte.
const PAGE: u64 = 64;
const MIB: usize = 1024 * 1024;
const BUDGET: usize = 32 * MIB;

/// A client that asks and does not read.
struct Sleeper {
    wire: Wire,
    asked: usize,
}

impl Sleeper {
    async fn open(server: &TestServer, user: &str) -> Self {
        let wish = Wish { user, receive_buffer: 4 * 1024, ..Wish::default() };
        Self { wire: Wire::with(server, wish).await, asked: 0 }
    }

    async fn ask(&mut self, mebibytes: usize) {
        for _ in 0..2 * mebibytes {
            self.asked += 1;
            let query = json!({"room": "long", "limit": PAGE});
            self.wire.say(&json!({"type": "history", "id": self.asked, "payload": query}).to_string()).await;
        }
    }

    /// Asks until the kernel takes hardly any more for it.
    async fn block(&mut self, server: &TestServer) {
        let others = server.metric("parlour_outbox_bytes").await;
        while server.metric("parlour_outbox_bytes").await < others + MIB as f64 {
            assert!(self.asked < 100, "it never blocks");
            let told = server.metric("parlour_messages_sent_total").await;
            self.ask(1).await;
            server.await_metric("parlour_messages_sent_total", told + 2.0).await;
        }
    }
}

#[tokio::test]
async fn who_lags_most_goes_first_and_the_others_stay() {
    let server = TestServer::start_with(|config| {
        config.limits.rate_per_s = 0;
        config.limits.outbox_bytes = 1 << 30;
        config.limits.outbox_total_bytes = BUDGET;
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
    for (sleeper, mebibytes) in sleepers.iter_mut().zip([4, 14, 8]) {
        let told = server.metric("parlour_messages_sent_total").await;
        sleeper.ask(mebibytes).await;
        server.await_metric("parlour_messages_sent_total", told + 2.0 * mebibytes as f64).await;
    }
    assert_eq!(server.metric("parlour_shed_total").await, 0.0, "all fits");
    // The small one brings it beyond the bound, and the large one pays.
    sleepers[0].ask(9).await;
    server.await_metric("parlour_shed_total", 1.0).await;
    let [mut small, mut large, mut middle] = <[Sleeper; 3]>::try_from(sleepers).ok().expect("three");
    assert_eq!(large.wire.closed().await, (1013, "slow_consumer".to_owned()));
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
