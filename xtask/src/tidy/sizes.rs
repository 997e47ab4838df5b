//! Where items are larger than those of code that people call elegant. Remarks only.

use super::Report;
use super::source::{Source, indent};

const FUNCTION_LINES: usize = 70;
/// For a function that is one flat `match`.
const TABLE_LINES: usize = 100;
const STRUCT_FIELDS: usize = 12;
const PARAMETERS: usize = 6;
const TRAIT_METHODS: usize = 8;

pub(crate) fn check(source: &Source<'_>, report: &mut Report) {
    if !source.is_product() {
        return;
    }
    for line in 0..source.code.len() {
        if source.is_test[line] || source.is_excused(line) {
            continue;
        }
        let Some((kind, name)) = item(&source.code[line]) else {
            continue;
        };
        let place = source.place(line);
        let end = source.end_of_item(line);
        let body = &source.code[line..=end];
        match kind {
            "fn" => {
                let limit = if is_table(body) { TABLE_LINES } else { FUNCTION_LINES };
                remark(report, &place, name, body.len(), limit, "lines");
                remark(report, &place, name, parameters(&body.join("\n")), PARAMETERS, "parameters");
            }
            "struct" => remark(report, &place, name, count(body, is_field), STRUCT_FIELDS, "fields"),
            _ => {
                let is_method = |line: &str| item(line).is_some_and(|(kind, _)| kind == "fn");
                remark(report, &place, name, count(body, is_method), TRAIT_METHODS, "methods");
            }
        }
    }
}

fn remark(report: &mut Report, place: &str, name: &str, number: usize, limit: usize, what: &str) {
    if number > limit {
        report.remark(place, format!("`{name}` has {number} {what}; {limit} are usual"));
    }
}

/// Returns the kind and name of the function, struct or trait that a line begins.
fn item(line: &str) -> Option<(&'static str, &str)> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| {
        !matches!(*word, "pub" | "const" | "async" | "pub(crate)" | "pub(super)")
            && !word.starts_with("pub(in")
    })?;
    let kind = ["fn", "struct", "trait"].into_iter().find(|known| *known == kind)?;
    let name = words.next()?;
    Some((kind, name.split(['<', '(', '{', ';', ':']).next().unwrap_or(name)))
}

/// Counts the lines one level inside an item that are `wanted`.
fn count(body: &[String], wanted: impl Fn(&str) -> bool) -> usize {
    let inside = indent(&body[0]) + 4;
    body.iter().skip(1).filter(|line| indent(line) == inside && wanted(line)).count()
}

fn is_field(line: &str) -> bool {
    let name = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
    let name = name.trim_start_matches("pub ").split(':').next().unwrap_or("");
    line.contains(": ") && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a function's body is little more than one `match`.
fn is_table(body: &[String]) -> bool {
    let inside = indent(&body[0]) + 4;
    let longest = (1..body.len()).filter(|at| indent(&body[*at]) == inside && body[*at].contains("match "));
    longest.into_iter().any(|begin| {
        let closes = |line: &&String| indent(line) == inside && line.trim_start().starts_with('}');
        let length = body[begin..].iter().position(|line| closes(&line)).unwrap_or(0);
        length + 20 > body.len()
    })
}

/// Counts the parameters of a function, without `self`.
fn parameters(function: &str) -> usize {
    let Some(open) = function.find('(') else {
        return 0;
    };
    let (mut depth, mut commas, mut last) = (0, Vec::new(), open);
    for (at, c) in function.char_indices().skip(open) {
        match c {
            '(' | '[' | '<' | '{' => depth += 1,
            '>' if function[..at].ends_with('-') => {}
            ')' | ']' | '>' | '}' => depth -= 1,
            ',' if depth == 1 => commas.push(at),
            _ => {}
        }
        if depth == 0 {
            last = at;
            break;
        }
    }
    let bounds: Vec<usize> = [open].into_iter().chain(commas).chain([last]).collect();
    let parts = bounds.windows(2).map(|pair| function[pair[0] + 1..pair[1]].trim());
    parts.filter(|part| !part.is_empty() && !part.ends_with("self")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(text: &str) -> Vec<String> {
        let mut report = Report::default();
        check(&Source::new("crates/a/src/b.rs", text), &mut report);
        report.remarks
    }

    #[test]
    fn parameters_are_counted_without_self() {
        assert_eq!(parameters("fn f(&mut self, a: Vec<(u8, u8)>, b: fn(u8) -> u8) -> u8 {"), 2);
        assert_eq!(parameters("fn f() {}"), 0);
        assert_eq!(parameters("fn f(\n    a: u8,\n    b: u8,\n) {"), 2);
    }

    #[test]
    fn large_items_are_remarked_unless_excused() {
        let long = format!("fn f() {{\n{}}}\n", "    a();\n".repeat(80));
        assert_eq!(remarks(&long).len(), 1);
        assert_eq!(remarks(&format!("// tidy: a flat list\n{long}")).len(), 0);
        let wide = format!("pub struct S {{\n{}}}\n", "    /// Doc: x.\n    pub a: u8,\n".repeat(13));
        assert_eq!(remarks(&wide).len(), 1);
        let broad = format!("trait T {{\n{}}}\n", "    fn m(&self) -> u8;\n".repeat(9));
        assert_eq!(remarks(&broad).len(), 1);
    }
}
