//! Going away: everybody is told, everything in flight is answered, everything ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parlour_websocket::client::Message;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::harness::process::{ServerProcess, served_as_child};
use crate::harness::{Json, PATIENCE, Socket, TestServer};

/// What a client knew when its connection had ended.
#[derive(Debug, Default)]
struct Witness {
    sent: BTreeSet<String>,
    acked: BTreeSet<String>,
    goaway: bool,
    close: Option<(u16, String)>,
}

/// Publishes in the lobby for ever, several at a time, until the server says goodbye.
async fn publish_until_closed(mut client: Json, name: usize) -> Witness {
    let mut witness = Witness::default();
    for n in 0_u64.. {
        let cid = format!("{name}-{n}");
        let command =
            json!({"type": "publish", "id": cid, "payload": {"room": "lobby", "text": cid, "cid": cid}});
        // Counted first: what fails on its way may have arrived.
        witness.sent.insert(cid);
        let sent = client.socket.stream.send_text(&command.to_string()).await;
        let in_flight = witness.sent.len() - witness.acked.len();
        if (sent.is_err() || in_flight >= 8) && !read_one_answer(&mut client.socket, &mut witness).await {
            return witness;
        }
    }
    witness
}

/// Reads on to the next acknowledgement; false when the connection has ended.
async fn read_one_answer(socket: &mut Socket, witness: &mut Witness) -> bool {
    loop {
        let text = match socket.next().await {
            Some(Message::Text(text)) => text,
            Some(Message::Close(frame)) => {
                witness.close = frame.map(|frame| (frame.code, frame.reason));
                continue;
            }
            Some(_) => continue,
            None => return false,
        };
        assert!(witness.close.is_none(), "nothing follows the goodbye");
        let event: Value = serde_json::from_str(&text).expect("JSON");
        match event["type"].as_str() {
            Some("ack") => {
                witness.acked.insert(event["id"].as_str().expect("a cid").to_owned());
                return true;
            }
            Some("goaway") => {
                assert!(
                    event["payload"]["reconnect"]["max_ms"].as_u64()
                        > event["payload"]["reconnect"]["min_ms"].as_u64()
                );
                witness.goaway = true;
            }
            Some("error") => panic!("{event}"),
            _ => {}
        }
    }
}

/// R53: 1012, and when to come back, in words that a client can read.
fn check_goodbye(witness: &Witness) {
    assert!(witness.goaway, "goaway comes before the end");
    let (code, reason) = witness.close.as_ref().expect("a close frame");
    assert_eq!(*code, 1012);
    let window = reason.strip_prefix("restart reconnect in ").and_then(|rest| rest.strip_suffix(" ms"));
    let (min, max) = window.and_then(|window| window.split_once('-')).expect("a window");
    let (min, max): (u32, u32) = (min.parse().expect("a number"), max.parse().expect("a number"));
    assert!(min < max, "{reason}");
}

/// Starts three clients; `series` keeps their message ids apart from those of other rounds.
async fn spawn_publishers(server: &TestServer, series: usize) -> Vec<JoinHandle<Witness>> {
    let mut tasks = Vec::new();
    for n in 0..3 {
        let mut client = server.json(&format!("u{n}")).await;
        client.join("lobby").await;
        tasks.push(tokio::spawn(publish_until_closed(client, 10 * series + n)));
    }
    tasks
}

fn unlimited(config: &mut parlour_server::Config) {
    config.limits.rate_per_s = 0;
    config.limits.commit_queue = 10_000;
}

/// R9, R52: at any moment, in memory.
#[tokio::test]
async fn fifty_drains_at_random_moments_end_every_thread_and_tell_every_client() {
    for round in 0..50_u64 {
        let server = TestServer::start_with(|config| {
            unlimited(config);
            config.timeouts.drain_spread = Duration::from_millis(round % 5 * 10);
        })
        .await;
        let clients = spawn_publishers(&server, 0).await;
        let node = std::sync::Arc::clone(server.server().node());
        // A moment of the load, not of the clock.
        let moment = round * round * 7 % 400;
        let acks = || (0..2).map(|shard| node.metrics.shard(shard).acks.get()).sum::<u64>();
        while acks() < moment {
            tokio::task::yield_now().await;
        }
        timeout(PATIENCE, server.drain()).await.expect("every task and thread is joined");
        for client in clients {
            check_goodbye(&client.await.expect("the client ended in order"));
        }
        assert_eq!(node.metrics.connections(), 0);
        assert_eq!(std::sync::Arc::strong_count(&node), 1, "nothing of the node runs any more");
    }
}

/// R52: what is acknowledged is stored, what is stored was acknowledged, and the next server goes on.
#[tokio::test]
async fn messages_in_flight_are_acknowledged_or_not_stored() {
    let mut server = TestServer::start_durable(unlimited).await;
    let (mut since, mut known) = (json!(null), BTreeSet::new());
    for round in 0..4 {
        let stored = read_since(&server, &mut since).await;
        assert_eq!(stored, known, "what is stored was acknowledged, and the other way round");
        known.clear();
        let node = std::sync::Arc::clone(server.server().node());
        let clients = spawn_publishers(&server, round).await;
        while node.metrics.node().commits.get() < 3 + 5 * round as u64 {
            tokio::task::yield_now().await;
        }
        drop(node);
        let draining = tokio::spawn(server.drain());
        for client in clients {
            let witness = client.await.expect("ended in order");
            check_goodbye(&witness);
            known.extend(witness.acked);
        }
        let directory = draining.await.expect("drained").expect("durable");
        server = TestServer::start_in(directory, unlimited).await;
    }
    server.drain().await;
}

