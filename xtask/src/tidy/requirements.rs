//! `docs/requirements.md`: every requirement is shown by something that exists, or is pending.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::documents::resolve;
use super::{File, Report};

pub(super) const PATH: &str = "docs/requirements.md";
/// The requirements that a release must show.
const REQUIRED: [RangeInclusive<u32>; 6] = [1..=1, 4..=32, 34..=40, 42..=42, 45..=48, 50..=57];
/// What the line of those that are not shown yet begins with.
const PENDING: &str = "Pending:";

pub(crate) fn check(files: &[File], report: &mut Report) {
    let Some(file) = files.iter().find(|file| file.path == PATH) else {
        return report.fail(PATH, "is missing");
    };
    let required: BTreeSet<String> =
        REQUIRED.into_iter().flatten().map(|number| format!("R{number}")).collect();
    let mut shown = BTreeSet::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let Some((id, places)) = row(line) else {
            continue;
        };
        let place = format!("{PATH}:{number}");
        let references: Vec<&str> = places.split('`').skip(1).step_by(2).collect();
        if references.is_empty() {
            report.fail(&place, format!("{id} is shown nowhere"));
        }
        for problem in references.iter().filter_map(|reference| resolve(reference, files).err()) {
            report.fail(&place, format!("{id}: {problem}"));
        }
        if !shown.insert(id.to_owned()) {
            report.fail(&place, format!("{id} stands here twice"));
        }
    }
    let pending = pending(&file.text);
    if !pending.is_empty() {
        let list = pending.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        report.remark(PATH, format!("not shown yet: {list}"));
    }
    for id in required.iter().filter(|id| !shown.contains(*id) && !pending.contains(*id)) {
        report.fail(PATH, format!("{id} is neither shown nor pending"));
    }
    for id in pending.iter().filter(|id| shown.contains(*id) || !required.contains(*id)) {
        report.fail(PATH, format!("{id} is not pending"));
    }
}

/// Reads `| R1 | what | where |`.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    match cells[..] {
        [id, _, places] if id.len() > 1 && id[1..].bytes().all(|b| b.is_ascii_digit()) => Some((id, places)),
        _ => None,
    }
}

fn pending(text: &str) -> BTreeSet<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(PENDING)).unwrap_or("");
    line.split([',', '.']).map(str::trim).filter(|id| id.starts_with('R')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(table: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.into(), bytes: 0, text: text.into() };
        let all: Vec<_> =
            REQUIRED.into_iter().flatten().filter(|n| *n != 1).map(|n| format!("R{n}")).collect();
        let text = format!("{table}\n{PENDING} {}.\n", all.join(", "));
        let mut report = Report::default();
        check(&[file(PATH, &text), file("crates/a/tests/b.rs", "#[test]\nfn r1() {}\n")], &mut report);
        report.findings
    }

    #[test]
    fn a_row_must_name_what_exists() {
        assert_eq!(findings("| R1 | rooms leave | `crates/a/tests/b.rs::r1` |").len(), 0);
        assert_eq!(findings("| R1 | rooms leave | `crates/a/tests/b.rs::r2` |").len(), 1);
        assert_eq!(findings("| R1 | rooms leave | by reading |").len(), 1);
        assert_eq!(findings("").len(), 1, "R1 is missing");
        assert_eq!(
            findings("| R1 | a | `crates/a/tests/b.rs` |\n| R4 | b | `crates/a/tests/b.rs` |").len(),
            1
        );
    }
}
