//! Runs other programs in the checkout.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Returns the root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned()
}

/// Returns the folder of build results.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// A program that is about to run.
#[derive(Debug)]
pub(crate) struct Program(Command);

/// Prepares a program, at the root of the checkout.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Program {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    Program(command)
}

/// Prepares the cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Program {
    let name = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    program(&name, arguments)
}

impl Program {
    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(key, value);
        self
    }

    /// Runs it in a folder of the checkout.
    pub(crate) fn within(mut self, folder: &str) -> Self {
        self.0.current_dir(root().join(folder));
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be started or does not end well.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.0.status().with_context(|| format!("cannot start {}", self.line()))?;
        self.ended(status.success())
    }

    /// Runs it to its end, and shows each line of its output to `see` as it passes by.
    ///
    /// # Errors
    /// If it cannot be started or does not end well.
    pub(crate) fn watch(mut self, mut see: impl FnMut(&str)) -> Result<()> {
        self.0.stdout(Stdio::piped());
        let mut child = self.0.spawn().with_context(|| format!("cannot start {}", self.line()))?;
        let output = child.stdout.take().context("the output is piped")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("the output is text")?;
            println!("{line}");
            see(&line);
        }
        let status = child.wait()?;
        self.ended(status.success())
    }

    /// Runs it and returns what it writes.
    ///
    /// # Errors
    /// If it cannot be started, does not end well, or writes no text.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.0.output().with_context(|| format!("cannot start {}", self.line()))?;
        self.ended(output.status.success())?;
        Ok(String::from_utf8(output.stdout)?)
    }

    fn ended(&self, well: bool) -> Result<()> {
        if !well {
            bail!("`{}` failed", self.line());
        }
        Ok(())
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}
