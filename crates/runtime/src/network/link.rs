//! Links that are up, and of which the kernel has taken notice.
//!
//! It does so some time after (`linkwatch`), up to a second, and until then an interface or a bridge throws away what it
//! is to send: the first packet would be lost, and sent again after a second. Since Linux 6.8 to ask is enough.

use crate::error::Result;
use forgeone_sys::net::{LinkWatch, Route};
use forgeone_sys::signal::{PollFd, poll};
use std::time::{Duration, Instant};

/// Twice as long as the kernel waits at most.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits until an interface that is up passes packets; `watch` begins to watch its network namespace.
///
/// # Errors
/// The kernel's answer; none if it takes too long.
pub(super) fn settle(route: &Route, name: &str, watch: impl FnOnce() -> Result<LinkWatch>) -> Result<()> {
    let settled =
        || -> Result<bool> { Ok(route.device(name)?.is_none_or(|device| device.running || !device.up)) };
    if settled()? {
        return Ok(());
    }
    let mut watch = watch()?;
    let deadline = Instant::now() + LONGEST;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        if settled()? || left == 0 {
            return Ok(());
        }
        poll(&mut [PollFd::readable(&watch)], Some(left as i32))?;
        watch.gone()?;
    }
}
