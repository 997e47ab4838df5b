//! Proves from the outside that a server keeps its promises about messages.
//!
//! Workers publish and subscribe, lose their connections and come back, and write down what they
//! saw ([`record`]). When all is quiet the whole history is read ([`History`]), and [`verify`]
//! compares: it needs no server and knows no time but that of the records, so its own tests are
//! small logs written by hand.
//!
//! Most workers speak JSON over bare sockets and do not use a line of the SDK: a mistake that server
//! and SDK share would not be seen by the SDK. The others are the SDK, which is checked with it.
//!
//! ```no_run
//! # async fn example() -> Result<(), parlour_checker::load::Failed> {
//! use parlour_checker::{Allowed, load::Load, verify};
//!
//! let load = Load { url: "ws://127.0.0.1:8080/ws".into(), ..Load::default() };
//! let evidence = load.run().await?;
//! let verdict = verify(&evidence.logs, &evidence.histories, Allowed::default());
//! assert!(verdict.violations.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: `record`, `violation`, `verify` with its folder; then `load`, `worker`, `sdk`.

mod entry;
mod keeper;
pub mod load;
mod outbox;
pub mod raw;
pub mod record;
mod sdk;
mod verify;
mod violation;
mod worker;

pub use entry::{entry_of, page_of};
pub use record::{Content, Entry, History, Log, Record};
pub use verify::{Allowed, Verdict, verify};
pub use violation::Violation;
