//! The form of the audit log: lines of JSON, each of which holds the hash of the one before.
//!
//! The hash of a line is SHA-256 of the line without its member `hash`. So nobody can change, insert or
//! remove a line without changing all that follow. What only removes the end is found by the file beside
//! it, `.head`, which names the last line; whoever writes both can forge both, so copy the head to where
//! only you write, now and then.

use std::fmt::Write as _;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Act;

/// Bytes of a hash in hexadecimal digits.
const HASH: usize = 64;
/// Most bytes of a line.
const LINE: u64 = 64 * 1024;
/// What stands before the hash, at the end of a line.
const MEMBER: &str = ",\"hash\":\"";

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of the last line; 0 if there is none.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

/// A line without its hash.
#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    time_ms: i64,
    #[serde(flatten)]
    act: &'a Act,
    prev: &'a str,
}

/// What is checked of a line.
#[derive(Deserialize)]
struct Link {
    n: u64,
    prev: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(HASH) }
    }
}

impl Head {
    /// Appends the line of an act to `out`, and moves on.
    pub(super) fn append(&mut self, act: &Act, time_ms: i64, out: &mut String) {
        let line = Line { n: self.number + 1, time_ms, act, prev: &self.hash };
        // Texts and numbers have no way to fail.
        let body = serde_json::to_string(&line).unwrap_or_default();
        let hash = hash_of(&body);
        let open = body.strip_suffix('}').unwrap_or(&body);
        // Writing to a String does not fail.
        let _ = writeln!(out, "{open}{MEMBER}{hash}\"}}");
        *self = Self { number: self.number + 1, hash };
    }

    /// Returns what the file beside the log holds.
    pub(super) fn note(&self) -> String {
        format!("{} {}\n", self.number, self.hash)
    }

    /// Reads what [`Head::note`] wrote.
    #[must_use]
    pub fn parse(note: &str) -> Option<Self> {
        let (number, hash) = note.trim_end().split_once(' ')?;
        (hash.len() == HASH).then_some(Self { number: number.parse().ok()?, hash: hash.into() })
    }

    /// Checks that a line is the next one, and moves on.
    pub(super) fn follow(&mut self, line: &str) -> Result<(), Flaw> {
        let (body, hash) = split(line).ok_or(Flaw::Malformed)?;
        if hash_of(&body) != hash {
            return Err(Flaw::Changed);
        }
        let link: Link = serde_json::from_str(&body).map_err(|_| Flaw::Malformed)?;
        if link.n != self.number + 1 || link.prev != self.hash {
            return Err(Flaw::OutOfPlace);
        }
        *self = Self { number: link.n, hash: hash.into() };
        Ok(())
    }

    /// Returns the end of a log whose last line this is; its hash is checked, its place is not.
    pub(super) fn at(line: &str) -> Option<Self> {
        let (body, hash) = split(line)?;
        let link: Link = serde_json::from_str(&body).ok().filter(|_| hash_of(&body) == hash)?;
        Some(Self { number: link.n, hash: hash.into() })
    }
}

/// Returns a line without its hash, and the hash.
fn split(line: &str) -> Option<(String, &str)> {
    let (open, hash) = line.strip_suffix("\"}")?.rsplit_once(MEMBER)?;
    (hash.len() == HASH).then(|| (format!("{open}}}"), hash))
}

fn hash_of(body: &str) -> String {
    let mut hex = String::with_capacity(HASH);
    for byte in Sha256::digest(body) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is not a line of an audit log, or was cut off.
    #[error("it is not a whole line of an audit log")]
    Malformed,
    /// It does not match its hash.
    #[error("it was changed: it does not match its hash")]
    Changed,
    /// It does not follow the line before it.
    #[error("it does not follow the line before it: one was inserted, removed or replaced")]
    OutOfPlace,
    /// The log ends before the line that `.head` names.
    #[error("it is missing, and perhaps more: the log ends before it")]
    Missing,
}

/// The first line that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// There is such a line.
    #[error("line {number}: {flaw}")]
    Line {
        /// Its number; the first one is 1.
        number: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Checks a whole log; returns its end. `head` is what the file beside it says, if there is one.
///
/// # Errors
/// The first line that is broken.
pub fn verify(mut log: impl BufRead, head: Option<&Head>) -> Result<Head, Broken> {
    let mut end = Head::default();
    let mut line = String::new();
    loop {
        line.clear();
        let number = end.number + 1;
        let broken = |flaw| Broken::Line { number, flaw };
        match io::Read::take(&mut log, LINE).read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(broken(Flaw::Malformed)),
            Err(error) => return Err(error.into()),
        }
        let whole = line.strip_suffix('\n').ok_or_else(|| broken(Flaw::Malformed))?;
        end.follow(whole).map_err(broken)?;
        if head.is_some_and(|head| head.number == end.number && head.hash != end.hash) {
            return Err(broken(Flaw::OutOfPlace));
        }
    }
    match head {
        Some(head) if head.number > end.number => {
            Err(Broken::Line { number: end.number + 1, flaw: Flaw::Missing })
        }
        _ => Ok(end),
    }
}
