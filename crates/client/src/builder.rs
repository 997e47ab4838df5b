//! How to connect.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Position, RoomName, UserId};
use tokio::sync::mpsc;
use url::Url;

use crate::client::Client;
use crate::driver::{Beginning, Driver};
use crate::error::Error;
use crate::link::{Dial, Identity, Link};
use crate::token::TokenSource;
use crate::transport::Trust;
use crate::update::{Reached, Update, Updates};

/// Requests that wait for the task of the client; more wait in their callers.
const JOBS: usize = 64;

/// How commands and events are spelled; what they say is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `parlour.json.v1`.
    #[default]
    Json,
    /// `parlour.bin.v1`: smaller and faster.
    Binary,
}

impl Encoding {
    pub(crate) fn dialect(self) -> DialectId {
        match self {
            Self::Json => DialectId::Json,
            Self::Binary => DialectId::Binary,
        }
    }
}

/// Options of a connection; see [`Client::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    url: String,
    authorities: Option<PathBuf>,
    user: Option<String>,
    token: Option<TokenSource>,
    encoding: Encoding,
    capacity: usize,
    request_timeout: Duration,
    connect_timeout: Duration,
    positions: HashMap<RoomName, Position>,
    reports_delivery: bool,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            authorities: None,
            user: None,
            token: None,
            encoding: Encoding::Json,
            capacity: 1_024,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            positions: HashMap::new(),
            reports_delivery: false,
        }
    }

    /// Believes the certificates of the authorities in a PEM file, instead of those that the system
    /// trusts. Only for `wss://`.
    pub fn authorities(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities = Some(file.into());
        self
    }

    /// Takes a name, where the server lets anybody take one (development mode).
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Proves the identity with a token, sent as a bearer in a header and never in the URL.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(TokenSource::fixed(token.into()));
        self
    }

    /// Proves the identity with tokens that `get` returns: one for every connection, and a new one
    /// before the last expires, so that the connection goes on. All must be of the same user.
    ///
    /// An attempt to connect waits for the token, too. If there is none, the client tries again.
    pub fn token_from<F, T, E>(mut self, get: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.token = Some(TokenSource::renewable(get));
        self
    }

    /// Chooses the encoding; JSON unless told.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Limits the updates that wait to be read before the socket waits too; 1,024 unless told, at
    /// least 1.
    pub fn capacity(mut self, updates: usize) -> Self {
        self.capacity = updates.max(1);
        self
    }

    /// Limits how long a request waits for its answer, outages included; 30 s unless told.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Limits each attempt to connect, up to `welcome`; 10 s unless told.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Goes on where an earlier run of the program ended: with what [`Client::cursors`] told then.
    ///
    /// A room goes on when it is joined, unless the join says where; private conversations at once.
    pub fn resume_from(mut self, cursors: HashMap<RoomName, Position>) -> Self {
        self.positions = cursors;
        self
    }

    /// Tells the others what has arrived here, at most once per second and room; not unless told.
    pub fn report_delivery(mut self) -> Self {
        self.reports_delivery = true;
        self
    }

    /// Connects and waits for the server's welcome. The first attempt must succeed; later outages
    /// are overcome.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Authorities`], [`Error::Name`] and [`Error::NoIdentity`] before anything
    /// is sent, and [`Error::Connect`].
    pub async fn connect(self) -> Result<(Client, Updates), Error> {
        let dial = self.dial()?;
        let (link, welcome) = Link::connect(dial.clone()).await.map_err(Error::Connect)?;
        let user = welcome.user.clone();
        let (jobs, queue) = mpsc::channel(JOBS);
        let (sender, receiver) = mpsc::channel(self.capacity);
        let reached = Reached::new(self.positions.clone());
        let Self { positions, reports_delivery, request_timeout, .. } = self;
        let beginning = Beginning { dial, positions, reports_delivery };
        let mut driver = Driver::new(beginning, user.clone(), queue, sender);
        driver.begin(&welcome);
        driver.tell(Update::Connected(welcome));
        let task = tokio::spawn(driver.run(link));
        let client = Client::new(jobs, task, user, request_timeout, reached.clone());
        Ok((client, Updates::new(receiver, reached)))
    }

    fn dial(&self) -> Result<Dial, Error> {
        let url = Url::parse(&self.url).map_err(|_| Error::Url)?;
        let is_encrypted = match url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(Error::Url),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Error::Url);
        };
        let identity = match (&self.token, &self.user) {
            (Some(token), _) => Identity::Token(token.clone()),
            (None, Some(user)) => Identity::User(UserId::parse(user)?),
            (None, None) => return Err(Error::NoIdentity),
        };
        let trust = || match &self.authorities {
            Some(file) => Trust::file(file),
            None => Trust::system(),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Dial {
            // The resolver takes an IPv6 address without the brackets that a header needs.
            address: host.to_string().trim_matches(['[', ']']).to_owned(),
            port,
            trust: is_encrypted.then(trust).transpose().map_err(Error::Authorities)?,
            host: url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}")),
            path_and_query: format!("{}{query}", url.path()),
            identity,
            encoding: self.encoding,
            timeout: self.connect_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses() {
        let dial = |url: &str| Builder::new(url.to_owned()).user("Alice").dial();
        for (url, address, port, host, path) in [
            ("ws://127.0.0.1:8080/ws", "127.0.0.1", 8080, "127.0.0.1:8080", "/ws"),
            ("ws://[::1]:9/ws?x=1", "::1", 9, "[::1]:9", "/ws?x=1"),
            ("ws://example.org", "example.org", 80, "example.org", "/"),
        ] {
            let dial = dial(url).expect(url);
            assert_eq!(
                (&*dial.address, dial.port, &*dial.host, &*dial.path_and_query),
                (address, port, host, path)
            );
        }
        for url in ["http://a/ws", "https://a/ws", "nonsense", "ws://"] {
            assert!(matches!(dial(url), Err(Error::Url)), "{url}");
        }
        let secret = Builder::new("wss://a/ws".to_owned()).authorities("/nowhere").user("Alice");
        assert!(matches!(secret.dial(), Err(Error::Authorities(_))));
        let nobody = Builder::new("ws://a/ws".to_owned()).dial();
        assert!(matches!(nobody, Err(Error::NoIdentity)));
    }
}
