//! The one who owns private rooms, and reads everything in the end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::entry::page_of;
use crate::load::Failed;
use crate::raw::{Gone, Raw};
use crate::record::{Answer, Content, History, Log, Record, Said};
use crate::worker::{answer_of, request};

/// How long the server may be away before a run gives up.
pub(crate) const AWAY: Duration = Duration::from_secs(60);
/// Its name.
const KEEPER: &str = "keeper";

/// A user with a connection per request.
#[derive(Debug)]
pub(crate) struct Keeper {
    url: Url,
    log: Log,
    began: Instant,
}

impl Keeper {
    pub(crate) fn new(url: Url, began: Instant) -> Self {
        let (worker, user) = (KEEPER.to_owned(), KEEPER.to_owned());
        Self { url, log: Log { worker, user, records: Vec::new() }, began }
    }

    pub(crate) fn into_log(self) -> Log {
        self.log
    }

    /// Creates private rooms with these members.
    pub(crate) async fn create<'a>(
        &mut self,
        rooms: &[String],
        members: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Failed> {
        let mut said = Vec::new();
        for room in rooms {
            said.push((room.clone(), Content::Settings { private: Some(true) }));
            for member in members.clone() {
                let (user, role) = (member.to_owned(), Some("member".to_owned()));
                said.push((room.clone(), Content::Role { user, role }));
            }
        }
        self.say(said).await
    }

    /// Says something in each of these rooms, once each.
    pub(crate) async fn say(&mut self, said: Vec<(String, Content)>) -> Result<(), Failed> {
        for (room, content) in said {
            let cid = format!("{KEEPER}-{}", self.log.records.len());
            let said = Said { room, cid, content };
            let deadline = Instant::now() + AWAY;
            while !matches!(self.attempt(&said).await, Ok(Answer::Stored { .. })) {
                if Instant::now() > deadline {
                    return Err(Failed::Away);
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, said: &Said) -> Result<Answer, Gone> {
        let mut raw = self.connect().await?;
        if !matches!(said.content, Content::Settings { .. }) {
            raw.ask("join", 2, json!({"room": said.room})).await?;
        }
        let life = u32::try_from(self.log.records.len()).unwrap_or(u32::MAX);
        let at_us = |began: Instant| u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let sent = Record::Sent { life, id: 3, at_us: at_us(self.began), said: Some(said.clone()) };
        self.log.records.push(sent);
        let (kind, payload) = request(said);
        let Ok(event) = raw.ask(kind, 3, payload).await else {
            self.log.records.push(Record::Lost { life });
            return Err(Gone);
        };
        let answer = answer_of(&event);
        let at_us = at_us(self.began);
        self.log.records.push(Record::Answered { life, id: 3, at_us, answer: answer.clone() });
        Ok(answer)
    }

    async fn connect(&self) -> Result<Raw, Gone> {
        let mut raw = Raw::connect(&self.url).await?;
        raw.ask("hello", 1, json!({"user": KEEPER})).await?;
        Ok(raw)
    }

    /// Reads the logs of rooms, in this order.
    pub(crate) async fn histories(&self, rooms: &[String]) -> Result<Vec<History>, Failed> {
        let mut histories = Vec::new();
        let mut deadline = Instant::now() + AWAY;
        while histories.len() < rooms.len() {
            match self.history(&rooms[histories.len()]).await {
                Ok(history) => {
                    histories.push(history);
                    deadline = Instant::now() + AWAY;
                }
                Err(Gone) if Instant::now() > deadline => return Err(Failed::Away),
                Err(Gone) => sleep(Duration::from_millis(200)).await,
            }
        }
        Ok(histories)
    }

    async fn history(&self, room: &str) -> Result<History, Gone> {
        let mut raw = self.connect().await?;
        let mut id = 2;
        let mut whole: Option<History> = None;
        loop {
            id += 1;
            let after = whole.as_ref().map_or(0, |whole| whole.entries.last().map_or(whole.floor, |e| e.seq));
            let asked = json!({"room": room, "after": after, "limit": 500});
            let (page, more) = page(&raw.ask("history", id, asked).await?)?;
            let had = page.entries.len();
            match &mut whole {
                Some(whole) => whole.entries.extend(page.entries),
                None => whole = Some(page),
            }
            if !more || had == 0 {
                raw.close().await;
                return whole.ok_or(Gone);
            }
        }
    }
}

fn page(event: &Value) -> Result<(History, bool), Gone> {
    page_of(event).ok_or(Gone)
}
