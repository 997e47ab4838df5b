//! Checkers that are written in Python, in an environment of their own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell;

const REQUIREMENTS: &str = "xtask/python/requirements.txt";

/// Installs what is required, unless it is there; returns the folder of the programs.
pub(crate) fn install() -> Result<PathBuf> {
    let wanted = fs::read_to_string(shell::root().join(REQUIREMENTS))?;
    let folder = shell::target().join("python");
    let (programs, installed) = (folder.join("bin"), folder.join("installed.txt"));
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    let path = folder.to_string_lossy();
    shell::program("python3", &["-m", "venv", "--clear", &path])
        .run()
        .context("Python makes no environment; on Debian: apt-get install python3-venv")?;
    let pip = programs.join("pip");
    let arguments = ["install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS];
    shell::program(&pip.to_string_lossy(), &arguments).run()?;
    fs::write(installed, wanted)?;
    Ok(programs)
}
