//! What this machine can carry.

use std::num::NonZero;

/// Files that are not sockets of clients: the store, listeners, pipes, and some in reserve.
const RESERVED_FILES: u64 = 256;
/// What one connection may cost when it is busy, in bytes: kernel buffers and our own.
const BYTES_PER_CONNECTION: u64 = 32 * 1024;
/// More connections than this need an explicit configuration.
const MOST: u64 = 1_000_000;

/// Raises the limit of open files to what the system allows. Returns the limit.
///
/// A first user meets the soft limit of 1,024 files long before any limit of ours.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused inside some sandboxes; the soft limit counts then.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the number of cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Returns how many connections the open files and the memory of this machine allow.
pub(super) fn connections() -> usize {
    use rustix::process::{Resource, getrlimit};
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    limit(files, memory_bytes())
}

fn limit(files: u64, memory_bytes: Option<u64>) -> usize {
    let by_files = files.saturating_sub(RESERVED_FILES);
    let by_memory = memory_bytes.map_or(MOST, |bytes| bytes / 2 / BYTES_PER_CONNECTION);
    usize::try_from(by_files.min(by_memory).clamp(16, MOST)).unwrap_or(usize::MAX)
}

/// The memory of the machine or of the control group, whichever is less.
fn memory_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total_kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group_bytes = group.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(group_bytes.min(total_kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_resource_decides() {
        assert_eq!(limit(10_256, Some(u64::MAX)), 10_000);
        assert_eq!(limit(u64::MAX, Some(64 * 1024 * 1024)), 1_024);
        assert_eq!(limit(u64::MAX, None), 1_000_000);
        assert_eq!(limit(0, Some(0)), 16, "a server that takes nobody is of no use");
    }
}
