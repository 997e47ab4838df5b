//! Which words a text has, and where: the same in every store, whatever its database thinks.

use std::collections::BTreeSet;
use std::ops::Range;

use compact_str::CompactString;

/// Longest part of a word that counts, in characters.
const WORD_CHARS: usize = 64;
/// Longest snippet, in characters.
const SNIPPET_CHARS: usize = 200;
/// Characters of a snippet before the first hit.
const LEAD_CHARS: usize = 40;
/// Around each hit. They are no letters, so no word contains them.
const MARKS: [char; 2] = ['\u{e000}', '\u{e001}'];

/// Lists the words of a text in lower case, with their places. A word is a run of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, String)> {
    let mut end = 0;
    text.split(|letter: char| !letter.is_alphanumeric()).filter_map(move |run| {
        // One separator lies between two runs, however long it is.
        let start = end + text[end..].find(run)?;
        end = start + run.len();
        let word = run.chars().flat_map(char::to_lowercase).take(WORD_CHARS).collect();
        (!run.is_empty()).then_some((start..end, word))
    })
}

/// Returns the different words of a text.
pub(super) fn distinct(text: &str) -> BTreeSet<String> {
    words(text).map(|(_, word)| word).collect()
}

/// Returns the part of a text around the first of the `wanted` words, in which all of them are
/// marked; at most 200 characters.
pub(super) fn snippet(text: &str, wanted: &BTreeSet<String>) -> CompactString {
    let hits: Vec<_> =
        words(text).filter(|(_, word)| wanted.contains(word)).map(|(place, _)| place).collect();
    let first = hits.first().map_or(0, |place| place.start);
    let lead = text[..first].char_indices().rev().take(LEAD_CHARS).last();
    let mut at = lead.map_or(first, |(index, _)| index);
    let mut left = SNIPPET_CHARS;
    let mut snippet = CompactString::default();
    for place in hits {
        let needed = text[at..place.end].chars().count() + MARKS.len();
        if needed > left {
            break;
        }
        left -= needed;
        snippet.extend(unmarked(&text[at..place.start]));
        snippet.push(MARKS[0]);
        snippet.push_str(&text[place.clone()]);
        snippet.push(MARKS[1]);
        at = place.end;
    }
    snippet.extend(unmarked(&text[at..]).take(left));
    snippet
}

/// Nobody marks a hit but the server.
fn unmarked(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|letter| !MARKS.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, wanted: &str) -> String {
        snippet(text, &distinct(wanted)).replace(MARKS[0], "[").replace(MARKS[1], "]")
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let words = |text| distinct(text).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(words("Große ÉTÉ, große x-1 example.com 日本!"), "1 com example große x été 日本");
        assert_eq!(words(" \u{e000}-- "), "");
        assert_eq!(words(&"a".repeat(100)), "a".repeat(WORD_CHARS));
    }

    #[test]
    fn places_are_where_the_words_are() {
        for text in ["aa  aaa-aa a", "été ÉTÉ", "--x--", "", "ab a b"] {
            for (place, word) in words(text) {
                assert_eq!(text[place].to_lowercase(), word, "{text}");
            }
        }
    }

    #[test]
    fn snippets_show_the_hits_and_what_is_around() {
        assert_eq!(marked("The quick fox, quick!", "QUICK"), "The [quick] fox, [quick]!");
        let long = format!("{0}needle {0}", "hay ".repeat(100));
        let shown = marked(&long, "needle");
        assert_eq!(shown.chars().count(), SNIPPET_CHARS);
        assert!(shown.starts_with("hay ") && shown.contains("hay [needle] hay"), "{shown}");
        assert_eq!(marked("\u{e000}forged\u{e001} hit", "hit"), "forged [hit]");
        assert_eq!(
            marked(&"x".repeat(300), &"x".repeat(300)),
            "x".repeat(SNIPPET_CHARS),
            "too long to be marked"
        );
    }
}
