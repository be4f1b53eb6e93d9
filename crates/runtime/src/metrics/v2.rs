//! Numbers from cgroup2. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst.

use super::files::{Files, number, pairs, value};
use super::{BlockIo, BlockIoEntry, Hugetlb, MemoryEntry, Pressure, Stall, Stats, v1};
use forgeone_sys::Result;

/// Times of `cpu.stat` are microseconds.
const NS_PER_US: u64 = 1000;

pub(super) fn memory(files: &Files, stats: &mut Stats) -> Result<()> {
    let memory = &mut stats.memory;
    memory.raw = pairs(&files.text("memory.stat")?).map(|(name, value)| (name.to_owned(), value)).collect();
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.usage = entry(files, "memory")?;
    // As v1 has it: memory and swap together.
    let alone = entry(files, "memory.swap")?;
    memory.swap = MemoryEntry {
        usage: alone.usage + memory.usage.usage,
        limit: alone.limit.saturating_add(memory.usage.limit),
        ..MemoryEntry::default()
    };
    Ok(())
}

fn entry(files: &Files, name: &str) -> Result<MemoryEntry> {
    let count = |what: &str| files.count(&format!("{name}.{what}"));
    Ok(MemoryEntry {
        limit: count("max")?,
        usage: count("current")?,
        max: count("peak")?,
        ..MemoryEntry::default()
    })
}

pub(super) fn cpu(files: &Files, stats: &mut Stats) -> Result<()> {
    let text = files.text("cpu.stat")?;
    let time = |name| value(&text, name).saturating_mul(NS_PER_US);
    let cpu = &mut stats.cpu;
    (cpu.usage.total, cpu.usage.user, cpu.usage.kernel) =
        (time("usage_usec"), time("user_usec"), time("system_usec"));
    cpu.throttling.periods = value(&text, "nr_periods");
    cpu.throttling.throttled_periods = value(&text, "nr_throttled");
    cpu.throttling.throttled_time = time("throttled_usec");
    Ok(())
}

/// Without the controller, the processes of the group itself are counted.
pub(super) fn pids(files: &Files, stats: &mut Stats) -> Result<()> {
    v1::pids(files, stats)?;
    if stats.pids.current == 0 {
        stats.pids.current = files.text("cgroup.procs")?.lines().count() as u64;
    }
    Ok(())
}

pub(super) fn block_io(files: &Files, stats: &mut Stats) -> Result<()> {
    for line in files.text("io.stat")?.lines() {
        device(line, &mut stats.blkio);
    }
    Ok(())
}

/// A line such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn device(line: &str, io: &mut BlockIo) -> Option<()> {
    let mut fields = line.split_whitespace();
    let (major, minor) = fields.next()?.split_once(':')?;
    let (major, minor) = (number(major)?, number(minor)?);
    for (name, value) in fields.filter_map(|field| field.split_once('=')) {
        let (list, op) = match name {
            "rbytes" => (&mut io.service_bytes, "Read"),
            "wbytes" => (&mut io.service_bytes, "Write"),
            "rios" => (&mut io.serviced, "Read"),
            "wios" => (&mut io.serviced, "Write"),
            _ => continue,
        };
        let value = number(value)?;
        list.push(BlockIoEntry { major, minor, op: op.to_owned(), value, ..BlockIoEntry::default() });
    }
    Some(())
}

pub(super) fn hugetlb(files: &Files, stats: &mut Stats) -> Result<()> {
    for size in files.page_sizes(".max")? {
        let name = format!("hugetlb.{size}");
        let reserved = files.number(&format!("{name}.rsvd.current"))?;
        let usage = match reserved {
            Some(usage) => usage,
            None => files.count(&format!("{name}.current"))?,
        };
        let failcnt = value(&files.text(&format!("{name}.events"))?, "max");
        stats.hugetlb.insert(size, Hugetlb { usage, failcnt, ..Hugetlb::default() });
    }
    Ok(())
}

/// Pressure is there without a controller.
pub(super) fn pressure(files: &Files, stats: &mut Stats) -> Result<()> {
    stats.cpu.psi = stalls(&files.text("cpu.pressure")?);
    stats.memory.psi = stalls(&files.text("memory.pressure")?);
    stats.blkio.psi = stalls(&files.text("io.pressure")?);
    Ok(())
}

/// Lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`; nothing where the kernel doesn't count.
fn stalls(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (kind, fields) = line.split_once(' ')?;
        let mut stall = Stall::default();
        for (name, value) in fields.split(' ').filter_map(|field| field.split_once('=')) {
            match name {
                "avg10" => stall.avg10 = value.parse().ok()?,
                "avg60" => stall.avg60 = value.parse().ok()?,
                "avg300" => stall.avg300 = value.parse().ok()?,
                "total" => stall.total = value.parse().ok()?,
                _ => {}
            }
        }
        match kind {
            "some" => pressure.some = stall,
            "full" => pressure.full = stall,
            _ => {}
        }
    }
    (!text.is_empty()).then_some(pressure)
}

/// Reads a text as each of the files.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(text: &str) {
    let mut io = BlockIo::default();
    text.lines().filter_map(|line| device(line, &mut io)).for_each(drop);
    let _ = (stalls(text), pairs(text).count());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_read_by_line() {
        let mut io = BlockIo::default();
        device("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0", &mut io);
        // The kernel writes a bare number where a device has no counters.
        device("7:0", &mut io);
        let json = serde_json::to_string(&io).unwrap();
        let expected = r#"{"ioServiceBytesRecursive":[{"major":8,"minor":16,"op":"Read","value":1},{"major":8,"minor":16,"op":"Write","value":2}],"ioServicedRecursive":[{"major":8,"minor":16,"op":"Read","value":3},{"major":8,"minor":16,"op":"Write","value":4}]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn pressure_is_read_by_name() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = stalls(text).unwrap();
        assert_eq!((pressure.some.avg10, pressure.some.avg60, pressure.some.total), (1.5, 0.25, 12345));
        assert_eq!(pressure.full.total, 7);
        assert_eq!(stalls(""), None);
    }
}
