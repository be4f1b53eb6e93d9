//! `linux.resources` as cgroup2 files.
//!
//! The specification's fields are v1's; what has a v2 form is converted, what has none is an error (config-linux.md,
//! "Unified"). Source: the kernel's Documentation/admin-guide/cgroup-v2.rst.

use super::step::{Step, Steps, Write, refuse};
use super::v1;
use crate::error::Result;
use crate::spec::{BlockIo, Cpu, HugepageLimit, Memory, NetworkClass};

/// `max` for -1.
fn size(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// `memory.swap.max` for a limit of memory and swap together: what is left for swap.
fn swap_alone(limit: Option<i64>, swap: Option<i64>) -> Option<i64> {
    match (limit, swap) {
        (Some(-1), None) => Some(-1),
        (Some(limit @ 1..), Some(swap @ 1..)) => Some(swap - limit),
        (_, swap) => swap,
    }
}

/// Files of the `memory` controller.
pub(super) fn memory(memory: &Memory) -> Result<Vec<Step>> {
    let none = |field: &str| refuse(format_args!("linux.resources.memory.{field}"), "cgroup v2 has none");
    if memory.swappiness.is_some() {
        return none("swappiness");
    }
    if memory.disable_oom_killer == Some(true) {
        return none("disableOOMKiller");
    }
    let mut steps = Steps::default();
    let (limit, swap) = v1::limits(memory)?;
    let field = "linux.resources.memory.limit";
    // The limit of memory and swap together is at least this one. On v1 the kernel itself refuses what is too low.
    if let (Some(true), Some(limit @ 1..)) = (memory.check_before_update, limit) {
        steps.0.push(Step::Below { field: field.into(), file: "memory.current", limit: limit as u64 });
    }
    if let Some(alone) = swap_alone(limit, swap) {
        let write = Write::new("linux.resources.memory.swap", "memory.swap.max", size(alone));
        // Without swap accounting none can be had, and its absence is no harm where no amount is asked for.
        steps.write(if alone > 0 { write } else { write.if_there() });
    }
    if let Some(limit) = limit {
        steps.write(Write::new(field, "memory.max", size(limit)));
    }
    let field = "linux.resources.memory.reservation";
    if let Some(n) = v1::bytes(field, memory.reservation)? {
        steps.write(Write::new(field, "memory.low", size(n)));
    }
    Ok(steps.0)
}

/// `cpu.weight` (1 to 10000, 100 by default) for v1's shares (2 to 262144, 1024 by default).
///
/// The curve is that of runc since 1.3.2 and crun since 1.23, quadratic in the logarithm, which meets both ends and
/// the default: 10^((l² + 125 l) / 612 − 7/34) with l = log2(shares), rounded up.
pub(super) fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            // A hair is taken off, so that the default meets 100 whatever the last bit of the arithmetic is.
            (10f64.powf(exponent) - 1e-9).ceil() as u64
        }
    }
}

/// Files of the `cpu` controller.
pub(super) fn cpu(cpu: &Cpu) -> Result<Vec<Step>> {
    v1::check_cpu(cpu)?;
    if v1::set(cpu.realtime_runtime).is_some() || v1::set(cpu.realtime_period).is_some() {
        return refuse("linux.resources.cpu.realtimeRuntime, realtimePeriod", "cgroup v2 has none");
    }
    let mut steps = Steps::default();
    let weight = v1::shares(cpu)
        .map(|shares| Write::new("linux.resources.cpu.shares", "cpu.weight", cpu_weight(shares)));
    let idle = cpu.idle.map(|n| Write::new("linux.resources.cpu.idle", "cpu.idle", n));
    steps.together([weight, idle]);
    let max = match (v1::set(cpu.quota), v1::set(cpu.period)) {
        (None, None) => None,
        // 100 ms is the kernel's own default.
        (quota, period) => Some(Write::new(
            if quota.is_some() { "linux.resources.cpu.quota" } else { "linux.resources.cpu.period" },
            "cpu.max",
            format_args!("{} {}", size(quota.unwrap_or(-1)), period.unwrap_or(100_000)),
        )),
    };
    let burst = cpu.burst.map(|n| Write::new("linux.resources.cpu.burst", "cpu.max.burst", n));
    steps.together([max, burst]);
    Ok(steps.0)
}

