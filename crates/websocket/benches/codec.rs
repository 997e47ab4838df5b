//! The cost of a frame, decoded and encoded, and of masking beside a plain loop.
//!
//! `cargo bench -p parlour-websocket`; each figure is the median of eleven runs.

use parlour_websocket::{Decoder, Deflater, Inflater, Limits, Opcode, Role, encode, mask};
use std::hint::black_box;
use std::time::Instant;

const RUNS: usize = 11;
const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const SIZES: [usize; 4] = [32, 128, 1024, 64 * 1024];

/// Bytes handled by one run, large enough that the clock does not matter.
const BYTES_PER_RUN: usize = 8 * 1024 * 1024;

fn main() {
    println!("{:<34}{:>12}{:>12}{:>12}{:>12}", "ns per frame", "32 B", "128 B", "1 KiB", "64 KiB");
    row("decode binary, whole in the input", |size| decode(Opcode::Binary, size, usize::MAX));
    row("decode text, whole in the input", |size| decode(Opcode::Text, size, usize::MAX));
    row("decode text, input of 1,000 bytes", |size| decode(Opcode::Text, size, 1000));
    row("encode for many receivers", |size| {
        per_frame(size, |out, payload| encode::frame(out, Opcode::Binary, payload))
    });
    row("encode masked", |size| {
        per_frame(size, |out, payload| encode::masked_frame(out, Opcode::Binary, payload, KEY))
    });
    row("deflate JSON and encode", |size| {
        let mut deflater = Deflater::new(1, 12);
        per_frame(size, move |out, payload| {
            encode::compressed_frame(out, &mut deflater, Opcode::Text, payload);
        })
    });
    row("inflate JSON", inflate);

    println!("\n{:<34}{:>12}{:>12}{:>12}{:>12}", "GB/s", "32 B", "128 B", "1 KiB", "64 KiB");
    row("unmask", |size| throughput(size, |payload| mask::apply(payload, KEY)));
    row("unmask, plain loop over bytes", |size| throughput(size, |payload| plain_loop(payload, KEY)));
}

fn row(name: &str, mut measure: impl FnMut(usize) -> f64) {
    print!("{name:<34}");
    for size in SIZES {
        match measure(size) {
            figure if figure.is_nan() => print!("{:>12}", "-"),
            figure => print!("{figure:>12.1}"),
        }
    }
    println!();
}

/// The median time of a run in nanoseconds; `prepare` is not counted.
fn median(mut prepare: impl FnMut(), mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            prepare();
            let start = Instant::now();
            run();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// Text that resembles what rooms carry, so that compression has something to find.
fn payload(size: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|at| format!(r#"{{"seq":{at},"user":"u{}","text":"hello there"}}"#, at % 97).into_bytes())
        .take(size)
        .collect()
}

fn frames_per_run(size: usize) -> usize {
    BYTES_PER_RUN / (size + 96)
}

fn decode(opcode: Opcode, size: usize, input_bytes: usize) -> f64 {
    let frames = frames_per_run(size).min(2000);
    let mut pristine = Vec::new();
    (0..frames).for_each(|_| encode::masked_frame(&mut pristine, opcode, &payload(size), KEY));
    // Decoding unmasks in place, so every run gets a fresh copy.
    let bytes = std::cell::RefCell::new(pristine.clone());
    let (mut decoder, mut inflater) = (Decoder::new(Role::Server, false), Inflater::new());
    let time = median(
        || bytes.borrow_mut().copy_from_slice(&pristine),
        || {
            let mut decoded = 0;
            for mut input in bytes.borrow_mut().chunks_mut(input_bytes) {
                while let Ok(Some(frame)) = decoder.decode(&mut input, &Limits::default(), &mut inflater) {
                    black_box(frame);
                    decoded += 1;
                }
            }
            assert_eq!(decoded, frames);
        },
    );
    time / frames as f64
}

/// Not a number where compression saves nothing.
fn inflate(size: usize) -> f64 {
    let Some(compressed) = Deflater::new(1, 12).deflate(&payload(size)).map(<[u8]>::to_vec) else {
        return f64::NAN;
    };
    let frames = frames_per_run(size).min(2000);
    let mut inflater = Inflater::new();
    let time = median(
        || {},
        || {
            for _ in 0..frames {
                black_box(inflater.inflate(black_box(&compressed), 64 * 1024)).expect("valid");
            }
        },
    );
    time / frames as f64
}

fn per_frame(size: usize, mut append: impl FnMut(&mut Vec<u8>, &[u8])) -> f64 {
    let (payload, frames) = (payload(size), frames_per_run(size).min(2000));
    let mut out = Vec::with_capacity(frames * (size + 32));
    let time = median(
        || {},
        || {
            out.clear();
            for _ in 0..frames {
                append(&mut out, black_box(&payload));
            }
            black_box(&out);
        },
    );
    time / frames as f64
}

fn throughput(size: usize, mut unmask: impl FnMut(&mut [u8])) -> f64 {
    let (mut payload, rounds) = (payload(size), BYTES_PER_RUN / size);
    let time = median(|| {}, || (0..rounds).for_each(|_| unmask(black_box(&mut payload))));
    (rounds * size) as f64 / time
}

fn plain_loop(payload: &mut [u8], key: [u8; 4]) {
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
}
