//! The rooms of a client: entering them again, and filling their gaps.

use parlour_protocol::command::{HistoryQuery, Join};
use parlour_protocol::event::{Event, HistoryPage, Joined, Message, Resync};
use parlour_protocol::{Command, Position, RoomName, limits};
use tokio::time::Instant;

use super::{Driver, Errand};
use crate::pending::Waiter;
use crate::track::{Step, Track};
use crate::update::Update;

impl Driver {
    pub(super) fn rejoin_all(&mut self) {
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        rooms.into_iter().for_each(|room| self.rejoin(room));
    }

    fn rejoin(&mut self, room: RoomName) {
        let Some(track) = self.rooms.get(&room) else {
            return; // left in the meantime
        };
        let since = Some(track.position());
        let command = Command::Join(Join { room: room.clone(), since, history: None });
        self.ask(command, Waiter::Rejoin(room, since));
    }

    pub(super) fn run_errands(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.errands.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, errand) in due {
            match errand {
                Errand::Rejoin(room) => self.rejoin(room),
                Errand::Repair(room) => self.fetch(room),
            }
        }
    }

    /// Takes over a room that a caller entered.
    pub(super) fn joined(&mut self, joined: &Joined, since: Option<Position>) {
        let resumed = since.map(|since| Track::resume(joined, since));
        let (track, step) = match resumed {
            None => (Track::new(joined), Step::default()),
            Some(Some(resumed)) => resumed,
            Some(None) => {
                self.rewound(joined);
                (Track::new(joined), Step::default())
            }
        };
        self.rooms.insert(joined.room.clone(), track);
        self.carry_out(&joined.room, step);
    }

    /// Goes on with a room after a lost connection.
    pub(super) fn rejoined(&mut self, joined: &Joined, since: Option<Position>) {
        if !self.rooms.contains_key(&joined.room) {
            return; // left in the meantime; the answer to that follows
        }
        self.tell(Update::Rejoined(Box::new(joined.clone())));
        self.joined(joined, since);
    }

    fn rewound(&mut self, joined: &Joined) {
        if let Some(reason) = joined.reason {
            self.tell(Update::Rewound { room: joined.room.clone(), reason, head: joined.head });
        }
    }

    pub(super) fn resync(&mut self, resync: &Resync) {
        let Resync { room, reason, epoch, head, floor } = resync;
        let step = self.rooms.get_mut(room).and_then(|track| track.catch_up(*reason, *floor, *head));
        match step {
            Some(step) => self.carry_out(room, step),
            None => {
                self.tell(Update::Rewound { room: room.clone(), reason: *reason, head: *head });
                self.rooms.insert(room.clone(), Track::at(Position { epoch: *epoch, seq: *head }));
            }
        }
    }

    pub(super) fn message(&mut self, message: Message) {
        let room = message.room.clone();
        match self.rooms.get_mut(&room) {
            Some(track) => {
                let step = track.message(message);
                self.carry_out(&room, step);
            }
            // Said before the answer to `leave`.
            None => self.tell(Update::Event(Event::Message(message))),
        }
    }

    pub(super) fn repair(&mut self, page: HistoryPage) {
        let room = page.room.clone();
        if let Some(track) = self.rooms.get_mut(&room) {
            let step = track.page(page);
            self.carry_out(&room, step);
        }
    }

    pub(super) fn give_up(&mut self, room: &RoomName) {
        if let Some(track) = self.rooms.get_mut(room) {
            let step = track.give_up();
            self.carry_out(room, step);
        }
    }

    fn carry_out(&mut self, room: &RoomName, step: Step) {
        if let Some((first, last)) = step.missed {
            self.tell(Update::Missed { room: room.clone(), first, last });
        }
        step.messages.into_iter().for_each(|message| self.tell(Update::Event(Event::Message(message))));
        if step.fetch {
            self.fetch(room.clone());
        }
    }

    fn fetch(&mut self, room: RoomName) {
        let Some(track) = self.rooms.get(&room) else {
            return;
        };
        let after = Some(track.position().seq);
        let query =
            HistoryQuery { room: room.clone(), before: None, after, limit: Some(limits::HISTORY_MESSAGES) };
        self.ask(Command::History(query), Waiter::Repair(room));
    }
}
