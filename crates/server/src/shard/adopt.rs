//! From an upgraded socket to a session.

use std::sync::Arc;

use parlour_hub::Input;
use parlour_hub::input::Caller;
use parlour_protocol::command::{Hello, Resume};
use parlour_protocol::event::{Event, Limits, Reply, Welcome};
use parlour_protocol::{ErrorCode, Refusal, RequestId, RoomName, UserId, limits};
use parlour_websocket::{Decoder, Role};

use super::Shard;
use super::connection::{Connection, Extra, Gate, Membership, Moment, Phase, Timing};
use super::consult::{Arrival, Entrance};
use super::ending::Reason;
use super::fanout::Variant;
use super::read::{self, token};
use super::socket::Socket;
use crate::logging::Truncated;
use crate::upgrade::{Greeting, Upgraded};
use crate::verifier::Identity;

impl Shard {
    /// Takes an upgraded connection.
    pub(super) fn adopt(&mut self, mut upgraded: Upgraded) {
        let mut early = std::mem::take(&mut upgraded.early);
        let slot = self.insert(upgraded);
        let Connection { socket, generation, .. } = &mut self.connections[slot as usize];
        if let Err(error) = socket.register(&self.intake.registry, token(slot, *generation)) {
            tracing::warn!(kind = %error.kind(), "a connection cannot be watched");
            return self.end(slot, Reason::Lost);
        }
        if socket.waiting() > 0 {
            self.mark_dirty(slot);
        }
        if !early.is_empty() {
            self.contain(slot, |shard| shard.on_bytes(slot, &mut early));
        }
    }

    pub(super) fn insert(&mut self, upgraded: Upgraded) -> u32 {
        let Upgraded { stream, channel, early: _, address, greeting, permit } = upgraded;
        self.intake.next_generation = self.intake.next_generation.wrapping_add(1);
        let variant = Variant { dialect: greeting.dialect, deflate: greeting.deflate };
        let listener = || Extra { stream: Some(Box::default()), ..Extra::default() };
        let extra = greeting.listening.map(|_| Box::new(listener()));
        let now_ms = self.now.mono_ms;
        let hello_ms = self.node.timeout_ms(|timeouts| timeouts.hello);
        let connection = Connection {
            generation: self.intake.next_generation,
            socket: Socket::new(stream, channel),
            input: read::Input::Drained,
            is_over: false,
            permit,
            pass: None,
            decoder: Decoder::new(Role::Server, greeting.deflate.is_some()),
            variant,
            phase: Phase::Greeting { until_ms: now_ms + hello_ms },
            session: parlour_hub::Session::default(),
            rooms: Default::default(),
            outbox: Default::default(),
            own: Vec::new(),
            shares: 0,
            is_dirty: false,
            in_flight: 0,
            pings: 0,
            timing: Timing {
                next_ping_ms: now_ms + self.ping_interval_ms(),
                check_ms: u64::MAX,
                ..Timing::default()
            },
            extra,
        };
        let slot = self.connections.insert(connection) as u32;
        self.metrics.connections.add(1);
        self.metrics.connections_opened.inc();
        tracing::debug!(address = %Truncated(address), slot, shard = self.id, "connection opened");
        self.check_by(slot, now_ms + hello_ms.min(self.ping_interval_ms()));
        if self.schedule.drain_spread_ms.is_some() {
            // Upgraded while the node was already going away.
            self.connections[slot as usize].timing.drain = Some(Moment::at(now_ms));
            self.check_by(slot, now_ms);
        }
        self.begin(slot, greeting);
        slot
    }

    fn begin(&mut self, slot: u32, greeting: Greeting) {
        if self.node.is_echo {
            self.connections[slot as usize].phase = Phase::Open;
        } else if let Some(identity) = greeting.identity.clone() {
            let arrival =
                Arrival { identity, request: None, resume: since(&greeting), greeting: Some(greeting) };
            self.arrive(slot, arrival);
        } else if greeting.room.is_some() {
            self.connections[slot as usize].extra().greeting = Some(Box::new(greeting));
        }
    }

    /// Answers `hello`.
    pub(super) fn hello(&mut self, slot: u32, id: Option<RequestId>, hello: Hello) {
        let identity = match self.node.verify_hello(&hello) {
            Ok(identity) => identity,
            Err(refusal) => {
                let code = refusal.code;
                self.node.shell.audit.login_failed(None, code);
                self.refuse(slot, id, refusal);
                return self.end(slot, Reason::Error(code));
            }
        };
        let connection = &mut self.connections[slot as usize];
        match connection.user() {
            Some(user) if *user != identity.user => self.end(slot, Reason::Error(ErrorCode::IdentityChange)),
            _ => {
                let greeting = connection.extra.as_mut().and_then(|extra| extra.greeting.take());
                let (resume, greeting) = (hello.resume, greeting.map(|greeting| *greeting));
                self.arrive(slot, Arrival { identity, request: id, resume, greeting });
            }
        }
    }

