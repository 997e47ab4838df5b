//! `parlour-check`: publishes, listens, loses connections, and says whether the server kept its
//! promises.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use parlour_checker::load::Load;
use parlour_checker::{Allowed, Verdict, verify};
use serde_json::json;
use tokio::time::{sleep, timeout};

#[derive(Debug, Parser)]
#[command(version, about = "Checks that a running Parlour server keeps its promises about messages")]
// tidy: one field per option
struct Options {
    /// Where the server is; it must let anybody take any name, as `parlour dev` does
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    url: String,
    /// Workers that say something
    #[arg(long, default_value_t = 4)]
    publishers: u32,
    /// Workers that listen and come and go
    #[arg(long, default_value_t = 4)]
    subscribers: u32,
    /// Rooms
    #[arg(long, default_value_t = 2)]
    rooms: u32,
    /// How long to publish
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// End sooner, when the standard input ends
    #[arg(long)]
    until_eof: bool,
    /// Between two bursts of one publisher, in milliseconds
    #[arg(long, default_value_t = 25)]
    pace_ms: u64,
    /// The share of workers that are the Rust SDK
    #[arg(long, default_value_t = 0.25)]
    sdk_share: f64,
    /// Change, erase and react as well
    #[arg(long)]
    edits: bool,
    /// Make the rooms private, and take one worker's place in the end
    #[arg(long)]
    private: bool,
    /// An older backup is put back meanwhile: epochs may change
    #[arg(long)]
    rewinds: bool,
    /// How long workers may take in the end to see everything, in seconds
    #[arg(long, default_value_t = 45)]
    patience_s: u64,
    /// Where random choices begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

/// Most violations that are printed.
const SHOWN: usize = 20;

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let verdict = runtime.block_on(check(&options))?;
    match options.json {
        true => println!("{}", as_json(&verdict)),
        false => print(&verdict),
    }
    let is_clean = verdict.violations.is_empty();
    // A thread that waits for the standard input does not end by itself.
    runtime.shutdown_background();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check(options: &Options) -> anyhow::Result<Verdict> {
    let load = Load {
        url: options.url.clone(),
        publishers: options.publishers,
        subscribers: options.subscribers,
        restless: true,
        rooms: options.rooms,
        duration: Duration::from_secs(options.seconds),
        pace: Duration::from_millis(options.pace_ms),
        sdk_share: options.sdk_share,
        changes: options.edits,
        private: options.private,
        patience: Duration::from_secs(options.patience_s),
        seed: options.seed,
    };
    let running = load.start().await?;
    if options.until_eof {
        let eof = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        // Whichever comes first.
        let _ = timeout(load.duration, eof).await;
    } else {
        sleep(load.duration).await;
    }
    let evidence = running.finish().await?;
    Ok(verify(&evidence.logs, &evidence.histories, Allowed { rewinds: options.rewinds }))
}

fn print(verdict: &Verdict) {
    let Verdict { acked, entries, seen, refused, pause_ms, lost, resumes, rewound, violations } = verdict;
    println!("{acked} acknowledged, {entries} stored, {seen} seen by workers");
    println!("{refused} times asked to try again, {pause_ms} ms without any acknowledgement at most");
    println!("{lost} connections lost, {resumes} exact resumes, {rewound} gone with a backup");
    for violation in violations.iter().take(SHOWN) {
        println!("{}: {violation}", violation.kind());
    }
    match violations.len() {
        0 => println!("no violation"),
        count => println!("{count} violations"),
    }
}

fn as_json(verdict: &Verdict) -> serde_json::Value {
    let Verdict { acked, entries, seen, refused, pause_ms, lost, resumes, rewound, violations } = verdict;
    let shown = violations
        .iter()
        .take(SHOWN)
        .map(|violation| json!({"kind": violation.kind(), "text": violation.to_string()}));
    json!({
        "acked": acked,
        "entries": entries,
        "seen": seen,
        "refused": refused,
        "pause_ms": pause_ms,
        "lost": lost,
        "resumes": resumes,
        "rewound": rewound,
        "violations": violations.len(),
        "first": shown.collect::<Vec<_>>(),
    })
}
