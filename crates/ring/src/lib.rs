//! Many sends in one system call, by io_uring.
//!
//! Who gives one frame to a thousand sockets enters the kernel a thousand times with `send`, and a
//! few times with a [`Ring`]. Knows sockets and bytes; must not know frames, rooms or runtimes.
//!
//! This is the only crate of the workspace with unsafe code, all of it in `kernel.rs`.
//!
//! ```no_run
//! use std::net::TcpStream;
//! use std::os::fd::AsFd as _;
//!
//! use parlour_ring::{Outgoing, Ring};
//!
//! fn tell(ring: &mut Ring, sockets: &[TcpStream], frame: &[u8]) -> Vec<usize> {
//!     let mut behind = Vec::new();
//!     let sends = sockets.iter().map(|socket| Outgoing { socket: socket.as_fd(), bytes: frame });
//!     ring.send_all(sends, |index, taken| match taken {
//!         Ok(bytes) if bytes == frame.len() => {}
//!         _ => behind.push(index),
//!     });
//!     behind
//! }
//! ```

mod ring;
mod sockets;
mod unavailable;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
use elsewhere as kernel;
#[cfg(target_os = "linux")]
mod kernel;

pub use ring::{Outgoing, Ring};
pub use unavailable::Unavailable;
