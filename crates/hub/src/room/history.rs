//! Reading back: pages of history, and private messages that waited.

use std::sync::Arc;

use parlour_protocol::command::HistoryQuery;
use parlour_protocol::event::{Event, HistoryPage};
use parlour_protocol::{ErrorCode, Refusal, Seq, limits};

use super::{Room, Scene, answer, kind, refuse, store_refusal};
use crate::effect::{Effect, StoreRequest, Ticket};
use crate::input::Caller;
use crate::log::{Record, Span};
use crate::rights::Action;

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
        if !self.setup.durable {
            let records = self.page_of_ring(&query, limit);
            return self.answer_page(caller, &query, records, out);
        }
        let span = match query {
            HistoryQuery { thread: Some(root), after, .. } => {
                Span::Thread { root, after: after.unwrap_or_default() }
            }
            HistoryQuery { after: Some(after), .. } => Span::After(after),
            // Only what was delivered: a page never runs ahead of the live stream.
            HistoryQuery { before, .. } => Span::Before(before.unwrap_or(self.position.next())),
        };
        self.read(span, limit, Ticket::History { caller, query }, out);
    }

    fn check_query(
        &self,
        scene: Scene<'_>,
        caller: &Caller,
        query: &HistoryQuery,
        limit: u32,
    ) -> Result<(), Refusal> {
        self.may_see_history(caller)?;
        if limit == 0 || limit > scene.rules.history {
            let rule = format!("limit is 1 to {}", scene.rules.history);
            return Err(Refusal::because(ErrorCode::InvalidLimit, rule));
        }
        if query.before.is_some() && (query.after.is_some() || query.thread.is_some()) {
            let rule = "give before or after, not both; a thread is read with after";
            return Err(Refusal::because(ErrorCode::BadRequest, rule));
        }
        let beyond = query.after.is_some_and(|after| after > self.position)
            || query.before.is_some_and(|before| before > self.position.next() || before == Seq(0));
        if beyond {
            let rule = format!("the room's messages end at {}", self.position);
            return Err(Refusal::because(ErrorCode::InvalidCursor, rule));
        }
        Ok(())
    }

    fn may_see_history(&self, caller: &Caller) -> Result<(), Refusal> {
        self.may_read_log(caller)?;
        self.require(caller, Action::History)
    }

    fn page_of_ring(&self, query: &HistoryQuery, limit: u32) -> Vec<Event> {
        let is_wanted = |seq: Seq| match (query.thread, query.after, query.before) {
            (Some(_), ..) => false,
            (None, Some(after), _) => seq > after,
            (None, None, before) => before.is_none_or(|before| seq < before),
        };
        let newest = self.past.ring.newest_first().filter(|event| event.seq().is_some_and(is_wanted));
        let limit = limit as usize;
        let mut page: Vec<_> = match query.after {
            Some(_) => newest.map(|event| Event::clone(event)).collect(),
            None => newest.take(limit).map(|event| Event::clone(event)).collect(),
        };
        page.reverse();
        page.truncate(limit);
        page
    }

    fn answer_page(&self, caller: Caller, query: &HistoryQuery, events: Vec<Event>, out: &mut Vec<Effect>) {
        let limit = query.limit.unwrap_or(limits::HISTORY_DEFAULT) as usize;
        let first = events.first().and_then(Event::seq);
        let last = events.last().and_then(Event::seq);
        let more = match query {
            HistoryQuery { thread: Some(_), .. } => events.len() >= limit,
            HistoryQuery { after: Some(_), .. } => last.is_some_and(|last| last < self.position),
            _ => first.is_some_and(|first| first > self.floor.next()),
        };
        let page = HistoryPage {
            room: self.name.clone(),
            epoch: self.epoch,
            head: self.position,
            floor: self.floor,
            events,
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
        self.errands.awaited -= 1;
        match (ticket, records) {
            (Ticket::Block(block), records) => self.block_read(scene, block, records, out),
            (Ticket::History { caller, query }, Ok(records)) => {
                // The user may have lost the right to read meanwhile (P21), or the log its name.
                if let Err(refusal) = self.may_see_history(&caller) {
                    return refuse(&caller, refusal, out);
                }
                let delivered = records.into_iter().filter(|record| record.seq <= self.position);
                let events = delivered.map(|record| kind::of(&self.name).event(&self.name, record)).collect();
                self.answer_page(caller, &query, events, out);
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

    /// Asks the store for records.
    pub(super) fn read(&mut self, span: Span, limit: u32, ticket: Ticket, out: &mut Vec<Effect>) {
        self.errands.awaited += 1;
        let request = StoreRequest::Read { span, limit, ticket };
        out.push(Effect::Store { room: self.name.clone(), request });
    }

    pub(super) fn inbox(&mut self, caller: Caller, read: Seq, out: &mut Vec<Effect>) {
        if read >= self.position || self.may_read(&caller).is_err() {
            return self.answer_inbox(&caller, Vec::new(), out);
        }
        let newest = Seq(self.position.0.saturating_sub(u64::from(INBOX)));
        self.read(Span::After(read.max(newest)), INBOX, Ticket::Inbox { caller }, out);
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
