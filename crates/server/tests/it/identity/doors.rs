//! What stands in for tokens: tickets, and being a guest.

use std::sync::Arc;
use std::time::Duration;

use parlour_hub::rights::Access;
use parlour_protocol::UserId;
use parlour_server::config::RoomRule;
use parlour_server::identity::ticket::TICKET_LIFE;
use parlour_server::verifier::{Identity, Pass};
use parlour_websocket::client::ConnectError;
use serde_json::json;

use super::issuer::{Issuer, open, stranger};
use crate::harness::{Json, TestServer};

fn alice() -> Identity {
    let pass = Pass { issued_s: Some(0), ..Pass::default() };
    Identity { user: UserId::parse("alice").expect("valid"), pass: Some(Arc::new(pass)) }
}

async fn with_ticket(server: &TestServer, ticket: &str) -> Result<Json, u16> {
    match server.open(&format!("/ws?ticket={ticket}"), &["parlour.json.v1"]).await {
        Ok(socket) => Ok(Json::new(socket)),
        Err(ConnectError::Refused { status, .. }) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_ticket_opens_the_door_once() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let node = server.server().node();
    let ticket = node.mint_ticket(alice(), TICKET_LIFE).expect("a ticket");
    let mut client = with_ticket(&server, &ticket).await.expect("upgraded");
    assert_eq!(client.until("welcome").await["payload"]["user"], "alice");
    assert_eq!(with_ticket(&server, &ticket).await.err(), Some(401), "A21");
    assert_eq!(with_ticket(&server, "guessed").await.err(), Some(401));

    let late = node.mint_ticket(alice(), Duration::ZERO).expect("a ticket");
    assert_eq!(with_ticket(&server, &late).await.err(), Some(401), "too old");

    // Plain text has no `hello`: a URL is all there is.
    let ticket = node.mint_ticket(alice(), TICKET_LIFE).expect("a ticket");
    let path = format!("/ws?room=general&ticket={ticket}");
    let mut text = server.open(&path, &[]).await.expect("upgraded");
    text.send("/who").await;
    assert!(text.recv().await.contains("alice"));
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_after_a_revocation() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let node = server.server().node();
    let ticket = node.mint_ticket(alice(), TICKET_LIFE).expect("a ticket");
    let user = parlour_server::identity::Revocation::User(alice().user, 1);
    node.revoke(user).await.expect("revoked");
    assert_eq!(with_ticket(&server, &ticket).await.err(), Some(401));
}

#[tokio::test]
async fn guests_have_names_of_their_own_and_the_rights_of_everybody() {
    let issuer = Issuer::new();
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        config.access.guests = true;
        let rule = |pattern, access| RoomRule { access: Some(access), ..RoomRule::ephemeral(pattern) };
        config.rooms = vec![rule("lobby", Access::Public), rule("*", Access::Members)];
    })
    .await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut guest = stranger(&server).await;
        let welcome = guest.ask("hello", json!({"user": "Alice"})).await;
        let name = welcome["payload"]["user"].as_str().expect("a name").to_owned();
        assert!(name.starts_with("guest-") && name.len() == 18, "{name}");
        guest.join("lobby").await;
        guest.publish("lobby", "hello").await;
        assert_eq!(guest.ask("join", json!({"room": "team"})).await["code"], "not_found");
        let private = guest.ask("private", json!({"to": "alice", "text": "psst"})).await;
        assert_eq!(private["code"], "forbidden", "{private}");
        names.push(name);
    }
    assert_ne!(names[0], names[1]);
    let (_text, lines) = server.enter("lobby", "Alice").await;
    assert!(!lines.iter().any(|line| line.starts_with("Alice")), "a name proves nothing: {lines:?}");

    // A bad token does not make a guest, and nobody gets a token for a guest's name.
    assert!(open(&server, "nonsense").await.is_err());
    assert!(open(&server, &issuer.token(json!({"sub": names[0]}))).await.is_err());
    open(&server, &issuer.token(json!({}))).await.expect("a member");
}
