//! The order of the fields in every payload, and the numbers of commands and events.
//!
//! `docs/protocol.md` has the same tables for authors of clients.

use super::wire::{Reader, Wire, put_text, refuse};
use crate::command::{
    Batch, Command, Configure, Cursor, Delete, Draft, Edit, Hello, HistoryQuery, InRoom, Join, Pin, Private,
    Publish, React, Report, RequestId, Resolve, Resume, Search, SetPresence, SetRole, SetSanction,
    StatusQuery, Typing,
};
use crate::content::{Details, NewText, PinChange, Reaction, RoleChange, Sanction, Settings, Tally, Target};
use crate::dialect::check::bad_field;
use crate::error::{ErrorCode, Refusal};
use crate::event::{
    Ack, Change, CursorNotice, Erased, Event, Found, GoAway, HistoryPage, Hit, Joined, Left, Limits, Member,
    MemberList, Membership, Message, MessageStatus, Pong, PresenceNotice, PrivateMessage, Receipt, Receipts,
    ReplayPage, ReportList, Reported, Resync, RoleHolder, RoomInfo, RoomSummary, Stored, TokenExpiring,
    TypingNotice, Welcome, Window,
};
use crate::position::Position;

/// Structs are their fields, one after the other.
macro_rules! fields_in_order {
    ($($name:ident $(<$of:ident>)? { $($field:ident),+ })+) => {$(
        impl$(<$of: Wire>)? Wire for $name$(<$of>)? {
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
    Publish { room, text, cid, reply_to, mentions }
    Private { to, text, cid, reply_to, mentions }
    Typing { room, active }
    SetPresence { status, text }
    HistoryQuery { room, before, after, thread, limit }
    Cursor { room, seq }
    Batch { room, messages }
    Draft { text, cid, reply_to, mentions }
    Edit { room, target, text, cid, mentions }
    Delete { room, target, cid }
    React { room, target, emoji, active, cid }
    Pin { room, target, active, cid }
    StatusQuery { room, cid }
    Configure { room, settings, cid }
    SetRole { room, user, role, cid }
    SetSanction { room, user, kind, for_ms, reason, cid }
    Report { room, target, reason }
    Resolve { room, target }
    Search { query, room, before, limit }

    Tally { emoji, count, users }
    NewText { target, text, mentions }
    Target { target }
    Reaction { target, emoji, active, count }
    PinChange { target, active }
    Settings { title, topic, private, slow_ms }
    RoleChange { user, role }
    Sanction { user, kind, until_ms, reason }

    Welcome { session, user, server_time_ms, heartbeat_ms, limits, reconnect, dev, resuming }
    Limits { message_bytes, rooms, rate_per_s, burst, history }
    Window { min_ms, max_ms }
    Joined { room, epoch, head, floor, replayed, behind, recovered, reason, durable, member_count, members, receipts }
    Receipt { user, read, delivered }
    Member { user, status, text, last_active_ms }
    Left { room }
    Message { room, seq, sender, text, ts, cid, details }
    Change<T> { room, seq, sender, ts, cid, what }
    Membership { room, user, member_count }
    PrivateMessage { room, seq, from, to, text, ts, cid, details }
    TypingNotice { room, user, active }
    PresenceNotice { room, member }
    CursorNotice { room, user, seq, count, of }
    Ack { stored }
    Stored { room, epoch, seq, ts, dup, count }
    MemberList { room, member_count, members }
    HistoryPage { room, epoch, head, floor, events, more }
    RoomSummary { room, member_count, joined, unread, title, with }
    Pong { server_time_ms }
    ReplayPage { room, replayed, behind }
    MessageStatus { room, cid, stored }
    RoomInfo { room, settings, roles, pins, sanctions }
    RoleHolder { user, role }
    Receipts { room, seq, read, delivered, of, receipts }
    Found { hits, next }
    Hit { room, seq, sender, ts, snippet }
    ReportList { room, reports }
    Reported { target, user, ts, reason }
    Erased { room, user }
    Resync { room, reason, epoch, head, floor }
    GoAway { reason, reconnect }
    TokenExpiring { expires_ms }
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
    0x0d = Batch,
    0x0e = Edit,
    0x0f = Delete,
    0x10 = React,
    0x11 = Pin,
    0x12 = Delivered,
    0x13 = Status,
    0x14 = Create,
    0x15 = Configure,
    0x16 = Role,
    0x17 = Info,
    0x18 = More,
    0x19 = Receipts,
    0x1a = Search,
    0x1b = Sanction,
    0x1c = Report,
    0x1d = Reports,
    0x1e = Resolve,
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
    0x53 = Edited,
    0x54 = Deleted,
    0x55 = Reacted,
    0x56 = Pinned,
    0x57 = RoomChanged,
    0x58 = RoleChanged,
    0x59 = Delivered,
    0x5a = Page,
    0x5b = Status,
    0x5c = Info,
    0x5d = Receipts,
    0x5e = Found,
    0x5f = Erased,
    0x60 = Sanctioned,
    0x61 = Reports,
    0x62 = TokenExpiring,
    ;
} }

/// Whether an event of this number is an entry of a room's log ([`Event::seq`]).
pub(super) fn is_entry(number: u8) -> bool {
    matches!(number, 0x44 | 0x47 | 0x53..=0x58 | 0x60)
}

impl Wire for Details {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { reply_to, thread, mentions, edited, deleted, reactions } = self;
        [reply_to, thread].iter().for_each(|seq| seq.put(out));
        mentions.put(out);
        [edited, deleted].iter().for_each(|seq| seq.put(out));
        reactions.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        let (reply_to, thread, mentions) = (Wire::get(from)?, Wire::get(from)?, Wire::get(from)?);
        let (edited, deleted, reactions) = (Wire::get(from)?, Wire::get(from)?, Wire::get(from)?);
        let details = Self { reply_to, thread, mentions, edited, deleted, reactions };
        // One spelling for one meaning: a message without details says so.
        if details == Self::default() { Err(refuse("details without any detail")) } else { Ok(details) }
    }
}

impl Wire for Refusal {
    fn put(&self, out: &mut Vec<u8>) {
        (self.code as u16).put(out);
        self.code.is_retryable().put(out);
        self.retry_after_ms.put(out);
        put_text(&self.message, out);
        let blocked_by = match self.blocked_by {
            Some(RequestId::Number(id)) => u32::try_from(id).unwrap_or_default(),
            Some(RequestId::Text(_)) | None => 0,
        };
        blocked_by.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        let (number, is_retryable) = (u16::get(from)?, bool::get(from)?);
        let retry_after_ms = Wire::get(from)?;
        let message = compact_str::CompactString::get(from)?.into_string().into();
        let blocked_by = u32::get(from)?;
        let blocked_by = (blocked_by != 0).then_some(RequestId::Number(blocked_by.into()));
        // A row that only a newer table has: what counts is whether a retry makes sense.
        let unknown = if is_retryable { ErrorCode::Internal } else { ErrorCode::BadRequest };
        let code = ErrorCode::from_number(number).unwrap_or(unknown);
        Ok(Self { code, message, retry_after_ms, blocked_by })
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
