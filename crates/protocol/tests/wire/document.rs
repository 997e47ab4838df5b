//! `docs/protocol.md` says what the source says: every table is compared, row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parlour_protocol::dialect::{Context, DialectId, Payload};
use parlour_protocol::{Command, ErrorCode, Event, Request, RequestId};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::{decode, encode, samples};

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");
const LIMITS: &str = include_str!("../../src/limits.rs");

/// Names of all commands, in the order of their numbers.
pub(crate) const COMMANDS: [&str; 30] = [
    "hello",
    "join",
    "leave",
    "publish",
    "private",
    "typing",
    "presence",
    "members",
    "history",
    "rooms",
    "read",
    "ping",
    "batch",
    "edit",
    "delete",
    "react",
    "pin",
    "delivered",
    "status",
    "create",
    "configure",
    "role",
    "info",
    "more",
    "receipts",
    "search",
    "sanction",
    "report",
    "reports",
    "resolve",
];

/// Names of all events, in the order of their numbers.
pub(crate) const EVENTS: [&str; 34] = [
    "welcome",
    "joined",
    "left",
    "message",
    "member_joined",
    "member_left",
    "private",
    "typing",
    "presence",
    "read",
    "ack",
    "members",
    "history",
    "rooms",
    "pong",
    "error",
    "resync",
    "goaway",
    "edited",
    "deleted",
    "reacted",
    "pinned",
    "room_changed",
    "role_changed",
    "delivered",
    "page",
    "status",
    "info",
    "receipts",
    "found",
    "erased",
    "sanctioned",
    "reports",
    "token_expiring",
];

type Rows = Vec<Vec<String>>;

/// Reads the first table under a heading, only its first `columns` columns.
fn table(heading: &str, columns: usize) -> Rows {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or(section);
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.map(cells).map(|cells: Vec<_>| cells[..columns].to_vec()).collect()
}

fn assert_table(heading: &str, expected: &[Vec<String>]) {
    let columns = expected.first().map_or(0, Vec::len);
    let markdown: String = expected.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    assert_eq!(table(heading, columns), expected, "{heading} should be\n{markdown}");
}

/// The keys of an object in their order on the wire.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[derive(serde::Deserialize)]
struct Envelope {
    #[serde(default)]
    payload: Option<Keys>,
}

/// Learns the fields of each name from many examples: those that are not in every one are optional.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, (u8, Vec<Vec<String>>)>);

impl Fields {
    fn learn(&mut self, name: &'static str, json: &[u8], binary: &[u8]) {
        let payload = match name {
            // An error is flat; its fields stand behind type and id.
            "error" => serde_json::from_slice::<Keys>(json).map(|Keys(keys)| keys[2..].to_vec()),
            _ => serde_json::from_slice::<Envelope>(json)
                .map(|envelope| envelope.payload.map_or(Vec::new(), |Keys(keys)| keys)),
        };
        self.0.entry(name).or_insert_with(|| (binary[0], Vec::new())).1.push(payload.expect("JSON"));
    }

    /// Rows of name, number and fields, in the order of `names`.
    fn rows(&self, names: &[&'static str]) -> Rows {
        assert_eq!(self.0.len(), names.len(), "names that the lists of this test lack: {:?}", self.0.keys());
        names.iter().map(|name| self.row(name)).collect()
    }

    fn row(&self, name: &'static str) -> Vec<String> {
        let (number, examples) = &self.0[name];
        // Hardly any example has every field: the place of a field is the number of those that stand
        // before it somewhere.
        let mut earlier: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for keys in examples {
            for (index, key) in keys.iter().enumerate() {
                earlier.entry(key).or_default().extend(keys[..index].iter().map(String::as_str));
            }
        }
        let mut fields: Vec<_> = earlier.into_iter().map(|(key, before)| (before.len(), key)).collect();
        fields.sort_unstable();
        let field = |(_, key): (usize, &str)| {
            let is_optional = !examples.iter().all(|keys| keys.iter().any(|one| one == key));
            format!("{key}{}", if is_optional { "?" } else { "" })
        };
        let fields: Vec<_> = fields.into_iter().map(field).collect();
        vec![name.to_owned(), format!("{number:#04x}"), fields.join(", ")]
    }
}

fn examples<T: fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::deterministic();
    (0..2_000).map(move |_| strategy.new_tree(&mut runner).expect("a value").current())
}

#[test]
fn commands() {
    let mut fields = Fields::default();
    for command in examples(samples::command()) {
        let request = Request { id: Some(RequestId::Number(1)), command };
        let (mut json, mut binary) = (Vec::new(), Vec::new());
        parlour_protocol::dialect::json::encode_request(&request, &mut json);
        parlour_protocol::dialect::binary::encode_request(&request, &mut binary);
        fields.learn(request.command.name(), &json, &binary);
    }
    assert_table("Commands", &fields.rows(&COMMANDS));
}

