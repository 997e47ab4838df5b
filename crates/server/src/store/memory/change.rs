//! What entries do to older ones and to the room.

use parlour_hub::log::{Guard, Place, Record, Refused};
use parlour_protocol::content::{Content, Details, NewText, PinChange, Reaction, Text};
use parlour_protocol::limits::{EMOJI_PER_MESSAGE, PINS};
use parlour_protocol::{Seq, UserId};

use super::room::{Given, Room, is_standing, thread_of};

impl Room {
    /// Does what a record says before it is stored, and completes it. Changes nothing where it refuses.
    ///
    /// Returns where the reaction is that is there already.
    pub(super) fn take_effect(
        &mut self,
        record: &mut Record,
        guard: Guard,
    ) -> Result<Option<Place>, Refused> {
        let Record { seq, sender, content, ts, .. } = record;
        match content {
            Content::Message(said) => self.relate(said)?,
            Content::Edit(edit) => self.edit(*seq, sender, edit)?,
            Content::Delete(deletion) => self.delete(*seq, sender, deletion.target, guard)?,
            Content::Reaction(reaction) if reaction.active => {
                return self.react(*seq, sender, reaction);
            }
            Content::Reaction(reaction) => self.take_back(sender, reaction)?,
            Content::Pin(pin) => self.pin(*pin)?,
            Content::Settings(_) | Content::Role(_) | Content::Sanction(_) => {}
        }
        self.state.apply(content, *ts);
        Ok(None)
    }

    /// Returns a message that may be changed or answered.
    fn target(&self, seq: Seq) -> Result<&Record, Refused> {
        self.get(seq).filter(|record| is_standing(record)).ok_or(Refused::NoTarget)
    }

    /// Keeps of the details what the sender may say, and finds the thread.
    fn relate(&self, said: &mut Text) -> Result<(), Refused> {
        let Some(details) = said.details.take() else { return Ok(()) };
        let thread = match details.reply_to {
            Some(target) => Some(thread_of(self.target(target)?).unwrap_or(target)),
            None => None,
        };
        let details =
            Details { reply_to: details.reply_to, thread, mentions: details.mentions, ..Details::default() };
        said.details = (details != Details::default()).then(|| Box::new(details));
        Ok(())
    }

    fn edit(&mut self, seq: Seq, sender: &UserId, edit: &NewText) -> Result<(), Refused> {
        if self.target(edit.target)?.sender != *sender {
            return Err(Refused::NotAuthor);
        }
        self.supersede(edit.target);
        let text = edit.text.clone().unwrap_or_default();
        self.rewrite(edit.target, Text { text, details: None }, |details| {
            details.mentions.clone_from(&edit.mentions);
            details.edited = Some(seq);
        });
        Ok(())
    }

    /// Empties the edit that a message has its text from.
    fn supersede(&mut self, target: Seq) {
        let Some(Content::Message(Text { details: Some(details), .. })) =
            self.get(target).map(|record| &record.content)
        else {
            return;
        };
        let Some(edit) = details.edited else { return };
        self.amend(edit, |record| {
            if let Content::Edit(NewText { text, mentions, .. }) = &mut record.content {
                *text = None;
                mentions.clear();
            }
        });
    }

    fn rewrite(&mut self, target: Seq, new: Text, note: impl FnOnce(&mut Details)) {
        self.amend(target, |record| {
            if let Content::Message(Text { text, details }) = &mut record.content {
                *text = new.text;
                note(details.get_or_insert_default());
            }
        });
    }

    fn delete(&mut self, seq: Seq, sender: &UserId, target: Seq, guard: Guard) -> Result<(), Refused> {
        if self.target(target)?.sender != *sender && guard != Guard::Moderator {
            return Err(Refused::NotAuthor);
        }
        self.supersede(target);
        self.reactions.remove(&target);
        let reacts = |record: &Record| matches!(&record.content, Content::Reaction(r) if r.target == target);
        let reactions = self.records.iter().map(|entry| &entry.record).filter(|record| reacts(record));
        for reaction in reactions.map(|record| record.seq).collect::<Vec<_>>() {
            self.amend(reaction, empty_reaction);
        }
        self.rewrite(target, Text::plain(""), |details| {
            details.mentions.clear();
            details.deleted = Some(seq);
        });
        Ok(())
    }

    fn react(&mut self, seq: Seq, user: &UserId, reaction: &mut Reaction) -> Result<Option<Place>, Refused> {
        self.target(reaction.target)?;
        let given = self.reactions.entry(reaction.target).or_default();
        let count = given.iter().filter(|given| given.emoji == reaction.emoji).count();
        let own = given.iter().find(|given| given.emoji == reaction.emoji && given.user == *user);
        if let Some(earlier) = own {
            return Ok(Some(Place { seq: earlier.seq, thread: None, count: number(count) }));
        }
        let mut emojis: Vec<_> = given.iter().map(|given| &given.emoji).collect();
        emojis.sort_unstable();
        emojis.dedup();
        if count == 0 && emojis.len() >= EMOJI_PER_MESSAGE {
            return Err(Refused::TooMany);
        }
        given.push(Given { emoji: reaction.emoji.clone(), user: user.clone(), seq });
        reaction.count = number(count + 1);
        Ok(None)
    }

    fn take_back(&mut self, user: &UserId, reaction: &mut Reaction) -> Result<(), Refused> {
        self.target(reaction.target)?;
        let given = self.reactions.get_mut(&reaction.target).ok_or(Refused::NoTarget)?;
        let is_own = |given: &Given| given.emoji == reaction.emoji && given.user == *user;
        let own = given.iter().position(is_own).ok_or(Refused::NoTarget)?;
        given.remove(own);
        reaction.count = number(given.iter().filter(|given| given.emoji == reaction.emoji).count());
        if given.is_empty() {
            self.reactions.remove(&reaction.target);
        }
        Ok(())
    }

    fn pin(&self, pin: PinChange) -> Result<(), Refused> {
        self.target(pin.target)?;
        match (pin.active, self.state.pins.contains(&pin.target)) {
            (false, false) => Err(Refused::NoTarget),
            (true, false) if self.state.pins.len() >= PINS => Err(Refused::TooMany),
            _ => Ok(()),
        }
    }
}

/// Takes the emoji out of a reaction whose message, or whose user, is gone.
pub(super) fn empty_reaction(record: &mut Record) {
    if let Content::Reaction(reaction) = &mut record.content {
        reaction.emoji = "".into();
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
