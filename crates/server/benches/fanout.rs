//! Cost of a room broadcast per recipient before the write, and its allocations (R60).
//!
//! Run: `cargo bench -p parlour-server --bench fanout`

use std::hint::black_box;
use std::time::Instant;

use parlour_server::shard::measure::FanOut;

const ROUNDS: usize = 9;
const BROADCASTS: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _guard = runtime.enter();
    println!("room broadcast before the write, 128 B messages, {ROUNDS} rounds of {BROADCASTS} broadcasts");
    println!("{:>8}  {:>14}  {:>22}  {:>22}", "members", "ns/recipient", "spread", "allocations/broadcast");
    for members in [10, 100, 1_000] {
        let mut room = FanOut::new(members, 128).expect("sockets");
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for _ in 0..BROADCASTS {
                black_box(room.broadcast());
            }
            times.push(began.elapsed().as_nanos() as f64 / (BROADCASTS * members) as f64);
        }
        let allocations = allocation_counter::measure(|| {
            (0..BROADCASTS).for_each(|_| {
                black_box(room.broadcast());
            });
        });
        times.sort_by(f64::total_cmp);
        println!(
            "{members:>8}  {:>14.1}  {:>10.1} - {:>9.1}  {:>22.2}",
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1],
            allocations.count_total as f64 / BROADCASTS as f64
        );
    }
}
