//! What Rust source must not say.

use super::Report;
use super::source::Source;

/// What nobody writes, with the reason.
const NOWHERE: [(&str, &str); 4] = [
    ("#[ignore", "a test that does not run proves nothing"),
    ("todo!", "unfinished"),
    ("unimplemented!", "unfinished"),
    ("dbg!", "left over"),
];

/// The only file that may say `unsafe`, and therefore small.
const UNSAFE: &str = "crates/ring/src/kernel.rs";

/// What the crates without I/O must not know: time, chance and the world are arguments.
const IMPURE: [&str; 14] = [
    "tokio",
    "Instant",
    "SystemTime",
    "rand::",
    "getrandom",
    "std::env",
    "env::var",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "println!",
    "tracing::",
    "thread_local!",
];
const PURE_CRATES: [&str; 2] = ["crates/protocol/src/", "crates/hub/src/"];

/// How SQL begins.
const SQL: [&str; 9] = [
    "SELECT ",
    "INSERT INTO",
    "INSERT OR",
    "DELETE FROM",
    "CREATE TABLE",
    "PRAGMA ",
    "UPDATE room",
    "rusqlite::",
    "tokio_postgres::",
];
/// The only place that knows it.
const STORES: &str = "crates/server/src/store";

pub(crate) fn check(source: &Source<'_>, report: &mut Report) {
    for (number, code) in source.code.iter().enumerate() {
        if source.is_excused(number) {
            continue;
        }
        let place = || source.place(number);
        for (word, reason) in NOWHERE.iter().filter(|(word, _)| says(code, word)) {
            report.fail(place(), format!("`{}`: {reason}", word.trim()));
        }
        if says(code, "unsafe ") && source.path != UNSAFE {
            report.fail(place(), format!("`unsafe` outside {UNSAFE}"));
        }
        if is_unfinished(source.raw[number]) {
            report.fail(place(), "unfinished: do it, or open an issue");
        }
        if source.is_test[number] || !source.is_product() {
            continue;
        }
        if code.contains(".unwrap()") {
            report.fail(place(), "`unwrap`: handle it, or `expect` with the invariant");
        }
        if PURE_CRATES.iter().any(|pure| source.path.starts_with(pure)) {
            for word in IMPURE.iter().filter(|word| says(code, word)) {
                report.fail(place(), format!("`{word}` in a crate without I/O"));
            }
        }
        let is_comment = source.raw[number].trim_start().starts_with("//");
        let sql = SQL.iter().find(|word| !is_comment && source.raw[number].contains(**word));
        if let Some(word) =
            sql.filter(|_| source.path.starts_with("crates/") && !source.path.starts_with(STORES))
        {
            report.fail(place(), format!("`{}` outside {STORES}", word.trim()));
        }
    }
}

/// Whether a line has a word that does not continue to the left.
fn says(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn is_unfinished(raw: &str) -> bool {
    let Some((_, comment)) = raw.split_once("//") else {
        return false;
    };
    comment.trim_start().starts_with("TODO") || comment.trim_start().starts_with("FIXME")
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::findings;

    #[test]
    fn words_are_found_in_code_and_not_in_comments_or_texts() {
        let hub = |text: &str| findings("crates/hub/src/a.rs", text).len();
        assert_eq!(hub("let t = Instant::now();\n"), 1);
        assert_eq!(hub("let t = MyInstant::now();\n"), 0);
        assert_eq!(hub("// no tokio here\nlet a = \"tokio\";\n"), 0);
        assert_eq!(hub("a.unwrap();\n"), 1);
        assert_eq!(hub("// tidy: cannot fail\na.unwrap();\n"), 0);
        assert_eq!(hub("#[cfg(test)]\nmod tests {\n    a.unwrap();\n}\n"), 0);
        assert_eq!(hub("fn f() { todo!() }\n"), 1);
        assert_eq!(findings("crates/server/src/a.rs", "let t = Instant::now();\n").len(), 0);
        assert_eq!(hub("unsafe { f() }\n"), 1);
        assert_eq!(findings("crates/ring/src/kernel.rs", "unsafe { f() }\n").len(), 0);
    }

    #[test]
    fn sql_is_for_stores() {
        let sql = "let q = \"SELECT 1\";\n";
        assert_eq!(findings("crates/server/src/room.rs", sql).len(), 1);
        assert_eq!(findings("crates/server/src/store/sqlite.rs", sql).len(), 0);
        assert_eq!(findings("crates/server/tests/it/room.rs", sql).len(), 0);
    }

    #[test]
    fn tests_that_do_not_run_are_found_anywhere() {
        let test = ["#[ign", "ore]\nfn t() {}\n"].concat();
        assert_eq!(findings("crates/server/tests/it/room.rs", &test).len(), 1);
    }
}
