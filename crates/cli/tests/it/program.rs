//! The program in a child process, with an environment and a directory of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prepares a call of the program in a directory, without any of our variables.
pub(crate) fn parlour(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command.args(arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end: exit code, output and errors.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

/// A server that is killed at the end of its test.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts the program and reads both outputs line by line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let (sender, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let sources: [Box<dyn std::io::Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for source in sources {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(source).lines().map_while(Result::ok);
                lines.for_each(|line| drop(sender.send(line)));
            });
        }
        Self { child, lines }
    }

    /// Waits for a line that holds `text`.
    pub(crate) fn line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| format!("no line with {text:?}, but {others:?}"));
            let line = line.expect("the program says so");
            if line.contains(text) {
                return line;
            }
            others.push(line);
        }
    }

    /// Waits for the address in a line that holds `text`.
    pub(crate) fn address(&self, text: &str) -> String {
        let line = self.line(text);
        line.split('/').nth(2).expect("the line holds a URL").into()
    }

    /// Returns the number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end; returns the exit code and the remaining lines.
    pub(crate) fn end(mut self) -> (i32, Vec<String>) {
        // The outputs end with the program, so this is no longer than the program itself.
        let lines = std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        (self.child.wait().expect("waited").code().expect("no signal"), lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already over in a test that went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a page; returns the whole answer.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
