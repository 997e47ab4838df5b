//! What the operating system knows of this process. Linux only; elsewhere the metrics are absent.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::export::Row;

pub(super) const ROWS: &[Row] = &[
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM."),
    gauge("process_open_fds", "Open files and sockets of the process."),
    gauge("process_threads", "Threads of the process."),
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
    ];
    for (row, value) in ROWS.iter().zip(values) {
        if let Some(value) = value {
            encoder.encode_descriptor(row.name, row.help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn status_field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
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
