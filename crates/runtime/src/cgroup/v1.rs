//! `linux.resources` as cgroup v1 files.
//!
//! A zero means "not set" for all fields but `pids.limit`, `cpu.burst`, `cpu.idle` and the rates, as for runc.
//! Source: the kernel's Documentation/admin-guide/cgroup-v1.

use super::step::{Step, Steps, Write, refuse};
use crate::error::Result;
use crate::spec::{
    BlockIo, Cpu, HugepageLimit, Memory, NetworkClass, Pids, Rdma, ThrottleDevice, WeightDevice,
};
use std::collections::BTreeMap;

/// `field` as a number of bytes: `None` when not set, -1 for unlimited.
pub(super) fn bytes(field: &str, value: Option<i64>) -> Result<Option<i64>> {
    match value {
        None | Some(0) => Ok(None),
        Some(n) if n < -1 => refuse(field, format_args!("{n} is neither a size nor -1")),
        Some(n) => Ok(Some(n)),
    }
}

/// A number that isn't zero.
pub(super) fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|n| *n != T::default())
}

/// Limit, and limit of memory and swap together; checked against each other.
pub(super) fn limits(memory: &Memory) -> Result<(Option<i64>, Option<i64>)> {
    let limit = bytes("linux.resources.memory.limit", memory.limit)?;
    let swap = bytes("linux.resources.memory.swap", memory.swap)?;
    match (limit, swap) {
        (None, Some(1..)) => {
            refuse("linux.resources.memory.swap", "needs linux.resources.memory.limit, which it includes")
        }
        (Some(l @ 1..), Some(s @ 1..)) if s < l => refuse(
            "linux.resources.memory.swap",
            format_args!("{s} is below linux.resources.memory.limit {l}, which it includes"),
        ),
        found => Ok(found),
    }
}

/// Files of the `memory` controller.
pub(super) fn memory(memory: &Memory) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    let (limit, swap) = limits(memory)?;
    let (limit_field, swap_field) = ("linux.resources.memory.limit", "linux.resources.memory.swap");
    let memsw = "memory.memsw.limit_in_bytes";
    if memory.use_hierarchy == Some(true) {
        // First, since kernels before 5.11 refuse it once there are groups inside; later ones have nothing else.
        let field = "linux.resources.memory.useHierarchy";
        steps.write(Write::new(field, "memory.use_hierarchy", 1).if_there());
    }
    let swap = match (limit, swap) {
        // Unlimited memory means unlimited swap, where swap is accounted.
        (Some(-1), None) => Some(Write::new(limit_field, memsw, -1).if_there()),
        (Some(-1), Some(1..)) => {
            return refuse(
                swap_field,
                "can't be limited on cgroup v1 while linux.resources.memory.limit is -1",
            );
        }
        (_, swap) => swap.map(|n| Write::new(swap_field, memsw, n)),
    };
    steps.together([limit.map(|n| Write::new(limit_field, "memory.limit_in_bytes", n)), swap]);
    let field = "linux.resources.memory.reservation";
    if let Some(n) = bytes(field, memory.reservation)? {
        steps.write(Write::new(field, "memory.soft_limit_in_bytes", n));
    }
    let field = "linux.resources.memory.kernelTCP";
    if let Some(n) = bytes(field, memory.kernel_tcp)? {
        steps.write(Write::new(field, "memory.kmem.tcp.limit_in_bytes", n));
    }
    if let Some(n) = memory.swappiness {
        let field = "linux.resources.memory.swappiness";
        if n > 100 {
            return refuse(field, format_args!("{n} is not within 0 to 100"));
        }
        steps.write(Write::new(field, "memory.swappiness", n));
    }
    if memory.disable_oom_killer == Some(true) {
        steps.write(Write::new("linux.resources.memory.disableOOMKiller", "memory.oom_control", 1));
    }
    Ok(steps.0)
}

