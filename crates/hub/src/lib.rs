//! The rules of rooms. Pure: time, seeds and the answers of a store are arguments.

pub mod log;
