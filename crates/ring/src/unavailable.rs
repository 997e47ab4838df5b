//! Why there is no ring.

use std::io;

/// Why a ring cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Not Linux.
    #[error("io_uring is a part of Linux, and this is another system")]
    Unsupported,
    /// A kernel before 5.1 or built without it, or a filter of system calls that pretends so.
    #[error("the kernel has no io_uring (ENOSYS)")]
    Missing,
    /// A kernel before 5.6.
    #[error("the kernel's io_uring is too old to send; Linux 5.6 is the first that can")]
    TooOld,
    /// The operator has decided so.
    #[error("the sysctl kernel.io_uring_disabled forbids io_uring")]
    Disabled,
    /// A filter of system calls, as container runtimes have.
    #[error("the kernel forbids io_uring (EPERM); the seccomp profile of a container may do that")]
    Forbidden,
    /// No descriptor, or no memory that may be locked, is left.
    #[error("too few resources for io_uring: {0}")]
    Exhausted(#[source] io::Error),
    /// The kernel refuses for another reason.
    #[error("cannot set up io_uring: {0}")]
    Refused(#[source] io::Error),
    /// A ring was set up, but a first send by it failed.
    #[error("a first send by io_uring failed: {0}")]
    Broken(#[source] io::Error),
}

impl Unavailable {
    /// Returns one word for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::TooOld => "too_old",
            Self::Disabled => "disabled",
            Self::Forbidden => "forbidden",
            Self::Exhausted(_) => "exhausted",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
        }
    }

    /// Explains an error of the set-up. `sysctl` is what `kernel.io_uring_disabled` says, if anything.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_set_up(error: io::Error, sysctl: Option<&str>) -> Self {
        let is_disabled = sysctl.is_some_and(|value| value.trim() != "0");
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) if is_disabled => Self::Disabled,
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Self::Exhausted(error),
            _ => Self::Refused(error),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_kernel_are_told_apart() {
        let word = |code, sysctl| Unavailable::from_set_up(io::Error::from_raw_os_error(code), sysctl).word();
        assert_eq!(word(libc::ENOSYS, None), "missing");
        assert_eq!(word(libc::EPERM, Some("2\n")), "disabled");
        assert_eq!(word(libc::EPERM, Some("0\n")), "forbidden");
        assert_eq!(word(libc::EPERM, None), "forbidden");
        assert_eq!(word(libc::ENOMEM, None), "exhausted");
        assert_eq!(word(libc::EINVAL, None), "refused");
    }
}
