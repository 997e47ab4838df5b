//! What a send costs the thread that sends: one by one with `send(2)`, and by the ring.
//!
//! A thousand TCP connections over loopback; a thread on another core reads what arrives. After each
//! batch the queues drain, so that every send finds room. Rounds of both ways alternate. Printed are
//! medians over the rounds, of processor time and of elapsed time per send.

#[cfg(target_os = "linux")]
mod linux;

fn main() {
    #[cfg(target_os = "linux")]
    linux::run();
}
