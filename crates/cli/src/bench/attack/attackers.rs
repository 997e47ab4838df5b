//! Those who attack: an engine of their own on a thread of its own, so that they are never in the way
//! of those who are measured, other than by what they do to the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::kind::{Kind, ROOMS_PER_TURN, Strength};
use super::weapons::{self, Forgery};
use crate::bench::crowd::{explain, open_everybody};
use crate::bench::engine::Engine;
use crate::bench::engine::connection::{Dial, Greeting, Id, Phase, Tuning};
use crate::bench::engine::room::Room;
use crate::bench::engine::wire::Dialect;
use crate::bench::pace::Pace;
use crate::bench::progress::Progress;
use crate::bench::scene::turn_until;
use crate::bench::target::Target;

/// Messages per second in the room of those who never read, and bytes of their text.
const NEVER_READ_RATE: f64 = 1_000.0;
const NEVER_READ_BYTES: usize = 1_024;
/// What the kernel keeps for one of them; it takes no less.
const SMALL_BUFFER: usize = 2_048;
/// Bytes that one attacker may have unsent; beyond, the server is slower than the attack.
const UNSENT_BYTES: usize = 256 * 1024;
/// Turns that are taken before the sockets are looked after again.
const TURNS_AT_ONCE: usize = 512;
/// How long those who have not read may read in the end, to learn why they were cut off.
const LAST_READING: Duration = Duration::from_secs(2);
/// Longest time that an attack may last.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// What became of the attackers.
#[derive(Debug, Default)]
pub(super) struct Toll {
    /// What was answered, and how often.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) opened: u64,
    /// At the same time.
    pub(super) most: usize,
    /// When it was over.
    pub(super) remaining: usize,
    pub(super) refused: u64,
    /// Rooms entered and left, as far as they were sent.
    pub(super) rooms: usize,
}

/// An attacker's place.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    id: Option<Id>,
    /// Turns since the connection was opened.
    turns: usize,
}

/// The attack.
#[derive(Debug)]
pub(super) struct Attackers<'a> {
    target: &'a Target,
    kind: Kind,
    strength: Strength,
    /// Of the first of them; those before are good.
    first_user: usize,
    engine: Engine,
    places: Vec<Place>,
    pace: Pace,
    /// Messages to those who never read.
    messages: Option<Pace>,
    bombs: [Vec<u8>; 2],
    tokens: &'a [String],
    toll: Toll,
}

impl<'a> Attackers<'a> {
    /// Prepares an attack. Whoever speaks to those who never read connects at once.
    ///
    /// # Errors
    /// Of the operating system.
    pub(super) fn new(
        target: &'a Target,
        kind: Kind,
        strength: Strength,
        first_user: usize,
        forgery: Option<&'a Forgery>,
    ) -> anyhow::Result<Self> {
        let room = target.room(1);
        let mut engine =
            Engine::new(Dialect::Json, vec![Room::new(Dialect::Json, &room, 0, NEVER_READ_BYTES)?])?;
        let turns_per_s = strength.turns_per_s * strength.connections as f64;
        if kind == Kind::NeverRead {
            let dial = target.dial(Dialect::Json, first_user + strength.connections, 0, &room);
            let speaker = open_everybody(&mut engine, [dial], &mut Progress::new())?;
            engine.rooms[0].speaker = speaker.first().copied();
        }
        let now_us = engine.now_us();
        let pace = Pace::new(now_us, turns_per_s, strength.connections, FOR_EVER);
        let messages = (kind == Kind::NeverRead).then(|| Pace::new(now_us, NEVER_READ_RATE, 1, FOR_EVER));
        let places = vec![Place::default(); strength.connections];
        let bombs = if kind == Kind::Bomb { weapons::bombs()? } else { <[Vec<u8>; 2]>::default() };
        let tokens = forgery.map(|forgery| &forgery.tokens[..]).unwrap_or_default();
        let toll = Toll::default();
        Ok(Self { target, kind, strength, first_user, engine, places, pace, messages, bombs, tokens, toll })
    }

    /// Attacks until told otherwise; returns what came of it.
    ///
    /// # Errors
    /// Of the operating system, other than that it has no more of something.
    pub(super) fn run(mut self, is_over: &AtomicBool) -> anyhow::Result<Toll> {
        let began = Instant::now();
        while !is_over.load(Relaxed) {
            let next_us = self.go_on(began.elapsed().as_secs_f64())?;
            turn_until(&mut self.engine, next_us, FOR_EVER)?;
        }
        self.learn_why()?;
        let open = |place: &&Place| place.id.is_some_and(|id| self.engine.is_open(id));
        self.toll.remaining = self.places.iter().filter(open).count();
        self.toll.refused = self.engine.tally.refused;
        self.toll.answers.append(&mut self.engine.tally.closed);
        Ok(self.toll)
    }

