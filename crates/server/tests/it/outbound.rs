//! The outbound client reaches only what it may (C30), and waits no longer than it may.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use parlour_server::config::OutboundRules;
use parlour_server::outbound::{ANSWER_BYTES, Endpoint, Outbound, OutboundError, Resolve};
use tokio::io::AsyncReadExt as _;

use crate::harness::TestServer;
use crate::harness::secure::Certificate;
use crate::hooks_backend::{Backend, loopback};

/// A listener on all addresses of this machine that nobody may connect to.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let trap = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let trap = trap.expect("a free port");
        trap.set_nonblocking(true).expect("a socket");
        Self(trap)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// The system completes connections to a listener by itself, so one that was tried is here by now.
    #[track_caller]
    fn assert_untouched(&self) {
        let caught = self.0.accept().map(|(_, peer)| peer);
        assert_eq!(caught.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }
}

fn endpoint(url: &str) -> Endpoint {
    url.parse().unwrap_or_else(|_| panic!("{url}"))
}

/// Resolves names as told; each list is one answer, and the last one holds on.
fn names(answers: &[(&str, &[&[&str]])]) -> (Resolve, Arc<AtomicUsize>) {
    let parse = |list: &&[&str]| list.iter().map(|a| a.parse().expect("an address")).collect();
    let answers = answers.iter().map(|(name, lists)| {
        let lists: Vec<Vec<IpAddr>> = lists.iter().map(parse).collect();
        ((*name).to_owned(), lists)
    });
    let answers = Mutex::new(answers.collect::<HashMap<_, _>>());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let resolve: Resolve = Arc::new(move |name| {
        count.fetch_add(1, Relaxed);
        let mut answers = answers.lock().expect("not poisoned");
        let answer = answers.get_mut(&name).map(|lists| match lists.len() {
            1 => lists[0].clone(),
            _ => lists.remove(0),
        });
        Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    });
    (resolve, asked)
}

#[tokio::test]
async fn c30_addresses_of_this_machine_and_its_network_are_not_called() {
    let (trap, outbound) = (Trap::set(), Outbound::new(OutboundRules::default()));
    for host in [
        "169.254.169.254",
        "[::1]",
        "[::]",
        "127.1",
        "127.0.0.1",
        "127.127.127.127",
        "0x7f000001",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "0.0.0.0",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "255.255.255.255",
    ] {
        for scheme in ["http", "https"] {
            let url = endpoint(&format!("{scheme}://{host}:{}/latest/meta-data/", trap.port()));
            assert_eq!(outbound.get(&url).await, Err(OutboundError::Forbidden), "{scheme}://{host}");
            let sent = outbound.post(&url, HeaderMap::new(), "{}".into(), Duration::from_secs(1)).await;
            assert_eq!(sent, Err(OutboundError::Forbidden), "{scheme}://{host}");
        }
    }
    // Public, but in the clear.
    assert_eq!(outbound.get(&endpoint("http://1.1.1.1/")).await, Err(OutboundError::Forbidden));
    trap.assert_untouched();
}

#[tokio::test]
async fn c30_names_of_metadata_and_private_hosts_are_not_called() {
    let trap = Trap::set();
    let (resolve, asked) = names(&[
        ("metadata.google.internal", &[&["169.254.169.254"]]),
        ("instance-data", &[&["169.254.169.254", "fd00:ec2::254"]]),
        ("localtest.example", &[&["127.0.0.1", "::1", "::ffff:127.0.0.1"]]),
        ("intranet.example", &[&["10.1.2.3", "192.168.1.1"]]),
        ("nat64.example", &[&["64:ff9b::7f00:1"]]),
        ("nothing.example", &[&[]]),
    ]);
    let outbound = Outbound::with_resolver(OutboundRules::default(), resolve);
    for name in [
        "metadata.google.internal",
        "instance-data",
        "localtest.example",
        "intranet.example",
        "nat64.example",
    ] {
        let url = endpoint(&format!("https://{name}:{}/", trap.port()));
        assert_eq!(outbound.get(&url).await, Err(OutboundError::Forbidden), "{name}");
    }
    for name in ["nothing.example", "unknown.example"] {
        let url = endpoint(&format!("https://{name}:{}/", trap.port()));
        assert_eq!(outbound.get(&url).await, Err(OutboundError::Unresolved), "{name}");
    }
    assert_eq!(asked.load(Relaxed), 7, "each name is looked up once");
    trap.assert_untouched();
}