/// Comes back at a position and moves it to the end; returns the cids of what came after it.
async fn read_since(server: &TestServer, since: &mut Value) -> BTreeSet<String> {
    let mut reader = server.json("Reader").await;
    let joined = reader.ask("join", json!({"room": "lobby", "since": since})).await["payload"].clone();
    let (head, mut cids) = (joined["head"].as_u64().expect("a number"), BTreeSet::new());
    let mut after = since["seq"].as_u64().unwrap_or(0);
    if joined["recovered"] == true {
        for _ in 0..joined["replayed"].as_u64().expect("a number") {
            let message = reader.until("message").await;
            assert_eq!(message["payload"]["seq"], after + 1);
            after += 1;
            cids.insert(message["payload"]["cid"].as_str().expect("a cid").to_owned());
        }
    }
    while after < head {
        let page = reader.ask("more", json!({"room": "lobby"})).await;
        for _ in 0..page["payload"]["replayed"].as_u64().expect("a number") {
            let message = reader.until("message").await;
            assert_eq!(message["payload"]["seq"], after + 1);
            after += 1;
            cids.insert(message["payload"]["cid"].as_str().expect("a cid").to_owned());
        }
    }
    *since = json!({"epoch": joined["epoch"], "seq": head});
    cids
}

/// R52, H36: nobody new is let in, then nobody listens; those inside still go about their business.
#[tokio::test]
async fn the_listener_closes_before_the_connections() {
    let server = TestServer::start_with(|config| {
        config.timeouts.drain_notice = Duration::from_millis(600);
        config.timeouts.drain_spread = Duration::from_millis(1_500);
    })
    .await;
    let address = server.address();
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(server.json(&format!("u{n}")).await);
        clients[n].join("lobby").await;
    }
    let node = std::sync::Arc::clone(server.server().node());
    let draining = tokio::spawn(server.drain());
    while !node.shell.health.is_draining() {
        tokio::task::yield_now().await;
    }
    let (status, _) = crate::harness::http(address, "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status, 503);
    clients[0].publish("lobby", "during the notice").await;
    let last = clients.last_mut().expect("not empty");
    last.until("goaway").await;
    let began = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(1), "still listening after goaway");
    }
    last.publish("lobby", "after goaway").await;
    for client in &mut clients {
        assert_eq!(client.socket.closed().await.code, 1012);
    }
    draining.await.expect("drained");
}

/// R9, R52: the signals of a real process under load.
#[tokio::test]
async fn sigterm_under_load_ends_a_process_in_order() {
    if served_as_child().await {
        return;
    }
    let name = "drain::sigterm_under_load_ends_a_process_in_order";
    let directory = tempfile::tempdir().expect("a directory");
    let mut known = 0;
    for (round, signal) in [Signal::TERM, Signal::INT, Signal::TERM, Signal::TERM].into_iter().enumerate() {
        let server = ServerProcess::start(name, directory.path(), Duration::ZERO);
        let mut tasks = JoinSet::new();
        for n in 0..3 {
            let mut client = open(&server, &format!("u{n}")).await;
            client.join("lobby").await;
            tasks.spawn(publish_until_closed(client, 10 * round + n));
        }
        let moment = 1.0 + 60.0 * round as f64;
        while server.metric("parlour_acks_total").await < moment {
            tokio::task::yield_now().await;
        }
        server.signal(signal);
        let mut acked = 0;
        while let Some(witness) = tasks.join_next().await {
            let witness = witness.expect("the client ended in order");
            check_goodbye(&witness);
            acked += witness.acked.len();
        }
        let (status, log) = server.ended().await;
        assert!(status.success(), "{status}\n{log}");
        known += acked;
    }
    let server = TestServer::start_in(directory, |_| {}).await;
    let mut reader = server.json("Reader").await;
    assert_eq!(reader.join("lobby").await["head"], known, "stored is what was acknowledged");
    server.drain().await;
}

async fn open(server: &ServerProcess, user: &str) -> Json {
    let request = parlour_websocket::handshake::client::ClientRequest {
        host: server.address.to_string(),
        path_and_query: format!("/ws?user={user}"),
        subprotocols: vec!["parlour.json.v1".into()],
        ..Default::default()
    };
    let tcp = TcpStream::connect(server.address).await.expect("connected");
    let (stream, _) = parlour_websocket::client::connect(tcp, &request).await.expect("upgraded");
    let mut client = Json::new(Socket { stream });
    client.until("welcome").await;
    client
}

/// R52: whoever asks twice means it.
#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    if served_as_child().await {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = ServerProcess::start(
        "drain::a_second_signal_ends_the_process_at_once",
        directory.path(),
        Duration::from_secs(20),
    );
    let _client = open(&server, "Alice").await;
    server.signal(Signal::TERM);
    while server.admin("GET /readyz").await.0 != 503 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.admin("GET /healthz").await.0, 200, "alive is not ready (R55)");
    server.signal(Signal::TERM);
    let (status, _) = server.ended().await;
    assert_eq!(status.code(), Some(130));
}
