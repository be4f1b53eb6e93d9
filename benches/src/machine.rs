//! The machine and the day, as the document names them.

use std::fs;
use std::process::{Command, Stdio};

/// Lines `what | value`.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str, separator: char| {
        let mut lines = text.lines().filter_map(|line| line.split_once(separator));
        let found = lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value);
        found.unwrap_or("unknown").trim().trim_matches('"').to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
    let memory = memory.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
    vec![
        ("date", date()),
        ("processor", field(&read("/proc/cpuinfo"), "model name", ':')),
        ("usable processors", processors.to_string()),
        ("memory", format!("{:.1} GiB", memory / f64::from(1 << 20))),
        ("system", field(&read("/etc/os-release"), "PRETTY_NAME", '=')),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
    ]
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn date() -> String {
    let output = Command::new("date").args(["--utc", "+%Y-%m-%d"]).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
