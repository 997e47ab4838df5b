//! Clients that read too slowly: nobody waits for them, and they lose nothing.

use std::time::{Duration, Instant};

use parlour_protocol::Event;
use parlour_protocol::dialect::DialectId;
use parlour_server::Config;
use parlour_server::config::RoomRule;
use serde_json::{Value, json};

use crate::harness::typed::{Client, publish};
use crate::harness::wire::{Wire, Wish, close_frame};
use crate::harness::{Json, TestServer};

const MESSAGE_BYTES: usize = 8 * 1024;
/// More than the kernel keeps for two sockets of loopback.
const MESSAGES: u64 = 640;
/// Answers of [`PAGE`] messages each that are far more than that.
const MOST_ANSWERS: u64 = 200;
const PAGE: u64 = 20;

/// Starts a room with a reader who never reads, and one who does.
struct Busy {
    server: TestServer,
    sleeper: Wire,
    reader: Json,
    publisher: Json,
    published: u64,
}

impl Busy {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(|config| {
            config.limits.rate_per_s = 0;
            change(config);
        })
        .await;
        let wish = Wish { user: "Sleeper", room: "busy", receive_buffer: 4 * 1024, ..Wish::default() };
        let sleeper = Wire::with(&server, wish).await;
        let (mut reader, mut publisher) = (server.json("Reader").await, server.json("Publisher").await);
        reader.join("busy").await;
        publisher.join("busy").await;
        Self { server, sleeper, reader, publisher, published: 0 }
    }

    fn evicted(&self) -> u64 {
        (0..2).map(|shard| self.server.server().node().metrics.shard(shard).evicted_slow.get()).sum()
    }

    /// Says something; the one who reads must hear it although another does not.
    async fn publish(&mut self) {
        self.published += 1;
        let text = format!("{}{}", self.published, " ".repeat(MESSAGE_BYTES));
        let ack = self.publisher.publish("busy", &text).await;
        assert_eq!(ack["seq"], self.published);
        let heard = self.reader.until("message").await;
        assert_eq!(heard["payload"]["seq"], self.published);
    }

    /// Has the sleeper ask for more than it reads, until it is evicted.
    async fn ask_until_eviction(&mut self) {
        for id in 0..MOST_ANSWERS {
            let query = json!({"type": "history", "id": id, "payload": {"room": "busy", "limit": PAGE}});
            self.sleeper.say(&query.to_string()).await;
            // The sleeper's answer comes from the same room, before this one.
            self.publisher.ask("info", json!({"room": "busy"})).await;
            if self.evicted() > 0 {
                return;
            }
        }
        panic!("never evicted");
    }

    async fn publish_until_eviction(&mut self) {
        for _ in 0..MESSAGES {
            self.publish().await;
            // The goodbye is not kept for ever: on a slow machine it would be gone before the last one.
            if self.evicted() > 0 {
                return;
            }
        }
        self.server.await_metric("parlour_evicted_slow_total", 1.0).await;
    }

    /// Reads all that was sent to the sleeper; returns its last position.
    async fn wake_up(&mut self) -> (Value, u64) {
        let epoch = self.sleeper.until("joined").await["payload"]["epoch"].clone();
        let mut last = 0;
        loop {
            let frame = self.sleeper.next().await.expect("the reason comes before the end");
            if frame.first == 0x88 {
                assert_eq!(frame.payload, [&1013_u16.to_be_bytes()[..], b"slow_consumer"].concat());
                self.sleeper.send(&close_frame(1013)).await;
                self.sleeper.ended().await;
                return (epoch, last);
            }
            let event: Value = serde_json::from_slice(&frame.payload).expect("JSON");
            if event["type"] == "message" {
                last += 1;
                assert_eq!(event["payload"]["seq"], last, "nothing is skipped in silence");
            }
        }
    }
}

/// Comes back at a position and asks for the rest as long as there is one; returns the positions that
/// were told.
async fn catch_up(client: &mut Json, epoch: &Value, last: u64) -> Vec<u64> {
    let since = json!({"epoch": epoch, "seq": last});
    let joined = client.ask("join", json!({"room": "busy", "since": since})).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let (mut told, mut answer) = (Vec::new(), joined);
    loop {
        for _ in 0..answer["payload"]["replayed"].as_u64().expect("a number") {
            told.push(client.until("message").await["payload"]["seq"].as_u64().expect("a number"));
        }
        if answer["payload"]["behind"].as_u64().is_none_or(|behind| behind == 0) {
            return told;
        }
        answer = client.ask("more", json!({"room": "busy"})).await;
    }
}