#[tokio::test]
async fn c30_what_is_checked_is_what_is_called() {
    let backend =
        Backend::start_on(Ipv4Addr::new(127, 0, 0, 2), |_| async { ([("connection", "close")], "there") })
            .await;
    let port = backend.address.port();
    let trap = TcpListener::bind(("127.0.0.1", port)).map(|trap| {
        trap.set_nonblocking(true).expect("a socket");
        Trap(trap)
    });
    let trap = trap.expect("the port is free on the other address");
    let (resolve, asked) = names(&[
        ("rebound.example", &[&["127.0.0.2"], &["127.0.0.1"]]),
        ("mixed.example", &[&["127.0.0.1", "127.0.0.2"]]),
    ]);
    let rules = OutboundRules { allow: vec!["127.0.0.2".parse().expect("an address")], ca: None };
    let outbound = Outbound::with_resolver(rules, resolve);
    let rebound = endpoint(&format!("http://rebound.example:{port}/"));
    assert_eq!(outbound.get(&rebound).await.expect("the first answer is allowed"), "there");
    assert_eq!(asked.load(Relaxed), 1, "one look at the name: no second one can tell something else");
    assert_eq!(outbound.get(&rebound).await, Err(OutboundError::Forbidden), "the second answer is not");
    let mixed = endpoint(&format!("http://mixed.example:{port}/"));
    assert_eq!(outbound.get(&mixed).await.expect("of the two, the one that is allowed"), "there");
    trap.assert_untouched();
}

#[tokio::test]
async fn c30_redirects_are_not_followed() {
    let trap = Trap::set();
    let location = format!("http://127.0.0.1:{}/", trap.port());
    let backend = Backend::start_on(Ipv4Addr::new(127, 0, 0, 2), move |asked| {
        let status = StatusCode::from_u16(asked.path[1..].parse().expect("a status")).expect("a status");
        let location = location.clone();
        async move { (status, [("location", location)], "") }
    })
    .await;
    let outbound = Outbound::new(loopback());
    for status in [301, 302, 303, 307, 308] {
        let url = endpoint(&backend.url(&format!("/{status}")));
        assert_eq!(outbound.get(&url).await, Err(OutboundError::Status(status)));
        let sent = outbound.post(&url, HeaderMap::new(), "{}".into(), Duration::from_secs(5)).await;
        assert_eq!(sent.expect("an answer").status.as_u16(), status);
    }
    trap.assert_untouched();
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let backend = Backend::start(|asked| async move {
        let size: usize = asked.path[1..].parse().expect("a size");
        "x".repeat(size)
    })
    .await;
    let outbound = Outbound::new(loopback());
    let answer = outbound.get(&endpoint(&backend.url(&format!("/{ANSWER_BYTES}")))).await;
    assert_eq!(answer.expect("as large as may be").len(), ANSWER_BYTES);
    let larger = endpoint(&backend.url(&format!("/{}", ANSWER_BYTES + 1)));
    assert_eq!(outbound.get(&larger).await, Err(OutboundError::TooLarge));

    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = endpoint(&format!("http://{}/", silent.local_addr().expect("an address")));
    let sent = outbound.post(&url, HeaderMap::new(), "{}".into(), Duration::from_millis(50)).await;
    assert_eq!(sent, Err(OutboundError::Timeout));
    drop(silent);
    assert_eq!(outbound.get(&url).await, Err(OutboundError::Unreachable));
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = endpoint(&format!("http://{}/", listener.local_addr().expect("an address")));
    let answering = tokio::spawn(async move {
        for answer in ["", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"] {
            use tokio::io::AsyncWriteExt as _;
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    let outbound = Outbound::new(loopback());
    for _ in 0..3 {
        assert_eq!(outbound.get(&url).await, Err(OutboundError::Broken));
    }
    answering.await.expect("all were asked");
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_the_name() {
    let certificate = Certificate::new();
    let server = TestServer::start_with(|config| certificate.configure(config)).await;
    let port = server.address().port();
    let trusting = OutboundRules { ca: Some(certificate.cert().into()), ..loopback() };
    let (resolve, _) = names(&[("localhost", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    let url = endpoint(&format!("https://localhost:{port}/nothing-here"));
    let outbound = Outbound::with_resolver(trusting, Arc::clone(&resolve));
    assert_eq!(outbound.get(&url).await, Err(OutboundError::Status(404)), "TLS and HTTP work");
    let other = endpoint(&format!("https://other.example:{port}/"));
    assert_eq!(outbound.get(&other).await, Err(OutboundError::Untrusted), "for another name");
    let outbound = Outbound::with_resolver(loopback(), resolve);
    assert_eq!(outbound.get(&url).await, Err(OutboundError::Untrusted), "from nobody known");
    server.drain().await;
}
