//! The tables: written from docs/protocol.md, and not from the code that is compared with them.

use std::sync::Arc;

use parlour_hub::rights::{Access, Action, Grants, Rights};
use parlour_protocol::content::{Role, SanctionKind};
use parlour_protocol::{Command, ErrorCode};

/// Everybody who may want something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Plain,
    Member,
    Moderator,
    Owner,
    /// Whose credentials allow this one thing.
    Granted(Action),
    Muted,
    MutedModerator,
    Banned,
}

/// A sort of room, and whether it is private.
pub type Place = (Access, bool);

pub const SORTS: [Access; 4] = [Access::Public, Access::Members, Access::ReadOnly, Access::Announcement];

/// What everybody may do in rooms that are public, for members, to read only, and for announcements:
/// **j**oin, **r**ead, **w**rite, see the **h**istory and who is **p**resent, **m**oderate.
const RIGHTS: [(Who, [&str; 4]); 7] = [
    (Who::Plain, ["jrwhp", "", "jrhp", "jrhp"]),
    (Who::Member, ["jrwhp", "jrwhp", "jrhp", "jrhp"]),
    (Who::Moderator, ["jrwhpm", "jrwhpm", "jrhpm", "jrwhpm"]),
    (Who::Owner, ["jrwhpm", "jrwhpm", "jrhpm", "jrwhpm"]),
    (Who::Muted, ["jrhp", "", "jrhp", "jrhp"]),
    (Who::MutedModerator, ["jrhp", "jrhp", "jrhp", "jrhp"]),
    (Who::Banned, ["jrwhp", "", "jrhp", "jrhp"]),
];

/// What a command needs.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Nothing: it is always done.
    Free,
    /// These rights, one after the other.
    Needs(&'static str),
    /// To be in the room, and these rights.
    Inside(&'static str),
    /// To be in the room, these rights, and not to be silenced.
    Heard(&'static str),
    /// The same, and to be an owner.
    Owner,
    /// A reaction: where only moderators publish, everybody who reads.
    Reaction,
    /// To write without a role; then the room exists already.
    Create,
}

/// The other table. A new command does not compile without a line here.
pub fn rule(command: &Command) -> Rule {
    match command {
        Command::Ping | Command::Presence(_) | Command::Private(_) | Command::Leave(_) => Rule::Free,
        Command::Hello(_) | Command::Join(_) | Command::Info(_) | Command::Status(_) => Rule::Needs("jr"),
        Command::Rooms | Command::Report(_) => Rule::Needs("jr"),
        Command::History(_) | Command::Search(_) => Rule::Needs("jrh"),
        Command::Reports(_) | Command::Resolve(_) => Rule::Needs("jm"),
        Command::Members(_) | Command::Receipts(_) => Rule::Inside("jp"),
        Command::Read(_) | Command::Delivered(_) => Rule::Inside("jr"),
        Command::More(_) => Rule::Inside(""),
        Command::Typing(_) => Rule::Heard("jp"),
        Command::Publish(_) | Command::Batch(_) | Command::Edit(_) => Rule::Heard("jrw"),
        // Of one's own message; that of somebody else is asked about below.
        Command::Delete(_) => Rule::Inside("jr"),
        Command::Pin(_) | Command::Role(_) | Command::Sanction(_) => Rule::Heard("jrm"),
        Command::React(_) => Rule::Reaction,
        Command::Configure(_) => Rule::Owner,
        Command::Create(_) => Rule::Create,
    }
}

impl Who {
    pub fn all() -> Vec<Self> {
        let granted = Action::ALL.into_iter().map(Self::Granted);
        RIGHTS.iter().map(|(who, _)| *who).chain(granted).collect()
    }

    /// Returns the letters of what somebody may do, whatever a ban says.
    fn rights(self, (access, is_private): Place) -> String {
        let column = SORTS.iter().position(|sort| *sort == access).expect("a sort");
        let of = |who| RIGHTS.iter().find(|(known, _)| *known == who).expect("a row").1[column];
        match self {
            // What is granted adds to what everybody may; a private room is seen by those who moderate it.
            Self::Granted(action) if !is_private || action == Action::Moderate => {
                let letter = match action {
                    Action::Join => "j",
                    Action::Read => "r",
                    Action::Publish => "w",
                    Action::History => "h",
                    Action::Presence => "p",
                    Action::Moderate => "m",
                    Action::Signal => "",
                };
                of(Self::Plain).to_owned() + letter
            }
            Self::Granted(_) => String::new(),
            Self::Plain | Self::Muted | Self::Banned if is_private => String::new(),
            who => of(who).to_owned(),
        }
    }

    fn is_muted(self) -> bool {
        matches!(self, Self::Muted | Self::MutedModerator)
    }

    pub fn role(self) -> Option<Role> {
        match self {
            Self::Member => Some(Role::Member),
            Self::Moderator | Self::MutedModerator => Some(Role::Moderator),
            Self::Owner => Some(Role::Owner),
            _ => None,
        }
    }

    pub fn sanction(self) -> Option<SanctionKind> {
        match self {
            Self::Banned => Some(SanctionKind::Ban),
            who => who.is_muted().then_some(SanctionKind::Mute),
        }
    }

    pub fn grants(self) -> Option<Arc<Grants>> {
        match self {
            Self::Granted(action) => Some(grants(Rights::NONE.with(action))),
            _ => None,
        }
    }
}

pub fn grants(rights: Rights) -> Arc<Grants> {
    Arc::new(Grants(vec![("ro*".into(), rights)]))
}

/// Decides from the tables.
pub fn expected(rule: Rule, who: Who, place: Place, is_inside: bool) -> Result<(), ErrorCode> {
    let rights = who.rights(place);
    let needs = |letters: &str| match letters.chars().find(|letter| !rights.contains(*letter)) {
        Some('j') => Err(ErrorCode::NotFound),
        None if who != Who::Banned => Ok(()),
        _ => Err(ErrorCode::Forbidden),
    };
    let inside = || if is_inside { Ok(()) } else { Err(ErrorCode::Forbidden) };
    let heard = || if who.is_muted() { Err(ErrorCode::Forbidden) } else { Ok(()) };
    match rule {
        Rule::Free => Ok(()),
        Rule::Needs(letters) => needs(letters),
        Rule::Inside("") => inside(),
        Rule::Inside(letters) => inside().and_then(|()| needs(letters)),
        Rule::Heard(letters) => inside().and_then(|()| needs("j")).and_then(|()| heard()).and(needs(letters)),
        Rule::Owner => match inside().and_then(|()| needs("jr")) {
            Ok(()) if who != Who::Owner => Err(ErrorCode::Forbidden),
            outcome => outcome,
        },
        Rule::Reaction if place.0 == Access::Announcement => {
            inside().and_then(|()| needs("jr")).and_then(|()| heard())
        }
        Rule::Reaction => inside().and_then(|()| needs("jr")).and_then(|()| heard()).and(needs("jrw")),
        Rule::Create => {
            let is_open = place.0 == Access::Public || who == Who::Granted(Action::Publish);
            Err(if is_open { ErrorCode::Exists } else { ErrorCode::Forbidden })
        }
    }
}