    /// Does what is due; returns when something is again.
    fn go_on(&mut self, passed_s: f64) -> anyhow::Result<Option<u64>> {
        let now_us = self.engine.now_us();
        for _ in 0..TURNS_AT_ONCE {
            if self.pace.due_us().is_none_or(|due_us| due_us > now_us) {
                break;
            }
            let number = self.pace.take();
            self.turn(number, passed_s)?;
        }
        let messages = self.messages.as_mut();
        if let Some(messages) = messages {
            while messages.due_us().is_some_and(|due_us| due_us <= now_us) {
                let room = messages.take();
                self.engine.publish(room, now_us)?;
            }
        }
        let next_us =
            self.pace.due_us().into_iter().chain(self.messages.as_ref().and_then(Pace::due_us)).min();
        // Every millisecond is often enough, and leaves the core to those who are measured.
        Ok(next_us.map(|due_us| due_us.max(now_us + 1_000)))
    }

    /// One attacker has its turn. Whoever was cut off comes again.
    fn turn(&mut self, number: usize, passed_s: f64) -> anyhow::Result<()> {
        let place = self.places[number];
        let phase = place.id.and_then(|id| self.engine.phase(id));
        match (place.id, phase) {
            (Some(id), Some(phase)) => self.act(number, id, phase),
            _ if self.toll.opened as f64 > self.strength.opens_per_s * passed_s => Ok(()),
            _ => self.open(number),
        }
    }

    fn open(&mut self, number: usize) -> anyhow::Result<()> {
        let dial = self.dial(number)?;
        match self.engine.open(dial) {
            Ok(id) => {
                self.places[number] = Place { id: Some(id), turns: 0 };
                self.toll.opened += 1;
                let ended = self.engine.tally.closed.values().sum::<u64>();
                self.toll.most = self.toll.most.max(usize::try_from(self.toll.opened - ended)?);
            }
            Err(error) => *self.toll.answers.entry(explain(&error)).or_default() += 1,
        }
        Ok(())
    }

    fn dial(&self, number: usize) -> anyhow::Result<Dial> {
        let (target, user) = (self.target, self.first_user + number);
        let json = Dialect::Json;
        let is_deflated = self.kind == Kind::Bomb;
        let request = match self.kind {
            Kind::Slowloris => target.request(json, user, None)?[..1].to_vec(),
            Kind::Silent => target.request_with(&json.query(None, None), Vec::new(), false)?,
            Kind::NeverRead => target.request(json, user, Some(self.engine.rooms[0].name.as_str()))?,
            Kind::Bomb => target.request_with(&self.named(user), Vec::new(), true)?,
            Kind::Drip | Kind::Ping | Kind::Rooms => target.request(json, user, None)?,
            Kind::Tokens => {
                let token = &self.tokens[number % self.tokens.len()];
                let header = ("Authorization".to_owned(), format!("Bearer {token}"));
                target.request_with(&json.query(None, None), vec![header], false)?
            }
        };
        let greeting = Greeting::Upgrade { request, enter: None, is_deflated };
        let receive_bytes = (self.kind == Kind::NeverRead).then_some(SMALL_BUFFER);
        let tuning = Tuning { receive_bytes, resets: self.kind == Kind::Tokens };
        Ok(Dial {
            address: target.address,
            source: None,
            room: 0,
            trust: target.trust.clone(),
            greeting,
            tuning,
        })
    }

    fn named(&self, user: usize) -> String {
        Dialect::Json.query(Some(&format!("bench-{}-{user}", std::process::id())), None)
    }

    /// Does what attackers of this kind do once they are connected.
    fn act(&mut self, number: usize, id: Id, phase: Phase) -> anyhow::Result<()> {
        let turns = self.places[number].turns;
        let is_upgraded = matches!(phase, Phase::Entering | Phase::Live);
        let frames = match self.kind {
            Kind::Slowloris if phase == Phase::Shaking => self.next_byte(number, turns)?,
            Kind::NeverRead if phase == Phase::Live => return Ok(self.engine.stop_reading(id)?),
            Kind::Drip if is_upgraded => weapons::drip(turns == 0),
            Kind::Ping if is_upgraded => weapons::pings(),
            Kind::Bomb if is_upgraded => self.bombs[number % 2].clone(),
            Kind::Rooms if is_upgraded => weapons::rooms(self.toll.rooms),
            _ => return Ok(()),
        };
        if self.engine.unsent(id) < UNSENT_BYTES {
            self.engine.say(id, &frames);
            self.places[number].turns += 1;
            self.toll.rooms += if self.kind == Kind::Rooms { ROOMS_PER_TURN } else { 0 };
        }
        Ok(())
    }

    /// Returns the next byte of a request head, and in the end none: the head is never whole.
    fn next_byte(&self, number: usize, turns: usize) -> anyhow::Result<Vec<u8>> {
        let request = self.target.request(Dialect::Json, self.first_user + number, None)?;
        let unfinished = request.strip_suffix(b"\r\n").context("a request without an end")?;
        Ok(unfinished.get(turns + 1).copied().into_iter().collect())
    }

    /// Lets those who have not read learn why they were cut off.
    fn learn_why(&mut self) -> anyhow::Result<()> {
        if self.kind != Kind::NeverRead {
            return Ok(());
        }
        for id in self.places.iter().filter_map(|place| place.id) {
            self.engine.read_again(id)?;
        }
        let end = Instant::now() + LAST_READING;
        while Instant::now() < end {
            turn_until(&mut self.engine, None, LAST_READING)?;
        }
        Ok(())
    }
}
