//! Tokens that expire, and new ones in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parlour_client::{Builder, Client, Error, Event, Lost, Update, Updates};
use parlour_protocol::Command;
use parlour_protocol::event::TokenExpiring;

use crate::fake::{Fake, Peer, welcome};
use crate::within_limits;

/// Accepts a connection that must come with a token.
async fn accept(fake: &Fake, token: &str) -> Peer {
    let (mut peer, head) = fake.upgrade().await;
    assert!(head.lines().any(|line| line == format!("Authorization: Bearer {token}")), "{head}");
    peer.say(welcome()).await;
    peer
}

async fn connect(fake: &Fake, builder: Builder, token: &str) -> (Peer, Client, Updates) {
    let (peer, connected) = tokio::join!(accept(fake, token), builder.connect());
    let (client, updates) = connected.expect("welcome");
    (peer, client, updates)
}

/// Counts the tokens that are asked for; the third time there is none.
fn counting(builder: Builder) -> Builder {
    let asked = Arc::new(AtomicU32::new(0));
    builder.token_from(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
        std::future::ready(match number {
            3 => Err("the login is closed"),
            number => Ok(format!("token-{number}")),
        })
    })
}

#[tokio::test]
async fn a_new_token_comes_before_the_old_one_expires_and_with_every_connection() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, _client, mut updates) = connect(&fake, counting(fake.builder()), "token-1").await;
        peer.say(Event::TokenExpiring(TokenExpiring { expires_ms: 7 })).await;
        let (id, command) = peer.command().await;
        assert!(
            matches!(&command, Command::Hello(hello) if hello.token.as_deref() == Some("token-2")),
            "{command:?}"
        );
        peer.answer(id, welcome()).await;
        // Closed because of its token, it comes back with another one, as soon as there is one.
        peer.close_because(1008, "token_expired").await;
        let _peer = accept(&fake, "token-4").await;
        let mut causes = Vec::new();
        loop {
            match updates.next().await.expect("an update") {
                Update::Reconnecting { cause, .. } => causes.push(cause),
                Update::Connected(_) if causes.len() > 1 => break,
                _ => {}
            }
        }
        assert!(matches!(&causes[..], [Lost::Closed { code: 1008, .. }, Lost::NoToken(_)]), "{causes:?}");
    })
    .await;
}

#[tokio::test]
async fn without_a_way_to_tokens_expiry_is_the_end() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, _client, mut updates) = connect(&fake, fake.builder().token("s3cret"), "s3cret").await;
        peer.say(Event::TokenExpiring(TokenExpiring { expires_ms: 7 })).await;
        peer.close_because(1008, "token_expired").await;
        let mut was_told = false;
        let cause = loop {
            match updates.next().await.expect("an update") {
                Update::Event(Event::TokenExpiring(_)) => was_told = true,
                Update::Ended(cause) => break cause,
                _ => {}
            }
        };
        assert!(was_told && matches!(cause, Lost::Closed { code: 1008, .. }), "{cause:?}");
    })
    .await;
}

#[tokio::test]
async fn the_first_connection_fails_without_a_token_and_no_token_is_shown() {
    let fake = Fake::start().await;
    let failing = fake.builder().token_from(|| std::future::ready(Err::<String, _>("the login is closed")));
    let error = failing.connect().await.expect_err("no token");
    assert!(matches!(error, Error::Connect(Lost::NoToken(_))), "{error}");
    let shown = format!("{:?}", fake.builder().token("s3cret"));
    assert!(!shown.contains("s3cret"), "{shown}");
}
