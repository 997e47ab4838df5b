//! The load generator: one thread, thousands of sockets, no allocation per message.
//!
//! Sockets are non-blocking and edge-triggered. All are read into one buffer, many frames at a time;
//! the frames are looked at where they lie, and only an incomplete rest is kept with its connection.
//! Order, loss and doubles are checked with every message ([`track`]). Publishers are connections of
//! the same engine, so the moment when a message was due and the moment when it came are told by one
//! clock: a latency counts from when a message was due, however late anybody was (coordinated
//! omission).

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use anyhow::ensure;
use mio::{Events, Interest, Poll, Token};
use parlour_websocket::Inflater;

mod alarm;
pub(crate) mod connection;
pub(crate) mod ear;
mod prose;
pub(crate) mod room;
mod sockets;
pub(crate) mod stamp;
pub(crate) mod tally;
pub(crate) mod tls;
pub(crate) mod track;
pub(crate) mod walk;
pub(crate) mod wire;

use alarm::Alarm;
use connection::{Connection, Dial, Got, Id, Phase};
use ear::Ear;
use room::Room;
use sockets::Sockets;
use stamp::Stamp;
use tally::Tally;
use wire::Dialect;

/// Bytes of the buffer that all connections share; it fits into the second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;
/// Reads of one connection before the others have their turn.
const READS_PER_TURN: usize = 4;
const EVENTS: usize = 4_096;
const ALARM: Token = Token(usize::MAX);

/// All connections of a load.
#[derive(Debug)]
pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    began: Instant,
    dialect: Dialect,
    sockets: Sockets,
    pub(crate) rooms: Vec<Room>,
    buffer: Vec<u8>,
    inflater: Inflater,
    pub(crate) tally: Tally,
    second_ends_us: u64,
}

