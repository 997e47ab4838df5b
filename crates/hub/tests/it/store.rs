//! A store in memory that can be slow, refuse, and lose answers.

use std::collections::{BTreeMap, VecDeque};

use parlour_hub::effect::{Document, seen_key};
use parlour_hub::input::{Input, Opened};
use parlour_hub::log::{Draft, Head, Record, Stored};
use parlour_hub::{StoreRequest, Ticket};
use parlour_protocol::{Epoch, ErrorCode, RoomName, Seq};

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

/// A room's log.
#[derive(Debug)]
pub struct Log {
    pub epoch: Epoch,
    pub floor: Seq,
    pub records: Vec<Record>,
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
        let sender = parlour_protocol::UserId::parse(sender).expect("a valid name");
        let log = Self::log(&mut self.rooms, room, Epoch(1));
        for _ in 0..messages {
            let seq = Seq(log.floor.0 + log.records.len() as u64 + 1);
            let mut body = format!("m{seq}");
            body += &" ".repeat(bytes.saturating_sub(body.len()));
            log.records.push(Record { seq, sender: sender.clone(), cid: None, body: body.into(), ts: 0 });
        }
    }

    /// Forgets the messages of a room up to and including `upto`.
    pub fn trim(&mut self, room: &RoomName, upto: Seq) {
        let log = self.rooms.get_mut(room).expect("a room of the store");
        log.records.retain(|record| record.seq > upto);
        log.floor = upto;
    }

    fn log<'a>(rooms: &'a mut BTreeMap<RoomName, Log>, room: &RoomName, epoch: Epoch) -> &'a mut Log {
        rooms.entry(room.clone()).or_insert_with(|| Log { epoch, floor: Seq(0), records: Vec::new() })
    }

    fn carry_out(&mut self, room: &RoomName, request: StoreRequest) -> Option<Input> {
        let refused = match self.fault {
            Fault::Refuses(code) => Some(code),
            Fault::None | Fault::LosesAnswers => None,
        };
        Some(match request {
            StoreRequest::Open { durable, tail } => Input::Opened(self.open(room, durable, tail, refused)),
            StoreRequest::Append { caller, draft } => {
                let outcome = refused.map_or_else(|| self.append(&draft), Err);
                Input::Appended { caller, draft, outcome }
            }
            StoreRequest::After { after, limit, ticket } => self.fetched(room, refused, ticket, |records| {
                records.iter().filter(|r| r.seq > after).take(limit as usize).cloned().collect()
            }),
            StoreRequest::Before { before, limit, ticket } => {
                self.fetched(room, refused, ticket, |records| {
                    let older: Vec<_> = records.iter().filter(|r| r.seq < before).cloned().collect();
                    older[older.len().saturating_sub(limit as usize)..].to_vec()
                })
            }
            StoreRequest::Put { documents } => {
                self.put(documents);
                return None;
            }
        })
    }

    fn open(&mut self, room: &RoomName, durable: bool, tail: u32, refused: Option<ErrorCode>) -> Opened {
        self.epochs += 1;
        let new_epoch = Epoch(self.epochs);
        let log = match refused.filter(|_| durable) {
            Some(code) => Err(code),
            None => Ok(self.rooms.get(room).map(|log| log.ends(tail as usize))),
        };
        let prefix = seen_key(room, "");
        let seen = self.documents.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let seen = seen.map(|(key, value)| Document { key: key.clone(), value: value.clone() }).collect();
        Opened { log, seen, new_epoch }
    }

    fn append(&mut self, draft: &Draft) -> Result<Stored, ErrorCode> {
        let stored = Self::log(&mut self.rooms, &draft.room, draft.new_epoch).append(draft);
        if self.fault == Fault::LosesAnswers { Err(ErrorCode::Indeterminate) } else { stored }
    }

    fn fetched(
        &self,
        room: &RoomName,
        refused: Option<ErrorCode>,
        ticket: Ticket,
        read: impl FnOnce(&[Record]) -> Vec<Record>,
    ) -> Input {
        let records = self.rooms.get(room).map_or(&[][..], |log| &log.records);
        Input::Fetched { ticket, records: refused.map_or_else(|| Ok(read(records)), Err) }
    }

    fn put(&mut self, documents: Vec<Document>) {
        for Document { key, value } in documents {
            self.documents.insert(key, value);
        }
    }
}

impl Log {
    /// Returns the number of the newest record.
    pub fn head(&self) -> Seq {
        Seq(self.floor.0 + self.records.len() as u64)
    }

    fn ends(&self, tail: usize) -> (Head, Vec<Record>) {
        let head = Head { epoch: self.epoch, head: self.head(), floor: self.floor };
        (head, self.records[self.records.len().saturating_sub(tail)..].to_vec())
    }

    fn append(&mut self, draft: &Draft) -> Result<Stored, ErrorCode> {
        let Draft { sender, cid, body, ts, .. } = draft.clone();
        let same = |record: &&Record| cid.is_some() && record.cid == cid && record.sender == sender;
        if let Some(earlier) = self.records.iter().find(same) {
            let stored = Stored { epoch: self.epoch, seq: earlier.seq, ts: earlier.ts, dup: true };
            return if earlier.body == body { Ok(stored) } else { Err(ErrorCode::IdempotencyConflict) };
        }
        let ts = self.records.last().map_or(ts, |last| last.ts.max(ts));
        let seq = self.head().next();
        self.records.push(Record { seq, sender, cid, body, ts });
        Ok(Stored { epoch: self.epoch, seq, ts, dup: false })
    }
}
