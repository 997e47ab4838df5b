//! A worker over a bare socket: says, listens, is lost, comes back, and writes everything down.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::entry::{entry_of, number};
use crate::load::{Phase, Task};
use crate::outbox::Outbox;
use crate::raw::{Gone, Raw};
use crate::record::{Answer, Content, Joined, Log, Record, Said};

/// Most sayings of one worker without an answer.
const WINDOW: usize = 32;
/// How long to wait before the next attempt, at most; long enough for others to go on meanwhile.
const BACK_MS: u64 = 300;
/// Pause before a refused request is repeated, in microseconds.
const RETRY_US: u64 = 200_000;
/// How long one life of a worker that comes and goes lasts, at most.
const LIFE_MS: u64 = 2_000;

/// What a request was about.
#[derive(Debug, Clone)]
enum Asked {
    Hello,
    Join { room: String, since: Option<(String, u64)> },
    More,
    Say,
}

/// One worker and its memory over all its connections.
pub(crate) struct Worker {
    task: Task,
    log: Log,
    life: u32,
    next_id: u64,
    asked: HashMap<u64, Asked>,
    /// Up to where the worker knows each of its rooms.
    places: HashMap<String, (String, u64)>,
    /// Whether the room was entered in this life.
    entered: HashMap<String, bool>,
    outbox: Outbox,
    said: u64,
    /// Own messages that are stored, for changes; and the newest ones of anybody, for reactions.
    mine: Vec<(String, u64)>,
    newest: HashMap<String, u64>,
}

impl Worker {
    pub(crate) fn new(task: Task) -> Self {
        let log = Log { worker: task.name.clone(), user: task.name.clone(), records: Vec::new() };
        let entered = task.rooms.iter().map(|room| (room.clone(), false)).collect();
        Self {
            task,
            log,
            life: 0,
            next_id: 0,
            asked: HashMap::new(),
            places: HashMap::new(),
            entered,
            outbox: Outbox::default(),
            said: 0,
            mine: Vec::new(),
            newest: HashMap::new(),
        }
    }

    /// Works until everything has been seen, or patience ends.
    pub(crate) async fn run(mut self) -> Log {
        loop {
            let lived = self.live().await;
            if lived.is_ok() || self.task.is_late() {
                break;
            }
            sleep(Duration::from_millis(20 + self.task.dice.below(BACK_MS))).await;
        }
        for room in self.entered.into_keys() {
            self.log.records.push(Record::Stayed { room });
        }
        self.log
    }

    /// One connection from its beginning to its end; `Ok` when the work is done.
    async fn live(&mut self) -> Result<(), Gone> {
        let mut raw = Raw::connect(&self.task.url).await?;
        self.life += 1;
        let outcome = self.talk(&mut raw).await;
        if outcome.is_ok() {
            raw.close().await;
        } else {
            self.log.records.push(Record::Lost { life: self.life });
            self.outbox.lost();
            self.asked.clear();
            self.entered.values_mut().for_each(|entered| *entered = false);
        }
        outcome
    }

    async fn talk(&mut self, raw: &mut Raw) -> Result<(), Gone> {
        self.ask(raw, "hello", json!({"user": self.task.name}), Asked::Hello).await?;
        let lives_ms = if self.task.says { LIFE_MS / 4 } else { LIFE_MS };
        let end = Instant::now() + Duration::from_millis(100 + self.task.dice.below(lives_ms));
        let mut next_saying = Instant::now();
        while !self.is_done() {
            self.enter_rooms(raw).await?;
            self.send_due(raw).await?;
            if Instant::now() >= end && self.may_go() {
                return Err(Gone);
            }
            tokio::select! {
                event = raw.next() => self.take(raw, event?).await?,
                () = sleep_until(next_saying) => {
                    self.say_something();
                    next_saying = Instant::now() + self.task.pace;
                }
                () = self.task.phase_changed() => {}
            }
        }
        Ok(())
    }

    /// Whether the connection may be lost now: that of a publisher while answers are on their way.
    fn may_go(&self) -> bool {
        let is_waiting = !self.task.says || self.outbox.len() > 0;
        self.task.comes_and_goes && self.task.is_publishing() && is_waiting
    }

    fn is_done(&self) -> bool {
        let Phase::Draining(heads, _) = self.task.phase() else {
            return false;
        };
        let has_all = |room: &String| match (heads.get(room), self.places.get(room)) {
            (Some((epoch, head)), Some((known, seq))) => epoch == known && seq >= head,
            _ => false,
        };
        let is_quiet = self.outbox.len() == 0 && self.asked.is_empty();
        (is_quiet && self.entered.keys().all(has_all)) || self.task.is_late()
    }

