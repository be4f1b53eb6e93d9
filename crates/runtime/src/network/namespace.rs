//! Network namespaces that containers get before they are there.

use super::user;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::{Route, inside, loopback_up};
use forgeone_sys::process::{Namespaces, setns, unshare};
use forgeone_sys::{AsFd, Errno, OwnedFd};

pub use forgeone_sys::net::Counters;

/// The namespace that the calling thread is in.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// Makes a network namespace, with its loopback interface up. It lives for as long as somebody has its descriptor or is
/// in it; the calling thread is back where it was. In a user namespace without rights over the network namespace that it is
/// in, it could not come back: a child makes it, of a caller with one thread.
///
/// # Errors
/// The kernel's answer, such as that the caller may not or that there are too many.
pub fn new_namespace() -> Result<OwnedFd> {
    let open = || fs::open(CURRENT, OFlags::RDONLY, Mode::empty());
    let make = || -> Result<OwnedFd> {
        let here = open()?;
        match setns(&here, Namespaces::NET) {
            Err(e) if e.errno() == Errno::PERM => return user::child::new_namespace(),
            may => may?,
        }
        unshare(Namespaces::NET)?;
        let made = loopback_up().and_then(|()| open());
        if setns(&here, Namespaces::NET).is_err() {
            // In the wrong namespace whatever it did next would be wrong.
            std::process::abort();
        }
        Ok(made?)
    };
    make().during(|| "network namespace")
}

/// The interfaces of a network namespace but for the loopback, with what went through them.
///
/// # Errors
/// The kernel's answer.
pub fn statistics(namespace: impl AsFd) -> Result<Vec<(String, Counters)>> {
    let devices = inside(namespace, || Route::open().and_then(|route| route.devices()));
    let devices = devices.and_then(|devices| devices).during(|| "statistics of interfaces")?;
    let there = devices.into_iter().filter(|device| device.name != "lo");
    Ok(there.map(|device| (device.name, device.counters)).collect())
}
