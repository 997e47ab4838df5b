//! What was taken back before it expired.
//!
//! A revocation is forgotten when every token that it is about has expired, so the table stays as
//! small as the life of tokens is short.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use compact_str::CompactString;
use parlour_hub::effect::Document;
use parlour_protocol::UserId;
use serde::{Deserialize, Serialize};

use super::claims::TOKEN_ID_BYTES;
use crate::verifier::Pass;

/// Most tokens and users that are remembered.
const MOST: usize = 100_000;
/// Where the store keeps revocations.
pub(super) const PREFIX: &str = "revoked/";

/// Tokens that no longer count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// The one with this `jti`.
    Token(CompactString),
    /// Those of a user that were issued before this time, in seconds since the Unix epoch. Connections
    /// of the user without a token end, too.
    User(UserId, i64),
    /// All that were issued before this time, in seconds since the Unix epoch.
    IssuedBefore(i64),
}

/// A revocation as operators and backends ask for it: one of `token`, `user` and `issued_before`, or
/// the last two together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    token: Option<CompactString>,
    user: Option<UserId>,
    issued_before: Option<i64>,
}

impl Wish {
    /// Says what is wished; `None` if that makes no sense. `now_s` is in seconds since the Unix epoch.
    #[must_use]
    pub fn check(self, now_s: i64) -> Option<Revocation> {
        // Seconds are whole: the present one may have issued tokens already.
        let next_s = now_s + 1;
        let is_past = |before_s: &i64| (0..=next_s).contains(before_s);
        match (self.token, self.user, self.issued_before) {
            (Some(id), None, None) if (1..=TOKEN_ID_BYTES).contains(&id.len()) => Some(Revocation::Token(id)),
            (None, Some(user), before_s) => {
                Some(Revocation::User(user, before_s.or(Some(next_s)).filter(is_past)?))
            }
            (None, None, Some(before_s)) if is_past(&before_s) => Some(Revocation::IssuedBefore(before_s)),
            _ => None,
        }
    }
}

/// All revocations that still matter.
#[derive(Debug)]
pub struct Revocations {
    /// How long a token lives at most, with what clocks may differ, in seconds.
    life_s: i64,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    tokens: HashMap<CompactString, Mark>,
    users: HashMap<UserId, Mark>,
    all: Option<Mark>,
}

/// What is stored of a revocation; what it is about stands in the key of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Tokens issued earlier are revoked.
    before_s: i64,
    /// When the last of them has expired.
    forget_s: i64,
}

/// As many revocations are remembered as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are 100,000 revocations already; revoke by user or by time")]
pub struct TooMany;

impl Revocation {
    fn key(&self) -> String {
        match self {
            Self::Token(id) => format!("{PREFIX}token/{id}"),
            Self::User(user, _) => format!("{PREFIX}user/{}", user.as_str()),
            Self::IssuedBefore(_) => format!("{PREFIX}all"),
        }
    }

    fn parse(key: &str, mark: Mark) -> Option<Self> {
        let about = key.strip_prefix(PREFIX)?;
        match about.split_once('/') {
            Some(("token", id)) => Some(Self::Token(id.into())),
            Some(("user", user)) => Some(Self::User(UserId::parse(user).ok()?, mark.before_s)),
            _ => (about == "all").then_some(Self::IssuedBefore(mark.before_s)),
        }
    }

    /// Whether it is about the credentials of a connection.
    #[must_use]
    pub fn hits(&self, user: &UserId, pass: Option<&Pass>) -> bool {
        match self {
            Self::Token(id) => pass.is_some_and(|pass| pass.token.as_ref() == Some(id)),
            Self::User(revoked, before_s) => {
                revoked == user && pass.is_none_or(|pass| is_older(pass, *before_s))
            }
            Self::IssuedBefore(before_s) => pass.is_some_and(|pass| is_older(pass, *before_s)),
        }
    }
}

/// Who does not say when a token was issued may have issued it long ago.
fn is_older(pass: &Pass, before_s: i64) -> bool {
    pass.issued_s.is_none_or(|issued_s| issued_s < before_s)
}

impl Revocations {
    /// Remembers each revocation for `life_s` seconds: no token may live longer.
    #[must_use]
    pub fn new(life_s: i64) -> Self {
        Self { life_s, table: RwLock::default() }
    }

    /// Adds a revocation; returns the document that keeps it.
    ///
    /// # Errors
    /// [`TooMany`].
    pub(super) fn add(&self, revocation: &Revocation, now_s: i64) -> Result<Document, TooMany> {
        let before_s = match revocation {
            Revocation::Token(_) => now_s,
            Revocation::User(_, before_s) | Revocation::IssuedBefore(before_s) => *before_s,
        };
        let mark = Mark { before_s, forget_s: now_s.max(before_s) + self.life_s };
        let mark = self.insert(revocation, mark, now_s)?;
        // Two numbers have no way to fail.
        let value = serde_json::to_vec(&mark).unwrap_or_default();
        Ok(Document { key: revocation.key(), value })
    }

    /// Takes over a stored document. Returns the revocation if it is news.
    pub(super) fn learn(&self, document: &Document, now_s: i64) -> Option<Revocation> {
        let mark: Mark = serde_json::from_slice(&document.value).ok()?;
        let revocation = Revocation::parse(&document.key, mark)?;
        if mark.forget_s <= now_s || self.mark_of(&revocation).is_some_and(|known| known.max(mark) == known) {
            return None;
        }
        self.insert(&revocation, mark, now_s).ok()?;
        Some(revocation)
    }

