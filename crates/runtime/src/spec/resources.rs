//! `linux.resources`: cgroup limits.

use crate::object;
use std::collections::BTreeMap;

object! {
    /// cgroup limits; -1 means unlimited where a signed number is allowed.
    pub struct Resources {
        /// Device rules, in order; the last that matches decides.
        pub devices: Vec<DeviceRule> = "devices",
        /// Memory.
        pub memory: Option<Memory> = "memory",
        /// CPU time and sets.
        pub cpu: Option<Cpu> = "cpu",
        /// Number of tasks.
        pub pids: Option<Pids> = "pids",
        /// Block devices.
        pub block_io: Option<BlockIo> = "blockIO",
        /// Huge pages.
        pub hugepage_limits: Vec<HugepageLimit> = "hugepageLimits",
        /// net_cls and net_prio.
        pub network: Option<NetworkClass> = "network",
        /// RDMA, by device.
        pub rdma: BTreeMap<String, Rdma> = "rdma",
        /// cgroup v2 files, by name.
        pub unified: BTreeMap<String, String> = "unified",
    }
}

object! {
    /// A device rule.
    pub struct DeviceRule {
        /// Whether it allows or denies.
        pub allow: bool = "allow" required,
        /// `a`, `b` or `c`; empty means `a`.
        pub kind: String = "type",
        /// Major number; absent or -1 means all.
        pub major: Option<i64> = "major",
        /// Minor number; absent or -1 means all.
        pub minor: Option<i64> = "minor",
        /// Of `r`, `w`, `m`; empty means all.
        pub access: String = "access",
    }
}

object! {
    /// Memory, in bytes.
    pub struct Memory {
        /// Limit.
        pub limit: Option<i64> = "limit",
        /// Soft limit.
        pub reservation: Option<i64> = "reservation",
        /// Memory and swap together.
        pub swap: Option<i64> = "swap",
        /// Deprecated.
        pub kernel: Option<i64> = "kernel",
        /// Kernel memory for TCP; v1.
        pub kernel_tcp: Option<i64> = "kernelTCP",
        /// 0 to 100; v1.
        pub swappiness: Option<u64> = "swappiness",
        /// No OOM killer; v1.
        pub disable_oom_killer: Option<bool> = "disableOOMKiller",
        /// Hierarchical accounting; v1.
        pub use_hierarchy: Option<bool> = "useHierarchy",
        /// Refuse a limit below the present use.
        pub check_before_update: Option<bool> = "checkBeforeUpdate",
    }
}

object! {
    /// CPU time, in microseconds where it is a time.
    pub struct Cpu {
        /// Relative weight, 2 to 262144.
        pub shares: Option<u64> = "shares",
        /// Time in a period.
        pub quota: Option<i64> = "quota",
        /// Time that may be saved up.
        pub burst: Option<u64> = "burst",
        /// The period.
        pub period: Option<u64> = "period",
        /// Realtime time in a period; v1.
        pub realtime_runtime: Option<i64> = "realtimeRuntime",
        /// The realtime period; v1.
        pub realtime_period: Option<u64> = "realtimePeriod",
        /// CPU list such as `0-3,7`.
        pub cpus: String = "cpus",
        /// Memory node list.
        pub mems: String = "mems",
        /// 1 makes the group SCHED_IDLE.
        pub idle: Option<i64> = "idle",
    }
}

object! {
    /// Number of tasks.
    pub struct Pids {
        /// Limit; below 0 means unlimited, 0 means 1.
        pub limit: Option<i64> = "limit",
    }
}

object! {
    /// Block devices.
    pub struct BlockIo {
        /// Weight, 10 to 1000.
        pub weight: Option<u16> = "weight",
        /// Weight against child groups; v1, CFQ.
        pub leaf_weight: Option<u16> = "leafWeight",
        /// Weight by device.
        pub weight_device: Vec<WeightDevice> = "weightDevice",
        /// Bytes read a second.
        pub throttle_read_bps_device: Vec<ThrottleDevice> = "throttleReadBpsDevice",
        /// Bytes written a second.
        pub throttle_write_bps_device: Vec<ThrottleDevice> = "throttleWriteBpsDevice",
        /// Reads a second.
        pub throttle_read_iops_device: Vec<ThrottleDevice> = "throttleReadIOPSDevice",
        /// Writes a second.
        pub throttle_write_iops_device: Vec<ThrottleDevice> = "throttleWriteIOPSDevice",
    }
}

object! {
    /// A device's weight.
    pub struct WeightDevice {
        /// Major number.
        pub major: i64 = "major" required,
        /// Minor number.
        pub minor: i64 = "minor" required,
        /// Weight, 10 to 1000.
        pub weight: Option<u16> = "weight",
        /// Weight against child groups; v1, CFQ.
        pub leaf_weight: Option<u16> = "leafWeight",
    }
}

object! {
    /// A device's rate.
    pub struct ThrottleDevice {
        /// Major number.
        pub major: i64 = "major" required,
        /// Minor number.
        pub minor: i64 = "minor" required,
        /// Bytes or operations a second.
        pub rate: u64 = "rate" required,
    }
}

object! {
    /// Huge pages of one size.
    pub struct HugepageLimit {
        /// `64KB`, `2MB`, `1GB`.
        pub page_size: String = "pageSize" required,
        /// Bytes.
        pub limit: u64 = "limit" required,
    }
}

object! {
    /// net_cls and net_prio; v1.
    pub struct NetworkClass {
        /// net_cls.classid.
        pub class_id: Option<u32> = "classID",
        /// net_prio.ifpriomap.
        pub priorities: Vec<InterfacePriority> = "priorities",
    }
}

object! {
    /// An interface's priority.
    pub struct InterfacePriority {
        /// Interface.
        pub name: String = "name" required,
        /// Priority.
        pub priority: u32 = "priority" required,
    }
}

object! {
    /// RDMA limits of one device.
    pub struct Rdma {
        /// Handles.
        pub hca_handles: Option<u32> = "hcaHandles",
        /// Objects.
        pub hca_objects: Option<u32> = "hcaObjects",
    }
}
