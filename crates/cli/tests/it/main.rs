//! The program as its users start it.

mod program;
mod serving;
mod settings;
