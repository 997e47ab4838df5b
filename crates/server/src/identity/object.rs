//! JSON objects read strictly: a doubled name is an error, because two readers could believe two
//! different values (RFC 8725, section 2.4).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Most members of one object, which bounds the search for doubled names.
const MOST_MEMBERS: usize = 64;

/// The members of an object, not yet understood.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name, which is copied only if it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    /// Reads an object; `None` if it is none, is too large, or a name is doubled.
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether there is a member of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Returns a member as a type: `Ok(None)` if it is not there, an error if it is something else.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, WrongType> {
        let raw = self.raw(name);
        raw.map(|raw| serde_json::from_str(raw.get()).map_err(|_| WrongType)).transpose()
    }

    /// Returns a member that is an object itself.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Object<'a>>, WrongType> {
        self.raw(name).map(|raw| Object::parse(raw.get().as_bytes()).ok_or(WrongType)).transpose()
    }

    /// Lists all members.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// A member is of another type than it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongType;

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without doubled names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    if members.len() == MOST_MEMBERS || members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("too many members, or a doubled one"));
                    }
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_names_are_found_however_they_are_spelled() {
        assert!(Object::parse(br#"{"a":1,"b":[{"a":2,"a":3}]}"#).is_some());
        let many: String = (0..=MOST_MEMBERS).map(|n| format!("\"{n}\":1,")).collect();
        for json in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, "[]", "1", "{} {}", &format!("{{{many}\"x\":1}}")]
        {
            assert!(Object::parse(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn members_have_types() {
        let object = Object::parse(br#"{"n":1,"s":"x","o":{"y":2},"d":{"y":2,"y":2}}"#).expect("an object");
        assert_eq!(object.get::<i64>("n"), Ok(Some(1)));
        assert_eq!(object.get::<i64>("s"), Err(WrongType));
        assert_eq!(object.get::<i64>("none"), Ok(None));
        assert!(object.object("o").is_ok_and(|inner| inner.is_some_and(|inner| inner.has("y"))));
        assert!(object.object("d").is_err(), "a doubled name inside");
    }
}
