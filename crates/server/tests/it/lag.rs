//! Members that read more slowly than their rooms speak: the room goes on for them without a hole.

use std::collections::BTreeMap;
use std::time::Duration;

use parlour_protocol::dialect::{DialectId, Payload, binary, json};
use parlour_protocol::event::{Event, Reply, Unrecovered};
use parlour_server::config::RoomRule;
use parlour_websocket::client::Message;
use parlour_websocket::handshake::client::ClientRequest;
use serde_json::json;

use crate::harness::{Json, Socket, TestServer};

/// Bytes that may wait before a member counts as slow.
const LAG_BYTES: usize = 64 * 1024;
/// More than the kernel takes for two sockets of loopback, in bytes.
const KERNEL_BYTES: usize = 5 * 1024 * 1024;
/// Messages in one batch.
const BATCH: u64 = 50;

/// A member that shows what comes, and nothing while it is not asked.
struct Reader {
    socket: Socket,
    dialect: DialectId,
    /// The newest message that was shown; the next one must be its successor.
    last: u64,
}

impl Reader {
    /// Enters a room at its beginning.
    async fn enter(server: &TestServer, room: &str, dialect: DialectId) -> Self {
        let batch = if dialect == DialectId::JsonLines { "&batch=ndjson" } else { "" };
        let request = ClientRequest {
            path_and_query: format!("/ws?user={dialect:?}&room={room}{batch}"),
            subprotocols: vec![dialect.subprotocol().to_owned()],
            ..server.request()
        };
        Self { socket: server.open_narrow(&request).await, dialect, last: 0 }
    }

    /// Returns the next events; those that plain text shows have no number of their own.
    async fn next(&mut self) -> Vec<Reply> {
        let message = self.socket.next().await;
        let payload = match &message {
            Some(Message::Text(text)) => Payload::Text(text),
            Some(Message::Binary(bytes)) => Payload::Binary(bytes),
            other => panic!("expected events, got {other:?}"),
        };
        let mut events = Vec::new();
        let mut each = |event: Result<Reply, _>| events.push(event.expect("a known event"));
        match self.dialect.dialect().is_binary() {
            true => binary::decode_events(payload, &mut each),
            false => json::decode_events(payload, &mut each),
        }
        events
    }

    /// Reads on to a message; returns the notices before and beside it.
    async fn read_to(&mut self, wanted: u64) -> Vec<Event> {
        let mut others = Vec::new();
        while self.last < wanted {
            if self.dialect == DialectId::Text {
                let line = self.socket.recv().await;
                let said = line.strip_prefix("Publisher: ").and_then(|text| text.split(' ').next());
                said.into_iter().for_each(|number| self.note(number.parse().expect("a number")));
                continue;
            }
            for Reply { id, event } in self.next().await {
                match event {
                    Event::Message(message) => {
                        assert_eq!(message.text.split(' ').next(), Some(&*message.seq.to_string()));
                        self.note(message.seq.0);
                    }
                    Event::Resync(resync) => {
                        assert_eq!(resync.reason, Unrecovered::Expired);
                        assert!(self.last < resync.floor.0, "all that it lacks is still kept: {resync:?}");
                        self.last = resync.head.0;
                        others.push(Event::Resync(resync));
                    }
                    event => {
                        assert_eq!(id, None, "nothing was asked for");
                        others.push(event);
                    }
                }
            }
        }
        others
    }

    fn note(&mut self, seq: u64) {
        self.last += 1;
        assert_eq!(seq, self.last, "each number once and in order, in {:?}", self.dialect);
    }
}

/// Says numbers.
struct Publisher {
    client: Json,
    room: &'static str,
    said: u64,
    /// What stands behind each number.
    padding: String,
}

impl Publisher {
    async fn enter(server: &TestServer, room: &'static str) -> Self {
        let mut client = server.json("Publisher").await;
        client.join(room).await;
        Self { client, room, said: 0, padding: " ".repeat(8 * 1024) }
    }

    async fn say(&mut self, count: u64) {
        for _ in 0..count.div_ceil(BATCH) {
            let numbers = self.said + 1..=self.said + BATCH.min(count);
            let messages: Vec<_> =
                numbers.map(|number| json!({"text": format!("{number} {}", self.padding)})).collect();
            self.said += messages.len() as u64;
            let batch = json!({"room": self.room, "messages": messages});
            assert_eq!(self.client.ask("batch", batch).await["type"], "ack");
        }
    }

