//! Host and domain name of the current UTS namespace.

use crate::error::{Fail, Result};

/// `sethostname(2)`; at most 64 bytes.
pub fn sethostname(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).fail(|| format!("sethostname({name:?})"))
}

/// `setdomainname(2)`: the NIS domain; at most 64 bytes.
pub fn setdomainname(name: &str) -> Result<()> {
    rustix::system::setdomainname(name.as_bytes()).fail(|| format!("setdomainname({name:?})"))
}