    fn insert(&self, revocation: &Revocation, mark: Mark, now_s: i64) -> Result<Mark, TooMany> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST {
            table.forget(now_s);
        }
        let is_full = table.len() >= MOST;
        let Table { tokens, users, all } = &mut *table;
        let known = match revocation {
            Revocation::Token(id) if !is_full || tokens.contains_key(id) => {
                tokens.entry(id.clone()).or_insert(mark)
            }
            Revocation::User(user, _) if !is_full || users.contains_key(user) => {
                users.entry(user.clone()).or_insert(mark)
            }
            Revocation::IssuedBefore(_) => all.get_or_insert(mark),
            _ => return Err(TooMany),
        };
        // An earlier revocation never takes a later one back.
        *known = (*known).max(mark);
        Ok(*known)
    }

    /// Forgets what no longer matters; returns the keys of the documents.
    pub(super) fn forget(&self, now_s: i64) -> Vec<String> {
        self.table.write().unwrap_or_else(PoisonError::into_inner).forget(now_s)
    }

    /// Whether credentials were taken back.
    #[must_use]
    pub fn hit(&self, user: &UserId, pass: Option<&Pass>) -> bool {
        let Some(pass) = pass else {
            // Who shows nothing has nothing that could be taken back.
            return false;
        };
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let token = pass.token.as_ref().is_some_and(|id| table.tokens.contains_key(id));
        let mut marks = table.users.get(user).into_iter().chain(&table.all);
        token || marks.any(|mark| is_older(pass, mark.before_s))
    }

    fn mark_of(&self, revocation: &Revocation) -> Option<Mark> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        match revocation {
            Revocation::Token(id) => table.tokens.get(id).copied(),
            Revocation::User(user, _) => table.users.get(user).copied(),
            Revocation::IssuedBefore(_) => table.all,
        }
    }
}

impl Mark {
    /// Returns the mark that revokes what either does, for as long as either.
    fn max(self, other: Self) -> Self {
        Self { before_s: self.before_s.max(other.before_s), forget_s: self.forget_s.max(other.forget_s) }
    }
}

impl Table {
    fn len(&self) -> usize {
        self.tokens.len() + self.users.len()
    }

    fn forget(&mut self, now_s: i64) -> Vec<String> {
        let is_over = |mark: &Mark| mark.forget_s <= now_s;
        let tokens = self.tokens.extract_if(|_, mark| is_over(mark)).map(|(id, _)| Revocation::Token(id));
        let users = self.users.extract_if(|_, mark| is_over(mark)).map(|(user, _)| Revocation::User(user, 0));
        let all = self.all.take_if(|mark| is_over(mark)).map(|_| Revocation::IssuedBefore(0));
        tokens.chain(users).chain(all).map(|revocation| revocation.key()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    fn pass(id: &str, issued_s: Option<i64>) -> Pass {
        Pass { token: Some(id.into()), issued_s, ..Pass::default() }
    }

    #[test]
    fn what_was_taken_back_is_hit_and_nothing_else() {
        let revocations = Revocations::new(100);
        for revocation in
            [Revocation::Token("t1".into()), Revocation::User(user("bob"), 50), Revocation::IssuedBefore(10)]
        {
            revocations.add(&revocation, 60).expect("there is room");
        }
        for (name, id, issued_s, is_hit) in [
            ("alice", "t1", Some(70), true),
            ("alice", "t2", Some(10), false),
            ("alice", "t2", Some(9), true),
            ("alice", "t2", None, true),
            ("bob", "t2", Some(49), true),
            ("bob", "t2", Some(50), false),
            ("bob", "t2", None, true),
        ] {
            let pass = pass(id, issued_s);
            assert_eq!(revocations.hit(&user(name), Some(&pass)), is_hit, "{name} {id} {issued_s:?}");
        }
        assert!(!revocations.hit(&user("bob"), None), "who comes anew without a token");
        assert!(Revocation::User(user("bob"), 50).hits(&user("bob"), None), "who is there without a token");
    }

    #[test]
    fn documents_carry_revocations_to_other_nodes() {
        let (here, there) = (Revocations::new(100), Revocations::new(100));
        for revocation in
            [Revocation::Token("a/b".into()), Revocation::User(user("x/y"), 50), Revocation::IssuedBefore(10)]
        {
            let document = here.add(&revocation, 60).expect("there is room");
            assert_eq!(there.learn(&document, 61), Some(revocation.clone()));
            assert_eq!(there.learn(&document, 61), None, "nothing new");
            let late = Revocations::new(100);
            assert_eq!(late.learn(&document, 160), None, "every such token has expired");
        }
    }

    #[test]
    fn an_earlier_revocation_takes_no_later_one_back() {
        let revocations = Revocations::new(100);
        for before_s in [50, 40] {
            revocations.add(&Revocation::User(user("bob"), before_s), 60).expect("there is room");
        }
        assert!(revocations.hit(&user("bob"), Some(&pass("t", Some(49)))));
    }

    #[test]
    fn the_table_is_bounded_and_empties_itself() {
        let revocations = Revocations::new(100);
        for n in 0..MOST {
            revocations.add(&Revocation::Token(format!("{n}").into()), 0).expect("there is room");
        }
        let one_more = Revocation::User(user("bob"), 5);
        assert_eq!(revocations.add(&one_more, 50), Err(TooMany));
        assert!(revocations.add(&Revocation::Token("7".into()), 50).is_ok(), "what is known stays known");
        assert!(revocations.add(&Revocation::IssuedBefore(5), 50).is_ok(), "by time there is always room");
        assert!(revocations.add(&one_more, 100).is_ok(), "the old ones are over");
        assert_eq!(revocations.forget(205).len(), 3);
        assert!(!revocations.hit(&user("bob"), Some(&pass("7", None))));
    }
}
