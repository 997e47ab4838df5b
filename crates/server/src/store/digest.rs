//! What decides whether two entries with the same cid are the same.

use parlour_protocol::Seq;
use parlour_protocol::content::{Content, Text};
use sha2::{Digest as _, Sha256};

/// Returns the first 8 bytes of the SHA-256 of what an entry says, without what the server adds.
pub(super) fn digest(content: &Content) -> i64 {
    let said = match content {
        Content::Message(Text { text, details }) => {
            let details = details.as_deref();
            let mentions = details.map_or(&[][..], |details| &details.mentions);
            return hash(&(0, details.and_then(|details| details.reply_to), text, mentions));
        }
        Content::Edit(edit) => return hash(&(1, edit)),
        Content::Delete(deletion) => (2, deletion.target, "", true),
        Content::Reaction(reaction) => (3, reaction.target, reaction.emoji.as_str(), reaction.active),
        Content::Pin(pin) => (4, pin.target, "", pin.active),
        Content::Settings(settings) => return hash(&(5, settings)),
        Content::Role(change) => return hash(&(6, change)),
        // Its end follows from when it was first said.
        Content::Sanction(sanction) => return hash(&(7, &sanction.user, sanction.kind, &sanction.reason)),
    };
    let (kind, Seq(target), emoji, active) = said;
    hash(&(kind, target, emoji, active))
}

fn hash(said: &impl serde::Serialize) -> i64 {
    // Texts and numbers always become JSON.
    let canonical = serde_json::to_vec(said).unwrap_or_default();
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(canonical)[..8]);
    i64::from_be_bytes(first)
}
