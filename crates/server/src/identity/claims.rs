//! What a token says under its signature (RFC 7519), and whether that counts here and now.

use compact_str::CompactString;
use parlour_hub::rights::{Action, Grants, Rights};
use parlour_protocol::UserId;
use serde::Deserialize;

use super::object::{Object, WrongType};
use super::token::Flaw;

/// Longest id of a token, in bytes.
pub const TOKEN_ID_BYTES: usize = 128;
/// The end of the year 9999, in seconds since the Unix epoch: later is a unit that was mistaken.
const LATEST_S: f64 = 253_402_300_799.0;

/// What the tokens of this server must say.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// The issuer.
    pub issuer: String,
    /// The audience.
    pub audience: String,
    /// The type in the header, compared without regard to case.
    pub typ: String,
    /// Longest life of a token, in seconds.
    pub max_life_s: u32,
    /// How far the clocks of issuer and server may differ, in seconds.
    pub leeway_s: u32,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user: UserId,
    /// Its id.
    pub id: Option<CompactString>,
    /// When it was issued, in seconds since the Unix epoch.
    pub issued_s: Option<i64>,
    /// When it expires, in seconds since the Unix epoch.
    pub expires_s: i64,
    /// What its holder may do.
    pub grants: Grants,
}

impl Claims {
    /// Reads claims whose signature was verified. `now_s` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first claim that is not as it must be; expiry last, so that it is told only of tokens that
    /// are ours.
    pub(crate) fn read(json: &[u8], expected: &Expectations, now_s: i64) -> Result<Self, Flaw> {
        let object = Object::parse(json).ok_or(Flaw::Malformed)?;
        if text(&object, "iss")?.as_deref() != Some(&*expected.issuer) {
            return Err(Flaw::Elsewhere("iss"));
        }
        let audience = object.get::<Audience>("aud").map_err(|WrongType| Flaw::Claim("aud"))?;
        if !audience.is_some_and(|audience| audience.holds(&expected.audience)) {
            return Err(Flaw::Elsewhere("aud"));
        }
        let user = text(&object, "sub")?.and_then(|user| UserId::parse(&user).ok());
        let id = text(&object, "jti")?;
        let is_id =
            |id: &CompactString| (1..=TOKEN_ID_BYTES).contains(&id.len()) && !id.contains(char::is_control);
        if !id.as_ref().is_none_or(is_id) {
            return Err(Flaw::Claim("jti"));
        }
        let claims = Self {
            user: user.ok_or(Flaw::Claim("sub"))?,
            id,
            issued_s: date(&object, "iat")?,
            expires_s: date(&object, "exp")?.ok_or(Flaw::Claim("exp"))?,
            grants: object
                .object("rooms")
                .ok()
                .and_then(|rooms| rooms.map_or(Some(Grants::default()), |rooms| grants(&rooms)))
                .ok_or(Flaw::Claim("rooms"))?,
        };
        claims.check_times(date(&object, "nbf")?, expected, now_s)?;
        Ok(claims)
    }

    fn check_times(
        &self,
        not_before_s: Option<i64>,
        expected: &Expectations,
        now_s: i64,
    ) -> Result<(), Flaw> {
        let leeway_s = i64::from(expected.leeway_s);
        let begins_s = not_before_s.max(self.issued_s);
        let life_s = self.expires_s - self.issued_s.unwrap_or(now_s);
        if begins_s.is_some_and(|begins_s| begins_s > now_s + leeway_s) {
            Err(Flaw::Early)
        } else if life_s > i64::from(expected.max_life_s) {
            Err(Flaw::LongLife)
        } else if self.expires_s + leeway_s <= now_s {
            Err(Flaw::Expired)
        } else {
            Ok(())
        }
    }
}

/// `aud`: a text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(CompactString),
    Many(Vec<CompactString>),
}

