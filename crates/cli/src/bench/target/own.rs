//! A server that is started for a measurement, and ends with it.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::bench::limit::Place;
use crate::bench::process::{Measured, Usage};

/// Any free port.
const FREE: &str = "127.0.0.1:0";

/// How a server is started.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    /// Options of `parlour dev`.
    pub(super) options: &'a [&'a str],
    pub(super) settings: &'a [String],
    /// Where messages are kept; without a word, where they end with the server.
    pub(super) place: Option<Place<'a>>,
    pub(super) has_tls: bool,
    /// Whether messages of all rooms are compressed for those who ask.
    pub(super) compresses: bool,
}

/// Rooms whose messages are not stored are not compressed either, unless told.
const COMPRESSED_ROOMS: &str = r#"
compression = true
[[room]]
pattern = "live:*"
durable = false
compress = true
"#;

/// A server that runs.
#[derive(Debug)]
pub(super) struct Own {
    process: Option<Measured>,
    /// What it needs on disk, beside a place for messages that was named.
    directory: PathBuf,
    /// Address of clients.
    pub(super) host: String,
    /// Address of the administration.
    pub(super) admin: String,
}

impl Own {
    /// Starts a server, and waits until it listens.
    ///
    /// # Errors
    /// A server that does not start; a disk that takes no files.
    pub(super) fn start(start: &Start<'_>) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("parlour-bench-{}", std::process::id()));
        // From here on it is removed, whatever happens.
        let mut own = Self { process: None, directory, host: String::new(), admin: String::new() };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&own.directory)?;
        let mut args = ["dev", "--listen", FREE, "--admin-listen", FREE].map(str::to_owned).to_vec();
        args.extend(start.options.iter().map(|option| (*option).to_owned()));
        let data_dir = own.directory.join("data");
        let (word, place) = match start.place {
            None => ("--data-dir", data_dir.to_string_lossy().into_owned()),
            Some(Place::Directory(directory)) => ("--data-dir", directory.to_string_lossy().into_owned()),
            Some(Place::Url(url)) => ("--set", format!("database={url}")),
        };
        args.extend([word.to_owned(), place]);
        if start.has_tls {
            own.certify().context("cannot make a certificate")?;
            let files = [("cert", own.certificate()), ("key", own.key())];
            let settings = files.map(|(name, file)| format!("tls.{name}={}", file.display()));
            args.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        }
        if start.compresses {
            let file = own.directory.join("parlour.toml");
            std::fs::write(&file, COMPRESSED_ROOMS)?;
            args.extend(["--config".to_owned(), file.to_string_lossy().into_owned()]);
        }
        args.extend(start.settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut process = Measured::start(start.program, &args)?;
        let s = if start.has_tls { "s" } else { "" };
        own.host = process.line_with(&format!("Web client  http{s}://"))?;
        own.admin = process.line_with("Metrics     http://")?.trim_end_matches("/metrics").to_owned();
        own.process = Some(process);
        Ok(own)
    }

    /// Returns what to ask about the costs of the server.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.process.as_ref().map(Measured::usage)
    }

    /// Returns the file with the certificate, which is its own authority.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// Makes a certificate for this machine.
    fn certify(&self) -> anyhow::Result<()> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        std::fs::write(self.certificate(), made.cert.pem())?;
        // The server takes no key that others may read.
        let mut options = std::fs::OpenOptions::new();
        let mut key = options.write(true).create(true).truncate(true).mode(0o600).open(self.key())?;
        Ok(key.write_all(made.signing_key.serialize_pem().as_bytes())?)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.process.take());
        // It holds nothing that anybody wants.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
