//! Before some things happen, the operator's servers are asked.
//!
//! The shard does not wait for them: what the connection wants is put aside, and what it sends meanwhile
//! is kept behind it in its order. No more of it is read, so no more than one read can wait.

use std::collections::VecDeque;
use std::sync::Arc;

use parlour_hub::ConnId;
use parlour_hub::input::Caller;
use parlour_hub::log::NewEntry;
use parlour_hub::rights::Grants;
use parlour_protocol::command::Resume;
use parlour_protocol::dialect::Decoded;
use parlour_protocol::{Position, Refusal, RequestId, RoomName};

use super::Shard;
use super::connection::{Connection, Phase};
use super::ending::Reason;
use crate::hooks::gate::{Question, Verdict, rewrite};
use crate::inbox::Mail;
use crate::upgrade::Greeting;
use crate::verifier::{Identity, Pass};

/// What a connection wants, and what has to wait for it.
#[derive(Debug, Default)]
pub(super) struct Consultation {
    /// `None` while what has waited is carried out.
    wish: Option<Wish>,
    later: VecDeque<Later>,
}

/// What hooks are asked about.
#[derive(Debug)]
enum Wish {
    Come(Box<Arrival>),
    Enter(Entrance),
    Say { caller: Caller, room: RoomName, entries: Vec<NewEntry> },
}

/// Somebody who has said who it is.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) identity: Identity,
    pub(super) request: Option<RequestId>,
    pub(super) resume: Vec<Resume>,
    pub(super) greeting: Option<Greeting>,
}

/// A room that a connection wants to be in.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) request: Option<RequestId>,
    pub(super) room: RoomName,
    pub(super) since: Option<Position>,
    pub(super) history: u32,
}

/// What waits.
#[derive(Debug)]
enum Later {
    Enter(Entrance),
    Decoded(Decoded),
}

impl Connection {
    /// Whether hooks are being asked about something that it wants.
    pub(super) fn is_consulting(&self) -> bool {
        self.consultation().is_some_and(|consultation| consultation.wish.is_some())
    }

    fn consultation(&self) -> Option<&Consultation> {
        self.extra.as_ref()?.consultation.as_deref()
    }
}

impl Shard {
    /// Keeps a command for later, if hooks are being asked; gives it back if not.
    pub(super) fn postpone(&mut self, slot: u32, decoded: Decoded) -> Option<Decoded> {
        if !self.connections[slot as usize].is_consulting() {
            return Some(decoded);
        }
        self.consultation(slot).later.push_back(Later::Decoded(decoded));
        None
    }

    fn consultation(&mut self, slot: u32) -> &mut Consultation {
        self.connections[slot as usize].extra().consultation.get_or_insert_default()
    }

    /// Lets somebody come, or asks first.
    pub(super) fn arrive(&mut self, slot: u32, arrival: Arrival) {
        let Identity { user, pass } = &arrival.identity;
        let is_new = matches!(self.connections[slot as usize].phase, Phase::Greeting { .. });
        let token = pass.as_ref().and_then(|pass| pass.token.as_ref());
        match self.node.hooks.gates.connect(user, token).filter(|_| is_new) {
            Some(question) => self.consult(slot, question, Wish::Come(Box::new(arrival))),
            None => self.welcome(slot, arrival),
        }
    }

    /// Lets a connection into a room, or asks first.
    pub(super) fn enter(&mut self, slot: u32, entrance: Entrance) {
        if self.connections[slot as usize].is_consulting() {
            // Before what the client sent after it.
            let later = &mut self.consultation(slot).later;
            let place = later.iter().take_while(|later| matches!(later, Later::Enter(_))).count();
            return later.insert(place, Later::Enter(entrance));
        }
        let user = self.connections[slot as usize].user();
        match user.and_then(|user| self.node.hooks.gates.join(user, &entrance.room)) {
            Some(question) => self.consult(slot, question, Wish::Enter(entrance)),
            None => self.let_in(slot, entrance),
        }
    }