/// What `cpu` says that is wrong on any version.
pub(super) fn check_cpu(cpu: &Cpu) -> Result<()> {
    if let (Some(quota @ 1..), Some(burst)) = (cpu.quota, cpu.burst)
        && burst > quota as u64
    {
        return refuse(
            "linux.resources.cpu.burst",
            format_args!("{burst} is above linux.resources.cpu.quota {quota}"),
        );
    }
    match cpu.idle {
        None | Some(0 | 1) => Ok(()),
        Some(n) => refuse("linux.resources.cpu.idle", format_args!("{n} is neither 0 nor 1")),
    }
}

/// `shares`, unless the group is to be idle: the kernel then refuses to set a weight.
pub(super) fn shares(cpu: &Cpu) -> Option<u64> {
    set(cpu.shares).filter(|_| cpu.idle != Some(1))
}

/// Files of the `cpu` controller.
pub(super) fn cpu(cpu: &Cpu) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    check_cpu(cpu)?;
    let shares = match shares(cpu) {
        Some(n) if !(2..=262_144).contains(&n) => {
            return refuse("linux.resources.cpu.shares", format_args!("{n} is not within 2 to 262144"));
        }
        shares => shares.map(|n| Write::new("linux.resources.cpu.shares", "cpu.shares", n)),
    };
    let idle = cpu.idle.map(|n| Write::new("linux.resources.cpu.idle", "cpu.idle", n));
    steps.together([shares, idle]);
    let period = set(cpu.period).map(|n| Write::new("linux.resources.cpu.period", "cpu.cfs_period_us", n));
    let quota =
        set(cpu.quota).map(|n| Write::new("linux.resources.cpu.quota", "cpu.cfs_quota_us", n.max(-1)));
    let burst = cpu.burst.map(|n| Write::new("linux.resources.cpu.burst", "cpu.cfs_burst_us", n));
    steps.together([period, quota, burst]);
    let period = set(cpu.realtime_period)
        .map(|n| Write::new("linux.resources.cpu.realtimePeriod", "cpu.rt_period_us", n));
    let runtime = set(cpu.realtime_runtime)
        .map(|n| Write::new("linux.resources.cpu.realtimeRuntime", "cpu.rt_runtime_us", n));
    steps.together([period, runtime]);
    Ok(steps.0)
}

/// Files of the `cpuset` controller; the names are the same on v2.
pub(super) fn cpuset(cpu: &Cpu) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    for (field, file, list) in [
        ("linux.resources.cpu.cpus", "cpuset.cpus", &cpu.cpus),
        ("linux.resources.cpu.mems", "cpuset.mems", &cpu.mems),
    ] {
        if list.bytes().any(|b| !b.is_ascii_digit() && !b",-:/ ".contains(&b)) {
            return refuse(field, format_args!("{list:?} is not a list such as 0-3,7"));
        }
        if !list.is_empty() {
            steps.write(Write::new(field, file, list));
        }
    }
    Ok(steps.0)
}

/// Files of the `pids` controller; the names are the same on v2.
///
/// 0 becomes 1: a container has a process, and systemd, which may write this value too, knows no 0.
pub(super) fn pids(pids: &Pids) -> Result<Vec<Step>> {
    let value = match pids.limit {
        None => return Ok(Vec::new()),
        Some(..0) => "max".to_owned(),
        Some(n) => n.max(1).to_string(),
    };
    Ok(vec![Step::Write(Write::new("linux.resources.pids.limit", "pids.max", value))])
}

/// A block device's weight, when set.
pub(super) fn weight(field: &str, value: Option<u16>) -> Result<Option<u16>> {
    match set(value) {
        Some(n) if !(10..=1000).contains(&n) => refuse(field, format_args!("{n} is not within 10 to 1000")),
        weight => Ok(weight),
    }
}

