//! A new token before the old one expires.

use std::fmt;
use std::time::Duration;

use parlour_protocol::Command;
use parlour_protocol::command::Hello;
use tokio::time::{Instant, timeout};

use super::{Driver, Errand, Standing};
use crate::link::Identity;
use crate::pending::Waiter;
use crate::token::{Getting, NoToken};

/// How long a token may take to come: the server asks for it 30 s ahead.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time until another attempt.
const RETRY: Duration = Duration::from_secs(3);

impl Driver {
    /// Whether there will be another token.
    pub(super) fn is_renewable(&self) -> bool {
        matches!(&self.beginning.dial.identity, Identity::Token(source) if source.is_renewable)
    }

    /// Begins to get a new token, if there is a way to one.
    pub(super) fn renew(&mut self) {
        if let Identity::Token(source) = &self.beginning.dial.identity
            && source.is_renewable
            && self.standing.renewal.is_none()
        {
            let getting = timeout(PATIENCE, source.get());
            self.standing.renewal = Some(Box::pin(async move { getting.await.map_err(NoToken::from)? }));
        }
    }

    /// Shows the server a token that has come, or tries again soon.
    pub(super) fn renewed(&mut self, token: Result<String, NoToken>) {
        self.standing.renewal = None;
        match token {
            Ok(token) => {
                let hello = Hello { token: Some(token.into()), ..Hello::default() };
                self.ask(Command::Hello(hello), Waiter::Nobody);
            }
            // Should there be none in time, the connection ends, and the next one asks for a token again.
            Err(_) => self.errands.push((Instant::now() + RETRY, Errand::Renew)),
        }
    }
}

/// Waits for a token, for ever if none is on its way. Cancel-safe.
pub(super) async fn finish(renewal: &mut Option<Getting>) -> Result<String, NoToken> {
    match renewal {
        Some(getting) => getting.await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_renewing = self.renewal.is_some();
        f.debug_struct("Standing")
            .field("presence", &self.presence)
            .field("is_renewing", &is_renewing)
            .finish()
    }
}
