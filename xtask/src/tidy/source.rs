//! Rust source as the checks want to see it: comments and texts blanked, tests marked.

/// A source file, line by line.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// Its path from the root of the checkout.
    pub(crate) path: &'a str,
    /// The lines as written.
    pub(crate) raw: Vec<&'a str>,
    /// The lines with comments and the insides of strings replaced by spaces.
    pub(crate) code: Vec<String>,
    /// Whether a line belongs to tests.
    pub(crate) is_test: Vec<bool>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let raw: Vec<&str> = text.lines().collect();
        let blanked = blank(text);
        let code: Vec<String> = blanked.lines().map(str::to_owned).collect();
        let is_test = mark_tests(path, &code);
        Self { path, raw, code, is_test }
    }

    /// Whether this is a file of a library or program, not of its tests, benchmarks or examples.
    pub(crate) fn is_product(&self) -> bool {
        self.path.contains("/src/")
    }

    /// Whether a line, or the one above it, gives a reason for an exception.
    pub(crate) fn is_excused(&self, line: usize) -> bool {
        let gives_reason = |line: usize| self.raw[line].contains("// tidy: ");
        gives_reason(line) || line > 0 && gives_reason(line - 1)
    }

    /// Returns the place of a line for a message.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{}", self.path, line + 1)
    }

    /// Returns the line that ends the item which begins at `line`: rustfmt puts its brace, or its
    /// semicolon, at the item's own indentation.
    pub(crate) fn end_of_item(&self, line: usize) -> usize {
        let indent = indent(&self.code[line]);
        let ends = |at: &usize| {
            let text = self.code[*at].trim_end();
            (*at == line && (text.ends_with('}') || text.ends_with(';')))
                || (*at > line && indent == self::indent(text) && (text.trim() == "}" || text.ends_with(';')))
        };
        (line..self.code.len()).find(ends).unwrap_or(line)
    }
}

/// Returns the number of spaces that a line begins with.
pub(crate) fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Marks the lines of files under `tests/` and `benches/`, and of modules behind `#[cfg(test)]`.
fn mark_tests(path: &str, code: &[String]) -> Vec<bool> {
    let is_test_file = path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.starts_with("fuzz/");
    let mut marks = vec![is_test_file; code.len()];
    let mut line = 0;
    while line < code.len() {
        if code[line].trim() == "#[cfg(test)]" && code.get(line + 1).is_some_and(|next| next.ends_with('{')) {
            let indent = indent(&code[line]);
            let closes = |at: &usize| code[*at].trim_end() == format!("{}}}", " ".repeat(indent));
            let end = (line..code.len()).find(closes).unwrap_or(code.len() - 1);
            marks[line..=end].fill(true);
            line = end;
        }
        line += 1;
    }
    marks
}

/// Replaces comments and the insides of strings and characters by spaces; lines stay lines.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, keep) = match token(rest) {
            Some(length) => (length, false),
            None => (first.len_utf8(), true),
        };
        let (token, after) = rest.split_at(length);
        match keep {
            true => out.push_str(token),
            false => out.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    out
}

/// Returns the length of the comment, string or character that the text begins with.
fn token(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or(text.len(), |end| end + 2));
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let begin = 1 + hashes + 1;
            return Some(text[begin..].find(&close).map_or(text.len(), |end| begin + end + close.len()));
        }
        return None;
    }
    match text.chars().next()? {
        '"' => Some(quoted(text, '"')),
        // A character, not a lifetime: it closes after one character or an escape.
        '\'' if text[1..].starts_with('\\') || text[1..].chars().nth(1) == Some('\'') => {
            Some(quoted(text, '\''))
        }
        _ => None,
    }
}

/// Returns the length of a quoted text, with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked_and_code_stays() {
        let code = blank("let a = \"x // y\"; // z\nlet b = '\"'; let c: &'a str = r#\"\"q\"#;\n/* d\n*/ e");
        let lines: Vec<_> = code.lines().map(str::trim_end).collect();
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["let", "a", "=", ";"]);
        assert_eq!(lines[1].split_whitespace().last(), Some(";"));
        assert!(lines[1].contains("&'a str"), "{lines:?}");
        assert_eq!(lines[3].trim(), "e");
    }

    #[test]
    fn the_name_of_a_variable_may_end_in_r() {
        assert_eq!(blank("for r in var {}"), "for r in var {}");
        assert_eq!(blank("br\"x\""), "b    ");
    }

    #[test]
    fn modules_of_tests_are_marked() {
        let source =
            Source::new("crates/a/src/b.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    x\n}\nfn b() {}\n");
        assert_eq!(source.is_test, [false, true, true, true, true, false]);
    }
}
