//! Answers that no single room can give: one's rooms with what is unread, and what is found.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use parlour_hub::Effect;
use parlour_hub::effect::{Document, read_cursor_key};
use parlour_hub::input::Caller;
use parlour_hub::scope::Scope;
use parlour_protocol::command::Search;
use parlour_protocol::event::{Event, Found, Reply, RoomSummary};
use parlour_protocol::{ErrorCode, Refusal, RoomName, Seq, UserId, limits};

use super::Shard;
use super::connection::Phase;
use crate::documents;
use crate::inbox::{Mail, RoomList};
use crate::node::Node;
use crate::store::Query;

/// Most private conversations whose unread messages are sent on arrival.
const CONVERSATIONS: u32 = 100;

impl Shard {
    /// Asks which private conversations a user has, when they arrive.
    pub(super) fn ask_conversations(&mut self, slot: u32, user: &UserId) {
        let (node, conn) = (Arc::clone(&self.node), self.id_of(slot));
        let prefix = read_cursor_key(user, "@");
        self.run_errand(async move {
            let documents = documents::read(&node, prefix, CONVERSATIONS).await;
            Mail::Conversations { conn, cursors: documents.iter().filter_map(cursor).collect() }
        });
    }

    /// Asks the store for the caller's conversations, then every shard for its rooms.
    pub(super) fn ask_rooms(&mut self, caller: Caller) {
        self.connections[caller.conn.slot as usize].in_flight += 1;
        let node = Arc::clone(&self.node);
        self.run_errand(async move {
            let prefix = read_cursor_key(&caller.user, "@");
            let documents = documents::read(&node, prefix, CONVERSATIONS).await;
            let cursors = documents.iter().filter_map(cursor);
            let list = Arc::new(RoomList {
                rooms: Mutex::new(
                    cursors.map(|(room, read)| (conversation(room, &caller.user), Some(read))).collect(),
                ),
                missing: AtomicUsize::new(node.inboxes.len()),
                caller,
            });
            for inbox in node.inboxes.iter().skip(1) {
                inbox.post(Mail::ListRooms(Arc::clone(&list)));
            }
            Mail::ListRooms(list)
        });
    }

    /// Adds the rooms of this shard; the last shard has the unread messages counted.
    pub(super) fn list_rooms(&mut self, list: &RoomList) {
        let mut rooms = list.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let here = self.hub.rooms(&list.caller).map(|(room, glance)| {
            let summary = RoomSummary {
                room: room.clone(),
                member_count: u32::try_from(glance.members).unwrap_or(u32::MAX),
                joined: false,
                unread: 0,
                title: glance.title.cloned(),
                with: None,
            };
            (summary, glance.read)
        });
        let space = limits::ROOMS_LISTED.saturating_sub(rooms.len());
        rooms.extend(here.take(space));
        if list.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let (rooms, caller) = (std::mem::take(&mut *rooms), list.caller.clone());
            let node = Arc::clone(&self.node);
            self.run_errand(async move { answer_rooms(&node, caller, rooms).await });
        }
    }

    /// Marks which of the listed rooms the connection is in.
    pub(super) fn mark_joined(&self, slot: u32, rooms: &mut [RoomSummary]) {
        let connection = &self.connections[slot as usize];
        if connection.phase == Phase::Open {
            for summary in rooms {
                summary.joined = connection.is_in(&summary.room);
            }
        }
    }

    /// Looks for words in messages, on behalf of a client.
    pub(super) fn search(&mut self, caller: Caller, search: Search) {
        let slot = caller.conn.slot;
        let limit = search.limit.unwrap_or(limits::SEARCH_DEFAULT);
        if limit == 0 || limit > limits::SEARCH_HITS {
            let rule = format!("limit is 1 to {}", limits::SEARCH_HITS);
            let refusal = Refusal::because(ErrorCode::InvalidLimit, rule);
            return self.refuse(slot, caller.request, refusal);
        }
        self.connections[slot as usize].in_flight += 1;
        let node = Arc::clone(&self.node);
        let Search { query: words, room, before, .. } = search;
        let scope = Scope::new(self.hub.rules(), caller.grants.clone(), self.now.wall_ms);
        let query = Query { user: caller.user.clone(), scope, room, words, before, limit };
        self.run_errand(async move {
            let event = match node.store.search(query).await {
                Ok(hits) => Event::Found(Box::new(Found { hits: hits.hits, next: hits.next })),
                Err(error) => Event::Error(node.note_store_error(error).into()),
            };
            reply(caller, event)
        });
    }
}

async fn answer_rooms(node: &Node, caller: Caller, rooms: Vec<(RoomSummary, Option<Seq>)>) -> Mail {
    let read = rooms.iter().filter_map(|(summary, read)| Some((summary.room.clone(), (*read)?)));
    let counted = node.store.unread(caller.user.clone(), read.collect()).await;
    let mut unread = counted.unwrap_or_default().into_iter();
    let count = |(summary, read): (RoomSummary, Option<Seq>)| {
        let unread = read.and_then(|_| unread.next()).unwrap_or(0);
        RoomSummary { unread, ..summary }
    };
    let mut rooms: Vec<_> = rooms.into_iter().map(count).collect();
    rooms.sort_by(|a, b| b.member_count.cmp(&a.member_count).then_with(|| a.room.cmp(&b.room)));
    reply(caller, Event::Rooms(rooms))
}

fn reply(caller: Caller, event: Event) -> Mail {
    Mail::Effect(Effect::Send { to: caller.conn, reply: Reply { id: caller.request, event } })
}

fn conversation(room: RoomName, user: &UserId) -> RoomSummary {
    let with = room.peer_of(user);
    let member_count = if with.as_ref() == Some(user) { 1 } else { 2 };
    RoomSummary { room, member_count, joined: false, unread: 0, title: None, with }
}

fn cursor(document: &Document) -> Option<(RoomName, Seq)> {
    let name = document.key.rsplit(parlour_hub::effect::DOCUMENT_SEPARATOR).next()?;
    let seq = std::str::from_utf8(&document.value).ok()?.parse().ok()?;
    Some((RoomName::parse_any(name).ok()?, Seq(seq)))
}
