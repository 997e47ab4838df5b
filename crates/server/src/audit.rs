//! Who did what: an append-only file that shows whether it was changed.
//!
//! What an administrator does is written first and done then; if it cannot be written, it is not done.
//! What people do in rooms is noted behind them: a lost audit log stops no chat.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use parlour_hub::effect::Deed;
use parlour_protocol::content::Content;
use parlour_protocol::{ErrorCode, Refusal};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Config;
use crate::logging::Truncated;
use crate::metrics::Metrics;

mod chain;
mod writer;

pub use chain::{Broken, Flaw, Head, verify};
use writer::Writer;

/// The name of the log in the data directory.
const NAME: &str = "audit.jsonl";
/// Most acts that wait for the thread that writes; more are lost and counted.
const WAITING: usize = 10_000;
/// Who administers: the administration address knows no names.
pub const ADMINISTRATOR: &str = "administrator";

/// What somebody did. It holds nothing that anybody has said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Act {
    /// Who.
    pub actor: String,
    /// From where, without the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What, in one word.
    pub action: &'static str,
    /// To whom or what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// In which room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// What else matters.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A login that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    address: String,
    code: &'static str,
}

/// What the writer is told.
enum Order {
    Note(Act),
    Attest(Act, oneshot::Sender<bool>),
    Failed(Failure),
    Stop,
}

/// The way into the audit log.
#[derive(Debug)]
pub struct Audit {
    /// `None` where nothing is kept on disk.
    orders: Option<SyncSender<Order>>,
    metrics: Arc<Metrics>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Act {
    /// Begins to describe an act.
    #[must_use]
    pub fn new(actor: impl Into<String>, action: &'static str) -> Self {
        Self { actor: actor.into(), address: None, action, target: None, room: None, details: Value::Null }
    }

    /// Says to whom or what it was done.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers name what they have, owned or not")]
    pub fn to(self, target: impl ToString) -> Self {
        Self { target: Some(target.to_string()), ..self }
    }

    /// Says what else matters.
    #[must_use]
    pub fn because(self, details: Value) -> Self {
        Self { details, ..self }
    }
}

impl From<Deed> for Act {
    fn from(Deed { room, record }: Deed) -> Self {
        let act = match &record.content {
            Content::Role(change) => {
                Self::new("", "role").to(&change.user).because(json!({ "role": change.role }))
            }
            Content::Delete(target) => Self::new("", "delete").to(target.target),
            Content::Sanction(sanction) => Self::new("", "sanction")
                .to(&sanction.user)
                .because(json!({ "kind": sanction.kind, "until_ms": sanction.until_ms })),
            _ => Self::new("", "change"),
        };
        let details = json!({ "seq": record.seq, "change": act.details });
        Self { actor: record.sender.to_string(), room: Some(room.to_string()), details, ..act }
    }
}

impl Audit {
    /// Begins to write where the configuration says, or nowhere if nothing is kept on disk.
    #[must_use]
    pub fn start(config: &Config, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let default = || config.data_dir.as_ref().map(|directory| directory.join(NAME));
        let path = config.backend.audit.0.clone().or_else(default);
        let Some(path) = path else {
            return Self { orders: None, metrics, writer: Mutex::default() };
        };
        let (sender, orders) = sync_channel(WAITING);
        let writer = Writer::new(path, clock, Arc::clone(&metrics));
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&orders));
        Self { orders: Some(sender), metrics, writer: Mutex::new(thread.ok()) }
    }

    /// Notes an act that has happened. Does not wait.
    pub fn note(&self, act: impl Into<Act>) {
        self.send(Order::Note(act.into()));
    }

    /// Writes down an act that is about to happen.
    ///
    /// # Errors
    /// `unavailable` if it could not be written: then it must not happen.
    pub async fn attest(&self, act: Act) -> Result<(), Refusal> {
        if self.orders.is_none() {
            return Ok(());
        }
        let (answer, written) = oneshot::channel();
        self.send(Order::Attest(act, answer));
        match written.await {
            Ok(true) => Ok(()),
            _ => Err(Refusal::because(ErrorCode::Unavailable, "the audit log cannot be written")),
        }
    }

    /// Counts a login that failed; once a minute it is noted how many did.
    pub fn login_failed(&self, address: Option<IpAddr>, code: ErrorCode) {
        let is_login = matches!(code, ErrorCode::InvalidToken | ErrorCode::TokenExpired | ErrorCode::Revoked);
        if is_login {
            let address = address.map_or_else(|| "unknown".into(), |address| Truncated(address).to_string());
            self.send(Order::Failed(Failure { address, code: code.word() }));
        }
    }

    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders
            && orders.try_send(order).is_err()
        {
            // The disk has not answered for so long that nothing more can wait.
            self.metrics.node().audit_lost.add(1);
        }
    }

    /// Writes what waits and ends. Blocks.
    pub fn stop(&self) {
        if let Some(orders) = &self.orders {
            // It has ended already if it takes nothing.
            let _ = orders.send(Order::Stop);
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit log did not end in order");
        }
    }
}

/// Returns the file that names the last line of a log.
#[must_use]
pub fn beside(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".head");
    name.into()
}
