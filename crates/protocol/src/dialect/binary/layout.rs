//! The order of the fields in every payload, and the numbers of commands and events.
//!
//! `docs/protocol.md` has the same tables for authors of clients.

use super::wire::{Reader, Wire, put_text, refuse};
use crate::command::{
    Command, Hello, HistoryQuery, InRoom, Join, Private, Publish, Read, Resume, SetPresence, Typing,
};
use crate::dialect::check::bad_field;
use crate::error::{ErrorCode, Refusal};
use crate::event::{
    Ack, Event, GoAway, HistoryPage, Joined, Left, Limits, Member, MemberList, Membership, Message, Pong,
    PresenceNotice, PrivateMessage, ReadNotice, Resync, RoomSummary, Stored, TypingNotice, Welcome, Window,
};
use crate::position::Position;

/// Structs are their fields, one after the other.
macro_rules! fields_in_order {
    ($($name:ident { $($field:ident),+ })+) => {$(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
                Ok(Self { $($field: Wire::get(from).map_err(|error| in_field(stringify!($field), &error))?),+ })
            }
        }
    )+};
}

fields_in_order! {
    Position { epoch, seq }
    Resume { room, since }
    Hello { token, user, resume }
    Join { room, since, history }
    InRoom { room }
    Publish { room, text, cid }
    Private { to, text, cid }
    Typing { room, active }
    SetPresence { status, text }
    HistoryQuery { room, before, after, limit }
    Read { room, seq }

    Welcome { session, user, server_time_ms, heartbeat_ms, limits, reconnect, dev, resuming }
    Limits { message_bytes, rooms, rate_per_s, burst, history }
    Window { min_ms, max_ms }
    Joined { room, epoch, head, floor, replayed, recovered, reason, durable, member_count, members }
    Member { user, status, text, last_active_ms }
    Left { room }
    Message { room, seq, sender, text, ts, cid }
    Membership { room, user, member_count }
    PrivateMessage { room, seq, from, to, text, ts, cid }
    TypingNotice { room, user, active }
    PresenceNotice { room, member }
    ReadNotice { room, user, seq }
    Ack { stored }
    Stored { room, epoch, seq, ts, dup }
    MemberList { room, member_count, members }
    HistoryPage { room, epoch, head, floor, messages, more }
    RoomSummary { room, member_count, joined, with }
    Pong { server_time_ms }
    Resync { room, reason, epoch, head, floor }
    GoAway { reason, reconnect }
}

/// Gives every variant of a vocabulary its number and the layout of its payload.
macro_rules! numbers {
    ($vocabulary:ident, $number_of:ident, $put:ident, $get:ident {
        $($number:literal = $variant:ident,)+ ; $($empty_number:literal = $empty:ident,)*
    }) => {
        pub(super) fn $number_of(of: &$vocabulary) -> u8 {
            match of {
                $($vocabulary::$variant(_) => $number,)+
                $($vocabulary::$empty => $empty_number,)*
            }
        }

        pub(super) fn $put(of: &$vocabulary, out: &mut Vec<u8>) {
            match of {
                $($vocabulary::$variant(payload) => payload.put(out),)+
                $($vocabulary::$empty => {})*
            }
        }

        /// Returns `None` if there is no such number.
        pub(super) fn $get(number: u8, from: &mut Reader<'_>) -> Option<Result<$vocabulary, Refusal>> {
            Some(match number {
                $($number => Wire::get(from).map($vocabulary::$variant),)+
                $($empty_number => Ok($vocabulary::$empty),)*
                _ => return None,
            })
        }
    };
}

numbers! { Command, command_number, put_command, get_command {
    0x01 = Hello,
    0x02 = Join,
    0x03 = Leave,
    0x04 = Publish,
    0x05 = Private,
    0x06 = Typing,
    0x07 = Presence,
    0x08 = Members,
    0x09 = History,
    0x0b = Read,
    ;
    0x0a = Rooms,
    0x0c = Ping,
} }

numbers! { Event, event_number, put_event, get_event {
    0x41 = Welcome,
    0x42 = Joined,
    0x43 = Left,
    0x44 = Message,
    0x45 = MemberJoined,
    0x46 = MemberLeft,
    0x47 = Private,
    0x48 = Typing,
    0x49 = Presence,
    0x4a = Read,
    0x4b = Ack,
    0x4c = Members,
    0x4d = History,
    0x4e = Rooms,
    0x4f = Pong,
    0x50 = Error,
    0x51 = Resync,
    0x52 = GoAway,
    ;
} }

impl Wire for Refusal {
    fn put(&self, out: &mut Vec<u8>) {
        (self.code as u16).put(out);
        self.code.is_retryable().put(out);
        self.retry_after_ms.put(out);
        put_text(&self.message, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        let (number, is_retryable) = (u16::get(from)?, bool::get(from)?);
        let retry_after_ms = Wire::get(from)?;
        let message = compact_str::CompactString::get(from)?.into_string().into();
        // A row that only a newer table has: what counts is whether a retry makes sense.
        let unknown = if is_retryable { ErrorCode::Internal } else { ErrorCode::BadRequest };
        Ok(Self { code: ErrorCode::from_number(number).unwrap_or(unknown), message, retry_after_ms })
    }
}

fn in_field(field: &str, error: &Refusal) -> Refusal {
    Refusal { message: bad_field(field, &error.message).message, ..error.clone() }
}

/// Splits the next message off a frame: its number and what its length declares.
pub(super) fn next_message<'a>(frame: &mut Reader<'a>) -> Result<(u8, Reader<'a>), Refusal> {
    let short = |_| refuse("a message is a type (1 byte), a length (4 bytes, big-endian) and as many bytes");
    let number = u8::get(frame).map_err(short)?;
    let length = u32::get(frame).map_err(short)?;
    let payload = frame.take(usize::try_from(length).unwrap_or(usize::MAX));
    payload.map(|payload| (number, Reader::new(payload))).map_err(|_| {
        refuse("the declared length is larger than what the frame holds; the rest of the frame is not read")
    })
}
