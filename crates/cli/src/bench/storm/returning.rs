//! Somebody who comes back, and checks everything up to the last message.

use std::rc::Rc;

use anyhow::bail;
use tokio::time::{Instant, sleep_until};

use super::{Answer, Scene, State, hear};
use crate::bench::engine::wire::Heard;
use crate::bench::load::refuse_error;
use crate::bench::raw;

/// The stream of one who comes back.
#[derive(Debug)]
struct Stream {
    /// The number that must come next.
    next: u64,
    /// The newest message at the moment of coming back.
    head: u64,
    /// Whether the server holds more of the past.
    wants_more: bool,
    is_live: bool,
}

impl Stream {
    fn hear(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        match hear(frame) {
            Heard::Said { seq, .. } if seq == self.next => self.next += 1,
            Heard::Said { seq, .. } => bail!("message {seq} instead of {}", self.next),
            Heard::Entered => self.go_on(frame)?,
            _ if frame.starts_with(br#"{"type":"page""#) => self.go_on(frame)?,
            _ => refuse_error(frame)?,
        }
        Ok(())
    }

    fn go_on(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let State { recovered, head, behind, .. } = serde_json::from_slice::<Answer>(frame)?.payload;
        if recovered == Some(false) {
            bail!("not recovered: {}", String::from_utf8_lossy(&frame[..frame.len().min(300)]));
        }
        self.head = head.unwrap_or(self.head);
        (self.is_live, self.wants_more) = (behind == 0, behind > 0);
        Ok(())
    }

    fn has_everything(&self) -> bool {
        self.is_live && self.next > self.head
    }
}

/// Comes back at a moment, behind a position, and stays until the last message.
pub(super) async fn come_back(
    scene: Rc<Scene>,
    user: usize,
    (epoch, seq): (String, u64),
    due: Instant,
) -> anyhow::Result<()> {
    sleep_until(due).await;
    let (mut listener, talker) = raw::connect(&scene.target, user).await?;
    let since = format!(r#"{{"epoch":"{epoch}","seq":{seq}}}"#);
    let room = &scene.room;
    let join = format!(r#"{{"type":"join","id":"in","payload":{{"room":"{room}","since":{since}}}}}"#);
    talker.say(&join).await?;
    let mut stream = Stream { next: seq + 1, head: 0, wants_more: false, is_live: false };
    let mut is_back = false;
    while scene.last.get().is_none_or(|last| stream.next <= last) {
        listener.listen(|frame| stream.hear(frame)).await?;
        if std::mem::take(&mut stream.wants_more) {
            let more = format!(r#"{{"type":"more","id":"more","payload":{{"room":"{room}"}}}}"#);
            talker.say(&more).await?;
        }
        if !is_back && stream.has_everything() {
            is_back = true;
            scene.returned.set(scene.returned.get() + 1);
            scene.slowest.set(scene.slowest.get().max(due.elapsed()));
        }
    }
    Ok(())
}
