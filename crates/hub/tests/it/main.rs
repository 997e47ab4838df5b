//! The hub, driven by inputs with times, against a store that does what the test says.
//!
//! - `scripts`: conversations in text files, every effect compared.
//! - `network`: random users, connections and rooms against a model.
//! - `requirements`: the promises that are about numbers and about races.

#![expect(unreachable_pub, clippy::panic, reason = "the modules of one test program")]

mod matrix;
mod model;
mod network;
mod requirements;
mod script;
mod scripts;
mod show;
mod store;
mod world;
