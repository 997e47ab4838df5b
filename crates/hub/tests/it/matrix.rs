//! Who may do what: every command, of everybody, in every sort of room, compared with two tables.

use std::sync::Arc;

use parlour_hub::effect::{Effect, report_key};
use parlour_hub::input::{Caller, CursorKind, Input};
use parlour_hub::log::NewEntry;
use parlour_hub::rights::{Access, Action, Grants, Rights};
use parlour_hub::rules::{Pattern, Rules};
use parlour_hub::scope::Scope;
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::content::{
    Content, NewText, PinChange, Reaction, Role, RoleChange, Sanction, Settings, Target, Text,
};
use parlour_protocol::dialect::{Context, DialectId, Payload};
use parlour_protocol::event::{Event, Reported};
use parlour_protocol::{Command, ErrorCode, Position, RoomName, Seq, UserId};

use crate::world::{Seen, World, conn, room, user};
use tables::{Place, Rule, SORTS, Who, expected, grants, rule};

mod tables;

/// One of each command, about a room where number 4 is one's own message and number 5 somebody else's.
fn commands() -> Vec<Command> {
    let mut commands = Vec::new();
    for (name, payload) in [
        (
            "hello",
            r#"{"resume":[{"room":"room","since":{"epoch":"00000000000000000000000000000001","seq":3}}]}"#,
        ),
        ("join", r#"{"room":"room"}"#),
        ("leave", r#"{"room":"room"}"#),
        ("publish", r#"{"room":"room","text":"hi"}"#),
        ("private", r#"{"to":"olga","text":"hi"}"#),
        ("typing", r#"{"room":"room","active":true}"#),
        ("presence", r#"{"status":"away"}"#),
        ("members", r#"{"room":"room"}"#),
        ("history", r#"{"room":"room"}"#),
        ("rooms", "{}"),
        ("read", r#"{"room":"room","seq":5}"#),
        ("ping", "{}"),
        ("batch", r#"{"room":"room","messages":[{"text":"a"},{"text":"b"}]}"#),
        ("edit", r#"{"room":"room","target":4,"text":"new"}"#),
        ("delete", r#"{"room":"room","target":4}"#),
        ("react", r#"{"room":"room","target":5,"emoji":"+","active":true}"#),
        ("pin", r#"{"room":"room","target":5,"active":true}"#),
        ("delivered", r#"{"room":"room","seq":5}"#),
        ("status", r#"{"room":"room","cid":"c"}"#),
        ("create", r#"{"room":"room"}"#),
        ("configure", r#"{"room":"room","topic":"x"}"#),
        ("role", r#"{"room":"room","user":"ned","role":"member"}"#),
        ("info", r#"{"room":"room"}"#),
        ("more", r#"{"room":"room"}"#),
        ("receipts", r#"{"room":"room","seq":5}"#),
        ("search", r#"{"query":"words","room":"room"}"#),
        ("sanction", r#"{"room":"room","user":"ned","kind":"mute"}"#),
        ("report", r#"{"room":"room","target":5}"#),
        ("reports", r#"{"room":"room"}"#),
        ("resolve", r#"{"room":"room","target":5}"#),
    ] {
        let text = format!(r#"{{"type":"{name}","id":1,"payload":{payload}}}"#);
        DialectId::Json.dialect().decode(Payload::Text(&text), Context::default(), &mut |decoded| {
            commands.push(decoded.unwrap_or_else(|wrong| panic!("{text}: {}", wrong.refusal)).command);
        });
    }
    commands
}

/// A command that does not exist is answered with the names of those that do.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    let bogus = Payload::Text(r#"{"type":"no such command","id":1}"#);
    DialectId::Json.dialect().decode(bogus, Context::default(), &mut |decoded| {
        let wrong = decoded.expect_err("no such command");
        let (_, list) = wrong.refusal.message.split_once("the commands are ").expect("their names");
        names.extend(list.split(", ").map(str::to_owned));
    });
    names
}

/// A room of a sort, and somebody who wants something of it.
struct Scene {
    world: World,
    place: Place,
    who: Who,
    me: UserId,
}

impl Scene {
    fn new(who: Who, place: Place) -> Self {
        let pattern = Pattern { pattern: "room".into(), durable: true, access: Some(place.0), create: None };
        let mut world = World::new(Rules { patterns: vec![pattern], ..Rules::default() });
        let (me, olga, here) = (user("me"), user("olga"), room("room"));
        world.store.fill(&here, 1, "olga", 4);
        let log = world.store.rooms.get_mut(&here).expect("filled");
        let settings = Settings { private: Some(place.1), ..Settings::default() };
        let owner = RoleChange { user: olga.clone(), role: Some(Role::Owner) };
        let own = RoleChange { user: me.clone(), role: who.role() };
        for (by, content) in [
            (&olga, Content::Settings(settings)),
            (&olga, Content::Role(owner)),
            (&me, Content::Message(Text::plain("my words"))),
            (&olga, Content::Message(Text::plain("her words"))),
            (&olga, Content::Role(own)),
        ] {
            log.push(by, None, 0, content);
        }
        if let Some(kind) = who.sanction() {
            let sanction = Sanction { user: me.clone(), kind, until_ms: None, reason: None };
            log.push(&olga, None, 0, Content::Sanction(sanction));
        }
        let report = Reported { target: Seq(5), user: user("ned"), ts: 0, reason: None };
        let value = serde_json::to_vec(&report).expect("JSON");
        world.store.documents.insert(report_key(&here, Seq(5), "ned"), value);
        // Somebody keeps the room in memory, where it is listed.
        let mut scene = Self { world, place, who, me };
        let olga = scene.world.caller(&olga, conn(9));
        assert_eq!(scene.ask(&here, join(olga, None)), Ok(()));
        scene
    }

    fn caller(&mut self, grants: Option<Arc<Grants>>) -> Caller {
        let me = self.me.clone();
        Caller { grants, ..self.world.caller(&me, conn(1)) }
    }

    /// Enters, with credentials that allow everything.
    fn enter(&mut self) {
        let caller = self.caller(Some(grants(Rights::ALL)));
        assert_eq!(self.ask(&room("room"), join(caller, None)), Ok(()), "{:?}", self.who);
    }

    /// Does what a shell does with a command; returns the answer.
    fn carry_out(&mut self, command: &Command) -> Result<(), ErrorCode> {
        let caller = self.caller(self.who.grants());
        match command {
            Command::Rooms => {
                let mut rooms = self.world.hub.rooms(&caller);
                // A list hides what else would be refused, in whatever way.
                rooms.any(|(name, _)| name.as_str() == "room").then_some(()).ok_or(ErrorCode::NotFound)
            }
            Command::Search(_) => {
                let scope = Scope::new(self.world.hub.rules(), caller.grants, self.world.now.wall_ms);
                let state = &self.world.store.rooms[&room("room")].snapshot(0).state;
                scope.allows(&room("room"), state, &self.me).then_some(()).ok_or(ErrorCode::NotFound)
            }
            Command::Ping => Ok(()),
            command => {
                let (name, input) = input(command, caller).expect("a question to a room");
                self.ask(&name, input)
            }
        }
    }

    fn ask(&mut self, name: &RoomName, input: Input) -> Result<(), ErrorCode> {
        let mut outcome = Ok(());
        self.world.feed(name, input, &mut |seen| {
            let refusal = match seen {
                Seen::Effect(Effect::Send { reply, .. }, _) => match &reply.event {
                    Event::Error(refusal) => Some(refusal),
                    _ => None,
                },
                Seen::Effect(Effect::Fail { refusal, .. }, _) => Some(refusal),
                Seen::Effect(Effect::Detach { refusal, .. }, _) => refusal.as_ref(),
                _ => None,
            };
            if let Some(refusal) = refusal {
                outcome = Err(refusal.code);
            }
        });
        outcome
    }
}

fn join(caller: Caller, since: Option<Position>) -> Input {
    let presence = SetPresence { status: Availability::Online, text: None };
    Input::Join { caller, since, history: 5, presence }
}

/// Turns a command into what a room hears; `None` for what no room is asked about.
fn input(command: &Command, caller: Caller) -> Option<(RoomName, Input)> {
    let presence = |status| SetPresence { status, text: None };
    let publish = |caller, content: Vec<Content>| Input::Publish {
        caller,
        entries: content.into_iter().map(|content| NewEntry { cid: None, content }).collect(),
    };
    let say = |text: &Arc<str>| Content::Message(Text::plain(Arc::clone(text)));
    let one = |caller, content| publish(caller, vec![content]);
    let advance = |caller, seq, cursor| Input::Advance { caller, seq, cursor };
    let silent = Caller { request: None, ..caller.clone() };
    let input = match command.clone() {
        Command::Hello(hello) => join(caller, Some(hello.resume[0].since)),
        Command::Join(_) => join(caller, None),
        Command::Leave(_) => Input::Leave { caller },
        Command::Publish(said) => one(caller, say(&said.text)),
        Command::Private(said) => {
            return Some((RoomName::private(&caller.user, &said.to), one(caller, say(&said.text))));
        }
        Command::Batch(batch) => publish(caller, batch.messages.iter().map(|said| say(&said.text)).collect()),
        Command::Typing(typing) => Input::Typing { caller: silent, active: typing.active },
        Command::Presence(_) => Input::Presence { caller: silent, presence: presence(Availability::Away) },
        Command::Members(_) => Input::Members { caller },
        Command::History(_) => {
            let query =
                HistoryQuery { room: room("room"), before: None, after: None, thread: None, limit: None };
            Input::History { caller, query }
        }
        Command::Read(to) => advance(caller, to.seq, CursorKind::Read),
        Command::Delivered(to) => advance(caller, to.seq, CursorKind::Delivered),
        Command::Edit(edit) => {
            let (target, text) = (edit.target, Some(edit.text));
            one(caller, Content::Edit(NewText { target, text, mentions: Vec::new() }))
        }
        Command::Delete(delete) => one(caller, Content::Delete(Target { target: delete.target })),
        Command::React(react) => {
            let (target, emoji) = (react.target, react.emoji);
            one(caller, Content::Reaction(Reaction { target, emoji, active: true, count: 0 }))
        }
        Command::Pin(pin) => one(caller, Content::Pin(PinChange { target: pin.target, active: true })),
        Command::Status(query) => Input::Status { caller, cid: query.cid },
        Command::Create(create) => Input::Create { caller, settings: create.settings, cid: None },
        Command::Configure(change) => one(caller, Content::Settings(change.settings)),
        Command::Role(change) => {
            one(caller, Content::Role(RoleChange { user: change.user, role: change.role }))
        }
        Command::Sanction(set) => {
            let (user, kind) = (set.user, set.kind);
            one(caller, Content::Sanction(Sanction { user, kind, until_ms: None, reason: None }))
        }
        Command::Report(report) => Input::Report { caller, target: report.target, reason: None },
        Command::Reports(_) => Input::Reports { caller },
        Command::Resolve(resolve) => Input::Resolve { caller, target: resolve.target },
        Command::Info(_) => Input::Info { caller },
        Command::More(_) => Input::More { caller },
        Command::Receipts(to) => Input::Receipts { caller, seq: to.seq },
        Command::Rooms | Command::Search(_) | Command::Ping => return None,
    };
    Some((room("room"), input))
}

/// Compares all commands of all users in all rooms, inside and outside.
fn compare(command: &Command, rule: Rule) {
    for who in Who::all() {
        for place in SORTS.iter().flat_map(|sort| [(*sort, false), (*sort, true)]) {
            for is_inside in [false, true] {
                let mut scene = Scene::new(who, place);
                if is_inside {
                    // Whoever is banned is never inside.
                    if who == Who::Banned {
                        continue;
                    }
                    scene.enter();
                }
                let mut expected = expected(rule, who, place, is_inside);
                // What does not answer for itself says less.
                if matches!(command, Command::Rooms | Command::Search(_)) {
                    expected = expected.map_err(|_| ErrorCode::NotFound);
                }
                let place = scene.place;
                assert_eq!(
                    scene.carry_out(command),
                    expected,
                    "{} by {who:?} in {place:?}, inside: {is_inside}",
                    command.name()
                );
            }
        }
    }
}

#[test]
fn everybody_may_do_what_the_tables_say_and_nothing_else() {
    let commands = commands();
    let mut compared: Vec<_> = commands.iter().map(|command| command.name().to_owned()).collect();
    let mut known = names();
    compared.sort();
    known.sort();
    assert_eq!(compared, known, "each command is compared");
    for command in &commands {
        compare(command, rule(command));
    }
}

#[test]
fn messages_of_others_are_erased_by_those_who_moderate() {
    let mut commands = commands();
    let delete = commands.iter_mut().find_map(|command| match command {
        Command::Delete(delete) => {
            delete.target = Seq(5);
            Some(Command::Delete(delete.clone()))
        }
        _ => None,
    });
    compare(&delete.expect("a deletion"), Rule::Inside("jrm"));
}

#[test]
fn nothing_of_the_past_is_told_to_those_who_may_not_see_it() {
    let told = |who, since: Option<u64>| {
        let mut scene = Scene::new(who, (Access::Members, false));
        let epoch = scene.world.store.rooms[&room("room")].epoch;
        let since = since.map(|seq| Position { epoch, seq: Seq(seq) });
        let reader = Rights::NONE.with(Action::Join).with(Action::Read);
        let caller = scene.caller(Some(grants(reader)));
        let mut told = None;
        scene.world.feed(&room("room"), join(caller, since), &mut |seen| {
            if let Seen::Effect(Effect::Attach { answer, replay, .. }, _) = seen
                && let Event::Joined(joined) = &**answer
            {
                told = Some((replay.events.len(), joined.members.len(), joined.reason));
            }
        });
        told.expect("let in")
    };
    assert_eq!(told(Who::Plain, None), (0, 0, None), "neither messages nor members");
    assert_eq!(told(Who::Plain, Some(4)), (2, 0, None), "what was missed");
    assert_eq!(told(Who::Member, None), (5, 2, None), "a role adds to credentials");
}
