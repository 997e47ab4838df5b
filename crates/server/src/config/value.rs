//! The types of options: how each is read, what it accepts, and how it is written.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{LogFormat, Network};

/// What somebody wrote for an option.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A value of a TOML file.
    Toml(toml::Value),
    /// The text of an environment variable or a flag.
    Text(String),
}

/// The data directory that keeps nothing on disk.
const IN_MEMORY: &str = ":memory:";

impl Given {
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Toml(value) => value.as_integer(),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn switch(&self) -> Option<bool> {
        match self {
            Self::Toml(value) => value.as_bool(),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Text(text) => Some(text.trim()),
        }
    }

    /// A list: an array in TOML, separated by commas elsewhere.
    fn list(&self) -> Option<Vec<&str>> {
        match self {
            Self::Toml(value) => value.as_array()?.iter().map(toml::Value::as_str).collect(),
            Self::Text(text) => {
                Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            }
        }
    }
}

impl std::fmt::Display for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Toml(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The type of an option.
pub(super) trait Value {
    /// Takes what was given; `None` leaves the value as it was, because it was not acceptable.
    fn read(&mut self, given: &Given, range: &RangeInclusive<u64>) -> Option<()>;

    /// Returns the value as it would stand in a TOML file.
    fn show(&self) -> toml::Value;

    /// Repeats what was given, for somebody who is told that it is not accepted.
    fn quote(&self, given: &Given) -> String {
        given.to_string()
    }

    /// Says what is accepted.
    fn rule(&self, range: &RangeInclusive<u64>) -> String;
}

macro_rules! whole_number {
    ($($number:ty)+) => { $(
        impl Value for $number {
            fn read(&mut self, given: &Given, range: &RangeInclusive<u64>) -> Option<()> {
                let number = u64::try_from(given.integer()?).ok().filter(|number| range.contains(number))?;
                *self = <$number>::try_from(number).ok()?;
                Some(())
            }

            fn show(&self) -> toml::Value {
                toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn rule(&self, range: &RangeInclusive<u64>) -> String {
                span(range)
            }
        }
    )+ };
}

whole_number!(usize u32);

fn span(range: &RangeInclusive<u64>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

impl Value for Duration {
    fn read(&mut self, given: &Given, range: &RangeInclusive<u64>) -> Option<()> {
        let ms = u64::try_from(given.integer()?).ok().filter(|ms| range.contains(ms))?;
        *self = Self::from_millis(ms);
        Some(())
    }

    fn show(&self) -> toml::Value {
        toml::Value::Integer(i64::try_from(self.as_millis()).unwrap_or(i64::MAX))
    }

    fn rule(&self, range: &RangeInclusive<u64>) -> String {
        span(range)
    }
}

impl Value for bool {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = given.switch()?;
        Some(())
    }

    fn show(&self) -> toml::Value {
        toml::Value::Boolean(*self)
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "true or false".into()
    }
}

impl Value for SocketAddr {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        let text = given.text()?;
        let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        *self = named.as_deref().unwrap_or(text).parse().ok()?;
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "an address with a port, such as 127.0.0.1:8080 or [::1]:8080".into()
    }
}

impl Value for Option<PathBuf> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = match given.text()? {
            "" => return None,
            IN_MEMORY => None,
            path => Some(path.into()),
        };
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.as_ref().map_or(IN_MEMORY.into(), |path| path.display().to_string().into())
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        format!("a directory, or {IN_MEMORY} to lose everything at the end")
    }
}

/// Host names, patterns and the like.
impl Value for Vec<String> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = given.list()?.into_iter().map(String::from).collect();
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.clone().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a list of texts".into()
    }
}

impl Value for Vec<Network> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = given.list()?.into_iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.iter().map(Network::to_string).collect::<Vec<_>>().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a list of addresses such as 10.1.2.3 and ranges such as 10.0.0.0/8".into()
    }
}

/// The log filter.
impl Value for String {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        let text = given.text().filter(|text| crate::logging::is_filter(text))?;
        *self = text.into();
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.clone().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "error, warn, info, debug, trace or off, or a list such as info,parlour_server=debug".into()
    }
}

impl Value for LogFormat {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = match given.text()? {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return None,
        };
        Some(())
    }

    fn show(&self) -> toml::Value {
        match self {
            Self::Text => "text".into(),
            Self::Json => "json".into(),
        }
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "text or json".into()
    }
}
