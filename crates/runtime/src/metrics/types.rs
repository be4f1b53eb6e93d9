//! The numbers, with the names and the omissions of runc's `types/events.go`: what is 0 is left out where runc does.

use crate::object;
use std::collections::BTreeMap;

object! {
    /// All that is known of a container's use.
    pub struct Stats {
        /// CPU time.
        pub cpu: Cpu = "cpu" required,
        /// CPUs and memory nodes; v1.
        pub cpuset: Cpuset = "cpuset" required,
        /// Memory.
        pub memory: Memory = "memory" required,
        /// Processes and threads.
        pub pids: Pids = "pids" required,
        /// Block devices.
        pub blkio: BlockIo = "blkio" required,
        /// Huge pages, by size such as `2MB`.
        pub hugetlb: BTreeMap<String, Hugetlb> = "hugetlb" required,
        /// Intel RDT; empty for a container without `linux.intelRdt`.
        pub intel_rdt: IntelRdt = "intel_rdt" required,
        /// Interfaces that the runtime has made: none, networks are others' work. `null`, as runc has it then.
        pub network_interfaces: Option<Vec<String>> = "network_interfaces" required,
    }
}

object! {
    /// CPU time.
    pub struct Cpu {
        /// What was used.
        pub usage: CpuUsage = "usage",
        /// What was kept back by a quota.
        pub throttling: Throttling = "throttling",
        /// How long was waited for a CPU.
        pub psi: Option<Pressure> = "psi",
    }
}

object! {
    /// CPU time that was used, nanoseconds.
    pub struct CpuUsage {
        /// All.
        pub total: u64 = "total",
        /// By CPU; v1.
        pub percpu: Vec<u64> = "percpu",
        /// In the kernel, by CPU; v1.
        pub percpu_kernel: Vec<u64> = "percpu_kernel",
        /// In programs, by CPU; v1.
        pub percpu_user: Vec<u64> = "percpu_user",
        /// In the kernel.
        pub kernel: u64 = "kernel" required,
        /// In programs.
        pub user: u64 = "user" required,
    }
}

object! {
    /// What a quota did.
    pub struct Throttling {
        /// Periods that passed.
        pub periods: u64 = "periods",
        /// Those in which the quota was used up.
        pub throttled_periods: u64 = "throttledPeriods",
        /// How long was waited, nanoseconds.
        pub throttled_time: u64 = "throttledTime",
    }
}

object! {
    /// v1's cpuset; the flags are 0 or 1.
    pub struct Cpuset {
        /// CPUs.
        pub cpus: Vec<u16> = "cpus",
        /// `cpuset.cpu_exclusive`.
        pub cpu_exclusive: u64 = "cpu_exclusive" required,
        /// Memory nodes.
        pub mems: Vec<u16> = "mems",
        /// `cpuset.mem_hardwall`.
        pub mem_hardwall: u64 = "mem_hardwall" required,
        /// `cpuset.mem_exclusive`.
        pub mem_exclusive: u64 = "mem_exclusive" required,
        /// `cpuset.memory_migrate`.
        pub memory_migrate: u64 = "memory_migrate" required,
        /// `cpuset.memory_spread_page`.
        pub memory_spread_page: u64 = "memory_spread_page" required,
        /// `cpuset.memory_spread_slab`.
        pub memory_spread_slab: u64 = "memory_spread_slab" required,
        /// `cpuset.memory_pressure`.
        pub memory_pressure: u64 = "memory_pressure" required,
        /// `cpuset.sched_load_balance`.
        pub sched_load_balance: u64 = "sched_load_balance" required,
        /// `cpuset.sched_relax_domain_level`, -1 to 5.
        pub sched_relax_domain_level: i64 = "sched_relax_domain_level" required,
    }
}

object! {
    /// Memory, bytes.
    pub struct Memory {
        /// Page cache.
        pub cache: u64 = "cache",
        /// Memory.
        pub usage: MemoryEntry = "usage",
        /// Memory and swap together.
        pub swap: MemoryEntry = "swap",
        /// Kernel memory; v1.
        pub kernel: MemoryEntry = "kernel",
        /// TCP buffers; v1.
        pub kernel_tcp: MemoryEntry = "kernelTCP",
        /// `memory.stat`.
        pub raw: BTreeMap<String, u64> = "raw",
        /// How long was waited for memory.
        pub psi: Option<Pressure> = "psi",
    }
}

object! {
    /// One sort of memory, bytes.
    pub struct MemoryEntry {
        /// Limit; `u64::MAX` is none on cgroup2, a number near `i64::MAX` on v1.
        pub limit: u64 = "limit" required,
        /// In use.
        pub usage: u64 = "usage",
        /// The most that was in use.
        pub max: u64 = "max",
        /// How often the limit was met; v1.
        pub failcnt: u64 = "failcnt" required,
    }
}

object! {
    /// Processes and threads.
    pub struct Pids {
        /// How many there are.
        pub current: u64 = "current",
        /// How many there may be; 0 is no limit.
        pub limit: u64 = "limit",
    }
}

object! {
    /// Block devices.
    pub struct BlockIo {
        /// Bytes.
        pub service_bytes: Vec<BlockIoEntry> = "ioServiceBytesRecursive",
        /// Operations.
        pub serviced: Vec<BlockIoEntry> = "ioServicedRecursive",
        /// Operations that wait.
        pub queued: Vec<BlockIoEntry> = "ioQueueRecursive",
        /// Time from dispatch to completion, nanoseconds.
        pub service_time: Vec<BlockIoEntry> = "ioServiceTimeRecursive",
        /// Time in queues, nanoseconds.
        pub wait_time: Vec<BlockIoEntry> = "ioWaitTimeRecursive",
        /// Operations that were merged.
        pub merged: Vec<BlockIoEntry> = "ioMergedRecursive",
        /// Time that the device was given, milliseconds.
        pub time: Vec<BlockIoEntry> = "ioTimeRecursive",
        /// Sectors.
        pub sectors: Vec<BlockIoEntry> = "sectorsRecursive",
        /// How long was waited for devices.
        pub psi: Option<Pressure> = "psi",
    }
}

object! {
    /// One number of a device.
    pub struct BlockIoEntry {
        /// Major number.
        pub major: u64 = "major",
        /// Minor number.
        pub minor: u64 = "minor",
        /// `Read`, `Write`, ...; empty where there is one number for all.
        pub op: String = "op",
        /// The number.
        pub value: u64 = "value",
    }
}

object! {
    /// Huge pages of one size, bytes.
    pub struct Hugetlb {
        /// In use, or reserved where the kernel counts that (Linux 5.7).
        pub usage: u64 = "usage",
        /// The most that was; v1.
        pub max: u64 = "max",
        /// How often the limit was met.
        pub failcnt: u64 = "failcnt" required,
    }
}

object! {
    /// Intel RDT: all of it as fields that aren't named here, since few machines have any.
    pub struct IntelRdt {}
}

object! {
    /// Pressure stall information, the kernel's accounting/psi.rst.
    pub struct Pressure {
        /// Some were held up.
        pub some: Stall = "some",
        /// All were held up at once.
        pub full: Stall = "full",
    }
}

object! {
    /// How long tasks were held up.
    pub struct Stall {
        /// Percent of the last 10 seconds.
        pub avg10: f64 = "avg10" required,
        /// Percent of the last minute.
        pub avg60: f64 = "avg60" required,
        /// Percent of the last 5 minutes.
        pub avg300: f64 = "avg300" required,
        /// All in all, microseconds.
        pub total: u64 = "total" required,
    }
}
