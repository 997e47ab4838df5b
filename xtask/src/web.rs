//! Builds the web client, and checks that the committed build is that of the committed source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell;

/// The committed build, which the binary embeds.
const DIST: &str = "web/dist";

/// Builds the web client into `web/dist`.
pub(crate) fn build() -> Result<()> {
    install()?;
    npm(&["run", "build"]).run()
}

/// Installs exactly the packages of the lock file.
pub(crate) fn install() -> Result<()> {
    npm(&["ci", "--no-audit", "--no-fund"]).run()
}

/// Prepares npm in the folder of the web client.
pub(crate) fn npm(arguments: &[&str]) -> shell::Program {
    shell::program("npm", arguments).within("web")
}

/// Builds anew and compares with what is committed.
///
/// # Errors
/// If they differ; the new build stays in place, to be committed.
pub(crate) fn check_build() -> Result<()> {
    let folder = shell::root().join(DIST);
    let committed = read_all(&folder)?;
    npm(&["run", "build"]).run()?;
    let built = read_all(&folder)?;
    let names = committed.keys().chain(built.keys());
    let differing: Vec<_> = names.filter(|name| committed.get(*name) != built.get(*name)).collect();
    if let Some(first) = differing.first() {
        bail!(
            "{DIST} is not what web/src builds: {} differs, {} in all. Commit the new build",
            first.display(),
            differing.len()
        );
    }
    Ok(())
}

/// Reads all files of a folder, by their paths.
fn read_all(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(read_all(&path)?);
        } else {
            files.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(files)
}
