//! The program as its users start it.

mod operators;
mod program;
mod serving;
mod settings;
