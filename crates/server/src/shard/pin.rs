//! Keeping the thread of a shard on one core.

/// Keeps the calling thread on one of the cores that the process may use: the next one for each shard.
#[cfg(target_os = "linux")]
pub(super) fn pin(shard: u16) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let mut one = CpuSet::new();
        one.set(cores[usize::from(shard) % cores.len()]);
        sched_setaffinity(None, &one)
    });
    if let Err(error) = pinned {
        tracing::warn!(shard, %error, "a shard was not kept on one core");
    }
}

/// Says that this system has no such thing.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin(shard: u16) {
    tracing::warn!(shard, "`pin_shards` has no effect on this system");
}
