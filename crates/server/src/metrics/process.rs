//! What is counted per process: by the operating system (Linux only, absent elsewhere), and by the log.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::export::{Row, write_counter, write_gauge};
use crate::logging;

pub(super) const ROWS: &[Row] = &[
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM."),
    gauge("process_open_fds", "Open files and sockets of the process."),
    gauge("process_threads", "Threads of the process."),
    Row {
        name: "log_lines_suppressed",
        help: "Log lines left out because their cause had just been logged.",
        label: "",
        kind: MetricType::Counter,
    },
];

const fn gauge(name: &'static str, help: &'static str) -> Row {
    Row { name, help, label: "", kind: MetricType::Gauge }
}

pub(super) fn export(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let values = [
        status_field(&status, "VmRSS:").map(|kib| kib * 1024),
        open_files(),
        status_field(&status, "Threads:"),
        Some(logging::suppressed_lines()),
    ];
    for (row, value) in ROWS.iter().zip(values) {
        let Some(value) = value else { continue };
        let mut metric = encoder.encode_descriptor(row.name, row.help, None, row.kind)?;
        match row.kind {
            MetricType::Counter => write_counter(&mut metric, value)?,
            _ => write_gauge(&mut metric, value)?,
        }
    }
    Ok(())
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<u64> {
    u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_status_file_are_found() {
        let status = "Name:\tparlour\nVmRSS:\t  1234 kB\nThreads:\t5\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(1234));
        assert_eq!(status_field(status, "Threads:"), Some(5));
        assert_eq!(status_field(status, "VmSwap:"), None);
    }
}