/// The four lists of rates: field, v1 file, v2 key.
pub(super) fn throttles(io: &BlockIo) -> [(&'static str, &'static str, &'static str, &[ThrottleDevice]); 4] {
    [
        (
            "throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            "rbps",
            io.throttle_read_bps_device.as_slice(),
        ),
        ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", &io.throttle_write_bps_device),
        ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", &io.throttle_read_iops_device),
        (
            "throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            "wiops",
            &io.throttle_write_iops_device,
        ),
    ]
}

/// Files of the `blkio` controller. Weights are BFQ's where there is no CFQ (Linux 5.0 and later).
pub(super) fn block_io(io: &BlockIo) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    let field = "linux.resources.blockIO.weight";
    if let Some(n) = weight(field, io.weight)? {
        steps.write(Write::new(field, "blkio.weight", n).or("blkio.bfq.weight", n));
    }
    let field = "linux.resources.blockIO.leafWeight";
    if let Some(n) = weight(field, io.leaf_weight)? {
        steps.write(Write::new(field, "blkio.leaf_weight", n));
    }
    for (i, device) in io.weight_device.iter().enumerate() {
        weight_device(&mut steps, i, device)?;
    }
    for (name, file, _, devices) in throttles(io) {
        for (i, device) in devices.iter().enumerate() {
            let field = format!("linux.resources.blockIO.{name}[{i}]");
            let value = format!("{}:{} {}", device.major, device.minor, device.rate);
            steps.write(Write::new(field, file, value));
        }
    }
    Ok(steps.0)
}

fn weight_device(steps: &mut Steps, i: usize, device: &WeightDevice) -> Result<()> {
    let field = format!("linux.resources.blockIO.weightDevice[{i}].weight");
    if let Some(n) = weight(&field, device.weight)? {
        let value = format!("{}:{} {n}", device.major, device.minor);
        steps.write(Write::new(field, "blkio.weight_device", &value).or("blkio.bfq.weight_device", &value));
    }
    let field = format!("linux.resources.blockIO.weightDevice[{i}].leafWeight");
    if let Some(n) = weight(&field, device.leaf_weight)? {
        let value = format!("{}:{} {n}", device.major, device.minor);
        steps.write(Write::new(field, "blkio.leaf_weight_device", value));
    }
    Ok(())
}

/// Checks that a page size can be part of a file name.
pub(super) fn check_page_size(field: &str, size: &str) -> Result<()> {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    match number {
        Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => refuse(field, format_args!("{size:?} is not a size such as 2MB")),
    }
}

/// Files of the `hugetlb` controller: use, and reservations where the kernel counts them (Linux 5.7).
pub(super) fn hugetlb(limits: &[HugepageLimit]) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    for (i, page) in limits.iter().enumerate() {
        let field = format!("linux.resources.hugepageLimits[{i}]");
        check_page_size(&field, &page.page_size)?;
        let (size, limit) = (&page.page_size, page.limit);
        steps.write(Write::new(field.clone(), format!("hugetlb.{size}.limit_in_bytes"), limit));
        steps.write(Write::new(field, format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit).if_there());
    }
    Ok(steps.0)
}

/// Files of the `net_cls` controller.
pub(super) fn net_cls(network: &NetworkClass) -> Result<Vec<Step>> {
    let id = set(network.class_id);
    let field = "linux.resources.network.classID";
    Ok(id.map(|id| Step::Write(Write::new(field, "net_cls.classid", id))).into_iter().collect())
}

/// Files of the `net_prio` controller.
pub(super) fn net_prio(network: &NetworkClass) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    for (i, interface) in network.priorities.iter().enumerate() {
        let field = format!("linux.resources.network.priorities[{i}]");
        if interface.name.is_empty() || interface.name.contains(char::is_whitespace) {
            return refuse(field, format_args!("{:?} is not an interface's name", interface.name));
        }
        let value = format!("{} {}", interface.name, interface.priority);
        steps.write(Write::new(field, "net_prio.ifpriomap", value));
    }
    Ok(steps.0)
}

/// Files of the `rdma` controller; the names are the same on v2.
pub(super) fn rdma(devices: &BTreeMap<String, Rdma>) -> Result<Vec<Step>> {
    let mut steps = Steps::default();
    for (name, limits) in devices {
        let field = format!("linux.resources.rdma[{name:?}]");
        if name.is_empty() || name.contains(char::is_whitespace) {
            return refuse(field, "is not a device's name");
        }
        let mut value = name.clone();
        for (key, limit) in [("hca_handle", limits.hca_handles), ("hca_object", limits.hca_objects)] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        if value.len() == name.len() {
            return refuse(field, "has neither hcaHandles nor hcaObjects");
        }
        steps.write(Write::new(field, "rdma.max", value));
    }
    Ok(steps.0)
}
