//! One room as it is now, folded from its entries.

mod message;
mod stamped;

use std::collections::{BTreeMap, HashMap};

use parlour_protocol::content::{Content, Role, Sanction, SanctionKind, Settings};
use parlour_protocol::event::{Event, Header, HistoryPage, Receipt, RoomInfo};
use parlour_protocol::{RoomName, Seq, UserId};

use message::Source;
pub use message::Spoken;
use stamped::Stamped;

use crate::entry::place_of;

/// Changes that are remembered, to be applied again to messages that a page brings.
const CHANGES: usize = 2_000;

/// A room as it is now: pages of history, replays and live events go in, in any overlap. Applying
/// something twice changes nothing.
///
/// ```no_run
/// use parlour_client::{Client, Conversation, Page, RoomName, Update, Updates};
///
/// # async fn example(client: Client, mut updates: Updates) -> Result<(), parlour_client::Error> {
/// let mut view = Conversation::new(RoomName::parse("general")?);
/// view.take(&client.history("general", Page::Newest, None).await?);
/// while let Some(update) = updates.next().await {
///     match update {
///         Update::Event(event) => view.apply(&event),
///         Update::Rewound { .. } => view.forget(),
///         _ => {}
///     }
///     for message in view.messages() {
///         println!("{}: {}", message.sender, message.text);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Conversation {
    room: RoomName,
    messages: BTreeMap<Seq, Spoken>,
    /// Edits, deletions and reactions by their numbers, and whose they are.
    changes: BTreeMap<Seq, (UserId, Content)>,
    title: Stamped<String>,
    topic: Stamped<String>,
    is_private: Stamped<bool>,
    slow_ms: Stamped<u32>,
    roles: BTreeMap<UserId, Stamped<Option<Role>>>,
    sanctions: BTreeMap<UserId, Stamped<Option<Sanction>>>,
    pins: HashMap<Seq, Stamped<bool>>,
    receipts: BTreeMap<UserId, Receipt>,
    /// The newest entry that was applied.
    newest: Seq,
}

impl Conversation {
    /// Begins with nothing.
    #[must_use]
    pub fn new(room: RoomName) -> Self {
        Self {
            room,
            messages: BTreeMap::new(),
            changes: BTreeMap::new(),
            title: Stamped::default(),
            topic: Stamped::default(),
            is_private: Stamped::default(),
            slow_ms: Stamped::default(),
            roles: BTreeMap::new(),
            sanctions: BTreeMap::new(),
            pins: HashMap::new(),
            receipts: BTreeMap::new(),
            newest: Seq(0),
        }
    }

