//! Where a resolver finds its network, and says that it lives.
//!
//! ```text
//! networks/lock                    held around every change of any network
//! networks/NAME/resolver.lock      held by the resolver for as long as it lives
//! networks/NAME/resolver.port      where it listens, if not at 53
//! networks/NAME/endpoints/ID.json  members
//! ```

use crate::error::{Error, Kind, Result};
use crate::network::store::{Lock, Store};
use crate::network::{Endpoint, Network};
use forgeone_sys::fs::{self, AtFlags, CWD, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd};
use std::path::{Path, PathBuf};

const LOCK: &str = "resolver.lock";
const PORT: &str = "resolver.port";

/// See the module.
#[derive(Debug)]
pub(super) struct Place {
    store: Store,
    name: String,
    network: PathBuf,
    /// Taken once this process is the resolver.
    lock: Option<OwnedFd>,
}

impl Place {
    pub(super) fn new(data_root: &Path, name: &str) -> Self {
        let store = Store::new(data_root);
        Self { network: store.directory(name), store, name: name.to_owned(), lock: None }
    }

    pub(super) fn endpoints(&self) -> PathBuf {
        self.network.join("endpoints")
    }

    pub(super) fn network(&self) -> Result<Network> {
        let none = || Error::new(Kind::NotFound, format!("no network {:?}", self.name));
        self.store.network(&self.name)?.ok_or_else(none)
    }

    /// The network's members. One that can't be read is none: it has no name.
    pub(super) fn members(&self) -> Result<Vec<Endpoint>> {
        Ok(self.store.kept(&self.name)?.into_iter().filter_map(|(_, kept)| kept.ok()).collect())
    }

    /// Whether a resolver lives.
    pub(super) fn lives(&self) -> Result<bool> {
        match fs::open(self.network.join(LOCK), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => Ok(false),
            opened => Ok(!fs::try_flock_shared(opened?)?),
        }
    }

    /// Becomes the one resolver of the network; `false` if there is one.
    pub(super) fn take(&mut self) -> Result<bool> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let lock = fs::open(self.network.join(LOCK), flags, Mode::from_raw_mode(0o600))?;
        if !fs::try_flock(&lock)? {
            return Ok(false);
        }
        self.lock = Some(lock);
        Ok(true)
    }

    /// Whether the network is still the one that this process is the resolver of, and not another one of its name.
    pub(super) fn is_taken(&self) -> bool {
        let there = fs::statat(CWD, self.network.join(LOCK), AtFlags::SYMLINK_NOFOLLOW);
        let own = self.lock.as_ref().map(fs::fstat);
        matches!((there, own), (Ok(there), Some(Ok(own))) if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
    }

    /// The descriptor that is held for as long as the resolver lives.
    pub(super) fn held(&self) -> Option<&OwnedFd> {
        self.lock.as_ref()
    }

    /// Says at which port it listens.
    pub(super) fn tell(&self, port: u16) -> Result<()> {
        let file = self.network.join(PORT);
        if port == super::upstream::PORT {
            return forget(&file);
        }
        let new = self.network.join(".resolver.port.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let fd = fs::open(&new, flags, Mode::from_raw_mode(0o600))?;
        fs::write_all(&fd, port.to_string().as_bytes())?;
        Ok(fs::renameat(CWD, &new, CWD, &file)?)
    }

    /// Where it listens, if not at 53.
    pub(super) fn port(&self) -> Option<u16> {
        let text = fs::read_file_at(CWD, self.network.join(PORT), 16).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    /// Waits for the lock of all networks.
    pub(super) fn lock(&self) -> Result<Lock> {
        self.store.lock()
    }

    /// Is no resolver any more, and then gives the lock of all networks back.
    pub(super) fn give_up(&mut self, lock: Lock) {
        if self.is_taken() {
            // It may be that the network is being removed with all that is there.
            let _ = forget(&self.network.join(PORT));
        }
        drop(self.lock.take());
        drop(lock);
    }
}

fn forget(path: &Path) -> Result<()> {
    match fs::unlinkat(CWD, path, AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => Err(e.into()),
        _ => Ok(()),
    }
}
