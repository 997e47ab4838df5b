//! The Parlour room server: all that touches a socket, a disk or a clock.

pub mod admission;
pub mod api;
pub mod archive;
mod assets;
pub mod audit;
pub mod clock;
pub mod commit;
pub mod config;
pub mod data_dir;
pub mod documents;
pub mod errands;
#[cfg(test)]
mod generated;
pub mod hooks;
pub mod http;
pub mod identity;
pub mod inbox;
pub mod lineage;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod outbound;
mod proxy_protocol;
pub mod server;
pub mod shard;
pub mod shell;
pub mod store;
pub mod tls;
pub mod upgrade;
pub mod upkeep;
pub mod verifier;
pub mod writes;

pub use config::Config;
pub use server::{Server, StartError};
