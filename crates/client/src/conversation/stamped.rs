//! A value that only a later entry replaces.

use parlour_protocol::Seq;

#[derive(Debug, Clone, Default)]
pub(super) struct Stamped<T> {
    value: T,
    seq: Seq,
}

impl<T> Stamped<T> {
    pub(super) fn get(&self) -> &T {
        &self.value
    }

    /// Returns the entry that set the value.
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    pub(super) fn set(&mut self, value: T, seq: Seq) {
        if seq >= self.seq {
            (self.value, self.seq) = (value, seq);
        }
    }
}
