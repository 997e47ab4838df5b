//! The rooms of a client: entering them again, paging what was missed, and filling gaps.

use parlour_protocol::command::{HistoryQuery, InRoom, Join};
use parlour_protocol::event::{Event, HistoryPage, Joined, ReplayPage, Resync, Unrecovered};
use parlour_protocol::{Command, Position, RoomName, Seq, limits};
use tokio::time::Instant;

use super::{Driver, Errand, Room};
use crate::pending::Waiter;
use crate::track::{Step, Track};
use crate::update::{Told, Update};

/// Private conversations that are followed; beyond, a message that was not read may be told twice.
const CONVERSATIONS: usize = 10_000;

impl Driver {
    pub(super) fn rejoin_all(&mut self) {
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        for room in rooms {
            if room.is_private() {
                self.check(&room);
            } else {
                self.rejoin(room);
            }
        }
    }

    fn rejoin(&mut self, room: RoomName) {
        let Some(inside) = self.rooms.get_mut(&room) else {
            return; // left in the meantime
        };
        inside.is_attached = false;
        let since = inside.track.position();
        let command = Command::Join(Join { room: room.clone(), since, history: None });
        self.ask(command, Waiter::Rejoin(room, since));
    }

    /// Asks what was said in a private conversation meanwhile.
    fn check(&mut self, room: &RoomName) {
        if let Some(Room { track, .. }) = self.rooms.get_mut(room) {
            // The question of the last connection is not answered any more.
            *track = track.position().map_or_else(|| Track::after(track.last()), Track::at);
            let step = track.check();
            self.carry_out(room, step);
        }
    }

    pub(super) fn run_errands(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.errands.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, errand) in due {
            match errand {
                Errand::Rejoin(room) => self.rejoin(room),
                Errand::Repair(room) => self.fetch(room),
                Errand::Repeat(lane) => self.repeat(&lane),
                Errand::More(room) => self.reader.wanting.push_back(room),
                Errand::Cursors => self.tell_cursors(),
                Errand::Renew => self.renew(),
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
                self.rewound(&joined.room, joined.reason, joined.head);
                (Track::new(joined), Step::default())
            }
        };
        let behind = track.behind();
        self.enter(&joined.room, track);
        if behind > 0 {
            self.tell(Update::Behind { room: joined.room.clone(), left: behind });
        }
        self.carry_out(&joined.room, step);
        self.run_lane(&joined.room);
    }

    /// Goes on with a room after a lost connection.
    pub(super) fn rejoined(&mut self, joined: &Joined, since: Option<Position>) {
        if !self.rooms.contains_key(&joined.room) {
            return; // left in the meantime; the answer to that follows
        }
        self.tell(Update::Rejoined(Box::new(joined.clone())));
        self.joined(joined, since);
    }

    fn enter(&mut self, room: &RoomName, track: Track) {
        self.reader.tell(Told::position(room.clone(), track.position()));
        self.rooms.insert(room.clone(), Room { track, is_attached: true });
    }

    pub(super) fn forget(&mut self, room: &RoomName) {
        self.rooms.remove(room);
        self.reader.tell(Told::position(room.clone(), None));
        // What waits to be said there is for the server to refuse.
        self.run_lane(room);
    }

    fn rewound(&mut self, room: &RoomName, reason: Option<Unrecovered>, head: Seq) {
        if let Some(reason) = reason {
            self.tell(Update::Rewound { room: room.clone(), reason, head });
        }
    }

    pub(super) fn resync(&mut self, resync: &Resync) {
        let Resync { room, reason, epoch, head, floor } = resync;
        let Some(Room { track, .. }) = self.rooms.get_mut(room) else {
            return;
        };
        // What has the epoch already was begun anew by a page or an answer that was faster.
        let is_same = track.confirm(*epoch);
        if is_same && *reason == Unrecovered::Epoch {
            return;
        }
        match track.catch_up(*reason, *floor, *head).filter(|_| is_same) {
            Some(step) => self.carry_out(room, step),
            None => {
                self.rewound(room, Some(*reason), *head);
                self.enter(room, Track::at(Position { epoch: *epoch, seq: *head }));
            }
        }
    }

    pub(super) fn entry(&mut self, room: &RoomName, seq: Seq, entry: Event) {
        if room.is_private() && !self.rooms.contains_key(room) {
            self.meet(room, seq);
        }
        match self.rooms.get_mut(room) {
            Some(Room { track, .. }) => {
                let step = track.entry(seq, entry);
                self.carry_out(room, step);
            }
            // Said before the answer to `leave`.
            None => self.tell(Update::Event(entry)),
        }
    }

    /// Begins to follow a private conversation with the first entry of it that is seen.
    fn meet(&mut self, room: &RoomName, seq: Seq) {
        if self.rooms.len() >= CONVERSATIONS {
            self.rooms.retain(|room, _| !room.is_private());
        }
        let track = Track::after(Seq(seq.0.saturating_sub(1)));
        self.rooms.insert(room.clone(), Room { track, is_attached: true });
    }

    pub(super) fn repair(&mut self, page: HistoryPage) {
        let room = page.room.clone();
        let Some(Room { track, .. }) = self.rooms.get_mut(&room) else {
            return;
        };
        if track.confirm(page.epoch) {
            let step = track.page(page);
            self.carry_out(&room, step);
        } else {
            self.rewound(&room, Some(Unrecovered::Epoch), page.head);
            self.enter(&room, Track::at(Position { epoch: page.epoch, seq: page.head }));
        }
    }

    pub(super) fn give_up(&mut self, room: &RoomName) {
        if let Some(Room { track, .. }) = self.rooms.get_mut(room) {
            let step = track.give_up();
            self.carry_out(room, step);
        }
    }

    /// Takes the beginning of the next part of what was missed.
    pub(super) fn paged(&mut self, page: &ReplayPage) {
        if let Some(Room { track, .. }) = self.rooms.get_mut(&page.room) {
            let step = track.paged(page);
            self.tell(Update::Behind { room: page.room.clone(), left: page.behind });
            self.carry_out(&page.room, step);
        }
    }

    /// Asks for the next part of what was missed; the reader has got all before it.
    pub(super) fn ask_more(&mut self) {
        if let Some(room) = self.reader.wanting.pop_front() {
            self.ask(Command::More(InRoom { room: room.clone() }), Waiter::More(room));
        }
    }

    fn carry_out(&mut self, room: &RoomName, step: Step) {
        if let Some((first, last)) = step.missed {
            self.tell(Update::Missed { room: room.clone(), first, last });
        }
        let epoch = self.rooms.get(room).and_then(|room| room.track.position()).map(|at| at.epoch);
        for entry in step.entries {
            let Some(seq) = entry.seq() else {
                continue;
            };
            self.note_delivered(room, seq);
            let position = epoch.map(|epoch| Position { epoch, seq });
            self.reader.tell(Told::entry(room.clone(), entry, position));
        }
        if step.fetch {
            self.fetch(room.clone());
        }
        if step.more {
            self.reader.wanting.push_back(room.clone());
        }
    }

    fn fetch(&mut self, room: RoomName) {
        let Some(Room { track, .. }) = self.rooms.get(&room) else {
            return;
        };
        let (after, limit) = (Some(track.last()), Some(limits::HISTORY_MESSAGES));
        let query = HistoryQuery { room: room.clone(), before: None, after, thread: None, limit };
        self.ask(Command::History(query), Waiter::Repair(room));
    }
}
