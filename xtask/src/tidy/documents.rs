//! Documents whose links lead somewhere, and which do not grow beyond reading.

use super::{File, Report, requirements};

const ARCHITECTURE_LINES: usize = 250;
/// Folders that documents name.
const FOLDERS: [&str; 7] = ["crates/", "docs/", "web/", "xtask/", "fuzz/", "examples/", "deploy/"];

pub(crate) fn check(file: &File, files: &[File], report: &mut Report) {
    let lines = file.text.lines().count();
    if file.path == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES {
        report.fail(&file.path, format!("{lines} lines; the limit is {ARCHITECTURE_LINES}"));
    }
    let mut in_code = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        let place = format!("{}:{number}", file.path);
        for link in links(line) {
            if let Some(problem) = check_link(&file.path, link, files) {
                report.fail(&place, problem);
            }
        }
        if file.path == requirements::PATH {
            continue; // its references are checked row by row
        }
        for reference in references(line) {
            if let Err(problem) = resolve(reference, files) {
                report.fail(&place, problem);
            }
        }
    }
}

/// Lists the targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn check_link(path: &str, link: &str, files: &[File]) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match target {
        "" => path.to_owned(),
        relative => join(path, relative),
    };
    let folder = format!("{target}/");
    let Some(file) = files.iter().find(|file| file.path == target) else {
        let is_folder = files.iter().any(|file| file.path.starts_with(&folder));
        return (!is_folder).then(|| format!("the link to `{link}` leads nowhere"));
    };
    let headings = file.text.lines().filter(|line| line.starts_with('#')).map(slug);
    let is_dead = !anchor.is_empty() && !headings.into_iter().any(|heading| heading == anchor);
    is_dead.then(|| format!("the link to `{link}` leads to no heading"))
}

/// Resolves a link from the folder of a document.
fn join(path: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in relative.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Turns a heading into the anchor that renderers give it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Lists what a line quotes as `path` or `path::name`, if it is of this project.
fn references(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains([' ', '*', '<', '{'])
    })
}

/// Finds what `path` or `path::name` means.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn resolve(reference: &str, files: &[File]) -> Result<(), String> {
    let (path, name) =
        reference.split_once("::").map_or((reference, None), |(path, name)| (path, Some(name)));
    let folder = format!("{}/", path.trim_end_matches('/'));
    match (files.iter().find(|file| file.path == path), name) {
        (Some(file), Some(name)) if !names(&file.text, name) => Err(format!("`{path}` has no `{name}`")),
        (Some(_), _) => Ok(()),
        (None, None) if files.iter().any(|file| file.path.starts_with(&folder)) => Ok(()),
        (None, _) => Err(format!("there is no `{path}`")),
    }
}

/// Whether a source file has an item, or a test, of a name.
fn names(text: &str, name: &str) -> bool {
    let item = name.rsplit("::").next().unwrap_or(name);
    text.match_indices(item).any(|(at, _)| {
        let before = text[..at].trim_end_matches([' ', '\n']);
        let keyword = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        let ends = text[at + item.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let is_item = matches!(keyword, "fn" | "struct" | "enum" | "trait" | "type" | "const" | "mod");
        let is_js_test = before.ends_with(['"', '\'']);
        ends && (is_item && text[..at].ends_with(' ') || is_js_test)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::findings;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: 0, text: text.to_owned() }
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(findings("docs/a.md", "[x](a.md) [y](https://example.org) [z](#top)\n# Top\n").len(), 0);
        assert_eq!(findings("docs/a.md", "[x](b.md)\n[z](#bottom)\n# Top\n").len(), 2);
        assert_eq!(findings("docs/a.md", "```text\n[x](b.md)\n```\n").len(), 0);
        assert_eq!(findings("docs/a.md", "see `crates/x/src/gone.rs`\n").len(), 1);
        assert_eq!(findings("ARCHITECTURE.md", &"\n".repeat(251)).len(), 1);
    }

    #[test]
    fn references_name_items() {
        let files = [file("crates/a/src/b.rs", "pub fn deliver(x: u8) {}\nstruct Room;\n// fn gone\n")];
        assert_eq!(resolve("crates/a/src/b.rs", &files), Ok(()));
        assert_eq!(resolve("crates/a/src", &files), Ok(()));
        assert_eq!(resolve("crates/a/src/b.rs::deliver", &files), Ok(()));
        assert_eq!(resolve("crates/a/src/b.rs::Room", &files), Ok(()));
        assert!(resolve("crates/a/src/b.rs::deliv", &files).is_err());
        assert!(resolve("crates/a/src/c.rs", &files).is_err());
    }

    #[test]
    fn links_are_relative_to_their_document() {
        assert_eq!(join("docs/decisions/1.md", "../protocol.md"), "docs/protocol.md");
        assert_eq!(join("README.md", "docs/"), "docs");
        assert_eq!(slug("## Add a store, in steps"), "add-a-store-in-steps");
    }
}
