//! The Parlour room server: all that touches a socket, a disk or a clock.

pub mod store;
