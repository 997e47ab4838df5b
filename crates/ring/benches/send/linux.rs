//! The measurement.

use std::fs;
use std::hint::black_box;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parlour_ring::{Outgoing, Ring};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::SendFlags;
use rustix::thread::CpuSet;
use rustix::time::{ClockId, Timespec, clock_gettime};

const CONNECTIONS: usize = 1_000;
/// A message of 128 bytes as a JSON frame.
const FRAME: [u8; 242] = [b'x'; 242];
const BATCHES: [usize; 3] = [10, 50, 1_000];
/// Rounds are many and short, so that what else the machine does meets both ways alike.
const SENDS_PER_ROUND: usize = 2_000;
const ROUNDS: usize = 101;
const RING_ENTRIES: u32 = 64;
const SENDER_CORE: usize = 0;
const READER_CORE: usize = 1;

pub(crate) fn run() {
    let mut bench = match Bench::new() {
        Ok(bench) => bench,
        Err(reason) => return println!("no ring to measure: {reason}"),
    };
    println!("ns per send of {} bytes, medians of {ROUNDS} rounds", FRAME.len());
    println!("batch | cpu send | cpu ring | ratio (quartiles) | elapsed send | elapsed ring | ratio");
    for batch in BATCHES {
        let rounds: Vec<(Cost, Cost)> = (0..ROUNDS)
            .map(|_| (bench.round(batch, Bench::one_by_one), bench.round(batch, Bench::by_ring)))
            .collect();
        report(batch, &rounds);
    }
    bench.reader.stop();
}

/// Nanoseconds per send.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    elapsed: f64,
}

struct Bench {
    sockets: Vec<TcpStream>,
    ring: Ring,
    reader: Reader,
    soft_interrupts: SoftInterrupts,
    sent: u64,
}

impl Bench {
    fn new() -> Result<Self, parlour_ring::Unavailable> {
        pin(SENDER_CORE);
        let ring = Ring::new(RING_ENTRIES)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let pairs = (0..CONNECTIONS).map(|_| {
            let socket = TcpStream::connect(address).expect("a connection");
            socket.set_nodelay(true).expect("an option of TCP");
            (socket, listener.accept().expect("its other end").0)
        });
        let (sockets, peers) = pairs.unzip();
        let reader = Reader::start(peers);
        Ok(Self { sockets, ring, reader, soft_interrupts: SoftInterrupts::find(), sent: 0 })
    }

    fn one_by_one(&mut self, sockets: Range<usize>) {
        for socket in &self.sockets[sockets] {
            let taken = rustix::net::send(socket, &FRAME, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            assert_eq!(taken, Ok(FRAME.len()));
        }
    }

    fn by_ring(&mut self, sockets: Range<usize>) {
        let frame = black_box(&FRAME);
        let sends = self.sockets[sockets].iter();
        self.ring
            .send_all(sends.map(|socket| Outgoing { socket: socket.as_fd(), bytes: frame }), |_, taken| {
                assert!(taken.is_ok_and(|taken| taken == FRAME.len()))
            });
    }

    /// Sends to the sockets in turn, batch after batch, and measures only while it sends.
    fn round(&mut self, batch: usize, send: impl Fn(&mut Self, Range<usize>)) -> Cost {
        let (mut cpu, mut elapsed) = (Duration::ZERO, Duration::ZERO);
        for number in 0..SENDS_PER_ROUND / batch {
            let start = number * batch % CONNECTIONS;
            let soft_before = self.soft_interrupts.cpu_time();
            let (began, cpu_before) = (Instant::now(), cpu_time());
            send(self, start..start + batch);
            cpu += cpu_time() - cpu_before;
            elapsed += began.elapsed();
            self.sent += (batch * FRAME.len()) as u64;
            self.reader.wait_for(self.sent);
            cpu += self.soft_interrupts.cpu_time() - soft_before;
        }
        let per_send = |time: Duration| time.as_nanos() as f64 / SENDS_PER_ROUND as f64;
        Cost { cpu: per_send(cpu), elapsed: per_send(elapsed) }
    }
}

/// The thread at the other ends.
struct Reader {
    taken: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start(peers: Vec<TcpStream>) -> Self {
        let (taken, ended) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (count, end) = (Arc::clone(&taken), Arc::clone(&ended));
        Self { taken, ended, thread: thread::spawn(move || read(peers, &count, &end)) }
    }

    fn wait_for(&self, bytes: u64) {
        while self.taken.load(Ordering::Acquire) < bytes {
            thread::sleep(Duration::from_micros(50));
        }
    }

    fn stop(self) {
        self.ended.store(true, Ordering::Release);
        self.thread.join().expect("the reader ends well");
    }
}

fn read(mut peers: Vec<TcpStream>, taken: &AtomicU64, ended: &AtomicBool) {
    pin(READER_CORE);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    for (index, peer) in (0..).zip(&peers) {
        let data = epoll::EventData::new_u64(index);
        epoll::add(&poll, peer, data, epoll::EventFlags::IN).expect("a socket to watch");
    }
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; 64 * 1024];
    while !ended.load(Ordering::Acquire) {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&timeout)).expect("events");
        for event in &events {
            let bytes = peers[event.data.u64() as usize].read(&mut buffer).expect("it is readable");
            taken.fetch_add(bytes as u64, Ordering::Release);
        }
    }
}

fn report(batch: usize, rounds: &[(Cost, Cost)]) {
    let median = |of: &dyn Fn(&(Cost, Cost)) -> f64| sorted(rounds.iter().map(of).collect())[ROUNDS / 2];
    let ratios = sorted(rounds.iter().map(|(send, ring)| ring.cpu / send.cpu).collect());
    println!(
        "{batch:5} | {:8.0} | {:8.0} | {:.3} ({:.3}..{:.3}) | {:12.0} | {:12.0} | {:.3}",
        median(&|(send, _)| send.cpu),
        median(&|(_, ring)| ring.cpu),
        ratios[ROUNDS / 2],
        ratios[ROUNDS / 4],
        ratios[ROUNDS * 3 / 4],
        median(&|(send, _)| send.elapsed),
        median(&|(_, ring)| ring.elapsed),
        median(&|(send, ring)| ring.elapsed / send.elapsed),
    );
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The kernel's own thread on the sender's core. While other threads want that core, what a send does
/// in soft interrupts moves there; left out, the way with the longer system calls looks cheaper.
struct SoftInterrupts(Option<PathBuf>);

impl SoftInterrupts {
    fn find() -> Self {
        let name = format!("ksoftirqd/{SENDER_CORE}\n");
        let processes = fs::read_dir("/proc").expect("Linux has it").flatten().map(|entry| entry.path());
        let mut named = processes
            .filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm == name))
            .map(|path| path.join("schedstat"));
        Self(named.next())
    }

    /// Returns its processor time; nothing in a container that does not see it.
    fn cpu_time(&self) -> Duration {
        let text = self.0.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or(0))
    }
}

/// Keeps this thread on a core, where the machine has it.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set); // with one core both share it
}
