//! The parameters of `/ws`. Unknown ones are ignored.

use axum::http::Uri;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::name::NameError;
use parlour_protocol::{ErrorCode, Refusal, RoomName, UserId};

/// Messages replayed to a plain-text client that does not say how many.
const TEXT_HISTORY: u32 = 50;

/// The decoded parameters, in their order.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the query of a URL.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refusal> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| invalid("the query of the URL is malformed"))?
            .0;
        let repeated = |name: &&str| pairs.iter().filter(|(key, _)| key == name).count() > 1;
        match ["room", "user", "format", "history", "batch", "token", "ticket"]
            .iter()
            .find(|name| repeated(name))
        {
            Some(name) => Err(invalid(format!("`{name}` is given twice"))),
            None => Ok(Self(pairs)),
        }
    }

    /// Returns a parameter; one without a value counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Chooses the dialect: the agreed subprotocol, or `format`, or plain text.
    pub(super) fn dialect(&self, subprotocol: Option<DialectId>) -> Result<DialectId, Refusal> {
        let format = match self.get("format") {
            None => None,
            Some("text" | "plain") => Some(DialectId::Text),
            Some("json") => Some(DialectId::Json),
            Some("bin" | "binary") => Some(DialectId::Binary),
            Some(_) => return Err(invalid("`format` must be text, json or binary")),
        };
        let dialect = match (subprotocol, format) {
            (Some(one), Some(other)) if one != other => {
                return Err(invalid("`format` and the subprotocol name two dialects"));
            }
            (one, other) => one.or(other).unwrap_or(DialectId::Text),
        };
        match (self.get("batch"), dialect) {
            (None, _) => Ok(dialect),
            (Some("ndjson"), DialectId::Json) => Ok(DialectId::JsonLines),
            (Some("ndjson"), _) => Err(invalid("`batch=ndjson` needs `format=json`")),
            (Some(_), _) => Err(invalid("`batch` must be ndjson")),
        }
    }

    /// Returns the chosen name.
    pub(super) fn user(&self, dialect: DialectId) -> Result<Option<UserId>, Refusal> {
        match self.get("user") {
            Some(text) => UserId::parse(text).map(Some).map_err(|error| bad_user(&error)),
            None if dialect == DialectId::Text => Err(missing("user", parlour_protocol::name::USER_RULE)),
            None => Ok(None),
        }
    }

    /// Returns the room to enter.
    pub(super) fn room(&self, dialect: DialectId) -> Result<Option<RoomName>, Refusal> {
        match self.get("room") {
            Some(text) => RoomName::parse(text)
                .map(Some)
                .map_err(|error| Refusal::because(ErrorCode::InvalidRoom, format!("`room`: {error}"))),
            None if dialect == DialectId::Text => Err(missing("room", parlour_protocol::name::ROOM_RULE)),
            None => Ok(None),
        }
    }

    /// Returns how many messages to replay.
    pub(super) fn history(&self, dialect: DialectId, most: u32) -> Result<u32, Refusal> {
        match self.get("history") {
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| *count <= most)
                .ok_or_else(|| invalid(format!("`history` must be a whole number from 0 to {most}"))),
            None if dialect == DialectId::Text => Ok(TEXT_HISTORY.min(most)),
            None => Ok(0),
        }
    }
}

/// In plain text a line is `Alice: hello`, so a name with a colon could speak for another.
pub(super) fn check_text_user(user: &UserId) -> Result<(), Refusal> {
    match user.as_str().contains(':') {
        true => Err(Refusal::because(ErrorCode::InvalidUser, "`user`: plain text allows no `:` in a name")),
        false => Ok(()),
    }
}

fn bad_user(error: &NameError) -> Refusal {
    let code = match error {
        NameError::Invalid(_) => ErrorCode::InvalidUser,
        NameError::Confusable => ErrorCode::NameConfusable,
    };
    Refusal::because(code, format!("`user`: {error}"))
}

fn missing(name: &str, rule: &str) -> Refusal {
    invalid(format!("`{name}` is missing: {rule}"))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::because(ErrorCode::InvalidParameter, message)
}
