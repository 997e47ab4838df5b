//! A worker that is the Rust SDK, and writes down what the SDK tells it.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlour_client::{Change, Client, Error, Event, Joined as Rejoined, Message, Update, Updates};
use parlour_protocol::content::Role;
use tokio::time::{Instant, sleep, sleep_until};

use crate::load::{Phase, Task};
use crate::record::{self, Answer, Content, Entry, Joined, Log, Record, Said};

/// The one connection that the SDK shows: how often it was lost is its own affair.
const LIFE: u32 = 1;
/// Pause before a failed request is repeated.
const RETRY: Duration = Duration::from_millis(200);

/// What the task that says something shares with the one that listens.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    log: Log,
    places: HashMap<String, (String, u64)>,
}

/// Works until everything has been seen, or patience ends.
pub(crate) async fn run(mut task: Task) -> Log {
    let shared = Shared::default();
    shared
        .with(|seen| (seen.log.worker, seen.log.user) = (format!("{} (SDK)", task.name), task.name.clone()));
    if let Some((client, updates)) = connect(&task).await {
        enter(&client, &task, &shared).await;
        let listening = tokio::spawn(listen(updates, shared.clone()));
        work(&client, &mut task, &shared).await;
        client.close().await;
        // It ends with the client.
        let _ = listening.await;
    }
    shared.with(|seen| {
        let stayed = seen.places.keys().map(|room| Record::Stayed { room: room.clone() });
        let stayed: Vec<_> = stayed.collect();
        seen.log.records.extend(stayed);
        std::mem::take(&mut seen.log)
    })
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, record: Record) {
        self.with(|seen| seen.log.records.push(record));
    }
}

async fn connect(task: &Task) -> Option<(Client, Updates)> {
    while !task.is_late() {
        match Client::builder(task.url.as_str()).user(task.name.as_str()).connect().await {
            Ok(connected) => return Some(connected),
            Err(_) => sleep(RETRY).await,
        }
    }
    None
}

async fn enter(client: &Client, task: &Task, shared: &Shared) {
    for room in &task.rooms {
        while !task.is_late() {
            match client.join(room, Default::default()).await {
                Ok(answer) => {
                    shared.with(|seen| seen.joined(&answer, None));
                    break;
                }
                Err(_) => sleep(RETRY).await,
            }
        }
    }
}

impl Seen {
    fn joined(&mut self, answer: &Rejoined, since: Option<(String, u64)>) {
        let joined = Joined {
            room: answer.room.to_string(),
            epoch: answer.epoch.to_string(),
            head: answer.head.0,
            floor: answer.floor.0,
            replayed: answer.replayed.into(),
            behind: answer.behind,
            recovered: answer.recovered,
            reason: answer.reason.map(|reason| reason.word().to_owned()),
            since,
        };
        if joined.since.is_none() || !joined.recovered {
            let seq = joined.head.saturating_sub(joined.replayed);
            self.places.insert(joined.room.clone(), (joined.epoch.clone(), seq));
        }
        self.log.records.push(Record::Joined(joined));
    }

    fn update(&mut self, update: Update) {
        match update {
            Update::Event(event) => {
                if let Some(entry) = entry(event) {
                    if let Some((_, seq)) = self.places.get_mut(&entry.room) {
                        *seq = entry.seq;
                    }
                    self.log.records.push(Record::Seen(entry));
                }
            }
            Update::Rejoined(joined) => {
                let since = self.places.get(joined.room.as_str()).cloned();
                self.joined(&joined, since);
            }
            Update::RoomLost { room, .. } => drop(self.places.remove(room.as_str())),
            _ => {}
        }
    }
}

async fn listen(mut updates: Updates, shared: Shared) {
    while let Some(update) = updates.next().await {
        shared.with(|seen| seen.update(update));
    }
}