impl Audience {
    fn holds(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

fn text(object: &Object<'_>, name: &'static str) -> Result<Option<CompactString>, Flaw> {
    object.get(name).map_err(|WrongType| Flaw::Claim(name))
}

/// Reads a date: a number of seconds, perhaps with a fraction, which is cut off.
fn date(object: &Object<'_>, name: &'static str) -> Result<Option<i64>, Flaw> {
    let seconds = object.get::<f64>(name).map_err(|WrongType| Flaw::Claim(name))?;
    match seconds {
        None => Ok(None),
        // Numbers of this size are exact, and not a number is out of range.
        Some(seconds) if (0.0..=LATEST_S).contains(&seconds) => Ok(Some(seconds as i64)),
        Some(_) => Err(Flaw::Claim(name)),
    }
}

/// What `rooms` allows in the rooms of one pattern.
#[derive(Deserialize)]
#[serde(untagged)]
enum Allowed {
    Word(CompactString),
    Actions(Vec<CompactString>),
}

fn grants(rooms: &Object<'_>) -> Option<Grants> {
    let members = rooms.members();
    let grants = members.map(|(pattern, value)| {
        let rights = match serde_json::from_str(value.get()).ok()? {
            Allowed::Word(word) => match &*word {
                "all" => Rights::ALL,
                "member" => Rights::MEMBER,
                _ => return None,
            },
            Allowed::Actions(words) => words.iter().map(|word| Action::parse(word)).collect::<Option<_>>()?,
        };
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        let is_pattern = !pattern.is_empty() && !prefix.contains('*');
        is_pattern.then(|| (CompactString::from(pattern), rights))
    });
    grants.collect::<Option<_>>().map(Grants)
}

#[cfg(test)]
mod tests {
    use parlour_protocol::RoomName;

    use super::*;

    const NOW_S: i64 = 1_767_225_600;

    fn read(changes: &str) -> Result<Claims, Flaw> {
        let expected = Expectations {
            issuer: "us".into(),
            audience: "parlour".into(),
            typ: "JWT".into(),
            max_life_s: 3_600,
            leeway_s: 30,
        };
        let mut claims = serde_json::json!({
            "iss": "us", "aud": "parlour", "sub": "alice", "iat": NOW_S, "exp": NOW_S + 3_600,
        });
        let changes: serde_json::Value = serde_json::from_str(changes).expect("JSON");
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        Claims::read(claims.to_string().as_bytes(), &expected, NOW_S)
    }

    #[test]
    fn claims_are_checked_one_by_one() {
        for (changes, flaw) in [
            (r#"{"iss": "them"}"#, Flaw::Elsewhere("iss")),
            (r#"{"iss": 1}"#, Flaw::Claim("iss")),
            (r#"{"iss": null}"#, Flaw::Elsewhere("iss")),
            (r#"{"aud": "others"}"#, Flaw::Elsewhere("aud")),
            (r#"{"aud": ["others"]}"#, Flaw::Elsewhere("aud")),
            (r#"{"aud": null}"#, Flaw::Elsewhere("aud")),
            (r#"{"aud": {"parlour": 1}}"#, Flaw::Claim("aud")),
            (r#"{"sub": null}"#, Flaw::Claim("sub")),
            (r#"{"sub": ""}"#, Flaw::Claim("sub")),
            (r#"{"sub": "a\nb"}"#, Flaw::Claim("sub")),
            (r#"{"sub": "\u0430lice"}"#, Flaw::Claim("sub")),
            (r#"{"jti": ""}"#, Flaw::Claim("jti")),
            (r#"{"jti": "a\u0000"}"#, Flaw::Claim("jti")),
            (r#"{"exp": null}"#, Flaw::Claim("exp")),
            (r#"{"exp": "1767229200"}"#, Flaw::Claim("exp")),
            (r#"{"exp": -1}"#, Flaw::Claim("exp")),
            (r#"{"exp": 1767229200000}"#, Flaw::Claim("exp")),
            (r#"{"exp": 1767229201}"#, Flaw::LongLife),
            (r#"{"exp": 1767229201, "iat": null}"#, Flaw::LongLife),
            (r#"{"exp": 1767225570}"#, Flaw::Expired),
            (r#"{"iat": 1767225631}"#, Flaw::Early),
            (r#"{"nbf": 1767225631}"#, Flaw::Early),
            (r#"{"nbf": true}"#, Flaw::Claim("nbf")),
            (r#"{"rooms": []}"#, Flaw::Claim("rooms")),
            (r#"{"rooms": {"a": "owner"}}"#, Flaw::Claim("rooms")),
            (r#"{"rooms": {"a": ["fly"]}}"#, Flaw::Claim("rooms")),
            (r#"{"rooms": {"*a": ["join"]}}"#, Flaw::Claim("rooms")),
            (r#"{"rooms": {"": "all"}}"#, Flaw::Claim("rooms")),
        ] {
            assert_eq!(read(changes), Err(flaw), "{changes}");
        }
    }

    #[test]
    fn good_claims_are_taken_to_the_second() {
        for changes in [
            "{}",
            r#"{"aud": ["others", "parlour"]}"#,
            r#"{"exp": 1767225571}"#,
            r#"{"exp": 1767225600.5}"#,
            r#"{"iat": 1767225630, "nbf": 1767225630}"#,
            r#"{"iat": null}"#,
            r#"{"more": {"of": "theirs"}}"#,
        ] {
            assert!(read(changes).is_ok(), "{changes}: {:?}", read(changes));
        }
    }

    #[test]
    fn rooms_become_grants() {
        let claims = read(r#"{"rooms": {"a:*": "member", "a:1": ["moderate"], "b": "all", "c": []}}"#);
        let grants = claims.expect("valid").grants;
        let rights = |room: &str| grants.in_room(&RoomName::parse(room).expect("valid"));
        assert_eq!(rights("a:2"), Rights::MEMBER);
        assert_eq!(rights("a:1"), Rights::ALL);
        assert_eq!((rights("b"), rights("c"), rights("d")), (Rights::ALL, Rights::NONE, Rights::NONE));
    }
}
