//! Events as lines.

use super::entry;
use super::line::{name, put, visible};
use crate::content::SanctionKind;
use crate::error::Refusal;
use crate::event::{
    Ack, Event, Found, HistoryPage, Member, MemberList, ReportList, RoomInfo, RoomSummary, Status,
};

/// Appends the lines of an event. `command` is the word of the command that it answers.
pub(super) fn event(event: &Event, command: &str, out: &mut Vec<u8>) {
    match event {
        Event::Message(_) | Event::Private(_) => entry::entry(event, out),
        kept if kept.seq().is_some() => {
            put("* ", out);
            entry::entry(kept, out);
        }
        Event::MemberJoined(notice) => {
            name(notice.user.as_str(), out);
            put(" joined the room", out);
        }
        Event::MemberLeft(notice) => {
            name(notice.user.as_str(), out);
            put(" left the room", out);
        }
        Event::Resync(resync) => {
            about("* some messages of ", resync.room.as_str(), out);
            put(" could not be shown; /history has them", out);
        }
        Event::Erased(erased) => {
            about("* what ", erased.user.as_str(), out);
            about(" said in ", erased.room.as_str(), out);
            put(" was erased", out);
        }
        Event::TokenExpiring(_) => put("* your token expires soon: connect again with a new one", out),
        Event::GoAway(_) => put("* the server restarts, please reconnect", out),
        Event::Error(refusal) => error(refusal, out),
        answer => self::answer(answer, command, out),
    }
}

/// Appends an answer. Only what was typed is confirmed; who connects with a URL wants the
/// conversation alone. What a command changes in a room is confirmed by the event.
fn answer(event: &Event, command: &str, out: &mut Vec<u8>) {
    match event {
        Event::Members(list) => members(list, out),
        Event::History(page) => history(page, out),
        Event::Rooms(list) => rooms(list, out),
        Event::Info(info) => self::info(info, out),
        Event::Found(found) => self::found(found, out),
        Event::Reports(list) => reports(list, out),
        Event::Pong(_) if command == "/help" => put(super::HELP, out),
        Event::Pong(_) => put("* pong", out),
        Event::Joined(joined) if command == "/join" => about("* you are in ", joined.room.as_str(), out),
        Event::Left(left) if command == "/leave" => about("* you left ", left.room.as_str(), out),
        Event::Ack(Ack { stored: Some(stored) }) if command == "/create" => {
            about("* the room is yours; enter it with /join ", stored.room.as_str(), out);
        }
        Event::Ack(_) if command == "/report" => put("* the moderators will see it", out),
        Event::Ack(_) if command == "/resolve" => put("* done", out),
        Event::Ack(_) if command == "/away" => put("* you are away", out),
        Event::Ack(_) if command == "/back" => put("* you are back", out),
        _ => {}
    }
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
    for event in &page.events {
        put(&format!("\n* #{} ", event.seq().unwrap_or_default()), out);
        entry::entry(event, out);
    }
}

fn found(found: &Found, out: &mut Vec<u8>) {
    let more = if found.next.is_some() { ", and there are more" } else { "" };
    put(&format!("* {} found{more}", found.hits.len()), out);
    for hit in &found.hits {
        put(&format!("\n* #{} of ", hit.seq), out);
        name(hit.room.as_str(), out);
        put(", ", out);
        name(hit.sender.as_str(), out);
        put(": ", out);
        visible(&hit.snippet.replace(['\u{e000}', '\u{e001}'], "*"), out);
    }
}

fn info(info: &RoomInfo, out: &mut Vec<u8>) {
    about("* ", info.room.as_str(), out);
    entry::settings(&info.settings, out);
    for holder in &info.roles {
        put(", ", out);
        name(holder.user.as_str(), out);
        put(&format!(" ({})", entry::role(holder.role)), out);
    }
    for (index, seq) in info.pins.iter().enumerate() {
        put(&format!("{} #{seq}", if index == 0 { ", pinned" } else { "" }), out);
    }
    for sanction in &info.sanctions {
        put(", ", out);
        name(sanction.user.as_str(), out);
        put(if sanction.kind == SanctionKind::Mute { " (silenced)" } else { " (banned)" }, out);
    }
}

fn reports(list: &ReportList, out: &mut Vec<u8>) {
    put(&format!("* {} reported in ", list.reports.len()), out);
    name(list.room.as_str(), out);
    for report in &list.reports {
        put(&format!("\n* #{} by ", report.target), out);
        name(report.user.as_str(), out);
        if let Some(reason) = &report.reason {
            put(": ", out);
            visible(reason, out);
        }
    }
}

fn error(refusal: &Refusal, out: &mut Vec<u8>) {
    put("! ", out);
    put(refusal.code.word(), out);
    put(": ", out);
    visible(&refusal.message, out);
}
