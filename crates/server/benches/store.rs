//! What a durable append costs, beside a bare write and fsync in the same run.
//!
//! `cargo bench -p parlour-server --bench store`; medians over the runs. Without `--bench`, as in
//! `cargo test --benches`, one short run shows that it still works.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use parlour_hub::log::{Draft, Guard, NewEntry};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, UserId};
use parlour_server::store::Store;
use parlour_server::store::sqlite::SqliteStore;
use tokio::task::JoinSet;

/// A usual chat message.
const BODY_BYTES: usize = 120;
/// The rooms that a batch is spread over, as in a server with many busy rooms.
const ROOMS: usize = 32;
const ROWS_BEFORE_READING: usize = 100_000;

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (runs, scale) = if measuring { (5, 20) } else { (1, 1) };
    describe_machine(runs);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let runs: Vec<_> = (0..runs).map(|_| runtime.block_on(run(scale))).collect();
    println!("{:<34} {:>12} {:>12} {:>12}", "", "rows/s", "p50 us", "p99 us");
    for index in 0..runs[0].len() {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(|run| figure(&run[index])));
        let [rate, p50, p99] = [of(|f| f.rate), of(|f| f.p50_us), of(|f| f.p99_us)];
        println!("{:<34} {rate:>12.0} {p50:>12.1} {p99:>12.1}", runs[0][index].name);
    }
}

struct Figures {
    name: String,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
}

async fn run(scale: usize) -> Vec<Figures> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut figures = vec![bare_fsync(&dir.path().join("bare"), 50 * scale)];
    let store = SqliteStore::open(&dir.path().join("data")).expect("a store");
    for (batch, count) in [(1, 50), (100, 15), (512, 5)] {
        figures.push(appends(&store, batch, count * scale).await);
    }
    figures.push(callers(store, 64, 20 * scale).await);
    figures.push(reads(&dir.path().join("long"), ROWS_BEFORE_READING * scale / 20, 250 * scale).await);
    figures
}

fn bare_fsync(path: &Path, count: usize) -> Figures {
    let mut file = File::create(path).expect("a file");
    let row = [b'x'; BODY_BYTES];
    let times = (0..count).map(|_| {
        let began = Instant::now();
        file.write_all(&row).expect("written");
        file.sync_data().expect("synced");
        began.elapsed()
    });
    summary("write + fdatasync, one row".to_owned(), 1, times.collect())
}

async fn appends(store: &dyn Store, batch: usize, count: usize) -> Figures {
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        let drafts = (0..batch).map(|n| draft(&format!("room {}", n % ROOMS), index * batch + n)).collect();
        let began = Instant::now();
        store.append(drafts).await.expect("stored");
        times.push(began.elapsed());
    }
    summary(format!("append, batches of {batch}"), batch, times)
}

/// Many callers with one row each: they meet in the writer's queue.
async fn callers(store: SqliteStore, callers: usize, each: usize) -> Figures {
    let store = std::sync::Arc::new(store);
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for caller in 0..callers {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            let name = format!("room {caller}");
            let mut times = Vec::with_capacity(each);
            for n in 0..each {
                let began = Instant::now();
                store.append(vec![draft(&name, n + (caller << 32))]).await.expect("stored");
                times.push(began.elapsed());
            }
            times
        });
    }
    let times = tasks.join_all().await.concat();
    let rate = (callers * each) as f64 / began.elapsed().as_secs_f64();
    Figures { rate, ..summary(format!("append, {callers} callers of 1 row"), 1, times) }
}

async fn reads(dir: &Path, rows: usize, count: usize) -> Figures {
    let store = SqliteStore::open(dir).expect("a store");
    for start in (0..rows).step_by(500) {
        let drafts = (start..start + 500).map(|n| draft("long", n)).collect();
        store.append(drafts).await.expect("stored");
    }
    let room = RoomName::parse("long").expect("a name");
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let tail = store.open(room.clone(), 50).await.expect("read").expect("exists").tail;
        times.push(began.elapsed());
        assert_eq!(tail.len(), 50);
    }
    summary(format!("last 50 of {rows}"), 50, times)
}

fn draft(room: &str, cid: usize) -> Draft {
    let content = Content::Message(Text::plain("x".repeat(BODY_BYTES)));
    Draft {
        room: RoomName::parse(room).expect("a name"),
        new_epoch: Epoch(1),
        sender: UserId::parse("Alice").expect("an id"),
        ts: 0,
        guard: Guard::Author,
        entries: vec![NewEntry { cid: Some(format!("{room} {cid:x}").into()), content }],
    }
}

fn summary(name: String, rows: usize, mut times: Vec<Duration>) -> Figures {
    let total: Duration = times.iter().sum();
    times.sort_unstable();
    let at = |quantile: usize| times[(times.len() - 1) * quantile / 100].as_secs_f64() * 1e6;
    let rate = (rows * times.len()) as f64 / total.as_secs_f64();
    Figures { name, rate, p50_us: at(50), p99_us: at(99) }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn describe_machine(runs: usize) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{} x {}", cores, model.trim_start_matches([' ', '\t', ':']));
    println!("kernel {}", read("/proc/sys/kernel/osrelease").trim());
    println!("load before the first run {}", read("/proc/loadavg").trim());
    println!("directory {}", env!("CARGO_TARGET_TMPDIR"));
    println!("sqlite {}, bodies of {BODY_BYTES} bytes, {ROOMS} rooms", rusqlite::version());
    println!("median of {runs} runs of: cargo bench -p parlour-server --bench store\n");
}
