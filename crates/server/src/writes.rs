//! How a node gives many sockets their bytes, and why.

use std::fmt;

use parlour_ring::{Ring, Unavailable};

use crate::config::Config;

/// The way of all shards of a node.
#[derive(Debug)]
pub enum Writes {
    /// Many sockets in one system call, by io_uring.
    Ring,
    /// One system call for each socket.
    Each(Option<Unavailable>),
}

impl Writes {
    /// Finds out what the configuration wants and the system lets us do.
    #[must_use]
    pub fn choose(config: &Config) -> Self {
        if !config.io_uring {
            return Self::Each(None);
        }
        match Ring::new(1) {
            Ok(_) => Self::Ring,
            Err(error) => Self::Each(Some(error)),
        }
    }

    /// Whether it is io_uring.
    #[must_use]
    pub fn is_ring(&self) -> bool {
        matches!(self, Self::Ring)
    }
}

/// Tells an operator the way, and why it is not the other one.
impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring => write!(f, "io_uring, many sockets per system call"),
            Self::Each(None) => write!(f, "one system call per socket; `io_uring` is false"),
            Self::Each(Some(error)) => write!(f, "one system call per socket; {error}"),
        }
    }
}