    async fn ask(&mut self, raw: &mut Raw, kind: &str, payload: Value, asked: Asked) -> Result<(), Gone> {
        self.next_id += 1;
        self.send(raw, self.next_id, kind, payload, (asked, None)).await
    }

    async fn send(
        &mut self,
        raw: &mut Raw,
        id: u64,
        kind: &str,
        payload: Value,
        (asked, said): (Asked, Option<Said>),
    ) -> Result<(), Gone> {
        let at_us = self.task.now_us();
        self.log.records.push(Record::Sent { life: self.life, id, at_us, said });
        self.asked.insert(id, asked);
        raw.send(kind, id, payload).await
    }

    async fn enter_rooms(&mut self, raw: &mut Raw) -> Result<(), Gone> {
        let is_asked = |room: &String| {
            self.asked.values().any(|asked| matches!(asked, Asked::Join { room: other, .. } if other == room))
        };
        let missing = self.entered.iter().filter(|(room, entered)| !**entered && !is_asked(room));
        for room in missing.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            let since = self.places.get(&room).cloned();
            let payload = match &since {
                Some((epoch, seq)) => json!({"room": room, "since": {"epoch": epoch, "seq": seq}}),
                None => json!({"room": room}),
            };
            self.ask(raw, "join", payload, Asked::Join { room, since }).await?;
        }
        Ok(())
    }

    async fn send_due(&mut self, raw: &mut Raw) -> Result<(), Gone> {
        let entered = self.entered.iter().filter(|(_, entered)| **entered);
        for room in entered.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            while let Some(said) = self.outbox.next(&room, self.task.now_us(), self.next_id + 1) {
                self.next_id += 1;
                let (kind, payload) = request(&said);
                self.send(raw, self.next_id, kind, payload, (Asked::Say, Some(said))).await?;
            }
        }
        Ok(())
    }

    /// Puts one or more sayings into the outbox.
    fn say_something(&mut self) {
        self.task.open.store(self.outbox.len(), Relaxed);
        if !self.task.says || !self.task.is_publishing() {
            return;
        }
        // Often several without waiting, because the order of a pipeline is a promise of its own.
        for _ in 0..=self.task.dice.below(4) {
            if self.outbox.len() >= WINDOW {
                return;
            }
            self.said += 1;
            let cid = format!("{}-{}", self.task.name, self.said);
            let (room, content) = self.invent(&cid);
            self.outbox.push(Said { room, cid, content });
        }
        self.task.open.store(self.outbox.len(), Relaxed);
    }

    fn invent(&mut self, cid: &str) -> (String, Content) {
        let dice = &mut self.task.dice;
        let count = self.task.rooms.len() as u64;
        let room = self.task.rooms[usize::try_from(dice.below(count)).unwrap_or(0)].clone();
        let change = if self.task.changes { dice.below(20) } else { 20 };
        let mine = (!self.mine.is_empty()).then(|| {
            let index = usize::try_from(dice.below(self.mine.len() as u64)).unwrap_or(0);
            (index, self.mine[index].clone())
        });
        match (change, mine, self.newest.remove(&room)) {
            (0..3, Some((_, (room, target))), _) => {
                (room, Content::Edit { target, text: Some(format!("changed by {cid}")) })
            }
            (3, Some((index, (room, target))), _) => {
                self.mine.swap_remove(index);
                (room, Content::Delete { target })
            }
            (4..6, _, Some(target)) => (room, Content::Reaction { target, active: true }),
            _ => (room, Content::text(&format!("said as {cid}"))),
        }
    }

    async fn take(&mut self, raw: &mut Raw, event: Value) -> Result<(), Gone> {
        if let Some(id) = event["id"].as_u64() {
            return self.answered(raw, id, &event).await;
        }
        if let Some(entry) = entry_of(&event) {
            if let Some((_, seq)) = self.places.get_mut(&entry.room) {
                *seq = entry.seq;
            }
            if matches!(entry.content, Content::Message { deleted: None, .. }) {
                self.newest.insert(entry.room.clone(), entry.seq);
            }
            self.log.records.push(Record::Seen(entry));
            return Ok(());
        }
        let room = || event["payload"]["room"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("resync") => self.resynced(&event["payload"], room()),
            // Somebody took the role away.
            Some("left") => self.forget(&room()),
            _ => {}
        }
        Ok(())
    }

    fn resynced(&mut self, payload: &Value, room: String) {
        let (epoch, head) = (payload["epoch"].as_str().map(str::to_owned), number(&payload["head"]));
        if let (Some(epoch), Some(head)) = (&epoch, head) {
            self.places.insert(room.clone(), (epoch.clone(), head));
        }
        self.log.records.push(Record::Resynced { room, epoch, head });
    }

    fn forget(&mut self, room: &str) {
        self.outbox.forget(room);
        self.entered.remove(room);
        self.task.rooms.retain(|other| other != room || other.is_empty());
        self.task.says &= !self.task.rooms.is_empty();
    }

    async fn answered(&mut self, raw: &mut Raw, id: u64, event: &Value) -> Result<(), Gone> {
        let (life, at_us, payload) = (self.life, self.task.now_us(), &event["payload"]);
        let answer = answer_of(event);
        self.log.records.push(Record::Answered { life, id, at_us, answer: answer.clone() });
        match (self.asked.remove(&id), &answer) {
            (Some(Asked::Say), Answer::Refused { retryable: true, .. }) => {
                self.outbox.fail(id, at_us + RETRY_US);
            }
            (Some(Asked::Say), Answer::Refused { .. }) => drop(self.outbox.settle(id)),
            (Some(Asked::Say), Answer::Stored { seq, .. }) => {
                if let Some(Said { room, content: Content::Message { .. }, .. }) = self.outbox.settle(id) {
                    self.mine.push((room, *seq));
                }
            }
            (Some(Asked::Join { room, .. }), Answer::Refused { retryable, .. }) => match retryable {
                true => sleep(Duration::from_micros(RETRY_US)).await,
                false => self.forget(&room),
            },
            (Some(Asked::Join { room, since }), _) => return self.joined(raw, payload, room, since).await,
            (Some(Asked::More), _) => return self.go_on(raw, payload).await,
            (Some(Asked::Hello), Answer::Refused { .. }) => return Err(Gone),
            _ => {}
        }
        self.task.open.store(self.outbox.len(), Relaxed);
        Ok(())
    }

    async fn joined(
        &mut self,
        raw: &mut Raw,
        payload: &Value,
        room: String,
        since: Option<(String, u64)>,
    ) -> Result<(), Gone> {
        let field = |name: &str| number(&payload[name]).unwrap_or_default();
        let joined = Joined {
            room: room.clone(),
            since,
            epoch: payload["epoch"].as_str().unwrap_or_default().to_owned(),
            head: field("head"),
            floor: field("floor"),
            replayed: field("replayed"),
            behind: field("behind"),
            recovered: payload["recovered"] == true,
            reason: payload["reason"].as_str().map(str::to_owned),
        };
        if joined.since.is_none() || !joined.recovered {
            let seq = joined.head.saturating_sub(joined.replayed);
            self.places.insert(room.clone(), (joined.epoch.clone(), seq));
        }
        self.entered.insert(room, true);
        self.log.records.push(Record::Joined(joined));
        self.go_on(raw, payload).await
    }

    /// Asks for the next part of what was missed, if there is one.
    async fn go_on(&mut self, raw: &mut Raw, payload: &Value) -> Result<(), Gone> {
        if number(&payload["behind"]).unwrap_or_default() > 0 {
            let payload = json!({"room": payload["room"]});
            return self.ask(raw, "more", payload, Asked::More).await;
        }
        Ok(())
    }
}

