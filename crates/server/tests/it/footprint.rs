//! What a server holds, seen from outside: files, sockets, threads, timers. In a process of its own,
//! so that no other test is counted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::PATIENCE;
use crate::harness::process::{ServerProcess, served_as_child};
use crate::harness::wire::{close_frame, frame};

/// How a client ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Goodbye,
    Fin,
    Reset,
    Error,
}

const ENDS: [End; 4] = [End::Goodbye, End::Fin, End::Reset, End::Error];

async fn visit(server: std::net::SocketAddr, n: usize, end: End) {
    let mut tcp = TcpStream::connect(server).await.expect("connected");
    let request = format!(
        "GET /ws?user=u{}&room=lobby HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        n % 50
    );
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 256];
    let length = tcp.read(&mut answer).await.expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 101 "));
    match end {
        End::Goodbye => tcp.write_all(&close_frame(1000)).await.expect("sent"),
        End::Error => tcp.write_all(&frame(0x83, b"")).await.expect("sent"),
        End::Fin => return,
        End::Reset => return tcp.set_zero_linger().expect("an option"),
    }
    // The server ends it.
    let _ = tcp.read_to_end(&mut Vec::new()).await;
}

fn open_files(server: &ServerProcess) -> usize {
    std::fs::read_dir(PathBuf::from(format!("/proc/{}/fd", server.id()))).expect("a process of ours").count()
}

/// Counts the sockets of the server in a state (hexadecimal, as in `/proc/net/tcp`).
fn sockets_in(server: &ServerProcess, state: &str) -> usize {
    let port = format!("0100007F:{:04X}", server.address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&port.as_str()) && row.get(3) == Some(&state)).count()
}

async fn crowd(server: &ServerProcess, visits: usize, end: impl Fn(usize) -> End) {
    let mut tasks = JoinSet::new();
    for n in 0..visits {
        if tasks.len() >= 50 {
            tasks.join_next().await.expect("not empty").expect("a visit");
        }
        tasks.spawn(visit(server.address, n, end(n)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a visit");
    }
}

const CLOSE_WAIT: &str = "08";
const GAUGES: [&str; 6] = [
    "parlour_connections",
    "parlour_members",
    "parlour_rooms",
    "parlour_tasks",
    "parlour_timers",
    "parlour_outboxes",
];

/// R4, R5: 5,000 connections of every end leave nothing.
#[tokio::test]
async fn five_thousand_connections_leave_no_file_timer_task_or_thread() {
    if served_as_child().await {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = ServerProcess::start(
        "footprint::five_thousand_connections_leave_no_file_timer_task_or_thread",
        directory.path(),
        Duration::ZERO,
    );
    // The first visits open what stays open, such as the store's readers.
    crowd(&server, 50, |n| ENDS[n % 4]).await;
    server.await_metric("parlour_connections", 0.0).await;
    let threads = server.metric("parlour_process_threads").await;
    let files = open_files(&server);
    for end in ENDS {
        crowd(&server, 1_250, |_| end).await;
        let began = Instant::now();
        loop {
            // A scrape may have counted its own connection as one that stays, so both are awaited.
            let left = (open_files(&server).saturating_sub(files), sockets_in(&server, CLOSE_WAIT));
            if left == (0, 0) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{end:?}: files and half-closed sockets left: {left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for gauge in GAUGES {
        server.await_metric(gauge, 0.0).await;
    }
    assert_eq!(server.metric("parlour_process_threads").await, threads);
    assert_eq!(server.metric("parlour_panics_total").await, 0.0);
    assert_eq!(server.metric("parlour_stale_reaped_total").await, 0.0);
    assert_eq!(server.metric("parlour_connections_opened_total").await, 5_050.0);
    server.signal(Signal::TERM);
    let (status, log) = server.ended().await;
    assert!(status.success(), "{status}\n{log}");
}
