//! The only one who says something, so that every number is known before.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, interval, sleep};

use super::{Scene, enter, hear};
use crate::bench::engine::stamp::Stamp;
use crate::bench::engine::wire::{Dialect, Heard, Template};
use crate::bench::load::{TEXT_BYTES, refuse_error};
use crate::bench::raw::Talker;

/// Messages that go out before their acknowledgements are waited for.
const AT_ONCE: u64 = 100;

/// Who speaks.
pub(super) struct Speaker {
    scene: Rc<Scene>,
    talker: Talker,
    template: Template,
    epoch: String,
    /// The newest message of the room before the first one.
    head: u64,
    said: u64,
}

impl Speaker {
    /// Enters the room, and counts acknowledgements from then on.
    pub(super) async fn enter(scene: &Rc<Scene>) -> anyhow::Result<Self> {
        let (mut listener, talker, state) = enter(scene, 0).await?;
        let hearing = Rc::clone(scene);
        tokio::task::spawn_local(async move {
            let count = |frame: &[u8]| {
                let is_ack = hear(frame) == Heard::Answered;
                hearing.acked.set(hearing.acked.get() + u64::from(is_ack));
                refuse_error(frame)
            };
            let error = loop {
                if let Err(error) = listener.listen(count).await {
                    break error;
                }
            };
            hearing.problem.replace(Some(error));
        });
        let head = state.head.context("the room does not tell its newest message")?;
        let template = Template::new(Dialect::Json, &scene.room, TEXT_BYTES)?;
        Ok(Self { scene: Rc::clone(scene), talker, template, epoch: state.epoch, head, said: 0 })
    }

    /// Returns where the room is now: its lineage, and the number of the newest message.
    pub(super) fn position(&self) -> (String, u64) {
        (self.epoch.clone(), self.head + self.said)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.scene.problem.take().map_or(Ok(()), Err)
    }

    async fn say(&mut self) -> anyhow::Result<()> {
        self.check()?;
        self.said += 1;
        let stamp = Stamp { counter: self.said, room: 0, due_us: self.scene.now_us() };
        self.talker.send(self.template.stamped(stamp)?.to_vec()).await
    }

    /// Says many messages, [`AT_ONCE`] at a time, until all are acknowledged.
    pub(super) async fn say_at_once(&mut self, messages: u64) -> anyhow::Result<()> {
        for number in 1..=messages {
            self.say().await?;
            while (number % AT_ONCE == 0 || number == messages) && self.scene.acked.get() < self.said {
                self.check()?;
                sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// Says so many messages per second until a moment, or until it is over; tells of each.
    pub(super) async fn say_until(
        &mut self,
        end: Instant,
        rate: u32,
        is_over: impl Fn() -> bool,
        mut tell: impl FnMut(),
    ) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        while !is_over() && Instant::now() < end {
            ticks.tick().await;
            self.say().await?;
            tell();
        }
        Ok(())
    }

    /// Says a last message, and tells everybody which one that is.
    pub(super) async fn say_last(&mut self) -> anyhow::Result<()> {
        self.scene.last.set(Some(self.head + self.said + 1));
        self.say().await
    }
}
