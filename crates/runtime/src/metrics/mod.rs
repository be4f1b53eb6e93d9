//! What a container uses: the numbers of its cgroups' files, as plain data in the JSON shape that runc's `events` has.
//!
//! A number comes from v1 where the container has a v1 group with the controller, otherwise from cgroup2; what neither
//! has is 0, or absent. Pressure (PSI) is cgroup2's, which has it without any controller, also beside v1. Times are
//! nanoseconds and sizes bytes, unless it is said.

mod files;
mod rdt;
mod types;
mod v1;
mod v2;

pub use types::*;

use crate::cgroup::Paths;
use crate::error::{During, Result};
use crate::resctrl;
use files::Files;

/// Reads the numbers of one controller.
type Reader = fn(&Files, &mut Stats) -> forgeone_sys::Result<()>;

fn nothing(_: &Files, _: &mut Stats) -> forgeone_sys::Result<()> {
    Ok(())
}

/// By v1's name of the controller: from v1, and from cgroup2.
const READERS: &[(&str, Reader, Reader)] = &[
    ("memory", v1::memory, v2::memory),
    ("cpuacct", v1::cpu_usage, v2::cpu),
    ("cpu", v1::throttling, nothing),
    ("cpuset", v1::cpuset, nothing),
    ("pids", v1::pids, v2::pids),
    ("blkio", v1::block_io, v2::block_io),
    ("hugetlb", v1::hugetlb, v2::hugetlb),
];

/// What the container with these groups, and in these of resctrl, uses.
///
/// # Errors
/// When a group is gone, or a file can't be read.
pub fn read(paths: &Paths, resctrl: &resctrl::Paths) -> Result<Stats> {
    let read = || -> forgeone_sys::Result<Stats> {
        let mut stats = Stats::default();
        let unified = paths.v2.as_deref().map(Files::open).transpose()?;
        for (controller, v1, v2) in READERS {
            match (paths.controller(controller), &unified) {
                (Some(path), _) => v1(&Files::open(path)?, &mut stats)?,
                (None, Some(files)) => v2(files, &mut stats)?,
                (None, None) => {}
            }
        }
        if let Some(files) = &unified {
            v2::pressure(files, &mut stats)?;
        }
        stats.intel_rdt.extra = rdt::read(resctrl)?;
        Ok(stats)
    };
    read().during(|| "statistics")
}

/// Reads a text as files with numbers.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(text: &str) {
    v2::fuzz(text);
}
