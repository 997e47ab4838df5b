//! The baseline: a program that does nothing but write one frame to every socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;

/// What to write.
#[derive(Debug, Args)]
pub(super) struct BareArgs {
    #[arg(long)]
    members: usize,
    #[arg(long)]
    frame_bytes: usize,
    #[arg(long)]
    rate: u32,
}

/// Accepts the members, waits for one byte of the first as the signal, then writes until it leaves.
pub(super) fn run(args: &BareArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    let mut members = Vec::with_capacity(args.members);
    while members.len() < args.members {
        let (member, _) = listener.accept()?;
        member.set_nodelay(true)?;
        members.push(member);
    }
    members[0].read_exact(&mut [0])?;
    let mut frame = vec![b'x'; args.frame_bytes];
    frame[args.frame_bytes - 1] = b'\n';
    let interval = Duration::from_secs(1) / args.rate;
    let mut next = Instant::now();
    while write_all(&mut members, &frame).is_ok() {
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn write_all(members: &mut [TcpStream], frame: &[u8]) -> std::io::Result<()> {
    members.iter_mut().try_for_each(|member| member.write_all(frame))
}
