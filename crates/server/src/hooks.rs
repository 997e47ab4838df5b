//! What the operator's own servers hear of this one, and are asked by it.

pub mod event;
pub mod sign;