/// The way back to exactly what was missed (R19, R20, R21).
async fn resume(mut busy: Busy) {
    let (epoch, last) = busy.wake_up().await;
    assert!(last < busy.published, "something was missed");
    let mut back = busy.server.json("Sleeper").await;
    let told = catch_up(&mut back, &epoch, last).await;
    assert_eq!(told, (last + 1..=busy.published).collect::<Vec<_>>(), "all that was missed, once, in order");
    busy.publish().await;
    let live = back.until("message").await;
    assert_eq!(live["payload"]["seq"], busy.published, "the seam is exact");
    assert_eq!(busy.server.metric("parlour_evicted_slow_total").await, 1.0);
    busy.server.await_metric("parlour_outbox_bytes", 0.0).await;
    busy.server.drain().await;
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_read_is_evicted_at_the_outbox_bound() {
    let mut busy = Busy::start(|config| {
        config.limits.outbox_bytes = 256 * 1024;
        config.timeouts.stall = Duration::from_secs(60);
    })
    .await;
    for _ in 0..PAGE {
        busy.publish().await;
    }
    busy.ask_until_eviction().await;
    busy.publish().await;
    resume(busy).await;
}

/// F24.
#[tokio::test]
async fn a_client_that_never_reads_is_evicted_for_lack_of_progress() {
    let mut busy = Busy::start(|config| config.timeouts.stall = Duration::from_millis(300)).await;
    busy.publish_until_eviction().await;
    resume(busy).await;
}

/// What waits for a never-reader does not grow with what its rooms say.
#[tokio::test]
async fn a_client_that_never_reads_costs_little_until_it_is_evicted() {
    let mut busy = Busy::start(|config| config.timeouts.stall = Duration::from_secs(60)).await;
    let mut most = 0;
    for _ in 0..MESSAGES {
        busy.publish().await;
        most = most.max(busy.server.server().node().metrics.outbox_bytes());
    }
    let limits = &busy.server.server().node().config.limits;
    let bound = limits.lag_bytes + 2 * MESSAGE_BYTES;
    assert!((limits.lag_bytes as u64..bound as u64).contains(&most), "{most} bytes waited");
    assert_eq!(busy.evicted(), 0);
    busy.server.drain().await;
}

async fn next_text(client: &mut Client) -> String {
    loop {
        if let Event::Message(message) = client.next().await.event {
            return message.text.to_string();
        }
    }
}

/// R19: one of six members never reads, and the others hear as soon as those of a room where all do.
///
/// Both rooms are measured in turn, so that a busy machine slows down both.
#[tokio::test]
async fn never_readers_do_not_change_the_latency_of_others() {
    const ROUNDS: usize = 150;
    let server = TestServer::start_with(|config| {
        config.limits.rate_per_s = 0;
        config.limits.outbox_bytes = 1 << 30;
        config.timeouts.stall = Duration::from_secs(300);
        config.rooms = vec![RoomRule::ephemeral("e:*")];
    })
    .await;
    let mut rooms = [Vec::new(), Vec::new()];
    for n in 0..6 {
        for (name, members) in ["e:awake", "e:mixed"].into_iter().zip(&mut rooms) {
            let user = format!("{name}{n}");
            if n == 5 && name == "e:mixed" {
                continue;
            }
            members.push(Wire::open(&server, &user, name).await);
        }
    }
    let wish = Wish { user: "Sleeper", room: "e:mixed", receive_buffer: 4 * 1024, ..Wish::default() };
    let _sleeper = Wire::with(&server, wish).await;
    let mut latencies = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for ((name, members), latencies) in
            ["e:awake", "e:mixed"].into_iter().zip(&mut rooms).zip(&mut latencies)
        {
            // Large enough to block the sleeper long before the half.
            let text = format!("{round} {}", " ".repeat(24 * 1024));
            let publish = json!({"type": "publish", "id": 1, "payload": {"room": name, "text": text}});
            let began = Instant::now();
            members[0].say(&publish.to_string()).await;
            for member in members.iter_mut() {
                let heard = member.until("message").await;
                assert!(heard["payload"]["text"].as_str().is_some_and(|heard| heard == text));
            }
            latencies.push(began.elapsed());
        }
    }
    server.await_metric("parlour_outboxes", 1.0).await;
    // The median: the last hundredth belongs to the scheduler of a machine that runs other tests too.
    let [awake, mixed] = latencies.map(|mut of_room| {
        of_room.sort_unstable();
        of_room[ROUNDS / 2]
    });
    assert!(mixed <= awake.mul_f64(1.5) + Duration::from_millis(5), "{mixed:?} instead of {awake:?}");
    server.drain().await;
}

/// R22, R23: a burst is one turn and evicts nobody.
#[tokio::test]
async fn a_burst_of_300_messages_is_taken_in_few_turns() {
    const BURST: usize = 300;
    let server = TestServer::start_with(|config| {
        // One shard, so that no other thread takes a part of the burst before all of it is there.
        config.shards = 1;
        config.limits.rate_per_s = 0;
        config.rooms = vec![RoomRule::ephemeral("e:*")];
    })
    .await;
    let mut apart = Client::open(&server, DialectId::Json, "Apart").await;
    let mut lines = Client::open(&server, DialectId::JsonLines, "Lines").await;
    let mut publisher = Client::open(&server, DialectId::JsonLines, "Publisher").await;
    for client in [&mut apart, &mut lines, &mut publisher] {
        client.join("e:burst").await;
    }
    let turns = server.metric("parlour_turns_total").await;
    publisher.send_together((0..BURST).map(|n| publish("e:burst", &n.to_string())).collect()).await;
    for client in [&mut apart, &mut lines] {
        for n in 0..BURST {
            assert_eq!(next_text(client).await, n.to_string());
        }
    }
    let turns = server.metric("parlour_turns_total").await - turns;
    assert!(turns < BURST as f64 / 2.0, "{turns} turns for {BURST} messages to three members");
    assert_eq!(apart.largest_frame, 1, "one message per frame unless asked for");
    assert!(lines.largest_frame > BURST / 4, "{} per frame", lines.largest_frame);
    assert_eq!(server.metric("parlour_evicted_slow_total").await, 0.0);
    server.drain().await;
}
