//! What was said and must no longer be found in memory.

use std::sync::Arc;

use parlour_protocol::content::{Content, Details, NewText, Sanction};
use parlour_protocol::event::{Erased, Event};
use parlour_protocol::{Seq, UserId};

use super::Room;
use super::ring::Ring;
use crate::effect::Effect;
use crate::log::Record;

impl Room {
    /// Lets the memory of older entries follow an entry that changes one of them.
    pub(super) fn amend(&mut self, record: &Record) {
        match &record.content {
            Content::Edit(NewText { target, text, mentions }) => {
                self.supersede(*target, record.seq);
                if let Some(text) = text {
                    self.past.ring.amend(*target, |event| {
                        rewrite(event, Arc::clone(text), |details| {
                            details.mentions.clone_from(mentions);
                            details.edited = Some(record.seq);
                        });
                    });
                }
            }
            Content::Delete(deletion) => {
                self.supersede(deletion.target, record.seq);
                self.past.ring.amend(deletion.target, |event| {
                    rewrite(event, "".into(), |details| {
                        details.mentions.clear();
                        details.reactions.clear();
                        details.deleted = Some(record.seq);
                    });
                });
                let target = deletion.target;
                for seq in self.past.ring.find(|event| is_reaction_to(event, target)) {
                    self.past.ring.amend(seq, |event| {
                        if let Event::Reacted(change) = event {
                            change.what.emoji = "".into();
                        }
                    });
                }
            }
            Content::Message(_)
            | Content::Reaction(_)
            | Content::Pin(_)
            | Content::Settings(_)
            | Content::Role(_)
            | Content::Sanction(_) => {}
        }
    }

    /// Empties the earlier edits of a message: its old texts are nowhere.
    fn supersede(&mut self, target: Seq, by: Seq) {
        let is_older = |event: &Event| matches!(event, Event::Edited(change) if change.what.target == target && change.seq < by);
        for seq in self.past.ring.find(is_older) {
            self.past.ring.amend(seq, |event| {
                if let Event::Edited(change) = event {
                    change.what.text = None;
                    change.what.mentions.clear();
                }
            });
        }
        self.past.pages.forget();
    }

    /// Forgets what a user said; the store has erased it.
    pub(super) fn erased(&mut self, user: &UserId, alias: &UserId, out: &mut Vec<Effect>) {
        self.past.ring = Ring::default();
        self.past.pages.forget();
        self.cursors.forget(user);
        self.members.forget_lately(user);
        if let Some(role) = self.state.roles.remove(user) {
            self.state.roles.insert(alias.clone(), role);
        }
        // Whose words the reasons are is not known here.
        self.state.sanctions.values_mut().for_each(|sanction| sanction.reason = None);
        if let Some(sanction) = self.state.sanctions.remove(user) {
            let sanction = Sanction { user: alias.clone(), ..sanction };
            self.state.sanctions.insert(alias.clone(), sanction);
        }
        self.tell_all(Event::Erased(Erased { room: self.name.clone(), user: user.clone() }), out);
    }
}

/// Gives a message another text, and notes in its details why.
fn rewrite(event: &mut Event, text: Arc<str>, note: impl FnOnce(&mut Details)) {
    let (old, details) = match event {
        Event::Message(message) => (&mut message.text, &mut message.details),
        Event::Private(message) => (&mut message.text, &mut message.details),
        _ => return,
    };
    *old = text;
    note(details.get_or_insert_default());
}

fn is_reaction_to(event: &Event, target: Seq) -> bool {
    matches!(event, Event::Reacted(change) if change.what.target == target)
}
