//! `parlour.text.v1`: one line per frame, for people with a terminal.
//!
//! A line is said in the current room; a command begins with `/`. There are no request ids on this
//! wire, so the dialect uses them for itself: the id of a request is the word of its command, such
//! as `/who` (`say` for what is no command), and tells the answer apart from an event that nobody
//! asked for.

mod command;
mod entry;
mod line;
mod render;

use super::{Context, Decoded, Dialect, Misunderstood, Payload};
use crate::command::RequestId;
use crate::error::{ErrorCode, Refusal};
use crate::event::Event;

/// Answer to `/help`.
const HELP: &str = "\
* /join room          enter a room; what you type goes there
* /leave              leave the room
* /msg user text      say something to one user; quote a name with spaces: /msg \"Bob B\" hi
* /who                who is in the room
* /history 20         show the last messages with their numbers, which the next commands take
* /reply 7 text       answer message 7
* /edit 7 text        change your message 7
* /delete 7           erase message 7
* /react 7 👍         react to message 7; /unreact takes it back
* /pin 7, /unpin 7    pin a message, or unpin it
* /search words       look for messages with all these words
* /rooms              list the rooms
* /info               title, topic, roles and pins of the room
* /create room        create a room that is yours
* /title text         set the title of your room; /topic its topic
* /role user member   make somebody member, moderator or owner of your room; none takes it back
* /kick user why      put somebody out of the room
* /mute user 10m why  let somebody only listen: 10m, 2h, 7d, or for good; /unmute takes it back
* /ban user 10m why   put somebody out and keep them out; /unban takes it back
* /slow 30            let everybody say one thing in 30 seconds; /slow 0 ends that
* /report 7 why       tell the moderators of message 7
* /reports            what was reported; /resolve 7 takes message 7 off the list
* /away text, /back   tell others that you are away, or back
* /ping               ask for a sign of life
* //text              say something that begins with a slash";

/// One line per frame.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Dialect for Text {
    fn decode(&self, payload: Payload<'_>, context: Context<'_>, each: &mut dyn FnMut(Decoded)) {
        let Payload::Text(text) = payload else {
            let rule = "this connection speaks plain text, which goes into text frames";
            let refusal = Refusal::because(ErrorCode::UnsupportedData, rule);
            return each(Err(Misunderstood { id: None, refusal }));
        };
        let line = text.strip_suffix('\n').unwrap_or(text);
        each(command::decode(line.strip_suffix('\r').unwrap_or(line), context));
    }

    fn encode(&self, event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>) {
        let command = match id {
            Some(RequestId::Text(word)) => word.as_str(),
            Some(RequestId::Number(_)) | None => "",
        };
        render::event(event, command, out);
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn separator(&self) -> Option<&'static [u8]> {
        None
    }
}
