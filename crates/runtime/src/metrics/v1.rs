//! Numbers from cgroup v1. Source: the kernel's Documentation/admin-guide/cgroup-v1.

use super::files::{Files, list, number, pairs, value};
use super::{BlockIo, BlockIoEntry, Hugetlb, MemoryEntry, Stats};
use forgeone_sys::Result;

/// `cpuacct.stat` counts in ticks of USER_HZ, of which there are 100 in a second on every architecture that this runs on.
const NS_PER_TICK: u64 = 10_000_000;

pub(super) fn memory(files: &Files, stats: &mut Stats) -> Result<()> {
    let memory = &mut stats.memory;
    memory.raw = pairs(&files.text("memory.stat")?).map(|(name, value)| (name.to_owned(), value)).collect();
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
    memory.usage = entry(files, "memory")?;
    memory.swap = entry(files, "memory.memsw")?;
    memory.kernel = entry(files, "memory.kmem")?;
    memory.kernel_tcp = entry(files, "memory.kmem.tcp")?;
    Ok(())
}

fn entry(files: &Files, name: &str) -> Result<MemoryEntry> {
    let count = |what: &str| files.count(&format!("{name}.{what}"));
    Ok(MemoryEntry {
        limit: count("limit_in_bytes")?,
        usage: count("usage_in_bytes")?,
        max: count("max_usage_in_bytes")?,
        failcnt: count("failcnt")?,
        ..MemoryEntry::default()
    })
}

pub(super) fn cpu_usage(files: &Files, stats: &mut Stats) -> Result<()> {
    let usage = &mut stats.cpu.usage;
    let ticks = files.text("cpuacct.stat")?;
    usage.user = value(&ticks, "user").saturating_mul(NS_PER_TICK);
    usage.kernel = value(&ticks, "system").saturating_mul(NS_PER_TICK);
    usage.total = files.count("cpuacct.usage")?;
    usage.percpu = files.text("cpuacct.usage_percpu")?.split_whitespace().filter_map(number).collect();
    // A title, then a line for each CPU: its number, and the times in programs and in the kernel.
    let text = files.text("cpuacct.usage_all")?;
    let rows = text.lines().skip(1).map(|line| line.split(' ').filter_map(number).collect::<Vec<_>>());
    for row in rows {
        if let [_, user, kernel] = row.as_slice() {
            usage.percpu_user.push(*user);
            usage.percpu_kernel.push(*kernel);
        }
    }
    Ok(())
}

pub(super) fn throttling(files: &Files, stats: &mut Stats) -> Result<()> {
    let text = files.text("cpu.stat")?;
    let throttling = &mut stats.cpu.throttling;
    throttling.periods = value(&text, "nr_periods");
    throttling.throttled_periods = value(&text, "nr_throttled");
    throttling.throttled_time = value(&text, "throttled_time");
    Ok(())
}

pub(super) fn cpuset(files: &Files, stats: &mut Stats) -> Result<()> {
    // The mount option `noprefix` leaves the first word away.
    let prefix = if files.text("cpuset.cpus")?.is_empty() { "" } else { "cpuset." };
    let count = |name: &str| files.count(&format!("{prefix}{name}"));
    let set = &mut stats.cpuset;
    set.cpus = list(&files.text(&format!("{prefix}cpus"))?);
    set.mems = list(&files.text(&format!("{prefix}mems"))?);
    set.cpu_exclusive = count("cpu_exclusive")?;
    set.mem_hardwall = count("mem_hardwall")?;
    set.mem_exclusive = count("mem_exclusive")?;
    set.memory_migrate = count("memory_migrate")?;
    set.memory_spread_page = count("memory_spread_page")?;
    set.memory_spread_slab = count("memory_spread_slab")?;
    set.memory_pressure = count("memory_pressure")?;
    set.sched_load_balance = count("sched_load_balance")?;
    let level = files.text(&format!("{prefix}sched_relax_domain_level"))?;
    set.sched_relax_domain_level = level.trim().parse().unwrap_or(0);
    Ok(())
}

/// The same files on cgroup2.
pub(super) fn pids(files: &Files, stats: &mut Stats) -> Result<()> {
    stats.pids.current = files.count("pids.current")?;
    stats.pids.limit = files.number("pids.max")?.filter(|limit| *limit != u64::MAX).unwrap_or(0);
    Ok(())
}

/// BFQ's numbers where it is used, otherwise CFQ's (before Linux 5.0), otherwise the throttling's.
pub(super) fn block_io(files: &Files, stats: &mut Stats) -> Result<()> {
    for prefix in ["blkio.bfq.", "blkio."] {
        let read = |name: &str| entries(files, &format!("{prefix}{name}_recursive"));
        let serviced = read("io_serviced")?;
        if !serviced.is_empty() {
            stats.blkio = BlockIo {
                serviced,
                service_bytes: read("io_service_bytes")?,
                queued: read("io_queued")?,
                service_time: read("io_service_time")?,
                wait_time: read("io_wait_time")?,
                merged: read("io_merged")?,
                time: read("time")?,
                sectors: read("sectors")?,
                ..BlockIo::default()
            };
            return Ok(());
        }
    }
    for suffix in ["_recursive", ""] {
        let read = |name: &str| entries(files, &format!("blkio.throttle.{name}{suffix}"));
        (stats.blkio.serviced, stats.blkio.service_bytes) = (read("io_serviced")?, read("io_service_bytes")?);
        if !stats.blkio.serviced.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Lines such as `8:0 Read 4096` or `8:0 7`, without the sum in the last one.
fn entries(files: &Files, file: &str) -> Result<Vec<BlockIoEntry>> {
    Ok(files.text(file)?.lines().filter_map(block_io_entry).collect())
}

fn block_io_entry(line: &str) -> Option<BlockIoEntry> {
    let mut fields = line.split_whitespace();
    let (major, minor) = fields.next()?.split_once(':')?;
    let (op, value) = match (fields.next()?, fields.next()) {
        (op, Some(value)) => (op, value),
        (value, None) => ("", value),
    };
    Some(BlockIoEntry {
        major: number(major)?,
        minor: number(minor)?,
        op: op.to_owned(),
        value: number(value)?,
        ..BlockIoEntry::default()
    })
}

pub(super) fn hugetlb(files: &Files, stats: &mut Stats) -> Result<()> {
    for size in files.page_sizes(".limit_in_bytes")? {
        let reserved = format!("hugetlb.{size}.rsvd");
        let counted = files.number(&format!("{reserved}.usage_in_bytes"))?.is_some();
        let name = if counted { reserved } else { format!("hugetlb.{size}") };
        let count = |what: &str| files.count(&format!("{name}.{what}"));
        let pages = Hugetlb {
            usage: count("usage_in_bytes")?,
            max: count("max_usage_in_bytes")?,
            failcnt: count("failcnt")?,
            ..Hugetlb::default()
        };
        stats.hugetlb.insert(size, pages);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_devices_are_read_by_line() {
        let entry = |major, minor, op: &str, value| {
            Some(BlockIoEntry { major, minor, op: op.into(), value, ..BlockIoEntry::default() })
        };
        assert_eq!(block_io_entry("254:16 Read 4096"), entry(254, 16, "Read", 4096));
        assert_eq!(block_io_entry("8:0 77"), entry(8, 0, "", 77));
        assert_eq!(block_io_entry("Total 4096"), None);
        assert_eq!(block_io_entry(""), None);
    }
}