    /// Lists the messages, in their order.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Spoken> {
        self.messages.values()
    }

    /// Returns a message.
    #[must_use]
    pub fn message(&self, seq: Seq) -> Option<&Spoken> {
        self.messages.get(&seq)
    }

    /// Lists the first message of a thread and those that belong to it.
    pub fn thread(&self, root: Seq) -> impl Iterator<Item = &Spoken> {
        self.messages().filter(move |message| message.seq == root || message.thread == Some(root))
    }

    /// Returns what people see as the room's name; empty: none is known.
    #[must_use]
    pub fn title(&self) -> &str {
        self.title.get()
    }

    /// Returns what the room is about; empty: nothing is known.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic.get()
    }

    /// Returns whether only users with a role may enter, as far as that is known.
    #[must_use]
    pub fn is_private(&self) -> bool {
        *self.is_private.get()
    }

    /// Returns how long a user waits between two messages, in milliseconds; 0: not at all.
    #[must_use]
    pub fn slow_ms(&self) -> u32 {
        *self.slow_ms.get()
    }

    /// Lists the mutes and bans that were not taken back; whether one still holds, its end says.
    pub fn sanctions(&self) -> impl Iterator<Item = &Sanction> {
        self.sanctions.values().filter_map(|sanction| sanction.get().as_ref())
    }

    /// Lists the users with a role.
    pub fn roles(&self) -> impl Iterator<Item = (&UserId, Role)> {
        self.roles.iter().filter_map(|(user, role)| Some((user, (*role.get())?)))
    }

    /// Lists the numbers of pinned messages, in the order of their pinning.
    #[must_use]
    pub fn pins(&self) -> Vec<Seq> {
        let is_gone = |seq: &Seq| self.messages.get(seq).is_some_and(|message| message.deleted.is_some());
        let pinned = self.pins.iter().filter(|(seq, pin)| *pin.get() && !is_gone(seq));
        let mut pinned: Vec<_> = pinned.map(|(seq, pin)| (pin.seq(), *seq)).collect();
        pinned.sort_unstable();
        pinned.into_iter().map(|(_, seq)| seq).collect()
    }

    /// Lists how far the members have got.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.receipts.values()
    }

    /// Applies something that the server has told. What concerns other rooms is ignored.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Read(notice) if notice.room == self.room => {
                self.advance(&notice.user, notice.seq, notice.seq);
            }
            Event::Delivered(notice) if notice.room == self.room => {
                self.advance(&notice.user, Seq(0), notice.seq);
            }
            Event::Joined(joined) if joined.room == self.room => self.take_receipts(&joined.receipts),
            Event::Receipts(list) if list.room == self.room => self.take_receipts(&list.receipts),
            Event::Info(info) if info.room == self.room => self.inform(info),
            Event::Erased(erased) if erased.room == self.room => self.erase(&erased.user),
            event if place_of(event).is_some_and(|(room, _)| *room == self.room) => {
                if let Some((header, content)) = event.clone().into_entry() {
                    self.newest = self.newest.max(header.seq);
                    self.entry(header, content, Source::Stream);
                }
            }
            _ => {}
        }
    }

    /// Takes a page of history, whose messages are as they were when it was read.
    pub fn take(&mut self, page: &HistoryPage) {
        if page.room != self.room {
            return;
        }
        let here: Vec<_> = page.events.iter().filter_map(Event::seq).collect();
        for (header, content) in page.events.iter().cloned().filter_map(Event::into_entry) {
            // The messages of the page show their changes already.
            let is_shown = target_of(&content).is_some_and(|target| here.binary_search(&target).is_ok());
            if !is_shown {
                if !matches!(content, Content::Message(_)) {
                    self.newest = self.newest.max(header.seq);
                }
                self.entry(header, content, Source::Page);
            }
        }
    }

    /// Forgets messages before one, to save memory.
    pub fn forget_before(&mut self, seq: Seq) {
        self.messages = self.messages.split_off(&seq);
    }

    /// Forgets everything but how far the members have got: the copy cannot be continued.
    pub fn forget(&mut self) {
        let receipts = std::mem::take(&mut self.receipts);
        *self = Self { receipts, ..Self::new(self.room.clone()) };
    }

    fn entry(&mut self, header: Header, content: Content, source: Source) {
        let seq = header.seq;
        match content {
            Content::Message(text) => {
                let known = self.messages.remove(&seq);
                self.messages.insert(seq, Spoken::merge(header, text, known, source));
                self.reapply(seq);
            }
            content @ (Content::Edit(_) | Content::Delete(_) | Content::Reaction(_)) => {
                self.remember(header, content);
            }
            Content::Pin(pin) => self.pins.entry(pin.target).or_default().set(pin.active, seq),
            Content::Settings(settings) => self.configure(settings, seq),
            Content::Role(change) => self.roles.entry(change.user).or_default().set(change.role, seq),
            Content::Sanction(sanction) if sanction.kind == SanctionKind::Kick => {}
            Content::Sanction(sanction) => {
                let known = self.sanctions.entry(sanction.user.clone()).or_default();
                known.set((sanction.kind != SanctionKind::None).then_some(sanction), seq);
            }
        }
    }

    /// A page may be older than what was told since: the last word is the last one in the log.
    fn reapply(&mut self, target: Seq) {
        let Some(message) = self.messages.get_mut(&target) else {
            return;
        };
        for (seq, (by, change)) in &self.changes {
            if target_of(change) == Some(target) {
                message.change(*seq, by, change);
            }
        }
    }

    fn remember(&mut self, header: Header, change: Content) {
        let Header { seq, sender, .. } = header;
        // A page may bring a change that was overtaken by what came later.
        if seq < self.newest && !self.changes.contains_key(&seq) {
            return;
        }
        let Some(target) = target_of(&change) else {
            return;
        };
        if matches!(change, Content::Delete(_))
            && let Some(pin) = self.pins.get_mut(&target)
        {
            pin.set(false, seq);
        }
        if seq == self.newest
            && let Some(message) = self.messages.get_mut(&target)
        {
            message.change(seq, &sender, &change);
        }
        self.changes.insert(seq, (sender, change));
        if self.changes.len() > CHANGES {
            self.changes.pop_first();
        }
    }

    fn configure(&mut self, settings: Settings, seq: Seq) {
        let Settings { title, topic, private, slow_ms } = settings;
        title.into_iter().for_each(|title| self.title.set(title.into_string(), seq));
        topic.into_iter().for_each(|topic| self.topic.set(topic.into_string(), seq));
        private.into_iter().for_each(|private| self.is_private.set(private, seq));
        slow_ms.into_iter().for_each(|slow_ms| self.slow_ms.set(slow_ms, seq));
    }

    /// Takes the state of a room as a whole; it is not older than what was told before it.
    fn inform(&mut self, info: &RoomInfo) {
        let Settings { title, topic, private, slow_ms } = info.settings.clone();
        let settings = Settings {
            title: Some(title.unwrap_or_default()),
            topic: Some(topic.unwrap_or_default()),
            private: Some(private.unwrap_or_default()),
            slow_ms: Some(slow_ms.unwrap_or_default()),
        };
        self.configure(settings, self.newest);
        self.roles.clear();
        for holder in &info.roles {
            self.roles.entry(holder.user.clone()).or_default().set(Some(holder.role), self.newest);
        }
        self.sanctions.clear();
        for sanction in &info.sanctions {
            let known = self.sanctions.entry(sanction.user.clone()).or_default();
            known.set(Some(sanction.clone()), self.newest);
        }
        self.pins.retain(|seq, _| info.pins.contains(seq));
        for seq in &info.pins {
            let pin = self.pins.entry(*seq).or_default();
            // A pin keeps its place if it is known already.
            if !*pin.get() {
                pin.set(true, self.newest);
            }
        }
    }

    fn take_receipts(&mut self, receipts: &[Receipt]) {
        for receipt in receipts {
            self.advance(&receipt.user, receipt.read, receipt.delivered);
        }
    }

    fn advance(&mut self, user: &UserId, read: Seq, delivered: Seq) {
        let new = || Receipt { user: user.clone(), read, delivered };
        let receipt = self.receipts.entry(user.clone()).or_insert_with(new);
        receipt.read = receipt.read.max(read);
        receipt.delivered = receipt.delivered.max(delivered);
    }

    fn erase(&mut self, user: &UserId) {
        self.messages.values_mut().for_each(|message| message.erase(user));
        self.receipts.remove(user);
        self.roles.remove(user);
        self.sanctions.remove(user);
    }
}

/// Returns the message that an entry changes.
fn target_of(content: &Content) -> Option<Seq> {
    match content {
        Content::Edit(edit) => Some(edit.target),
        Content::Delete(deletion) => Some(deletion.target),
        Content::Reaction(reaction) => Some(reaction.target),
        Content::Message(_)
        | Content::Pin(_)
        | Content::Settings(_)
        | Content::Role(_)
        | Content::Sanction(_) => None,
    }
}

#[cfg(test)]
mod tests;
