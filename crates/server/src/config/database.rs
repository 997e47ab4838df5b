//! The address of a database, which holds a password.

use std::fmt;
use std::ops::RangeInclusive;

use super::value::{Given, Value};

/// Where a PostgreSQL database is: `postgres://user:password@host:port/database`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Parses an address, as far as to tell it from something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_address = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        is_address.then(|| Self(text.to_owned()))
    }

    /// Returns the address with its password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Shows nothing of it: it ends up in logs.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

impl Value for Option<DatabaseUrl> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = match given.text()? {
            "" => None,
            address => Some(DatabaseUrl::parse(address)?),
        };
        Some(())
    }

    fn show(&self) -> toml::Value {
        "".into()
    }

    fn quote(&self, _: &Given) -> String {
        "not shown".into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "an address such as postgres://user:password@host/database, or empty".into()
    }
}
