//! Cost of a room broadcast per recipient before the write, its allocations (R60), and what
//! compression adds and saves.
//!
//! Run: `cargo bench -p parlour-server --bench fanout`

use std::hint::black_box;
use std::time::Instant;

use parlour_server::shard::measure::FanOut;
use parlour_websocket::handshake::deflate::DeflateParams;

const ROUNDS: usize = 9;
const BROADCASTS: usize = 2_000;
/// As people write, so that compression finds what it would find.
const TALK: &str = "Good morning everybody, the deployment of yesterday evening went well, but two of \
     the dashboards still show the old numbers. Could somebody who was there look at the cache in \
     front of them? I think that we only have to wait until the entries expire, which takes an hour, \
     or to delete them by hand. The customers in Lisbon have not noticed anything, as far as I know. ";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _guard = runtime.enter();
    per_recipient();
    compression();
}

fn per_recipient() {
    println!("room broadcast before the write, 128 B messages, {ROUNDS} rounds of {BROADCASTS} broadcasts");
    println!("{:>8}  {:>14}  {:>22}  {:>22}", "members", "ns/recipient", "spread", "allocations/broadcast");
    let text = "x".repeat(128);
    for members in [10, 100, 1_000] {
        let mut room = FanOut::new(members, &text, None).expect("sockets");
        let times = time(&mut room).map(|ns| ns / members as f64);
        let allocations = allocation_counter::measure(|| {
            (0..BROADCASTS).for_each(|_| {
                black_box(room.broadcast());
            });
        });
        println!(
            "{members:>8}  {:>14.1}  {:>10.1} - {:>9.1}  {:>22.2}",
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1],
            allocations.count_total as f64 / BROADCASTS as f64
        );
    }
}

fn compression() {
    println!("\ncompression, 100 members, medians of {ROUNDS} rounds of {BROADCASTS} broadcasts");
    println!(
        "{:>10}  {:>12}  {:>12}  {:>14}  {:>14}",
        "text", "frame", "compressed", "us/broadcast", "compressed"
    );
    for bytes in [64, 128, 256, 1_024, 4_096] {
        let text: String = TALK.chars().cycle().take(bytes).collect();
        let [plain, deflated] = [None, Some(DeflateParams::default())].map(|deflate| {
            let mut room = FanOut::new(100, &text, deflate).expect("sockets");
            let frame = room.broadcast() / 100;
            (frame, time(&mut room)[ROUNDS / 2] / 1_000.0)
        });
        println!(
            "{:>8} B  {:>10} B  {:>10} B  {:>14.2}  {:>14.2}",
            bytes, plain.0, deflated.0, plain.1, deflated.1
        );
    }
}

/// Returns the nanoseconds of a broadcast in each round, from the least to the most.
fn time(room: &mut FanOut) -> [f64; ROUNDS] {
    let mut times = [0.0; ROUNDS];
    for time in &mut times {
        let began = Instant::now();
        for _ in 0..BROADCASTS {
            black_box(room.broadcast());
        }
        *time = began.elapsed().as_nanos() as f64 / BROADCASTS as f64;
    }
    times.sort_by(f64::total_cmp);
    times
}
