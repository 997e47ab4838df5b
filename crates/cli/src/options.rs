//! What `dev`, `serve` and `check-config` have in common.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use parlour_server::Server;
use parlour_server::config::{Config, Flags, Mode};

/// Options that every command with a configuration takes.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Address of clients, such as 127.0.0.1:8080; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address of metrics, health checks and the log level
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Where messages are kept; `:memory:` forgets them at the end
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Most messages replayed on entering a room
    #[arg(long, value_name = "MESSAGES")]
    history: Option<u32>,
    /// Log filter: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Sets any option of parlour.example.toml, such as limits.burst=50
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
}

impl CommonArgs {
    /// Turns the arguments into flags for a mode.
    pub(crate) fn flags(self, mode: Mode) -> Flags {
        let mut flags = Flags::new(mode)
            .with("listen", self.listen)
            .with("admin_listen", self.admin_listen)
            .with("data_dir", self.data_dir)
            .with("limits.history", self.history)
            .with("log.level", self.log);
        flags.settings.extend(self.settings);
        flags
    }
}

fn key_value(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().into(), value.trim().into()))
}

/// Reads the configuration from a file, the environment and flags.
pub(crate) fn configure(file: Option<&Path>, flags: Flags) -> anyhow::Result<Config> {
    let toml = file.map(read).transpose()?;
    // A variable that is not Unicode cannot be one of ours.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::from_sources(toml.as_deref(), env, flags)?)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Returns a path for people: absolute where possible.
pub(crate) fn shown(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Threads for handshakes and for waiting; rooms have threads of their own.
const MOST_WORKERS: usize = 8;

/// Runs a future on the thread of the program, which is also the control thread of the server. What
/// it spawns runs beside it.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (cores / 2).clamp(1, MOST_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(future)
}

/// Runs a server until a signal, and announces it as soon as signals are heeded.
///
/// Whoever reads the announcement may send a signal at once, and expects an orderly end.
pub(crate) async fn run_and(server: Server, announce: impl FnOnce()) -> anyhow::Result<()> {
    let (outcome, ()) = tokio::join!(biased; server.run_until_signal(), async { announce() });
    Ok(outcome?)
}
