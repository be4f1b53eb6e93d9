//! Limits, against what a machine has.

use super::report::{Report, Severity};
use crate::ResourceLimits;

/// What a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// CPUs that this process may use; absent if it isn't known.
    pub cpus: Option<usize>,
    /// Memory in bytes; absent if it isn't known.
    pub memory_bytes: Option<u64>,
}

impl Host {
    /// This machine.
    pub fn here() -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kilobytes = total.and_then(|total| total.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        let cpus = std::thread::available_parallelism().ok().map(usize::from);
        Self { cpus, memory_bytes: kilobytes.map(|kilobytes| kilobytes * 1024) }
    }
}

/// The least share of CPU time that the kernel knows: 1 of 100 ms.
const LEAST_CORES: f64 = 0.01;

/// In less memory hardly a program starts.
const LITTLE_MEMORY: u64 = 6 << 20;

pub(super) fn check(limits: &ResourceLimits, host: &Host, report: &mut Report) {
    let ResourceLimits { cpu_cores, memory_bytes, disk_bytes, network_bps } = limits;
    match cpu_cores {
        None => missing(report, "cpu_cores", "CPU time"),
        Some(cores) => cpu(*cores, host, report),
    }
    match memory_bytes {
        None => missing(report, "memory_bytes", "memory"),
        Some(0) => zero(report, "memory_bytes"),
        Some(bytes) => memory(*bytes, host, report),
    }
    for (key, what, value) in
        [("disk_bytes", "disk space", disk_bytes), ("network_bps", "network rate", network_bps)]
    {
        match value {
            None => missing(report, key, what),
            Some(0) => zero(report, key),
            Some(_) => {}
        }
    }
}

fn missing(report: &mut Report, key: &str, what: &str) {
    let reason = format!("{what} has no limit: one container can take it from all others");
    report.missing(Severity::Warning, key, "limits.missing", reason, "set one");
}

fn zero(report: &mut Report, key: &str) {
    report.error(key, "limits.zero", 0, "nothing runs with none of it", "leave it out for no limit");
}

fn cpu(cores: f64, host: &Host, report: &mut Report) {
    if !cores.is_finite() || cores < LEAST_CORES {
        let reason = "the kernel shares CPU time from 0.01 cores on";
        report.error("cpu_cores", "limits.cpu", cores, reason, "give more, or leave it out for no limit");
    } else if let Some(cpus) = host.cpus.filter(|cpus| cores > *cpus as f64) {
        let reason = format!("this machine has {cpus} CPUs");
        report.warning("cpu_cores", "limits.host", cores, reason, format!("{cpus} is all there is"));
    }
}

fn memory(bytes: u64, host: &Host, report: &mut Report) {
    if bytes < LITTLE_MEMORY {
        let help = "the unit is bytes: 64 MiB are 67108864";
        report.warning("memory_bytes", "limits.little", bytes, "hardly a program starts in so little", help);
    } else if let Some(all) = host.memory_bytes.filter(|all| bytes > *all) {
        let reason = format!("this machine has {all} bytes");
        report.warning("memory_bytes", "limits.host", bytes, reason, "the limit would never be reached");
    }
}

pub(super) fn entropy(bits: Option<f64>, report: &mut Report) {
    let Some(bits) = bits else { return };
    if !(0.0..=512.0).contains(&bits) {
        let reason = "entropy is told in bits, from 0 to 512";
        report.error("minimum_entropy", "entropy.range", bits, reason, "128 is enough for most");
    } else if bits < 128.0 {
        let reason = "less than 128 bits can be guessed";
        report.warning("minimum_entropy", "entropy.low", bits, reason, "ask for 128");
    }
}
