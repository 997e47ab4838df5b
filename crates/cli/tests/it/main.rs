//! The program as its users start it.

mod bench;
mod migrate;
mod nodes;
mod operators;
#[path = "../../../server/tests/it/harness/postgres.rs"]
#[expect(dead_code, reason = "the tests of the server use the rest")]
mod postgres;
mod program;
mod serving;
mod settings;
mod token;