    /// Lets somebody say something, or asks first.
    pub(super) fn say(
        &mut self,
        caller: Caller,
        room: RoomName,
        entries: Vec<NewEntry>,
        admitted: Result<(), Refusal>,
    ) {
        let question = match &admitted {
            Ok(()) => self.node.hooks.gates.publish(&caller.user, &room, &entries),
            Err(_) => None,
        };
        match question {
            Some(question) => self.consult(caller.conn.slot, question, Wish::Say { caller, room, entries }),
            None => self.publish(caller, &room, entries, admitted),
        }
    }

    fn consult(&mut self, slot: u32, question: Question, wish: Wish) {
        let (conn, node) = (self.id_of(slot), Arc::clone(&self.node));
        self.consultation(slot).wish = Some(wish);
        // Counts as a request that is not answered yet: a drain waits for it.
        self.connections[slot as usize].in_flight += 1;
        self.run_errand(async move { Mail::Verdict { conn, verdict: question.ask(&node).await } });
    }

    /// Goes on with what a connection wanted, then with what has waited.
    pub(super) fn decide(&mut self, conn: ConnId, verdict: Verdict) {
        let Some(slot) = self.slot_of(conn).filter(|slot| self.connections[*slot as usize].is_live()) else {
            return;
        };
        self.contain(slot, |shard| {
            let connection = &mut shard.connections[slot as usize];
            connection.in_flight = connection.in_flight.saturating_sub(1);
            // What it sends to show that it is there was not read.
            connection.timing.pinged = None;
            if let Some(wish) = shard.consultation(slot).wish.take() {
                shard.carry_wish(slot, wish, verdict);
                shard.catch_up_with_commands(slot, conn);
            }
        });
    }

    fn carry_wish(&mut self, slot: u32, wish: Wish, verdict: Verdict) {
        match (wish, verdict) {
            (Wish::Come(mut arrival), Verdict::Allow { grants, .. }) => {
                arrival.identity.pass = extended(arrival.identity.pass.take(), grants);
                self.welcome(slot, *arrival);
            }
            (Wish::Come(arrival), Verdict::Deny(refusal)) => {
                let code = refusal.code;
                self.refuse(slot, arrival.request, refusal);
                self.end(slot, Reason::Error(code));
            }
            (Wish::Enter(entrance), Verdict::Allow { .. }) => self.let_in(slot, entrance),
            (Wish::Enter(entrance), Verdict::Deny(refusal)) => self.reject(slot, entrance.request, refusal),
            (Wish::Say { caller, room, mut entries }, Verdict::Allow { texts, .. }) => {
                if let Some(texts) = texts {
                    rewrite(&mut entries, texts);
                }
                self.publish(caller, &room, entries, Ok(()));
            }
            (Wish::Say { caller, room, entries }, Verdict::Deny(refusal)) => {
                self.publish(caller, &room, entries, Err(refusal));
            }
        }
    }

    /// Carries out what has waited, up to the next question.
    fn catch_up_with_commands(&mut self, slot: u32, conn: ConnId) {
        loop {
            if self.slot_of(conn).is_none() || !self.connections[slot as usize].is_live() {
                return;
            }
            if self.connections[slot as usize].is_consulting() {
                return;
            }
            match self.consultation(slot).later.pop_front() {
                Some(Later::Enter(entrance)) => self.enter(slot, entrance),
                Some(Later::Decoded(decoded)) => self.on_decoded(slot, decoded),
                None => break,
            }
        }
        let connection = &mut self.connections[slot as usize];
        connection.extra().consultation = None;
        connection.tidy();
        self.read_soon(slot);
    }
}

/// Adds to what credentials allow.
fn extended(pass: Option<Arc<Pass>>, more: Vec<Grants>) -> Option<Arc<Pass>> {
    if more.is_empty() {
        return pass;
    }
    let mut pass = pass.map_or_else(Pass::default, |pass| (*pass).clone());
    let mut grants = (*pass.grants).clone();
    grants.0.extend(more.into_iter().flat_map(|grants| grants.0));
    pass.grants = Arc::new(grants);
    Some(Arc::new(pass))
}
