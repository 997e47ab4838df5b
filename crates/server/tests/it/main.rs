//! One binary for all integration tests of the server: they link once.

mod store;
