//! The CPUs that a thread may run on.

use crate::error::{Errno, Error, Fail, Result, check};
use std::fmt;

/// One more than the highest CPU number that a [`CpuSet`] takes: more than any kernel's `NR_CPUS`.
pub const CPUS_MAX: usize = 1 << 16;

const BITS: usize = libc::c_ulong::BITS as usize;

/// A set of CPUs, as the kernel takes it: a bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(Vec<libc::c_ulong>);

impl CpuSet {
    /// Every CPU that there may be: the kernel takes those that the machine has and the cpuset allows.
    pub fn all() -> Self {
        Self(vec![libc::c_ulong::MAX; CPUS_MAX / BITS])
    }

    /// Adds a CPU; `false` if its number is not below [`CPUS_MAX`].
    pub fn insert(&mut self, cpu: usize) -> bool {
        if cpu >= CPUS_MAX {
            return false;
        }
        let words = self.0.len().max(cpu / BITS + 1);
        self.0.resize(words, 0);
        self.0[cpu / BITS] |= 1 << (cpu % BITS);
        true
    }

    /// The CPUs, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * BITS).filter(|cpu| self.0[cpu / BITS] & 1 << (cpu % BITS) != 0)
    }
}

/// As [`sched_setaffinity`]'s errors show it: at most the first eight.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let first: Vec<_> = self.iter().take(9).map(|cpu| cpu.to_string()).collect();
        let more = if first.len() > 8 { ", ..." } else { "" };
        write!(f, "[{}{more}]", first[..first.len().min(8)].join(", "))
    }
}

/// `sched_setaffinity(2)`: the CPUs that thread `pid` (0: the caller) may run on. `EINVAL` if it has none of them.
pub fn sched_setaffinity(pid: i32, cpus: &CpuSet) -> Result<()> {
    let bytes = size_of_val(cpus.0.as_slice());
    // SAFETY: the words are `bytes` long and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, bytes, cpus.0.as_ptr()) })
        .map(drop)
        .fail(|| format!("sched_setaffinity({pid}, {cpus})"))
}

/// `sched_getaffinity(2)`: the CPUs that thread `pid` (0: the caller) may run on.
pub fn sched_getaffinity(pid: i32) -> Result<CpuSet> {
    let call = || format!("sched_getaffinity({pid})");
    let mut words = vec![0 as libc::c_ulong; CPUS_MAX / BITS];
    let bytes = size_of_val(words.as_slice());
    // SAFETY: the kernel writes at most `bytes` to `words`, which outlive the call, and says how many.
    let read = check(unsafe { libc::syscall(libc::SYS_sched_getaffinity, pid, bytes, words.as_mut_ptr()) })
        .fail(call)?;
    let read = usize::try_from(read).map_err(|_| Error::new(call(), Errno::INVAL))?;
    words.truncate(read.div_ceil(size_of::<libc::c_ulong>()));
    Ok(CpuSet(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = CpuSet::default();
        assert!([70, 0, 3, 70].into_iter().all(|cpu| set.insert(cpu)) && !set.insert(CPUS_MAX));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 70]);
        assert_eq!(set.to_string(), "[0, 3, 70]");
        assert_eq!(CpuSet::all().to_string(), "[0, 1, 2, 3, 4, 5, 6, 7, ...]");
    }
}