/// `io.weight` (1 to 10000) for v1's weight (10 to 1000), linear: both runc's and crun's.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

/// Files of the `io` controller. BFQ takes v1's weights as they are; the cost model's need conversion.
pub(super) fn block_io(io: &BlockIo) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    if v1::set(io.leaf_weight).is_some() || io.weight_device.iter().any(|d| v1::set(d.leaf_weight).is_some())
    {
        return refuse("linux.resources.blockIO.leafWeight", "cgroup v2 has none");
    }
    let field = "linux.resources.blockIO.weight";
    if let Some(n) = v1::weight(field, io.weight)? {
        steps.write(Write::new(field, "io.bfq.weight", n).or("io.weight", io_weight(n)));
    }
    for (i, device) in io.weight_device.iter().enumerate() {
        let field = format!("linux.resources.blockIO.weightDevice[{i}].weight");
        if let Some(n) = v1::weight(&field, device.weight)? {
            let line = |weight: u64| format!("{}:{} {weight}", device.major, device.minor);
            steps.write(
                Write::new(field, "io.bfq.weight", line(n.into())).or("io.weight", line(io_weight(n))),
            );
        }
    }
    for (name, _, key, devices) in v1::throttles(io) {
        for (i, device) in devices.iter().enumerate() {
            let field = format!("linux.resources.blockIO.{name}[{i}]");
            // v1 takes 0 for "no limit", v2 refuses it.
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            let value = format!("{}:{} {key}={rate}", device.major, device.minor);
            steps.write(Write::new(field, "io.max", value));
        }
    }
    Ok(steps.0)
}

/// Files of the `hugetlb` controller: use, and reservations where the kernel counts them (Linux 5.7).
pub(super) fn hugetlb(limits: &[HugepageLimit]) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    for (i, page) in limits.iter().enumerate() {
        let field = format!("linux.resources.hugepageLimits[{i}]");
        v1::check_page_size(&field, &page.page_size)?;
        let (size, limit) = (&page.page_size, page.limit);
        steps.write(Write::new(field.clone(), format!("hugetlb.{size}.max"), limit));
        steps.write(Write::new(field, format!("hugetlb.{size}.rsvd.max"), limit).if_there());
    }
    Ok(steps.0)
}

/// There is no network class on v2.
pub(super) fn network(network: &NetworkClass) -> Result<Vec<Step>> {
    if v1::set(network.class_id).is_some() {
        return refuse("linux.resources.network.classID", "needs cgroup v1's net_cls, which is not mounted");
    }
    if !network.priorities.is_empty() {
        return refuse(
            "linux.resources.network.priorities",
            "needs cgroup v1's net_prio, which is not mounted",
        );
    }
    Ok(Vec::new())
}

/// The controller that a file of `unified` belongs to; empty for the core's own `cgroup.` files.
pub(super) fn unified_controller(file: &str) -> Result<&str> {
    let field = format_args!("linux.resources.unified[{file:?}]").to_string();
    let Some((controller, rest)) = file.split_once('.') else {
        return refuse(field, "is not of the form CONTROLLER.PARAMETER");
    };
    if controller.is_empty() || rest.is_empty() || file.contains('/') || file.contains(char::is_control) {
        return refuse(field, "is not the name of a file in the group");
    }
    if ["cgroup.procs", "cgroup.threads", "cgroup.kill"].contains(&file) {
        return refuse(field, "is not a setting");
    }
    Ok(if controller == "cgroup" { "" } else { controller })
}

/// A file of `unified`: a write for each line, since the kernel reads one line at a time.
pub(super) fn unified(file: &str, value: &str) -> Vec<Step> {
    let write = |line: &str| {
        // An empty write reaches no controller; an empty line does, and clears what can be cleared.
        let value = if line.is_empty() { "\n" } else { line };
        Step::Write(Write::new(format!("linux.resources.unified[{file:?}]"), file.to_owned(), value))
    };
    value.trim_end_matches('\n').split('\n').map(write).collect()
}