    /// Says so much that members who do not read are slow, and stay it.
    async fn say_much(&mut self) {
        self.say((KERNEL_BYTES / self.padding.len()) as u64).await;
    }
}

fn is_inexact(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Resync(_)))
}

/// A server on which members soon count as slow; rooms `e:*` are ephemeral.
async fn server() -> TestServer {
    TestServer::start_durable(|config| {
        config.limits.rate_per_s = 0;
        config.limits.lag_bytes = LAG_BYTES;
        config.limits.message_bytes = 1024 * 1024;
        // Nobody reads for a while, and the machine may be busy.
        [config.timeouts.stall, config.timeouts.ping, config.timeouts.pong] = [Duration::from_secs(300); 3];
        config.rooms = vec![RoomRule::ephemeral("e:*")];
    })
    .await
}

/// Nobody is slow any more, nobody was cut off, and nothing waits.
async fn all_is_read(server: TestServer) {
    server.await_metric("parlour_lagging", 0.0).await;
    server.await_metric("parlour_outboxes", 0.0).await;
    server.await_metric("parlour_outbox_bytes", 0.0).await;
    assert_eq!(server.metric("parlour_evicted_slow_total").await, 0.0);
    server.drain().await;
}

#[tokio::test]
async fn a_reader_that_pauses_gets_every_message_once_and_in_order_in_all_dialects() {
    let server = server().await;
    let mut readers = Vec::new();
    for dialect in DialectId::ALL {
        readers.push(Reader::enter(&server, "busy", dialect).await);
    }
    server.await_metric("parlour_members", readers.len() as f64).await;
    let mut publisher = Publisher::enter(&server, "busy").await;
    publisher.padding.truncate(1_024);
    publisher.say_much().await;
    assert!(publisher.said >= 5_000);
    server.await_metric("parlour_lagging", readers.len() as f64).await;
    // Whatever waits is less than what makes a member slow, and one turn.
    let waiting = server.metric("parlour_outbox_bytes").await;
    let most = readers.len() * (LAG_BYTES + 2 * BATCH as usize * publisher.padding.len());
    assert!(waiting <= most as f64, "{waiting} bytes wait");
    for reader in &mut readers {
        reader.read_to(publisher.said).await;
    }
    // Live again.
    server.await_metric("parlour_lagging", 0.0).await;
    publisher.say(1).await;
    for reader in &mut readers {
        reader.read_to(publisher.said).await;
    }
    all_is_read(server).await;
}

#[tokio::test]
async fn a_room_goes_on_speaking_while_a_slow_member_reads() {
    let server = server().await;
    let mut reader = Reader::enter(&server, "busy", DialectId::Json).await;
    server.await_metric("parlour_members", 1.0).await;
    let mut publisher = Publisher::enter(&server, "busy").await;
    publisher.say_much().await;
    for _ in 0..4 {
        publisher.say(BATCH).await;
        reader.read_to(reader.last + BATCH / 2).await;
    }
    reader.read_to(publisher.said).await;
    all_is_read(server).await;
}

#[tokio::test]
async fn a_slow_member_of_an_ephemeral_room_is_told_what_is_kept_or_that_it_is_not() {
    let server = server().await;
    let mut reader = Reader::enter(&server, "e:busy", DialectId::Json).await;
    server.await_metric("parlour_members", 1.0).await;
    let mut publisher = Publisher::enter(&server, "e:busy").await;
    publisher.padding.truncate(1_024);
    // Far more than memory holds.
    publisher.say_much().await;
    server.await_metric("parlour_lagging", 1.0).await;
    let notices = reader.read_to(publisher.said).await;
    assert!(is_inexact(&notices), "{notices:?}");
    // Now and then no more than it holds: the kernel may still take something in between.
    let mut is_exact = false;
    for _ in 0..20 {
        server.await_metric("parlour_lagging", 0.0).await;
        let lags = server.metric("parlour_lags_total").await;
        while server.metric("parlour_lags_total").await == lags {
            publisher.say(BATCH).await;
        }
        is_exact |= !is_inexact(&reader.read_to(publisher.said).await);
        if is_exact {
            break;
        }
    }
    assert!(is_exact, "what is kept is told");
    all_is_read(server).await;
}