impl Engine {
    /// Makes an engine for rooms that belong to so many groups.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn new(dialect: Dialect, rooms: Vec<Room>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let groups = rooms.iter().map(|room| room.group + 1).max().unwrap_or(1);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            alarm,
            began: Instant::now(),
            dialect,
            sockets: Sockets::default(),
            rooms,
            buffer: vec![0; BUFFER_BYTES],
            inflater: Inflater::new(),
            tally: Tally::new(groups)?,
            second_ends_us: u64::MAX,
        })
    }

    /// Returns the time of the engine's clock, in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// Begins to connect; returns the number of the connection.
    ///
    /// # Errors
    /// Of the kernel, such as no descriptors or ports any more.
    pub(crate) fn open(&mut self, dial: Dial) -> io::Result<Id> {
        let serial = self.sockets.opened;
        let mut connection = Connection::open(dial, serial)?;
        let slot = self.sockets.free_slot();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.socket, Token(slot), interest)?;
        self.sockets.put(slot, connection);
        Ok(Id { slot, serial })
    }

    /// Returns how many connections are on their way into their rooms.
    pub(crate) fn opening(&self) -> usize {
        self.sockets.opening
    }

    /// Returns how many connections are in their rooms.
    pub(crate) fn live(&self) -> usize {
        self.sockets.live
    }

    /// Tells whether a connection is still there, in its room or on its way.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.sockets.get(id).is_some()
    }

    /// Tells whether a connection is in its room.
    pub(crate) fn is_live(&self, id: Id) -> bool {
        self.sockets.get(id).is_some_and(|connection| connection.phase == Phase::Live)
    }

    /// Returns how far a connection is, if it is still there.
    pub(crate) fn phase(&self, id: Id) -> Option<Phase> {
        self.sockets.get(id).map(|connection| connection.phase)
    }

    /// Stops reading from a connection that is in its room, without closing it.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn stop_reading(&mut self, id: Id) -> io::Result<()> {
        if let Some(connection) = self.sockets.get_mut(id).filter(|one| one.phase == Phase::Live) {
            connection.phase = Phase::Deaf;
            self.poll.registry().deregister(&mut connection.socket)?;
            self.sockets.live -= 1;
        }
        Ok(())
    }

    /// Reads again from a connection that nobody has read from.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn read_again(&mut self, id: Id) -> io::Result<()> {
        if let Some(connection) = self.sockets.get_mut(id).filter(|one| one.phase == Phase::Deaf) {
            connection.phase = Phase::Live;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut connection.socket, Token(id.slot), interest)?;
            self.sockets.live += 1;
        }
        Ok(())
    }

    /// Closes a connection without a word.
    pub(crate) fn close(&mut self, id: Id) {
        if self.is_open(id) {
            self.sockets.remove(id.slot);
        }
    }

    /// Says something on a connection with the next turn; a connection that is gone says nothing.
    pub(crate) fn say(&mut self, id: Id, frame: &[u8]) {
        if let Some(connection) = self.sockets.get_mut(id) {
            connection.say(frame);
            self.sockets.talking.push(id.slot);
        }
    }

    /// Returns how many bytes of a connection the kernel has not taken.
    pub(crate) fn unsent(&self, id: Id) -> usize {
        self.sockets.get(id).map_or(0, Connection::unsent)
    }

    /// Publishes a message in a room, with the next turn.
    ///
    /// # Errors
    /// A room with 10^8 messages.
    pub(crate) fn publish(&mut self, room: usize, due_us: u64) -> anyhow::Result<()> {
        let Room { template, said, speaker, .. } = &mut self.rooms[room];
        let Some(speaker) = *speaker else {
            return Ok(());
        };
        if let Some(connection) = self.sockets.get_mut(speaker) {
            *said += 1;
            connection.say(template.stamped(Stamp { counter: *said, room: room as u64, due_us })?);
            self.sockets.talking.push(speaker.slot);
        }
        Ok(())
    }

    /// Expects every connection that is in its room to get all that is said there from now on.
    pub(crate) fn expect_all(&mut self) {
        for room in &mut self.rooms {
            (room.base, room.refused, room.members) = (room.said, 0, 0);
        }
        self.tally.delivered = 0;
        for connection in self.sockets.live_ones() {
            let room = &mut self.rooms[connection.room];
            room.members += 1;
            connection.track.expect(room.said + 1);
        }
    }

    /// Returns how many deliveries were due since [`Self::expect_all`].
    pub(crate) fn wanted(&self) -> u64 {
        self.rooms.iter().map(|room| room.due() * room.members).sum()
    }

    /// Begins to measure deliveries that are due from now on, and to count seconds.
    pub(crate) fn measure(&mut self) {
        let now_us = self.now_us();
        self.tally.groups.iter_mut().for_each(|group| group.begin(now_us));
        self.second_ends_us = now_us + 1_000_000;
    }

    /// Ends the measurement.
    ///
    /// # Errors
    /// None with histograms that are alike.
    pub(crate) fn end_measure(&mut self) -> anyhow::Result<()> {
        let now_us = self.now_us();
        self.second_ends_us = u64::MAX;
        self.tally.groups.iter_mut().try_for_each(|group| group.end_second(now_us))
    }

    /// Notes what members have not got that was due since [`Self::expect_all`].
    pub(crate) fn note_losses(&mut self) {
        for connection in self.sockets.slots.iter().flatten().filter(|one| one.phase == Phase::Live) {
            let room = &self.rooms[connection.room];
            let lost = connection.track.lost_of(room.due());
            if room.members > 0 && lost > 0 {
                let example =
                    || format!("room {}: {lost} of {} did not come to one member", room.name, room.due());
                self.tally.faults.note("lost", lost, example);
            }
        }
    }

    /// Waits for something to happen, at most so long, and deals with it.
    ///
    /// # Errors
    /// Of the operating system; what ends a single connection is counted instead.
    pub(crate) fn turn(&mut self, wait: Duration) -> anyhow::Result<()> {
        self.flush();
        let wait = if self.sockets.waiting.is_empty() { wait } else { Duration::ZERO };
        let timeout = self.alarm.set(wait)?;
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for slot in std::mem::take(&mut self.sockets.waiting) {
            self.receive(slot);
        }
        for event in events.iter().filter(|event| event.token() != ALARM) {
            let Token(slot) = event.token();
            if event.is_writable() {
                self.with(slot, |connection, _, _| Ok(connection.writable()?));
            }
            if event.is_readable() {
                self.receive(slot);
            }
        }
        self.events = events;
        self.flush();
        let now_us = self.now_us();
        while self.second_ends_us <= now_us {
            let end_us = self.second_ends_us;
            self.tally.groups.iter_mut().try_for_each(|group| group.end_second(end_us))?;
            self.second_ends_us += 1_000_000;
        }
        Ok(())
    }

    fn flush(&mut self) {
        let mut talking = std::mem::take(&mut self.sockets.talking);
        for slot in talking.drain(..) {
            self.with(slot, |connection, _, _| Ok(connection.flush()?));
        }
        self.sockets.talking = talking;
    }

    /// Reads what a connection has, or a part of it if that is much.
    fn receive(&mut self, slot: usize) {
        let began = self.began;
        for _ in 0..READS_PER_TURN {
            let is_all = self.with(slot, |connection, ear, buffer| {
                let got = connection.read(buffer)?;
                let Got::Something(read) = got else {
                    ensure!(got != Got::End, "the connection ended without a close frame");
                    return Ok(true);
                };
                ear.now_us = micros(began.elapsed());
                ear.tally.bytes += read.wire_bytes as u64;
                let taken = ear.listen(connection, &buffer[..read.bytes])?;
                connection.keep(&buffer[taken..read.bytes]);
                Ok(read.is_all)
            });
            match is_all {
                Some(false) => {}
                Some(true) => return self.answer(slot),
                None => return,
            }
        }
        self.sockets.waiting.push(slot);
        self.answer(slot);
    }

    /// Sends what reading made the connection say.
    fn answer(&mut self, slot: usize) {
        let connection = self.sockets.slots[slot].as_ref();
        if connection.is_some_and(Connection::has_unsent) {
            self.sockets.talking.push(slot);
        }
    }

    /// Deals with one connection, if it is still there. An error ends it.
    #[inline]
    fn with<T>(
        &mut self,
        slot: usize,
        deal: impl FnOnce(&mut Connection, &mut Ear<'_>, &mut Vec<u8>) -> anyhow::Result<T>,
    ) -> Option<T> {
        let connection = self.sockets.slots.get_mut(slot)?.as_mut()?;
        let phase = connection.phase;
        let (rooms, tally) = (&mut self.rooms[..], &mut self.tally);
        let inflater = &mut self.inflater;
        let mut ear = Ear { dialect: self.dialect, rooms, tally, inflater, now_us: 0 };
        match deal(connection, &mut ear, &mut self.buffer) {
            Ok(done) => {
                if phase != Phase::Live && connection.phase == Phase::Live {
                    self.sockets.opening -= 1;
                    self.sockets.live += 1;
                }
                Some(done)
            }
            Err(error) => {
                self.sockets.remove(slot);
                *self.tally.closed.entry(format!("{error:#}")).or_default() += 1;
                None
            }
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