/// Spells a saying.
pub(crate) fn request(Said { room, cid, content }: &Said) -> (&'static str, Value) {
    match content {
        Content::Message { text, .. } => ("publish", json!({"room": room, "cid": cid, "text": text})),
        Content::Edit { target, text } => {
            ("edit", json!({"room": room, "cid": cid, "target": target, "text": text}))
        }
        Content::Delete { target } => ("delete", json!({"room": room, "cid": cid, "target": target})),
        Content::Reaction { target, active } => {
            ("react", json!({"room": room, "cid": cid, "target": target, "emoji": "👍", "active": active}))
        }
        Content::Pin { target, active } => {
            ("pin", json!({"room": room, "cid": cid, "target": target, "active": active}))
        }
        Content::Settings { private } => ("create", json!({"room": room, "cid": cid, "private": private})),
        Content::Role { user, role } => match role {
            Some(role) => ("role", json!({"room": room, "cid": cid, "user": user, "role": role})),
            None => ("role", json!({"room": room, "cid": cid, "user": user})),
        },
    }
}

/// Reads an answer.
pub(crate) fn answer_of(event: &Value) -> Answer {
    let payload = &event["payload"];
    match (event["type"].as_str(), payload["epoch"].as_str(), number(&payload["seq"])) {
        (Some("ack"), Some(epoch), Some(seq)) => Answer::Stored { epoch: epoch.to_owned(), seq },
        (Some("error"), ..) => Answer::Refused {
            code: event["code"].as_str().unwrap_or_default().to_owned(),
            retryable: event["retryable"] == true,
        },
        _ => Answer::Other,
    }
}
