//! Words that may not be said: `[[filter]]`.

use parlour_hub::filter::{Filter, Remedy};
use serde::Deserialize;

use super::ConfigError;

/// Most words of one filter: more are a list that deserves a `[[hook]]`.
const WORDS: usize = 10_000;

/// The tables of the file.
#[derive(Deserialize)]
pub(super) struct RawFilters {
    #[serde(default)]
    filter: Vec<RawFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFilter {
    pattern: String,
    words: Vec<String>,
    action: RawAction,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawAction {
    Reject,
    Mask,
}

impl RawFilters {
    /// Takes over what is in order, and notes what is not.
    pub(super) fn fill(self, filters: &mut Vec<Filter>, errors: &mut Vec<ConfigError>) {
        for raw in self.filter {
            match raw.check() {
                Ok(filter) => filters.push(filter),
                Err(error) => errors.push(error),
            }
        }
    }
}

impl RawFilter {
    fn check(self) -> Result<Filter, ConfigError> {
        if self.words.is_empty() || self.words.len() > WORDS {
            let value = format!("{} words", self.words.len());
            return Err(ConfigError::Conflict { key: "filter.words", value, rule: "1 to 10000 words" });
        }
        let remedy = match self.action {
            RawAction::Reject => Remedy::Reject,
            RawAction::Mask => Remedy::Mask,
        };
        let words = self.words.iter().map(String::as_str);
        Filter::new(&self.pattern, words, remedy).ok_or_else(|| {
            let is_bad = |word: &&String| word.is_empty() || !word.chars().all(char::is_alphanumeric);
            let bad = self.words.iter().find(is_bad).map_or_else(String::new, |word| format!("{word:?}"));
            let rule = "a word is letters and digits; phrases and patterns are not looked for";
            ConfigError::Conflict { key: "filter.words", value: bad, rule }
        })
    }
}