#[test]
fn events() {
    let (mut fields, mut entries) = (Fields::default(), BTreeSet::new());
    for event in examples(samples::event()) {
        let json = encode(DialectId::Json, &event, None);
        fields.learn(event.name(), &json, &encode(DialectId::Binary, &event, None));
        entries.extend(event.seq().map(|_| event.name()));
    }
    let mut rows = fields.rows(&EVENTS);
    rows.iter_mut()
        .map(|row| &mut row[0])
        .filter(|name| entries.contains(&***name))
        .for_each(|name| *name += " *");
    assert_table("Events", &rows);
}

#[test]
fn errors() {
    let rows: Rows = ErrorCode::ALL
        .iter()
        .map(|code| {
            let close = code.close_code().map_or("-".to_owned(), |close| close.to_string());
            let retry = if code.is_retryable() { "yes" } else { "no" };
            let number = (*code as u16).to_string();
            let http = code.http_status().to_string();
            vec![number, code.word().into(), retry.into(), http, close, code.text().into()]
        })
        .collect();
    assert_table("Errors", &rows);
}

#[test]
fn close_codes() {
    let documented = table("Close codes", 2);
    for code in ErrorCode::ALL {
        let Some(close) = code.close_code() else { continue };
        let row = documented.iter().find(|row| row[0] == close.to_string());
        let retry = row.map(|row| row[1] == "yes");
        // A connection closed because of the user's limit may be retried, but not by the code.
        let expected = close != 1008 && code.is_retryable();
        assert_eq!(retry, Some(expected), "{close} {}", code.word());
    }
}

#[test]
fn limits() {
    let mut rows = Rows::new();
    let mut text = Vec::new();
    for line in LIMITS.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            text.push(doc);
        } else if let Some((_, value)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(" = "))
        {
            let value = value.trim_end_matches(';').replace('_', "");
            rows.push(vec![text.join(" ").replace('`', "").replace(['[', ']'], ""), value]);
            text.clear();
        }
    }
    assert_table("Limits", &rows);
}

/// Examples in the document are frames that the dialect takes.
#[test]
fn examples_of_commands() {
    let mut seen = 0;
    for line in
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("> ")).filter(|line| line.starts_with('{'))
    {
        let decoded = decode(DialectId::Json, Payload::Text(line), Context::default());
        assert!(decoded.iter().all(Result::is_ok), "{line}: {decoded:?}");
        seen += decoded.len();
    }
    assert!(seen >= 4, "the document shows the main commands");
}

/// A new variant fails to compile here, and so reminds of the lists above.
#[test]
fn lists_are_complete() {
    let command = |command: &Command| match command {
        Command::Hello(_) | Command::Join(_) | Command::Leave(_) | Command::Publish(_) => 1,
        Command::Private(_) | Command::Typing(_) | Command::Presence(_) | Command::Members(_) => 2,
        Command::History(_) | Command::Rooms | Command::Read(_) | Command::Ping => 3,
        Command::Batch(_) | Command::Edit(_) | Command::Delete(_) | Command::React(_) => 4,
        Command::Pin(_) | Command::Delivered(_) | Command::Status(_) | Command::Create(_) => 5,
        Command::Configure(_) | Command::Role(_) | Command::Info(_) | Command::More(_) => 6,
        Command::Receipts(_) | Command::Search(_) | Command::Sanction(_) | Command::Report(_) => 7,
        Command::Reports(_) | Command::Resolve(_) => 8,
    };
    assert_eq!(examples(samples::command()).map(|example| command(&example)).max(), Some(8));
    let event = |event: &Event| match event {
        Event::Welcome(_) | Event::Joined(_) | Event::Left(_) | Event::Message(_) => 1,
        Event::MemberJoined(_) | Event::MemberLeft(_) | Event::Private(_) | Event::Typing(_) => 2,
        Event::Presence(_) | Event::Read(_) | Event::Ack(_) | Event::Members(_) => 3,
        Event::History(_) | Event::Rooms(_) | Event::Pong(_) | Event::Error(_) => 4,
        Event::Resync(_) | Event::GoAway(_) | Event::Edited(_) | Event::Deleted(_) => 5,
        Event::Reacted(_) | Event::Pinned(_) | Event::RoomChanged(_) | Event::RoleChanged(_) => 6,
        Event::Delivered(_) | Event::Page(_) | Event::Status(_) | Event::Info(_) => 7,
        Event::Receipts(_) | Event::Found(_) | Event::Erased(_) | Event::Sanctioned(_) => 8,
        Event::Reports(_) | Event::TokenExpiring(_) => 9,
    };
    assert_eq!(examples(samples::event()).map(|example| event(&example)).max(), Some(9));
}
