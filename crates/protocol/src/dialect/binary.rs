//! `parlour.bin.v1`: messages of type, length and fields in binary frames.
//!
//! ```text
//! type u8 | length u32 | request id u32, 0 = none | fields
//! ```

mod layout;
mod wire;

use layout::{
    command_number, event_number, get_command, get_event, is_entry, next_message, put_command, put_event,
};
use wire::{Reader, Wire, refuse};

use super::check::complete;
use super::{Context, Decoded, Dialect, EventError, Misunderstood, Payload};
use crate::command::{Request, RequestId};
use crate::error::{ErrorCode, Refusal};
use crate::event::{Event, Reply};

/// One or several messages per frame.
#[derive(Debug, Clone, Copy)]
pub struct Binary;

impl Dialect for Binary {
    fn decode(&self, payload: Payload<'_>, _: Context<'_>, each: &mut dyn FnMut(Decoded)) {
        let Payload::Binary(bytes) = payload else {
            let rule = "this connection speaks parlour.bin.v1, which goes into binary frames";
            let refusal = Refusal::because(ErrorCode::UnsupportedData, rule);
            return each(Err(Misunderstood { id: None, refusal }));
        };
        let mut frame = Reader::new(bytes);
        // At least once: an empty frame holds no message and is an error like any other.
        loop {
            match next_message(&mut frame) {
                Ok((number, message)) => each(command(number, message)),
                Err(refusal) => return each(Err(Misunderstood { id: None, refusal })),
            }
            if frame.is_empty() {
                return;
            }
        }
    }

    fn encode(&self, event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>) {
        message(event_number(event), id, out, |out| put_event(event, out));
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn separator(&self) -> Option<&'static [u8]> {
        Some(b"")
    }
}

/// Appends a request as a client sends it. Its id must be a number from 1 to 2^32-1; any other is
/// sent as none.
pub fn encode_request(request: &Request, out: &mut Vec<u8>) {
    let command = &request.command;
    message(command_number(command), request.id.as_ref(), out, |out| put_command(command, out));
}

/// Reads the events of one frame, in order.
///
/// # Errors
/// Handed to `each` in the place of the event. After a wrong length the rest of the frame is lost.
pub fn decode_events(payload: Payload<'_>, each: &mut dyn FnMut(Result<Reply, EventError>)) {
    let Payload::Binary(bytes) = payload else {
        return each(Err(EventError::FrameType));
    };
    let mut frame = Reader::new(bytes);
    while !frame.is_empty() {
        match next_message(&mut frame) {
            Ok((number, message)) => each(event(number, message)),
            Err(refusal) => return each(Err(EventError::Fields(refusal))),
        }
    }
}

fn command(number: u8, mut message: Reader<'_>) -> Decoded {
    let id = match request_id(&mut message) {
        Ok(id) => id,
        Err(refusal) => return Err(Misunderstood { id: None, refusal }),
    };
    let command = get_command(number, &mut message).unwrap_or_else(|| {
        let rule = format!("there is no command of number {number:#04x}; they are 0x01 to 0x1e");
        Err(Refusal::because(ErrorCode::UnknownCommand, rule))
    });
    match command.and_then(|command| message.end().map(|()| command)) {
        Ok(command) => complete(id, command),
        Err(refusal) => Err(Misunderstood { id, refusal }),
    }
}

fn event(number: u8, mut message: Reader<'_>) -> Result<Reply, EventError> {
    let id = request_id(&mut message).map_err(EventError::Fields)?;
    let event = get_event(number, &mut message).ok_or(EventError::Unknown)?;
    // What a newer server appends to a payload is not read.
    event.map(|event| Reply { id, event }).map_err(EventError::Fields)
}

/// An entry of a page: a message of its own, as it was told live.
impl Wire for Event {
    fn put(&self, out: &mut Vec<u8>) {
        message(event_number(self), None, out, |out| put_event(self, out));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, Refusal> {
        let (number, mut message) = next_message(from)?;
        // Nothing else is read, so a hostile page cannot nest pages without end.
        if !is_entry(number) {
            return Err(refuse("a page holds entries of a room's log"));
        }
        request_id(&mut message)?;
        get_event(number, &mut message).unwrap_or_else(|| Err(refuse("there is no such event")))
    }
}

fn request_id(message: &mut Reader<'_>) -> Result<Option<RequestId>, Refusal> {
    let id = u32::get(message).map_err(|_| refuse("id: a message begins with a request id of 4 bytes"))?;
    Ok((id != 0).then_some(RequestId::Number(id.into())))
}

fn message(number: u8, id: Option<&RequestId>, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(number);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let id = match id {
        Some(RequestId::Number(id)) => u32::try_from(*id).unwrap_or_default(),
        Some(RequestId::Text(_)) | None => 0,
    };
    id.put(out);
    put(out);
    let length = u32::try_from(out.len() - length_at - 4).expect("messages are limited far below 4 GiB");
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}
