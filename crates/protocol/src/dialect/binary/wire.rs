//! Fields as bytes: integers big-endian, text with its length in front.

use std::sync::Arc;

use compact_str::CompactString;

use crate::command::Availability;
use crate::content::{Role, SanctionKind};
use crate::dialect::check::bad_name;
use crate::error::{ErrorCode, Refusal};
use crate::event::{Status, Unrecovered};
use crate::name::{RoomName, UserId};
use crate::position::{Epoch, Seq};

/// What is left of a message.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| refuse("the message ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Checks that nothing is left over.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.rest {
            [] => Ok(()),
            _ => Err(refuse("the message is longer than its fields")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn text(&mut self, bytes: usize) -> Result<&'a str, Refusal> {
        std::str::from_utf8(self.take(bytes)?).map_err(|_| refuse("must be UTF-8"))
    }

    fn name(&mut self) -> Result<&'a str, Refusal> {
        let bytes = u16::from_be_bytes(self.array()?);
        self.text(usize::from(bytes))
    }

    fn long_text(&mut self) -> Result<&'a str, Refusal> {
        let bytes = u32::get(self)?;
        self.text(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

pub(super) fn refuse(rule: &'static str) -> Refusal {
    Refusal::because(ErrorCode::BadRequest, rule)
}

/// A field with a fixed layout.
pub(super) trait Wire: Sized {
    /// Appends the field.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads and checks the field.
    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal>;
}

/// Integers, big-endian.
macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl Wire for $integer {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
                from.array().map(Self::from_be_bytes)
            }
        }
    )+};
}

integers!(u8, u16, u32, u64, i64);

/// Closed choices as one byte, counted from 0.
macro_rules! choices {
    ($($choice:ident { $($number:literal = $variant:ident),+ } $rule:literal)+) => {$(
        impl Wire for $choice {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $number),+ });
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
                match u8::get(from)? {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(refuse($rule)),
                }
            }
        }
    )+};
}

choices! {
    Availability { 0 = Online, 1 = Away } "must be 0 or 1"
    Status { 0 = Online, 1 = Away, 2 = Offline } "must be 0 to 2"
    Unrecovered { 0 = Expired, 1 = Epoch, 2 = Ahead, 3 = Access } "must be 0 to 3"
    Role { 0 = Member, 1 = Moderator, 2 = Owner } "must be 0 to 2"
    SanctionKind { 0 = None, 1 = Kick, 2 = Mute, 3 = Ban } "must be 0 to 3"
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        match u8::get(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(refuse("must be 0 or 1")),
        }
    }
}

impl Wire for Seq {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        u64::get(from).map(Self)
    }
}

impl Wire for Epoch {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        from.array().map(u128::from_be_bytes).map(Self)
    }
}

impl Wire for RoomName {
    fn put(&self, out: &mut Vec<u8>) {
        put_name(self.as_str(), out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        Self::parse_any(from.name()?).map_err(|error| bad_name("name", error, ErrorCode::InvalidRoom))
    }
}

impl Wire for UserId {
    fn put(&self, out: &mut Vec<u8>) {
        put_name(self.as_str(), out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        Self::parse(from.name()?).map_err(|error| bad_name("name", error, ErrorCode::InvalidUser))
    }
}

impl Wire for CompactString {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        from.long_text().map(Self::from)
    }
}

impl Wire for Arc<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        from.long_text().map(Self::from)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        bool::get(from)?.then(|| T::get(from)).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        // Nothing is reserved for the count: a hostile one ends with the bytes that are there.
        (0..u32::get(from)?).map(|_| T::get(from)).collect()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        T::get(from).map(Self::new)
    }
}

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn put_name(name: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(name.len()).expect("a parsed name has at most 400 bytes");
    length.put(out);
    out.extend_from_slice(name.as_bytes());
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("messages are limited far below 4 GiB").put(out);
}
