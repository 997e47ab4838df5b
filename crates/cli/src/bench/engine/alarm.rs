//! Wakes a poll at a moment. A poll counts in milliseconds, which is too coarse for messages that
//! are due every hundred microseconds, so on Linux the kernel's timer is one more source of events.

use std::time::Duration;

use mio::{Registry, Token};

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::{AsRawFd as _, OwnedFd};

    use mio::Interest;
    use mio::unix::SourceFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::{Duration, Registry, Token};

    /// A timer of the kernel. It is edge-triggered, so nobody needs to read it.
    #[derive(Debug)]
    pub(crate) struct Alarm(OwnedFd);

    impl Alarm {
        /// Makes a timer whose events have the token.
        pub(crate) fn new(registry: &Registry, token: Token) -> anyhow::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// Rings after a time; returns how long the poll may take at most.
        pub(crate) fn set(&self, after: Duration) -> anyhow::Result<Option<Duration>> {
            if after.is_zero() {
                return Ok(Some(after));
            }
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value =
                Timespec { tv_sec: i64::try_from(after.as_secs())?, tv_nsec: after.subsec_nanos().into() };
            let once = Itimerspec { it_interval: zero, it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Duration, Registry, Token};

    /// Nothing but the time-out of the poll.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new(_: &Registry, _: Token) -> anyhow::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn set(&self, after: Duration) -> anyhow::Result<Option<Duration>> {
            Ok(Some(after))
        }
    }
}

pub(crate) use kernel::Alarm;
