//! What a figure was measured on.

use std::fs;

use crate::shell;

/// Describes the machine and the compiler in a few lines.
pub(crate) fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = shell::program("rustc", &["--version"]).read().unwrap_or_default();
    format!(
        "cpu: {cpu}, {cores} cores\nmemory: {memory}\nkernel: {}\ncompiler: {}\n",
        kernel.trim(),
        rustc.trim()
    )
}

/// Returns the value after `key` and a colon in a file.
fn field(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
