//! One binary for all integration tests of the server: they link once.
#![expect(clippy::panic, reason = "a test fails by panicking, also in what it calls")]

mod admission;
mod api;
mod archive;
mod audit;
mod bad_commands;
mod bad_frames;
mod bad_handshake;
mod budget;
mod chat;
mod commands;
mod compression;
mod conversation;
mod drain;
mod durability;
mod erase;
mod faults;
#[cfg(feature = "sqlite")]
mod faults_planted;
mod footprint;
mod harness;
mod heartbeat;
mod history;
mod hooks;
mod hooks_backend;
mod identity;
mod interleaving;
mod lag;
mod lifecycle;
mod limits;
mod moderation;
mod observe;
mod outbound;
mod permissions;
mod pipelines;
#[cfg(feature = "postgres")]
mod postgres;
mod presence;
mod private;
mod resume;
mod retention;
mod roles;
mod secrets;
mod slow;
mod store;
mod text;
mod tls;
mod transport;
mod webhooks;
