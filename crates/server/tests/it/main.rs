//! One binary for all integration tests of the server: they link once.

mod harness;
mod store;
mod text;
