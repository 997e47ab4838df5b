//! Rules about any file: its size, its name, and what no file may say.

use super::{File, Report};

/// Largest committed file, in bytes.
const FILE_BYTES: u64 = 2 * 1024 * 1024;
/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "misc", "types", "functions"];
/// Words in the host names of package registries and their mirrors; in two parts, because this is
/// a committed file too.
const REGISTRIES: [(&str, &str); 9] = [
    ("registry", ".npmjs."),
    ("registry", ".yarnpkg."),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("proxy.golang", ".org"),
    ("files.pythonhosted", ".org"),
    ("pypi", ".org"),
    ("arti", "factory"),
    ("nexus", "/repository"),
];
/// Files that name registries by their nature.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "deny.toml"];

pub(crate) fn check(file: &File, report: &mut Report) {
    let path = &file.path;
    if file.bytes > FILE_BYTES {
        report.fail(path, format!("{} bytes; the limit is {FILE_BYTES}", file.bytes));
    }
    let is_code = [".rs", ".ts", ".tsx", ".mjs"].iter().any(|ending| path.ends_with(ending));
    let parts = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    if let Some(part) = parts.filter(|_| is_code).find(|part| EMPTY_NAMES.contains(part)) {
        report.fail(path, format!("`{part}` is no name for a module: say what it is for"));
    }
    if is_code {
        check_length(file, report);
    }
    if !LOCK_FILES.iter().any(|lock| path.ends_with(lock)) {
        let says = |(one, other): &(&str, &str)| file.text.contains(&format!("{one}{other}"));
        if REGISTRIES.iter().any(says) {
            report.fail(path, "names the host of a package registry");
        }
    }
}

fn check_length(file: &File, report: &mut Report) {
    let lines = file.text.lines().count();
    let excuse = file.text.lines().take(5).any(|line| line.contains("// tidy: "));
    match lines {
        701.. => report.fail(&file.path, format!("{lines} lines; the limit is 700")),
        401.. if !excuse => report.remark(&file.path, format!("{lines} lines; 400 are usual")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::findings;

    #[test]
    fn large_files_empty_names_and_registries_are_found() {
        assert_eq!(findings("web/a.txt", "").len(), 0);
        assert_eq!(findings("web/a.txt", &"x".repeat(2 * 1024 * 1024 + 1)).len(), 1);
        assert_eq!(findings("crates/a/src/util/x.rs", "").len(), 1);
        assert_eq!(findings("crates/a/src/types.rs", "").len(), 1);
        assert_eq!(findings("crates/a/src/x.rs", &"\n".repeat(701)).len(), 1);
        let host = ["https://registry", ".npmjs.org/x"].concat();
        assert_eq!(findings("web/.npmrc", &host).len(), 1);
        assert_eq!(findings("web/package-lock.json", &host).len(), 0);
    }
}