    /// Takes a user in, and enters the rooms that are to be entered at once.
    pub(super) fn welcome(&mut self, slot: u32, arrival: Arrival) {
        let Arrival { identity: Identity { user, pass }, request: id, resume, greeting } = arrival;
        let is_new = matches!(self.connections[slot as usize].phase, Phase::Greeting { .. });
        // The request that proved the identity may be older than its revocation.
        let counts = match self.node.shell.records.revocations.hit(&user, pass.as_deref()) {
            true => Err(ErrorCode::Revoked.into()),
            false if is_new => self.connections[slot as usize].permit.claim_user(&user),
            false => Ok(()),
        };
        if let Err(refusal) = counts {
            let code = refusal.code;
            self.refuse(slot, id, refusal);
            return self.end(slot, Reason::Error(code));
        }
        self.take_pass(slot, pass);
        let welcome = self.describe_welcome(&user, &resume);
        self.send(slot, &Reply { id, event: Event::Welcome(Box::new(welcome)) });
        if is_new {
            self.users.add(&user, slot);
            self.node.hooks.connected(self.now, self.id_of(slot), &user);
            let connection = &mut self.connections[slot as usize];
            connection.phase = Phase::Open;
            if !connection.is_stream() {
                connection.extra().gate = Some(Gate { missing: usize::MAX, ..Gate::default() });
                self.ask_conversations(slot, &user);
            }
        } else {
            self.recheck_rooms(slot);
        }
        for Resume { room, since } in resume {
            self.enter(slot, Entrance { request: None, room, since: Some(since), history: 0 });
        }
        if let Some(Greeting { room: Some(room), history, listening, .. }) = greeting
            && listening.is_none_or(|listening| listening.since.is_none())
        {
            self.enter(slot, Entrance { request: None, room, since: None, history });
        }
    }

    fn describe_welcome(&self, user: &UserId, resume: &[Resume]) -> Welcome {
        let config = &self.node.config;
        Welcome {
            session: uuid::Uuid::new_v4().to_string().into(),
            user: user.clone(),
            server_time_ms: self.now.wall_ms,
            heartbeat_ms: self.node.timeout_ms(|timeouts| timeouts.ping),
            limits: Limits {
                message_bytes: config.limits.message_bytes as u64,
                rooms: u32::try_from(config.limits.rooms_per_connection).unwrap_or(u32::MAX),
                rate_per_s: config.limits.rate_per_s,
                burst: config.limits.burst,
                history: config.limits.history,
            },
            reconnect: self.node.reconnect_window(),
            dev: config.dev,
            resuming: resume.iter().map(|resume| resume.room.clone()).collect(),
        }
    }

    /// Asks a room to let a connection in.
    pub(super) fn let_in(&mut self, slot: u32, entrance: Entrance) {
        let Entrance { request, ref room, since, history } = entrance;
        if let Err(refusal) = self.may_enter(slot, room) {
            return self.refuse(slot, request, refusal);
        }
        let Some(caller) = self.caller(slot, request) else {
            return;
        };
        let connection = &mut self.connections[slot as usize];
        if !connection.is_in(room) {
            connection.rooms.push(Membership { room: self.fanout.share(room), place: None });
        }
        let said = connection.extra.as_ref().and_then(|extra| extra.presence.clone());
        let presence = said.unwrap_or_else(parlour_protocol::command::SetPresence::online);
        connection.in_flight += 1;
        #[cfg(feature = "failpoints")]
        let (caller, since) = super::failpoint::misjoin(caller, since);
        self.dispatch(room, Input::Join { caller, since, history, presence });
    }

    fn may_enter(&self, slot: u32, room: &RoomName) -> Result<(), Refusal> {
        let connection = &self.connections[slot as usize];
        let most = self.node.config.limits.rooms_per_connection.min(limits::ROOMS_PER_CONNECTION);
        if connection.rooms.len() >= most && !connection.is_in(room) {
            let rule = format!("a connection may be in {most} rooms; leave one first");
            return Err(Refusal::because(ErrorCode::LimitExceeded, rule));
        }
        Ok(())
    }

    /// Builds who asks, for a connection whose user is known.
    pub(super) fn caller(&self, slot: u32, request: Option<RequestId>) -> Option<Caller> {
        let connection = &self.connections[slot as usize];
        let grants = connection.pass.as_ref().map(|pass| Arc::clone(&pass.grants));
        Some(Caller { conn: self.id_of(slot), user: connection.user()?.clone(), request, grants })
    }
}

/// Returns where a client that only listens goes on.
fn since(greeting: &Greeting) -> Vec<Resume> {
    let since = greeting.listening.and_then(|listening| listening.since);
    greeting.room.iter().zip(since).map(|(room, since)| Resume { room: room.clone(), since }).collect()
}
