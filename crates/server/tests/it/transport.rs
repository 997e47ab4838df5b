//! What carries connections can change, or comes through somebody else.

use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::ALL_VERSIONS;

use crate::harness::secure::{Certificate, SecureServer};
use crate::harness::{PATIENCE, TestServer, http_full};

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let server = SecureServer::start(|_| {}).await;
    let mut member = server.text("general", "Alice").await;
    let (old, renewed) = (server.certificate.trusted(ALL_VERSIONS), Certificate::new());
    fs::copy(renewed.key(), server.certificate.key()).expect("copied");
    fs::write(server.certificate.cert(), "half a certif").expect("written");
    server.plain.server().reload();
    assert!(server.encrypted_as(&old, 0).await.is_ok(), "a broken file changes nothing");

    fs::copy(renewed.cert(), server.certificate.cert()).expect("copied");
    server.plain.server().reload();
    let fresh = renewed.trusted(ALL_VERSIONS);
    assert!(server.encrypted_as(&fresh, 0).await.is_ok(), "the new one is shown");
    assert!(server.encrypted_as(&old, 0).await.is_err(), "and the old one is not");
    member.send("still here").await;
    member.until("Alice: still here").await;
}

#[tokio::test]
async fn a_changed_certificate_is_noticed_by_itself() {
    let server = SecureServer::start(|_| {}).await;
    let renewed = Certificate::new();
    fs::copy(renewed.cert(), server.certificate.cert()).expect("copied");
    fs::copy(renewed.key(), server.certificate.key()).expect("copied");
    let fresh = renewed.trusted(ALL_VERSIONS);
    let noticed = async { while server.encrypted_as(&fresh, 0).await.is_err() {} };
    timeout(PATIENCE, noticed).await.expect("noticed in time");
}

/// A request behind a header of the PROXY protocol.
fn through_proxy(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 127.0.0.1 40000 80\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .into_bytes()
}

#[tokio::test]
async fn behind_a_balancer_clients_are_counted_by_their_own_addresses() {
    let server = TestServer::start_with(|config| {
        config.limits.connections_per_address = 1;
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.access.proxy_protocol = true;
    })
    .await;
    // It holds the only place of its address: a request that is not finished.
    let mut held = TcpStream::connect(server.address()).await.expect("connected");
    held.write_all(b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\nGET / HT").await.expect("sent");
    let turned_away = async || server.server().node().metrics.node().turned_away.get("address_limit");
    let full = async {
        while turned_away().await == 0 {
            let mut second = TcpStream::connect(server.address()).await.expect("connected");
            second.write_all(&through_proxy("192.0.2.1")).await.expect("sent");
            let _ = second.read_to_end(&mut Vec::new()).await;
        }
    };
    timeout(PATIENCE, full).await.expect("the place is taken");
    let (status, _, _) = http_full(server.address(), &through_proxy("192.0.2.2")).await;
    assert_eq!(status, 200, "somebody else has a place");
}

#[tokio::test]
async fn who_does_not_say_for_whom_it_speaks_is_cut_off() {
    let server = TestServer::start_with(|config| {
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.access.proxy_protocol = true;
    })
    .await;
    let mut plain = TcpStream::connect(server.address()).await.expect("connected");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("an end");
    assert!(answer.is_empty(), "{}", answer.escape_ascii());
    assert_eq!(server.server().node().metrics.node().turned_away.get("bad_handshake"), 1);
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_introduces_others() {
    let server = TestServer::start_with(|config| {
        config.access.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        config.access.proxy_protocol = true;
    })
    .await;
    let (status, _, _) = http_full(server.address(), &through_proxy("192.0.2.1")).await;
    assert_eq!(status, 400, "it is no line of HTTP");
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let server = SecureServer::start(|config| {
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.access.proxy_protocol = true;
    })
    .await;
    let mut tls = server.introduced("PROXY TCP4 192.0.2.1 127.0.0.1 40000 443\r\n").await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut page = Vec::new();
    timeout(PATIENCE, tls.read_to_end(&mut page)).await.expect("in time").expect("a clean end");
    assert!(page.starts_with(b"HTTP/1.1 200 "), "{}", page.escape_ascii());
}
