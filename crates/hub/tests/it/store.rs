//! A store in memory that can be slow, refuse, and lose answers.

use std::collections::{BTreeMap, VecDeque};

use parlour_hub::StoreRequest;
use parlour_hub::effect::{Document, cursor_key, reports_key, seen_key};
use parlour_hub::input::{Input, Opened};
use parlour_hub::log::{Draft, Refused, Stored};
use parlour_hub::room::store_refusal;
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, UserId};

pub use log::Log;

mod log;

/// What the store waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// Nothing: it answers as soon as the hub has had its say.
    #[default]
    Nothing,
    /// It reads and writes at once, but its answers wait.
    Answers,
    /// It does nothing yet.
    Requests,
}

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Nothing is read or stored.
    Refuses(ErrorCode),
    /// Messages are stored, but the answer says that nobody knows.
    LosesAnswers,
}

#[derive(Debug, Default)]
pub struct Store {
    pub rooms: BTreeMap<RoomName, Log>,
    pub documents: BTreeMap<String, Vec<u8>>,
    pub hold: Hold,
    pub fault: Fault,
    asked: VecDeque<(RoomName, StoreRequest)>,
    answers: VecDeque<(RoomName, Input)>,
    epochs: u128,
}

impl Store {
    /// Takes a request of the hub.
    pub fn ask(&mut self, room: RoomName, request: StoreRequest) {
        self.asked.push_back((room, request));
        if self.hold != Hold::Requests {
            self.work();
        }
    }

    /// Does what was asked; the answers may still wait.
    pub fn work(&mut self) {
        while let Some((room, request)) = self.asked.pop_front() {
            let answer = self.carry_out(&room, request);
            self.answers.extend(answer.map(|input| (room, input)));
        }
    }

    /// Returns the next answer, if the store does not hold it.
    pub fn answer(&mut self) -> Option<(RoomName, Input)> {
        if self.hold == Hold::Nothing { self.release(0) } else { None }
    }

    /// Returns an answer that was held. Answers of one room about messages keep their order.
    pub fn release(&mut self, index: usize) -> Option<(RoomName, Input)> {
        let (room, input) = self.answers.get(index)?;
        let is_append = |input: &Input| matches!(input, Input::Appended { .. });
        let first = match is_append(input) {
            true => self.answers.iter().position(|(r, i)| r == room && is_append(i))?,
            false => index,
        };
        self.answers.remove(first)
    }

    /// Returns how many answers are held.
    pub fn held(&self) -> usize {
        self.answers.len()
    }

    /// Prefills a room with messages `m1`, `m2` and so on, each padded to `bytes`.
    pub fn fill(&mut self, room: &RoomName, messages: u64, sender: &str, bytes: usize) {
        let sender = UserId::parse(sender).expect("a valid name");
        let log = Self::log(&mut self.rooms, room, Epoch(1));
        for _ in 0..messages {
            let mut text = format!("m{}", log.head().next());
            text += &" ".repeat(bytes.saturating_sub(text.len()));
            log.push(&sender, None, 0, Content::Message(Text::plain(text)));
        }
    }

    /// Replaces a room's log by another one of so many messages, as a restored backup would.
    pub fn renew(&mut self, room: &RoomName, messages: u64) {
        let epoch = self.rooms.remove(room).map_or(Epoch(1), |log| Epoch(log.epoch.0 + 1));
        Self::log(&mut self.rooms, room, epoch);
        self.fill(room, messages, "zoe", 0);
    }

    /// Returns what a survey of a room finds.
    pub fn survey(&self, room: &RoomName) -> Input {
        Input::Surveyed { ends: self.rooms[room].ends() }
    }

    fn log<'a>(rooms: &'a mut BTreeMap<RoomName, Log>, room: &RoomName, epoch: Epoch) -> &'a mut Log {
        rooms.entry(room.clone()).or_insert_with(|| Log::new(epoch))
    }

    fn carry_out(&mut self, room: &RoomName, request: StoreRequest) -> Option<Input> {
        let refused = match self.fault {
            Fault::Refuses(code) => Some(code),
            Fault::None | Fault::LosesAnswers => None,
        };
        Some(match request {
            StoreRequest::Open { durable, tail } => Input::Opened(self.open(room, durable, tail, refused)),
            StoreRequest::Append { caller, draft } => {
                let outcome = refused.map_or_else(|| self.append(&draft), |code| Err(store_refusal(code)));
                Input::Appended { caller, draft, outcome }
            }
            StoreRequest::Read { span, limit, ticket } => {
                let read = || self.rooms.get(room).map_or_else(Vec::new, |log| log.read(span, limit));
                Input::Fetched { ticket, records: refused.map_or_else(|| Ok(read()), Err) }
            }
            StoreRequest::Find { caller, cid } => {
                let find = || self.rooms.get(room).and_then(|log| log.find(&caller.user, &cid));
                let found = refused.map_or_else(|| Ok(find()), Err);
                Input::Found { caller, cid, found }
            }
            StoreRequest::Detour { input } => Input::Late(input),
            StoreRequest::Reports { caller, inquiry } => {
                let found = refused.map_or_else(|| Ok(self.under(&reports_key(room))), Err);
                Input::Inquired { caller, inquiry, found }
            }
            StoreRequest::Put { documents } => {
                self.documents.extend(documents.into_iter().map(|Document { key, value }| (key, value)));
                self.documents.retain(|_, value| !value.is_empty());
                return None;
            }
        })
    }

    fn open(&mut self, room: &RoomName, durable: bool, tail: u32, refused: Option<ErrorCode>) -> Opened {
        self.epochs += 1;
        let new_epoch = Epoch(self.epochs);
        let log = match refused.filter(|_| durable) {
            Some(code) => Err(code),
            None => Ok(self.rooms.get(room).map(|log| log.snapshot(tail))),
        };
        let (seen, cursors) = (self.under(&seen_key(room, "")), self.under(&cursor_key(room, "")));
        Opened { log, seen, cursors, new_epoch }
    }

    fn under(&self, prefix: &str) -> Vec<Document> {
        let found = self.documents.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        found.map(|(key, value)| Document { key: key.clone(), value: value.clone() }).collect()
    }

    fn append(&mut self, draft: &Draft) -> Result<Stored, Refusal> {
        let stored = match self.rooms.get_mut(&draft.room) {
            Some(log) => log.append(draft),
            None => {
                let mut log = Log::new(draft.new_epoch);
                // A refusal creates nothing.
                log.append(draft).inspect(|_| drop(self.rooms.insert(draft.room.clone(), log)))
            }
        };
        match self.fault {
            Fault::LosesAnswers => Err(store_refusal(ErrorCode::Indeterminate)),
            _ => stored.map_err(|refused| refusal(refused).into()),
        }
    }
}

fn refusal(refused: Refused) -> ErrorCode {
    match refused {
        Refused::Conflict => ErrorCode::IdempotencyConflict,
        Refused::NoTarget => ErrorCode::NotFound,
        Refused::NotAuthor => ErrorCode::Forbidden,
        Refused::Exists => ErrorCode::Exists,
        Refused::TooMany => ErrorCode::LimitExceeded,
        Refused::Corrupt => ErrorCode::Corrupt,
    }
}
