//! One binary for all integration tests of the server: they link once.

mod chat;
mod harness;
mod store;
mod text;
