//! Where an event stands in its room: `(epoch, seq)`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Number of an event in its room: from 1, without gaps. 0 is the position before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// Returns the number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Largest integer that every JSON reader keeps exact (RFC 8259, section 6).
const JSON_SAFE: u64 = (1 << 53) - 1;

impl Serialize for Seq {
    /// Writes a number, or a string where a reader with doubles would round it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= JSON_SAFE { serializer.serialize_u64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Seq;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 2^64-1, or the same in a string")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Seq, E> {
                Ok(Seq(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seq, E> {
                // `parse` alone would take a leading `+`.
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let parsed = text.parse().ok().filter(|_| digits);
                parsed.map(Seq).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Lineage of a room's history: 128 random bits, written as 32 hexadecimal digits.
///
/// It changes only where history may have been rewound, so that one position never names two
/// different events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Epoch(pub u128);

impl Epoch {
    /// Parses 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| valid).map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = compact_str::CompactString::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("an epoch is 32 hexadecimal digits"))
    }
}

/// A place in the history of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The room's lineage.
    pub epoch: Epoch,
    /// The event's number.
    pub seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seq_stays_exact_beyond_doubles() {
        assert_eq!(serde_json::to_string(&Seq(7)).expect("json"), "7");
        let large = Seq((1 << 53) + 1);
        let text = serde_json::to_string(&large).expect("json");
        assert_eq!(text, "\"9007199254740993\"");
        assert_eq!(serde_json::from_str::<Seq>(&text).expect("json"), large);
    }

    #[test]
    fn seq_refuses_what_is_not_a_whole_number() {
        for bad in ["-1", "1e400", "18446744073709551616", "1.5", "\"+1\"", "\"\"", "null"] {
            assert!(serde_json::from_str::<Seq>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn epoch_round_trips() {
        let epoch = Epoch(0xfeed);
        assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        assert_eq!(Epoch::parse("+0000000000000000000000000000001"), None);
    }
}
