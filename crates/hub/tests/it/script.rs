//! The script language: what happens, and under it what comes of it.
//!
//! ```text
//! # A comment.
//! rules grace 10 typing 6 members 100000 notices 1000 history 500
//! room live:* is ephemeral
//! room club:* is members
//! room * masks darn
//! store has general, 300 messages of 10 bytes by alice
//! 0.0 alice@1 joins general
//! > store: open general
//! > @1: joined general at 0, 1 here: alice
//! ```
//!
//! A line may begin with the time in seconds. Lines with `>` are the expected effects of the line
//! above them, in order and complete. `PARLOUR_BLESS=1` writes the effects that came instead.

use std::fmt::Write as _;
use std::path::Path;

use compact_str::CompactString;
use parlour_hub::filter::{Filter, Remedy};
use parlour_hub::input::{Caller, CursorKind, Ending};
use parlour_hub::rights::Access;
use parlour_hub::rules::Pattern;
use parlour_hub::{ConnId, Input, Rules};
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, ErrorCode, Position, RoomName, Seq, UserId};

use crate::show;
use crate::store::{Fault, Hold, Log};
use crate::world::{Seen, World, conn, desk, room, user};

mod entry;

/// Runs a script and compares every effect.
pub fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blessed = replay(&text);
    if blessed == text {
        return;
    }
    if std::env::var_os("PARLOUR_BLESS").is_some() {
        std::fs::write(&path, blessed).expect("the script can be written");
        return;
    }
    panic!("{}", difference(name, &text, &blessed));
}

/// Returns the script with the effects that came.
fn replay(text: &str) -> String {
    let mut out = String::new();
    let mut stage =
        Stage { rules: Rules::default(), world: World::new(Rules::default()), effects: Vec::new() };
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('>') {
            continue;
        }
        writeln!(out, "{line}").expect("a string takes everything");
        if !line.is_empty() && !line.starts_with('#') {
            stage.perform(line).unwrap_or_else(|| panic!("line {number} is not understood: {line}"));
        }
        for effect in stage.effects.drain(..) {
            writeln!(out, "> {effect}").expect("a string takes everything");
        }
    }
    stage.world.assert_all_answered();
    out
}

/// Shows the first place where two scripts differ, with the line that caused it.
fn difference(name: &str, expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let action = (0..same).rev().find(|line| !old[*line].starts_with('>')).unwrap_or(0);
    let block = |lines: &[&str]| {
        let effects = lines[action + 1..].iter().take_while(|line| line.starts_with('>'));
        effects.map(|line| format!("    {line}\n")).collect::<String>()
    };
    let (line, action_text) = (action + 1, old[action]);
    format!("{name}:{line}: {action_text}\n  expected\n{}  but came\n{}", block(&old), block(&new))
}

struct Stage {
    rules: Rules,
    world: World,
    effects: Vec<String>,
}

