//! Tries on a running server what the OpenAPI document of its HTTP API allows, and what it forbids.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{python, shell};

/// What must hold for every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection";
/// Requests per operation beyond those that cover the document.
const EXAMPLES: &str = "15";

/// Runs schemathesis; returns how many requests it made.
pub(crate) fn check() -> Result<u32> {
    let schemathesis = python::install()?.join("schemathesis");
    let mut server = Server::start()?;
    let (base, key) = server.banner()?;
    let document = format!("{base}api/v1/openapi.json");
    let authorization = format!("Authorization: Bearer {key}");
    let mut arguments = vec!["run", &document, "--header", &authorization, "--checks", CHECKS];
    arguments.extend(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--continue-on-failure"]);
    // An answer without an end, which has tests of its own.
    arguments.extend(["--exclude-operation-id", "events", "--no-color"]);
    // The same requests every time: what fails here fails everywhere.
    arguments.push("--generation-deterministic");
    let mut requests = 0;
    shell::program(&schemathesis.to_string_lossy(), &arguments).watch(|line| {
        let count = line.trim().split_once(" generated").and_then(|(count, _)| count.parse().ok());
        requests = count.unwrap_or(requests);
    })?;
    Ok(requests)
}

/// A development server, which ends with its value.
struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Result<Self> {
        let program = shell::target().join("debug/parlour");
        let anywhere = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut process = Command::new(&program)
            .args(["dev", "--data-dir", ":memory:", "--no-limits", "--log", "error"])
            .args(anywhere)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; the step `build` makes it", program.display()))?;
        let output = process.stdout.take().context("the output is piped")?;
        Ok(Self { process, output: BufReader::new(output) })
    }

    /// Reads the address of the web client, and the key.
    fn banner(&mut self) -> Result<(String, String)> {
        let mut line = String::new();
        let (mut base, mut key) = (None, None);
        while base.is_none() || key.is_none() {
            line.clear();
            anyhow::ensure!(self.output.read_line(&mut line)? > 0, "the server ended before its banner");
            let value = |name: &str| Some(line.trim().strip_prefix(name)?.trim().to_owned());
            base = base.or_else(|| value("Web client"));
            key = key.or_else(|| value("API key"));
        }
        Ok((base.unwrap_or_default(), key.unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing, so nothing is lost.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}
