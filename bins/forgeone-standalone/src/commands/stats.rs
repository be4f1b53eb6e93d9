//! `stats`: what containers use.

use crate::here::Here;
use forgeone_cli::human::{binary, size};
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, output};
use forgeone_config::{Host, NetworkMode};
use forgeone_runtime::Result;
use forgeone_runtime::metrics::Stats;
use forgeone_runtime::network::{Counters, statistics};
use forgeone_runtime::registry::Container;
use forgeone_sys::fs::stdout;
use forgeone_sys::pty::is_terminal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const TITLES: [&str; 8] =
    ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"];

/// Between two measurements.
const INTERVAL: Duration = Duration::from_secs(1);

/// For the first one.
const FIRST: Duration = Duration::from_millis(200);

pub(super) fn stats(here: &Here, call: &Call) -> Result<u8> {
    let format = Format::parse(call.flags.text("format")?)?;
    let words = call.texts()?;
    let once = call.flags.switch("no-stream");
    // A terminal is drawn anew each time; elsewhere one picture follows the other.
    let clear = !once && format == Format::Table && is_terminal(stdout());
    let mut before = BTreeMap::new();
    measure(here, &words, &mut before)?;
    std::thread::sleep(FIRST);
    loop {
        let rows = measure(here, &words, &mut before)?;
        let text = show::rows(&format, &TITLES, &rows)?;
        let text = if clear { format!("\u{1b}[H\u{1b}[J{text}") } else { text };
        if !output::offer(&text)? || once {
            return Ok(0);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// CPU time in nanoseconds, and when it was read.
type Before = BTreeMap<String, (u64, Instant)>;

fn measure(here: &Here, words: &[&str], before: &mut Before) -> Result<Vec<(Vec<String>, Value)>> {
    let containers = if words.is_empty() { here.all()? } else { here.find_all(words)? };
    let runtime = here.runtime();
    let mut rows = Vec::new();
    for container in containers {
        // One that doesn't run uses nothing; one that was named is told.
        if !words.is_empty() {
            super::running(&container)?;
        }
        let Ok(stats) = runtime.watch(container.id()).and_then(|watch| watch.stats()) else { continue };
        let (now, used) = (Instant::now(), stats.cpu.usage.total);
        let old = before.insert(container.id().to_owned(), (used, now));
        rows.push(row(&container, &stats, old, now));
    }
    Ok(rows)
}

fn row(
    container: &Container,
    stats: &Stats,
    old: Option<(u64, Instant)>,
    now: Instant,
) -> (Vec<String>, Value) {
    let cpu = old.map_or(0.0, |(used, then)| {
        let time = now.duration_since(then).as_nanos().max(1) as f64;
        stats.cpu.usage.total.saturating_sub(used) as f64 / time * 100.0
    });
    // As Docker: what can be taken away at once isn't counted.
    let inactive = stats.memory.raw.get("total_inactive_file").or(stats.memory.raw.get("inactive_file"));
    let memory = stats.memory.usage.usage.saturating_sub(inactive.copied().unwrap_or(0));
    let machine = machine_memory();
    let limit = match stats.memory.usage.limit {
        limit if limit == 0 || limit > machine => machine,
        limit => limit,
    };
    let percent = memory as f64 / limit.max(1) as f64 * 100.0;
    let bytes = |word: &str| -> u64 {
        let all = stats.blkio.service_bytes.iter();
        all.filter(|entry| entry.op.eq_ignore_ascii_case(word)).map(|entry| entry.value).sum()
    };
    let (read, written) = (bytes("read"), bytes("write"));
    let interfaces = interfaces(container).unwrap_or_default();
    let sum = |of: fn(&Counters) -> u64| interfaces.iter().map(|(_, counters)| of(counters)).sum::<u64>();
    let (came, went) = (sum(|counters| counters.rx_bytes), sum(|counters| counters.tx_bytes));
    let cells = vec![
        container.short_id().to_owned(),
        container.name().to_owned(),
        format!("{cpu:.2}%"),
        format!("{} / {}", binary(memory), binary(limit)),
        format!("{percent:.2}%"),
        format!("{} / {}", size(came), size(went)),
        format!("{} / {}", size(read), size(written)),
        stats.pids.current.to_string(),
    ];
    let value = json!({
        "ID": container.id(), "Name": container.name(), "CPUPerc": cells[2], "MemUsage": cells[3], "MemPerc": cells[4],
        "NetIO": cells[5], "BlockIO": cells[6], "PIDs": stats.pids.current, "CPU": cpu, "Memory": memory, "MemoryLimit": limit,
        "Read": read, "Written": written, "Received": came, "Sent": went,
        "Interfaces": interfaces.iter().map(|(name, counters)| (name.clone(), of_interface(counters))).collect::<Map<_, _>>(),
    });
    (cells, value)
}

/// The interfaces of a container's own network; nothing where it is the host's or another container's.
fn interfaces(container: &Container) -> Result<Vec<(String, Counters)>> {
    let mode = container.config().network.as_ref().map(|network| network.mode).unwrap_or_default();
    if matches!(mode, NetworkMode::Host | NetworkMode::Container) {
        return Ok(Vec::new());
    }
    statistics(&format!("/proc/{}", container.status()?.pid))
}

fn of_interface(counters: &Counters) -> Value {
    json!({
        "RxBytes": counters.rx_bytes, "RxPackets": counters.rx_packets, "RxErrors": counters.rx_errors,
        "RxDropped": counters.rx_dropped, "TxBytes": counters.tx_bytes, "TxPackets": counters.tx_packets,
        "TxErrors": counters.tx_errors, "TxDropped": counters.tx_dropped,
    })
}

/// The memory of this machine, in bytes.
pub(super) fn machine_memory() -> u64 {
    Host::here().memory_bytes.unwrap_or(0)
}
