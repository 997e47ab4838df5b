//! Reading back: pages of history, read cursors, and private messages that waited.

use std::sync::Arc;

use parlour_protocol::command::HistoryQuery;
use parlour_protocol::event::{Ack, Event, HistoryPage, Message, ReadNotice};
use parlour_protocol::{ErrorCode, Refusal, Seq, UserId, limits};

use super::{Room, Scene, answer, kind, refuse, store_refusal};
use crate::effect::{Document, Effect, StoreRequest, Ticket, read_cursor_key};
use crate::input::Caller;
use crate::log::Record;

/// Most unread messages of one conversation that are sent without being asked for.
const INBOX: u32 = 50;

impl Room {
    pub(super) fn history(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        query: HistoryQuery,
        out: &mut Vec<Effect>,
    ) {
        let limit = query.limit.unwrap_or(limits::HISTORY_DEFAULT);
        if let Err(refusal) = self.check_query(scene, &caller, &query, limit) {
            return refuse(&caller, refusal, out);
        }
        if !self.durable {
            let records = self.page_of_ring(&query, limit);
            return self.answer_page(caller, &query, records, out);
        }
        let (before, after) = (query.before, query.after);
        let ticket = Ticket::History { caller, query };
        match after {
            Some(after) => self.fetch_after(after, limit, ticket, out),
            None => {
                self.awaited += 1;
                // Only what was delivered: a page never runs ahead of the live stream.
                let before = before.unwrap_or(self.position.next());
                let request = StoreRequest::Before { before, limit, ticket };
                out.push(Effect::Store { room: self.name.clone(), request });
            }
        }
    }

    fn check_query(
        &self,
        scene: Scene<'_>,
        caller: &Caller,
        query: &HistoryQuery,
        limit: u32,
    ) -> Result<(), Refusal> {
        if self.name.is_private() && self.name.peer_of(&caller.user).is_none() {
            return Err(ErrorCode::NotFound.into());
        }
        if limit == 0 || limit > scene.rules.history {
            let rule = format!("limit is 1 to {}", scene.rules.history);
            return Err(Refusal::because(ErrorCode::InvalidLimit, rule));
        }
        if query.after.is_some() && query.before.is_some() {
            return Err(Refusal::because(ErrorCode::BadRequest, "give before or after, not both"));
        }
        let beyond = query.after.is_some_and(|after| after > self.position)
            || query.before.is_some_and(|before| before > self.position.next() || before == Seq(0));
        if beyond {
            let rule = format!("the room's messages end at {}", self.position);
            return Err(Refusal::because(ErrorCode::InvalidCursor, rule));
        }
        Ok(())
    }

    fn page_of_ring(&self, query: &HistoryQuery, limit: u32) -> Vec<Message> {
        let messages = self.ring.newest_first().filter_map(|event| match &**event {
            Event::Message(message) => Some(message.clone()),
            _ => None,
        });
        let limit = limit as usize;
        let mut page: Vec<_> = match query.after {
            Some(after) => messages.filter(|m| m.seq > after).collect(),
            None => {
                messages.filter(|m| query.before.is_none_or(|before| m.seq < before)).take(limit).collect()
            }
        };
        page.reverse();
        page.truncate(limit);
        page
    }

    fn answer_page(
        &self,
        caller: Caller,
        query: &HistoryQuery,
        messages: Vec<Message>,
        out: &mut Vec<Effect>,
    ) {
        let more = match (query.after, messages.first(), messages.last()) {
            (Some(_), _, Some(last)) => last.seq < self.position,
            (None, Some(first), _) => first.seq > self.floor.next(),
            _ => false,
        };
        let page = HistoryPage {
            room: self.name.clone(),
            epoch: self.epoch,
            head: self.position,
            floor: self.floor,
            messages,
            more,
        };
        answer(caller, Event::History(Box::new(page)), out);
    }

    pub(super) fn fetched(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        records: Result<Vec<Record>, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        self.awaited -= 1;
        match (ticket, records) {
            (Ticket::Replay(replay), records) => self.replay_fetched(scene, *replay, records, out),
            (Ticket::History { caller, query }, Ok(records)) => {
                let delivered = records.into_iter().filter(|record| record.seq <= self.position);
                let messages = delivered.map(|record| self.message(record)).collect();
                self.answer_page(caller, &query, messages, out);
            }
            (Ticket::History { caller, .. }, Err(code)) => refuse(&caller, store_refusal(code), out),
            (Ticket::Inbox { caller }, Ok(records)) => self.answer_inbox(&caller, records, out),
            // They stay unread; what comes from now on must not count as sent.
            (Ticket::Inbox { caller }, Err(_)) => {
                let (to, room) = (caller.conn, self.name.clone());
                out.push(Effect::Unread { to, room, upto: Seq(0), events: Vec::new() });
            }
            (Ticket::Heal, records) => self.healed(scene, records.unwrap_or_default(), out),
        }
    }

    fn message(&self, record: Record) -> Message {
        let Record { seq, sender, cid, body: text, ts } = record;
        Message { room: self.name.clone(), seq, sender, text, ts, cid }
    }

    pub(super) fn read(&mut self, scene: Scene<'_>, caller: Caller, seq: Seq, out: &mut Vec<Effect>) {
        if !self.may_speak(&caller) {
            return refuse(
                &caller,
                Refusal::because(ErrorCode::Forbidden, "join the room before reading in it"),
                out,
            );
        }
        if seq > self.position {
            let rule = format!("the room's messages end at {}", self.position);
            return refuse(&caller, Refusal::because(ErrorCode::InvalidCursor, rule), out);
        }
        if self.durable {
            let documents = vec![cursor(&caller.user, self.name.as_str(), seq)];
            out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
        }
        let event = Event::Read(ReadNotice { room: self.name.clone(), user: caller.user.clone(), seq });
        match self.name.participants() {
            Some(users) => out.push(Effect::ToUsers { users, event: Arc::new(event) }),
            None => self.notice(scene, event, out),
        }
        answer(caller, Event::Ack(Ack::default()), out);
    }

    /// Puts a new private conversation into the inbox of both.
    pub(super) fn begin_inbox(&self, out: &mut Vec<Effect>) {
        if let Some((a, b)) = self.name.participants() {
            let documents = [a, b].iter().map(|user| cursor(user, self.name.as_str(), Seq(0))).collect();
            out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
        }
    }

    pub(super) fn inbox(&mut self, caller: Caller, read: Seq, out: &mut Vec<Effect>) {
        if read >= self.position {
            return self.answer_inbox(&caller, Vec::new(), out);
        }
        let newest = Seq(self.position.0.saturating_sub(u64::from(INBOX)));
        self.fetch_after(read.max(newest), INBOX, Ticket::Inbox { caller }, out);
    }

    fn answer_inbox(&self, caller: &Caller, records: Vec<Record>, out: &mut Vec<Effect>) {
        let theirs = records.into_iter().filter(|record| record.sender != caller.user);
        let delivered = theirs.filter(|record| record.seq <= self.position);
        let events =
            delivered.map(|record| Arc::new(kind::of(&self.name).event(&self.name, record))).collect();
        let (to, room, upto) = (caller.conn, self.name.clone(), self.position);
        out.push(Effect::Unread { to, room, upto, events });
    }
}

fn cursor(user: &UserId, room: &str, seq: Seq) -> Document {
    Document { key: read_cursor_key(user, room), value: seq.to_string().into_bytes() }
}