impl Stage {
    /// Performs a line; `None` if it is not understood.
    fn perform(&mut self, line: &str) -> Option<()> {
        let words = split(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = match words[0].parse::<f64>() {
            Ok(seconds) => {
                let effects = &mut self.effects;
                let at_ms = (seconds * 1_000.0).round() as u64;
                self.world.advance(at_ms, &mut write_to(effects));
                &words[1..]
            }
            Err(_) => &words[..],
        };
        match words {
            ["rules", pairs @ ..] => self.set_rules(pairs),
            ["room", pattern, "is", "ephemeral"] => self.add_pattern(pattern),
            ["room", pattern, "is", access @ ("public" | "members" | "announcement" | "read_only")] => {
                self.restrict(pattern, access)
            }
            ["room", pattern, verb @ ("rejects" | "masks"), word] => self.add_filter(pattern, verb, word),
            ["store", words @ ..] => self.store(words),
            ["hub"] => self.show_hub(),
            ["survey", "of", name] => {
                let input = self.world.store.survey(&room(name));
                self.feed(&room(name), input)
            }
            [who, "stalls", "in", name, more @ ..] => {
                let conn = conn(who.split_once('@')?.1.parse().ok()?);
                self.world.stall(&room(name), conn, number(more, "after").map(Seq)).then_some(())
            }
            [who, "is", "erased", "as", alias, "in", name] => {
                self.feed(&room(name), Input::Erased { user: user(who), alias: user(alias) })
            }
            [] | ["time", "passes"] => Some(()),
            [who, words @ ..] => self.act(who, words),
        }
    }

    fn set_rules(&mut self, pairs: &[&str]) -> Option<()> {
        for pair in pairs.chunks(2) {
            let value: u32 = pair.get(1)?.parse().ok()?;
            match pair[0] {
                "grace" => self.rules.grace_ms = u64::from(value) * 1_000,
                "typing" => self.rules.typing_ms = u64::from(value) * 1_000,
                "members" => self.rules.members_per_room = value as usize,
                "notices" => self.rules.notice_members = value as usize,
                "history" => self.rules.history = value,
                _ => return None,
            }
        }
        self.world = World::new(self.rules.clone());
        Some(())
    }

    fn add_pattern(&mut self, pattern: &str) -> Option<()> {
        let pattern = Pattern { pattern: pattern.to_owned(), durable: false, access: None, create: None };
        self.rules.patterns.push(pattern);
        self.world = World::new(self.rules.clone());
        Some(())
    }

    fn restrict(&mut self, pattern: &str, access: &str) -> Option<()> {
        let access = Some(match access {
            "members" => Access::Members,
            "announcement" => Access::Announcement,
            "read_only" => Access::ReadOnly,
            _ => Access::Public,
        });
        let pattern = Pattern { pattern: pattern.to_owned(), durable: true, access, create: Some(true) };
        self.rules.patterns.push(pattern);
        self.world = World::new(self.rules.clone());
        Some(())
    }

    fn add_filter(&mut self, pattern: &str, verb: &str, word: &str) -> Option<()> {
        let remedy = if verb == "masks" { Remedy::Mask } else { Remedy::Reject };
        self.rules.filters.push(Filter::new(pattern, [word], remedy)?);
        self.world = World::new(self.rules.clone());
        Some(())
    }

    fn store(&mut self, words: &[&str]) -> Option<()> {
        let (world, effects) = (&mut self.world, &mut self.effects);
        let mut see = write_to(effects);
        match words {
            ["has", name, count, "messages", "of", bytes, "bytes", "by", sender] => {
                world.store.fill(&room(name), count.parse().ok()?, sender, bytes.parse().ok()?);
            }
            ["forgets", name, "up", "to", seq] => log(world, name).trim(Seq(seq.parse().ok()?)),
            ["erases", name, "as", alias, "in", room] => log(world, room).erase(&user(name), &user(alias)),
            ["rewinds", name, "to", seq] => log(world, name).rewind(Seq(seq.parse().ok()?)),
            // Another process of the same database says something.
            ["gets", text, "by", name, "in", room] => {
                let content = Content::Message(Text::plain(text.trim_matches('"')));
                log(world, room).push(&user(name), None, 0, content);
            }
            ["loses", name, "for", "one", "with", count, "messages"] => {
                world.store.renew(&room(name), count.parse().ok()?);
            }
            ["works"] => world.store.fault = Fault::None,
            ["fails", word] => world.store.fault = Fault::Refuses(error(word)?),
            ["loses", "answers"] => world.store.fault = Fault::LosesAnswers,
            ["holds", "answers"] => world.store.hold = Hold::Answers,
            ["holds", "requests"] => world.store.hold = Hold::Requests,
            ["does", "its", "work"] => world.store.work(),
            ["answers", "next"] => world.release(0, &mut see),
            ["answers", "last"] => world.release(world.store.held().checked_sub(1)?, &mut see),
            ["is", "prompt"] => {
                world.store.hold = Hold::Nothing;
                world.store.work();
                world.settle(&mut see);
            }
            _ => return None,
        }
        Some(())
    }

    fn show_hub(&mut self) -> Option<()> {
        let mut rooms: Vec<_> = self
            .world
            .counts(&user("anybody"))
            .into_iter()
            .map(|(name, count)| format!(", {count} in {name}"))
            .collect();
        rooms.sort();
        let next = self.world.hub.next_deadline().map_or("none".to_owned(), |at| format!("{at} ms"));
        let count = self.world.hub.room_count();
        self.effects.push(format!("{count} in memory{}; next deadline: {next}", rooms.concat()));
        Some(())
    }

    fn act(&mut self, who: &str, words: &[&str]) -> Option<()> {
        let (name, number) = who.split_once('@')?;
        // Who asks without a connection is `alice@d1`.
        let (user, conn) = match number.strip_prefix('d') {
            Some(ticket) => (user(name), desk(ticket.parse().ok()?)),
            None => (user(name), conn(number.parse().ok()?)),
        };
        let (room, input) = self.input(&user, conn, words)?;
        self.feed(&room, input)
    }

    fn feed(&mut self, room: &RoomName, input: Input) -> Option<()> {
        let effects = &mut self.effects;
        self.world.feed(room, input, &mut write_to(effects));
        Some(())
    }

    fn input(&mut self, user: &UserId, conn: ConnId, words: &[&str]) -> Option<(RoomName, Input)> {
        let caller = self.world.caller(user, conn);
        let silent = Caller { request: None, ..caller.clone() };
        let ends = |ending| Input::Detach { conn, user: user.clone(), ending };
        Some(match words {
            ["joins", name, more @ ..] => {
                let presence = SetPresence { status: availability(more), text: quoted(more) };
                let since = since(more)?;
                let history = number(more, "history").unwrap_or(0) as u32;
                (room(name), Input::Join { caller, since, history, presence })
            }
            ["leaves", name] => (room(name), Input::Leave { caller }),
            ["quits", name] => (room(name), ends(Ending::Deliberate)),
            ["drops", name] => (room(name), ends(Ending::Lost)),
            ["tells", peer, text, more @ ..] => {
                let entries = entry::said(text, more)?;
                (RoomName::private(user, &crate::world::user(peer)), Input::Publish { caller, entries })
            }
            ["types", "in", name] => (room(name), Input::Typing { caller: silent, active: true }),
            ["stops", "typing", "in", name] => (room(name), Input::Typing { caller: silent, active: false }),
            ["is", _, "in", name, ..] => {
                let presence = SetPresence { status: availability(words), text: quoted(words) };
                (room(name), Input::Presence { caller: silent, presence })
            }
            ["asks", "members", "of", name] => (room(name), Input::Members { caller }),
            ["asks", "history", "of", name, more @ ..] => {
                let query = HistoryQuery {
                    room: room(name),
                    before: number(more, "before").map(Seq),
                    after: number(more, "after").map(Seq),
                    thread: number(more, "thread").map(Seq),
                    limit: number(more, "limit").map(|limit| limit as u32),
                };
                (room(name), Input::History { caller, query })
            }
            ["asks", "inbox", "of", name, "read", seq] => {
                (room(name), Input::Inbox { caller: silent, read: Seq(seq.parse().ok()?) })
            }
            ["reads", seq, "in", name] => {
                (room(name), Input::Advance { caller, seq: Seq(seq.parse().ok()?), cursor: CursorKind::Read })
            }
            ["gets", seq, "in", name] => {
                let cursor = CursorKind::Delivered;
                (room(name), Input::Advance { caller, seq: Seq(seq.parse().ok()?), cursor })
            }
            ["asks", "receipts", "of", seq, "in", name] => {
                (room(name), Input::Receipts { caller, seq: Seq(seq.parse().ok()?) })
            }
            ["reports", target, "in", name, ..] => {
                let target = Seq(target.parse().ok()?);
                (room(name), Input::Report { caller, target, reason: quoted(words) })
            }
            ["resolves", target, "in", name] => {
                (room(name), Input::Resolve { caller, target: Seq(target.parse().ok()?) })
            }
            ["asks", "reports", "of", name] => (room(name), Input::Reports { caller }),
            ["asks", "info", "of", name] => (room(name), Input::Info { caller }),
            ["waits", "in", name, "after", seq, "until", until_ms] => {
                let (after, until_ms) = (Seq(seq.parse().ok()?), until_ms.parse().ok()?);
                (room(name), Input::Watch { caller, after, until_ms })
            }
            ["asks", "more", "of", name] => (room(name), Input::More { caller }),
            ["catches", "up", "in", name] => {
                let lag = self.world.lag(&room(name), conn)?;
                (room(name), Input::CatchUp { caller: silent, lag })
            }
            ["asks", "status", "of", cid, "in", name] => {
                (room(name), Input::Status { caller, cid: (*cid).into() })
            }
            ["creates", name, more @ ..] => {
                let (settings, cid) = (entry::settings(more), entry::cid(more));
                (room(name), Input::Create { caller, settings, cid })
            }
            _ => {
                let (name, entries) = entry::entries(words)?;
                (room(name), Input::Publish { caller, entries })
            }
        })
    }
}

/// Writes down the effects that are seen.
fn write_to(lines: &mut Vec<String>) -> impl FnMut(Seen<'_>) {
    |seen| {
        if let Seen::Effect(effect, list) = seen {
            lines.push(show::effect(effect, list));
        }
    }
}

fn log<'a>(world: &'a mut World, name: &str) -> &'a mut Log {
    world.store.rooms.get_mut(&room(name)).expect("a room of the store")
}

fn since(words: &[&str]) -> Option<Option<Position>> {
    let Some(seq) = number(words, "since") else {
        return Some(None);
    };
    let epoch = Epoch(u128::from(number(words, "epoch").unwrap_or(1)));
    Some(Some(Position { epoch, seq: Seq(seq) }))
}

/// Returns the number that follows a word.
fn number(words: &[&str], key: &str) -> Option<u64> {
    let index = words.iter().position(|word| *word == key)?;
    words.get(index + 1)?.parse().ok()
}

fn availability(words: &[&str]) -> Availability {
    if words.contains(&"away") { Availability::Away } else { Availability::Online }
}

fn quoted(words: &[&str]) -> Option<CompactString> {
    words.iter().find_map(|word| word.strip_prefix('"')).map(|text| text.trim_end_matches('"').into())
}

fn error(word: &str) -> Option<ErrorCode> {
    ErrorCode::ALL.iter().copied().find(|code| code.word() == word)
}

/// Splits a line into words; a text in quotes stays together, with its quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_quotes = false;
    for c in line.chars() {
        in_quotes ^= c == '"';
        match c {
            ' ' if !in_quotes => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