async fn work(client: &Client, task: &mut Task, shared: &Shared) {
    let (mut said, mut request) = (0_u64, 0_u64);
    let mut next_saying = Instant::now();
    while !is_done(task, shared) {
        tokio::select! {
            () = sleep_until(next_saying) => {}
            () = task.phase_changed() => continue,
        }
        next_saying = Instant::now() + task.pace.max(Duration::from_millis(5));
        if !task.says || !task.is_publishing() {
            continue;
        }
        said += 1;
        let cid = format!("{}-{said}", task.name);
        let room = task.rooms[usize::try_from(said).unwrap_or(0) % task.rooms.len()].clone();
        let content = Content::text(&format!("said as {cid}"));
        task.open.store(1, Relaxed);
        say(client, task, shared, &mut request, Said { room, cid, content }).await;
        task.open.store(0, Relaxed);
    }
}

/// Says something until there is a final answer.
async fn say(client: &Client, task: &mut Task, shared: &Shared, request: &mut u64, said: Said) {
    let Content::Message { text, .. } = &said.content else {
        return;
    };
    loop {
        *request += 1;
        let (life, id) = (LIFE, *request);
        shared.note(Record::Sent { life, id, at_us: task.now_us(), said: Some(said.clone()) });
        let outcome = client.publish_as(said.cid.as_str(), &said.room, text.as_str()).await;
        let answer = match &outcome {
            Ok(stored) => Answer::Stored { epoch: stored.epoch.to_string(), seq: stored.seq.0 },
            Err(Error::Refused(refusal)) => {
                let (code, retryable) = (refusal.code.word().to_owned(), refusal.code.is_retryable());
                Answer::Refused { code, retryable }
            }
            // Nothing is known of it.
            Err(_) => Answer::Refused { code: "lost".to_owned(), retryable: true },
        };
        let is_final = !matches!(answer, Answer::Refused { retryable: true, .. });
        shared.note(Record::Answered { life, id, at_us: task.now_us(), answer });
        if is_final || task.is_late() {
            return;
        }
        sleep(RETRY).await;
    }
}

fn is_done(task: &Task, shared: &Shared) -> bool {
    let Phase::Draining(heads, _) = task.phase() else {
        return false;
    };
    let has_all = |seen: &mut Seen| {
        seen.places.iter().all(|(room, (known, seq))| {
            heads.get(room).is_none_or(|(epoch, head)| epoch == known && seq >= head)
        })
    };
    shared.with(has_all) || task.is_late()
}

/// Translates an entry; `None` for what is not kept.
fn entry(event: Event) -> Option<Entry> {
    Some(match event {
        Event::Message(message) => said(message),
        Event::Edited(change) => {
            let text = change.what.text.as_deref().map(str::to_owned);
            let target = change.what.target.0;
            changed(&change, Content::Edit { target, text })
        }
        Event::Deleted(change) => changed(&change, Content::Delete { target: change.what.target.0 }),
        Event::Reacted(change) => {
            let (target, active) = (change.what.target.0, change.what.active);
            changed(&change, Content::Reaction { target, active })
        }
        Event::Pinned(change) => {
            let (target, active) = (change.what.target.0, change.what.active);
            changed(&change, Content::Pin { target, active })
        }
        Event::RoomChanged(change) => changed(&change, Content::Settings { private: change.what.private }),
        Event::RoleChanged(change) => {
            let role = change.what.role.map(|role| word(role).to_owned());
            changed(&change, Content::Role { user: change.what.user.to_string(), role })
        }
        _ => return None,
    })
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Moderator => "moderator",
        Role::Member => "member",
    }
}

fn said(Message { room, seq, sender, text, ts, cid, details }: Message) -> Entry {
    let details = details.unwrap_or_default();
    let (edited, deleted) = (details.edited.map(|seq| seq.0), details.deleted.map(|seq| seq.0));
    Entry {
        room: room.to_string(),
        seq: seq.0,
        sender: sender.to_string(),
        cid: cid.map(Into::into),
        ts,
        content: record::Content::Message { text: text.to_string(), edited, deleted },
    }
}

fn changed<T>(change: &Change<T>, content: Content) -> Entry {
    Entry {
        room: change.room.to_string(),
        seq: change.seq.0,
        sender: change.sender.to_string(),
        cid: change.cid.as_ref().map(ToString::to_string),
        ts: change.ts,
        content,
    }
}
