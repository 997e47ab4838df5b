//! The house rules, as far as a program can check them.
//!
//! A *finding* fails; a *remark* is printed. A line with `// tidy: <reason>`, or the line below it,
//! is an exception to everything that is said about lines and about items that begin there.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::shell;

mod documents;
mod files;
mod imports;
mod requirements;
mod rust;
mod sizes;
mod source;

use source::Source;

/// What the checks have found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<String>,
    remarks: Vec<String>,
}

impl Report {
    /// Notes something that must not be.
    pub(crate) fn fail(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.findings.push(format!("{place}: {what}"));
    }

    /// Notes something that should not be.
    pub(crate) fn remark(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.remarks.push(format!("{place}: {what}"));
    }
}

/// A file of the project.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path from the root of the checkout.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its text; empty if it is not UTF-8.
    pub(crate) text: String,
}

/// Runs all checks and prints what they found.
///
/// # Errors
/// If a rule is broken.
pub(crate) fn run() -> Result<()> {
    let report = check(&project_files()?);
    for remark in &report.remarks {
        println!("remark: {remark}");
    }
    for finding in &report.findings {
        println!("broken: {finding}");
    }
    if !report.findings.is_empty() {
        bail!("{} house rules are broken", report.findings.len());
    }
    Ok(())
}

fn check(files: &[File]) -> Report {
    let mut report = Report::default();
    for file in files {
        files::check(file, &mut report);
        if file.path.ends_with(".md") {
            documents::check(file, files, &mut report);
        }
        if file.path.ends_with("Cargo.toml") {
            imports::check_manifest(file, &mut report);
        }
        if file.path.ends_with(".rs") {
            let source = Source::new(&file.path, &file.text);
            rust::check(&source, &mut report);
            imports::check_source(&source, &mut report);
            sizes::check(&source, &mut report);
        }
    }
    requirements::check(files, &mut report);
    report
}

/// Reads the files that are committed, or would be, as they are now.
fn project_files() -> Result<Vec<File>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = shell::program("git", &arguments).read().context("tidy needs a git checkout")?;
    let paths = list.split('\0').filter(|path| !path.is_empty());
    let existing = paths.filter_map(|path| {
        let full: PathBuf = shell::root().join(path);
        let bytes = fs::read(full).ok()?; // deleted, and not committed yet
        let size = bytes.len() as u64;
        let text = String::from_utf8(bytes).unwrap_or_default();
        Some(File { path: path.to_owned(), bytes: size, text })
    });
    Ok(existing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_rules_hold() {
        let report = check(&project_files().expect("a git checkout"));
        assert!(report.findings.is_empty(), "{}", report.findings.join("\n"));
    }

    /// Checks one file and returns what was found.
    pub(super) fn findings(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), bytes: text.len() as u64, text: text.to_owned() };
        let mut report = Report::default();
        let source = Source::new(path, text);
        files::check(&file, &mut report);
        if path.ends_with(".rs") {
            rust::check(&source, &mut report);
            imports::check_source(&source, &mut report);
            sizes::check(&source, &mut report);
        }
        if path.ends_with(".md") {
            documents::check(&file, std::slice::from_ref(&file), &mut report);
        }
        report.findings
    }
}
