//! What a hook answers, and what that decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::rights::{Action, Grants, Rights};
use parlour_protocol::{ErrorCode, Refusal};
use serde::Deserialize;

/// Most bytes of the words with which a hook denies something.
const MESSAGE_BYTES: usize = 500;

/// What a hook answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    allow: Option<bool>,
    deny: Option<Denial>,
    rewrite: Option<Rewrite>,
    grants: Option<BTreeMap<CompactString, Vec<String>>>,
}

#[derive(Debug, Default, Deserialize)]
struct Denial {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rewrite {
    One { text: String },
    All { texts: Vec<String> },
}

/// What one hook has decided.
pub(super) enum Decision {
    Allow { texts: Option<Vec<Arc<str>>>, grants: Option<Grants> },
    Deny(Refusal),
}

impl Answer {
    /// Reads a decision about `count` texts; `None` if it makes no sense.
    pub(super) fn decide(self, count: usize, most_bytes: usize) -> Option<Decision> {
        let Self { allow, deny, rewrite, grants } = self;
        if deny.is_some() || allow == Some(false) {
            return Some(Decision::Deny(deny.unwrap_or_default().into()));
        }
        let texts = match rewrite {
            None => None,
            Some(Rewrite::One { text }) => Some(vec![text]),
            Some(Rewrite::All { texts }) => Some(texts),
        };
        let is_text = |text: &String| !text.is_empty() && text.len() <= most_bytes && !text.contains('\0');
        let is_right = texts.as_ref().is_none_or(|texts| texts.len() == count && texts.iter().all(is_text));
        if !is_right || (allow.is_none() && texts.is_none() && grants.is_none()) {
            return None;
        }
        let grants = match grants {
            None => None,
            Some(grants) => Some(Grants(grants.into_iter().map(grant).collect::<Option<_>>()?)),
        };
        Some(Decision::Allow { texts: texts.map(|texts| texts.into_iter().map(Arc::from).collect()), grants })
    }
}

fn grant((pattern, words): (CompactString, Vec<String>)) -> Option<(CompactString, Rights)> {
    Some((pattern, words.iter().map(|word| Action::parse(word)).collect::<Option<_>>()?))
}

impl From<Denial> for Refusal {
    fn from(Denial { code, message }: Denial) -> Self {
        // A row that ends a connection is not the backend's to use.
        let code = code.and_then(|word| ErrorCode::parse(&word)).filter(|code| code.close_code().is_none());
        let code = code.unwrap_or(ErrorCode::Forbidden);
        let is_fit = |message: &String| (1..=MESSAGE_BYTES).contains(&message.len());
        match message.filter(is_fit) {
            Some(message) => Self::because(code, message),
            None => code.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(answer: &str, count: usize) -> Option<Decision> {
        serde_json::from_str::<Answer>(answer).ok()?.decide(count, 10)
    }

    #[test]
    fn answers_that_make_no_sense_are_none() {
        for answer in [
            "",
            "1",
            "{}",
            r#"{"allow": 1}"#,
            r#"{"rewrite": {}}"#,
            r#"{"rewrite": {"text": ""}}"#,
            r#"{"rewrite": {"text": "longer than ten"}}"#,
            r#"{"rewrite": {"text": "a\u0000"}}"#,
            r#"{"rewrite": {"texts": ["a", "b"]}}"#,
            r#"{"grants": {"a": ["fly"]}}"#,
        ] {
            assert!(decide(answer, 1).is_none(), "{answer}");
        }
        assert!(matches!(decide(r#"{"allow": true}"#, 1), Some(Decision::Allow { texts: None, .. })));
        assert!(matches!(
            decide(r#"{"rewrite": {"texts": ["a", "b"]}}"#, 2),
            Some(Decision::Allow { texts: Some(_), .. })
        ));
    }

    #[test]
    fn a_denial_has_a_word_of_the_table_that_ends_no_connection() {
        for (answer, code, message) in [
            (r#"{"deny": {}}"#, ErrorCode::Forbidden, None),
            (r#"{"allow": false}"#, ErrorCode::Forbidden, None),
            (
                r#"{"deny": {"code": "rate_limited", "message": "slowly"}}"#,
                ErrorCode::RateLimited,
                Some("slowly"),
            ),
            (r#"{"deny": {"code": "no such word"}}"#, ErrorCode::Forbidden, None),
            (r#"{"deny": {"code": "internal"}}"#, ErrorCode::Forbidden, None),
        ] {
            let Some(Decision::Deny(refusal)) = decide(answer, 0) else {
                unreachable!("{answer} denies");
            };
            assert_eq!((refusal.code, &*refusal.message), (code, message.unwrap_or(code.text())), "{answer}");
        }
    }
}