#[tokio::test]
async fn who_is_there_is_told_anew_after_notices_were_left_out() {
    let server = server().await;
    let mut reader = Reader::enter(&server, "busy", DialectId::Json).await;
    let mut publisher = Publisher::enter(&server, "busy").await;
    publisher.say_much().await;
    server.await_metric("parlour_lagging", 1.0).await;
    let (mut leaver, mut away) = (server.json("Leaver").await, server.json("Away").await);
    leaver.join("busy").await;
    away.join("busy").await;
    leaver.ask("leave", json!({"room": "busy"})).await;
    away.ask("presence", json!({"status": "away", "text": "lunch"})).await;
    let mut newcomer = server.json("Newcomer").await;
    newcomer.join("busy").await;
    away.ask("read", json!({"room": "busy", "seq": 3})).await;
    publisher.client.send("typing", json!({"room": "busy", "active": true})).await;
    publisher.say(1).await;
    server.await_metric("parlour_notices_left_out_total", 8.0).await;
    let notices = reader.read_to(publisher.said).await;
    let told: Vec<_> = notices
        .iter()
        .filter_map(|event| match event {
            Event::Joined(joined) => Some(joined),
            _ => None,
        })
        .collect();
    let [entered, anew] = told[..] else { panic!("expected `joined` twice, got {notices:?}") };
    assert_eq!((entered.head.0, entered.member_count), (0, 1));
    assert_eq!((anew.recovered, anew.behind, anew.member_count), (true, 0, 4));
    let here: BTreeMap<_, _> =
        anew.members.iter().map(|member| (member.user.as_str(), member.text.as_deref())).collect();
    let wanted = [("Away", Some("lunch")), ("Json", None), ("Newcomer", None), ("Publisher", None)];
    assert_eq!(here, BTreeMap::from(wanted));
    let receipt = anew.receipts.iter().find(|receipt| receipt.user.as_str() == "Away");
    assert_eq!(receipt.map(|receipt| receipt.read.0), Some(3));
    all_is_read(server).await;
}

#[tokio::test]
async fn a_slow_member_may_leave_and_come_back_before_it_has_read_on() {
    let server = server().await;
    let mut reader = Reader::enter(&server, "busy", DialectId::Json).await;
    server.await_metric("parlour_members", 1.0).await;
    let mut publisher = Publisher::enter(&server, "busy").await;
    publisher.say_much().await;
    server.await_metric("parlour_lagging", 1.0).await;
    let epoch = publisher.client.publish("busy", "the last of before").await["epoch"].clone();
    publisher.said += 1;
    for command in [
        json!({"type": "leave", "id": 1, "payload": {"room": "busy"}}),
        json!({"type": "join", "id": 2, "payload": {"room": "busy", "since": {"epoch": epoch, "seq": 10}}}),
    ] {
        reader.socket.send(&command.to_string()).await;
    }
    // What was on its way ends where it was slow; then everything behind 10 once, and live.
    let (mut joined, mut behind) = (false, 0);
    while !joined || reader.last < publisher.said {
        for Reply { event, .. } in reader.next().await {
            match event {
                Event::Message(message) => reader.note(message.seq.0),
                Event::Left(_) => {
                    assert!(reader.last < publisher.said, "what was left out is not told behind `left`");
                    reader.last = 10;
                }
                Event::Joined(answer) if answer.head.0 > 0 => {
                    assert!(answer.recovered, "{answer:?}");
                    (joined, behind) = (true, answer.behind);
                }
                Event::Page(page) => behind = page.behind,
                _ => {}
            }
        }
        let is_next = joined && reader.last + behind == publisher.said;
        if behind > 0 && is_next {
            let more = json!({"type": "more", "id": 3, "payload": {"room": "busy"}});
            reader.socket.send(&more.to_string()).await;
            behind = 0;
        }
    }
    server.await_metric("parlour_lagging", 0.0).await;
    publisher.say(1).await;
    reader.read_to(publisher.said).await;
    all_is_read(server).await;
}
