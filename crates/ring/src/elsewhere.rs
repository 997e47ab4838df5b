//! Systems without io_uring: there is never a ring, and the compiler knows it.

use std::io;
use std::os::fd::RawFd;

use crate::{Outgoing, Unavailable};

#[derive(Debug)]
pub(crate) enum Kernel {}

pub(crate) enum Sent {}

impl Kernel {
    pub(crate) fn new(_entries: u32) -> Result<Self, Unavailable> {
        Err(Unavailable::Unsupported)
    }

    pub(crate) fn carry<'a>(&mut self, _sends: impl Iterator<Item = Outgoing<'a>>) -> &[Sent] {
        match *self {}
    }
}

impl Sent {
    pub(crate) fn socket(&self) -> RawFd {
        match *self {}
    }

    pub(crate) fn is_complete(&self) -> bool {
        match *self {}
    }

    pub(crate) fn outcome(&self) -> io::Result<usize> {
        match *self {}
    }
}
