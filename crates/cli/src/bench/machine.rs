//! The machine of a measurement, as every report must name it.

use std::fmt;

use serde::Serialize;

/// What a figure cannot be understood without.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// The model of the processor.
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// The operating system and its release.
    pub(crate) kernel: String,
    /// How many programs wanted a core during the last minute: more than the cores, and latencies
    /// say more about the scheduler than about the server.
    pub(crate) load: f64,
}

impl Machine {
    /// Describes this machine. To be asked before the generator is pinned to one of the cores.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let release = read("/proc/sys/kernel/osrelease");
        let load = read("/proc/loadavg");
        Self {
            cpu: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} cores), {}, load {}", self.cpu, self.cores, self.kernel, self.load)
    }
}
