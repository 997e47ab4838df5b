//! Events as lines. Whatever users say or are called, nobody can forge a line of somebody else.

use crate::error::Refusal;
use crate::event::{Event, HistoryPage, Member, MemberList, RoomSummary, Status};

/// Appends the lines of an event. `command` is the word of the command that it answers.
pub(super) fn event(event: &Event, command: &str, out: &mut Vec<u8>) {
    match event {
        Event::Message(message) => said(message.sender.as_str(), &message.text, out),
        Event::Private(message) => {
            put("[private] ", out);
            name(message.from.as_str(), out);
            put(" > ", out);
            said(message.to.as_str(), &message.text, out);
        }
        Event::MemberJoined(notice) => {
            name(notice.user.as_str(), out);
            put(" joined the room", out);
        }
        Event::MemberLeft(notice) => {
            name(notice.user.as_str(), out);
            put(" left the room", out);
        }
        Event::Members(list) => members(list, out),
        Event::History(page) => history(page, out),
        Event::Rooms(list) => rooms(list, out),
        Event::Error(refusal) => error(refusal, out),
        Event::Pong(_) if command == "/help" => put(super::HELP, out),
        Event::Pong(_) => put("* pong", out),
        Event::Resync(resync) => {
            put("* some messages of ", out);
            name(resync.room.as_str(), out);
            put(" could not be shown; /history has them", out);
        }
        Event::GoAway(_) => put("* the server restarts, please reconnect", out),
        // Only what was typed is confirmed; who connects with a URL wants the conversation alone.
        Event::Joined(joined) if command == "/join" => about("* you are in ", joined.room.as_str(), out),
        Event::Left(left) if command == "/leave" => about("* you left ", left.room.as_str(), out),
        Event::Ack(_) if command == "/away" => put("* you are away", out),
        Event::Ack(_) if command == "/back" => put("* you are back", out),
        Event::Welcome(_)
        | Event::Joined(_)
        | Event::Left(_)
        | Event::Ack(_)
        | Event::Typing(_)
        | Event::Presence(_)
        | Event::Read(_)
        | Event::Delivered(_)
        | Event::Edited(_)
        | Event::Deleted(_)
        | Event::Reacted(_)
        | Event::Pinned(_)
        | Event::RoomChanged(_)
        | Event::RoleChanged(_)
        | Event::Page(_)
        | Event::Status(_)
        | Event::Info(_)
        | Event::Receipts(_)
        | Event::Found(_)
        | Event::Erased(_) => {}
    }
}

fn said(by: &str, text: &str, out: &mut Vec<u8>) {
    name(by, out);
    put(": ", out);
    visible(text, out);
}

fn about(words: &str, room: &str, out: &mut Vec<u8>) {
    put(words, out);
    name(room, out);
}

fn members(list: &MemberList, out: &mut Vec<u8>) {
    put(&format!("* {} in ", list.member_count), out);
    name(list.room.as_str(), out);
    listed(&list.members, out, member);
}

fn member(member: &Member, out: &mut Vec<u8>) {
    name(member.user.as_str(), out);
    let status = match member.status {
        Status::Online => None,
        Status::Away => Some("away"),
        Status::Offline => Some("offline"),
    };
    match (status, &member.text) {
        (None, None) => {}
        (status, None) => put(&format!(" ({})", status.unwrap_or_default()), out),
        (status, Some(text)) => {
            put(&format!(" ({}: ", status.unwrap_or("online")), out);
            visible(text, out);
            put(")", out);
        }
    }
}

fn rooms(list: &[RoomSummary], out: &mut Vec<u8>) {
    put("* rooms", out);
    listed(list, out, |room, out| {
        name(room.with.as_ref().map_or(room.room.as_str(), |user| user.as_str()), out);
        let here = if room.joined { ", you are here" } else { "" };
        let kind = if room.with.is_some() { "private, " } else { "" };
        put(&format!(" ({kind}{}{here})", room.member_count), out);
    });
}

fn listed<T>(items: &[T], out: &mut Vec<u8>, one: fn(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        put(if index == 0 { ": " } else { ", " }, out);
        one(item, out);
    }
}

fn history(page: &HistoryPage, out: &mut Vec<u8>) {
    let count = page.events.len();
    put(&format!("* {count} message{} of ", if count == 1 { "" } else { "s" }), out);
    name(page.room.as_str(), out);
    for entry in &page.events {
        put("\n* ", out);
        event(entry, "", out);
    }
}

fn error(refusal: &Refusal, out: &mut Vec<u8>) {
    put("! ", out);
    put(refusal.code.word(), out);
    put(": ", out);
    visible(&refusal.message, out);
}

fn put(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends a name, quoted where its characters also structure a line.
///
/// A user called `Alice: hi` must not look like Alice saying hi, nor `* Alice` like the server.
fn name(name: &str, out: &mut Vec<u8>) {
    if name.starts_with(['[', '*', '!', '"']) || name.contains([':', '>', ',', '(']) {
        serde_json::to_writer(out, name).expect("a Vec takes every byte");
    } else {
        put(name, out);
    }
}

/// Appends what somebody said as one line: line breaks and characters that steer a terminal are
/// replaced by visible signs.
fn visible(text: &str, out: &mut Vec<u8>) {
    // Nearly all text is plain. Without an early exit the first check takes many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (b' '..0x7f).contains(&byte));
    if is_plain || !text.chars().any(steers) {
        return put(text, out);
    }
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => put(" ⏎ ", out),
            '\t' => put(" ", out),
            // U+2400 begins the pictures of the control characters: ESC is shown as ␛.
            '\0'..='\u{1f}' => put_char(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'), out),
            '\u{7f}' => put("␡", out),
            c if steers(c) => put("\u{fffd}", out),
            c => put_char(c, out),
        }
    }
}

/// Whether a character moves the cursor, breaks the line or turns the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn put_char(c: char, out: &mut Vec<u8>) {
    put(c.encode_utf8(&mut [0; 4]), out);
}
