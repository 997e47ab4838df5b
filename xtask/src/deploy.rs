//! Checks the files of `deploy` with the checkers of the systems that read them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{python, shell};

/// Checks every file; returns how many.
pub(crate) fn check() -> Result<u32> {
    let tools = python::install()?;
    let tool = |name: &str| tools.join(name).to_string_lossy().into_owned();
    shell::program(&tool("hadolint"), &["deploy/Dockerfile"]).run()?;
    let compose = ["--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"];
    shell::program(&tool("check-jsonschema"), &compose).run()?;
    let manifests = ["--strict", "deploy/kubernetes/parlour.yaml"];
    shell::program(&tool("kubernetes-validate"), &manifests).run()?;
    let unit = unit()?;
    shell::program("systemd-analyze", &["verify", &unit.to_string_lossy()]).run()?;
    Ok(4)
}

/// Writes a copy of the unit that names a program which is here: otherwise that is all there is to say.
fn unit() -> Result<PathBuf> {
    let text = fs::read_to_string(shell::root().join("deploy/parlour.service"))?;
    let folder = shell::target().join("deploy");
    fs::create_dir_all(&folder)?;
    let path = folder.join("parlour.service");
    fs::write(&path, text.replace("/usr/local/bin/parlour", "/bin/true")).context("the copy of the unit")?;
    Ok(path)
}
