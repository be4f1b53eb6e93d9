//! Work in another network namespace.

use crate::error::Result;
use crate::fs::{self, Mode, OFlags};
use crate::process::{Namespaces, setns};
use std::os::fd::AsFd;

/// Does something with the calling thread in another network namespace, and comes back. Sockets that are opened stay
/// there, and below `/proc/sys/net` are that namespace's.
///
/// `EPERM` for a caller that could not come back, as root of a user namespace that the one it is in doesn't belong to.
/// If it can't come back all the same the process ends: in the wrong namespace whatever it did next would be wrong.
pub fn inside<T>(namespace: impl AsFd, work: impl FnOnce() -> T) -> Result<T> {
    let here = fs::open("/proc/thread-self/ns/net", OFlags::RDONLY, Mode::empty())?;
    setns(&here, Namespaces::NET)?;
    setns(namespace, Namespaces::NET)?;
    let result = work();
    if setns(&here, Namespaces::NET).is_err() {
        std::process::abort();
    }
    Ok(result)
}
