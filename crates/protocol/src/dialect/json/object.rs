//! JSON objects whose fields are read by hand, so that every error names the field and its rule.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::command::RequestId;
use crate::dialect::check::{bad_field, bad_name, nearest, quoted};
use crate::error::{ErrorCode, Refusal};
use crate::limits::{MENTIONS, REQUEST_ID_BYTES};
use crate::name::{RoomName, UserId};
use crate::position::{Epoch, Position, Seq};

/// The fields of one object, not yet read. Strings are borrowed from the input.
#[derive(Debug)]
pub(super) struct Object<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Option<&'a RawValue>; N],
    /// The first field that is unknown or doubled.
    fault: Option<Refusal>,
}

impl<'a, const N: usize> Object<'a, N> {
    /// Splits an object into its fields; doubled and unknown ones are kept as a fault.
    ///
    /// # Errors
    /// The text is not JSON or not an object.
    pub(super) fn parse(text: &'a str, names: &'static [&'static str; N]) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let object = Self { names, values: [None; N], fault: None }.deserialize(&mut json)?;
        json.end().map(|()| object)
    }

    /// Splits the object in `field`, refusing it unless it has known fields only, each once.
    pub(super) fn within(field: &Field<'a>, names: &'static [&'static str; N]) -> Result<Self, Refusal> {
        let object = Self::parse(field.required()?.get(), names);
        let object = object.map_err(|_| bad_field(field.name, "must be an object"))?;
        object.fault.map_or(Ok(Self { fault: None, ..object }), Err)
    }

    /// Returns one of the fields that were named to [`Object::parse`].
    pub(super) fn field(&self, name: &'static str) -> Field<'a> {
        let index = self.names.iter().position(|known| *known == name);
        Field { name, raw: index.and_then(|index| self.values[index]) }
    }

    /// Returns the first field that is unknown or doubled, as a refusal.
    pub(super) fn take_fault(&mut self) -> Option<Refusal> {
        self.fault.take()
    }

    fn blame(&mut self, key: &str) {
        let hint = nearest(key, self.names).map(|near| format!("; did you mean {near:?}?"));
        let hint = hint.unwrap_or_default();
        self.fault
            .get_or_insert_with(|| bad_field(quoted(key), format_args!("there is no such field here{hint}")));
    }
}

impl<'a, const N: usize> DeserializeSeed<'a> for Object<'a, N> {
    type Value = Self;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for Object<'a, N> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Words(key)) = map.next_key()? {
            match self.names.iter().position(|name| *name == key) {
                Some(index) if self.values[index].is_none() => self.values[index] = Some(map.next_value()?),
                found => {
                    map.next_value::<IgnoredAny>()?;
                    match found {
                        Some(_) => _ = self.fault.get_or_insert_with(|| bad_field(&key, "is given twice")),
                        None => self.blame(&key),
                    }
                }
            }
        }
        Ok(self)
    }
}

/// One field of an object, with the name that errors tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    /// Reads a field that may be absent or null.
    pub(super) fn optional<T>(self, read: fn(&Self) -> Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match self.raw {
            Some(raw) if raw.get() != "null" => read(&self).map(Some),
            _ => Ok(None),
        }
    }

    fn required(&self) -> Result<&'a RawValue, Refusal> {
        self.raw.ok_or_else(|| bad_field(self.name, "is missing"))
    }

    pub(super) fn text(&self) -> Result<Cow<'a, str>, Refusal> {
        let raw = self.required()?.get();
        let text = serde_json::from_str::<Words<'a>>(raw);
        text.map(|Words(text)| text).map_err(|_| match raw.starts_with('"') {
            // The syntax was checked before, so only an escape without a character is left.
            true => bad_field(self.name, "must be Unicode without lone surrogates"),
            false => bad_field(self.name, "must be a string"),
        })
    }

    pub(super) fn compact(&self) -> Result<CompactString, Refusal> {
        self.text().map(CompactString::from)
    }

    pub(super) fn room(&self) -> Result<RoomName, Refusal> {
        let name = RoomName::parse_any(&self.text()?);
        name.map_err(|error| bad_name(self.name, error, ErrorCode::InvalidRoom))
    }

    pub(super) fn user(&self) -> Result<UserId, Refusal> {
        let id = UserId::parse(&self.text()?);
        id.map_err(|error| bad_name(self.name, error, ErrorCode::InvalidUser))
    }

    /// Reads a list of at most `most` items, called `plural` in errors.
    pub(super) fn list<T>(
        &self,
        most: usize,
        plural: &str,
        item: fn(&Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let items: Vec<&'a RawValue> = serde_json::from_str(self.required()?.get())
            .map_err(|_| bad_field(self.name, format_args!("must be a list of {plural}")))?;
        // Before the items are read: a hostile list is refused by its length alone.
        if items.len() > most {
            return Err(bad_field(self.name, format_args!("at most {most} {plural}")));
        }
        items.into_iter().map(|raw| item(&Self { name: self.name, raw: Some(raw) })).collect()
    }

    pub(super) fn mentions(&self) -> Result<Vec<UserId>, Refusal> {
        self.list(MENTIONS, "users", Self::user)
    }

    pub(super) fn flag(&self) -> Result<bool, Refusal> {
        match self.required()?.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(bad_field(self.name, "must be true or false")),
        }
    }

    /// Reads a count of messages; what is a number but no possible count is `invalid_limit`.
    pub(super) fn count(&self) -> Result<u32, Refusal> {
        let raw = self.required()?.get();
        raw.parse().map_err(|_| match raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            true => Refusal::because(ErrorCode::InvalidLimit, format!("{}: at most 500 messages", self.name)),
            false => bad_field(self.name, "must be a whole number"),
        })
    }

    pub(super) fn milliseconds<T: std::str::FromStr>(&self) -> Result<T, Refusal> {
        let number = self.required()?.get().parse();
        number.map_err(|_| bad_field(self.name, "must be a whole number of milliseconds"))
    }

    pub(super) fn seq(&self) -> Result<Seq, Refusal> {
        let seq = serde_json::from_str(self.required()?.get());
        seq.map_err(|_| {
            bad_field(self.name, "must be a whole number from 0 to 2^64-1, or the same in a string")
        })
    }

    pub(super) fn position(&self) -> Result<Position, Refusal> {
        let object = Object::within(self, &["epoch", "seq"])?;
        let epoch = Epoch::parse(&object.field("epoch").text()?);
        let epoch = epoch.ok_or_else(|| bad_field("epoch", "must be 32 hexadecimal digits"))?;
        Ok(Position { epoch, seq: object.field("seq").seq()? })
    }

    pub(super) fn request_id(&self) -> Result<RequestId, Refusal> {
        let raw = self.required()?.get();
        if raw.starts_with('"') {
            let text = self.compact()?;
            if (1..=REQUEST_ID_BYTES).contains(&text.len()) {
                return Ok(RequestId::Text(text));
            }
        } else if let Ok(number) = raw.parse() {
            return Ok(RequestId::Number(number));
        }
        Err(bad_field(self.name, "must be a whole number or a string of 1 to 64 bytes"))
    }
}

/// A string, borrowed where no escape has to be resolved.
#[derive(Debug)]
pub(super) struct Words<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Words<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Words(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Words(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
