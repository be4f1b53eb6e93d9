//! Networks and their endpoints on the disk.
//!
//! ```text
//!  <data root>/networks/
//!    lock                    held around every change
//!    ula                     the IPv6 prefix that subnets are taken from
//!    NAME/network.json       written last, removed first: without it there is no network
//!    NAME/endpoints/ID.json  a container that is connected
//!    NAME/last               the addresses that were given last, so that they aren't given again at once
//! ```

use super::model::{Endpoint, Network, Populated};
use crate::error::{During, Error, Kind, Result};
use crate::registry::replace;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd, random};
use ipnet::Ipv6Net;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The version of the files that is written.
pub(super) const VERSION: u32 = 1;
const FILE_MAX: usize = 1 << 20;
const NETWORK: &str = "network.json";
const ENDPOINTS: &str = "endpoints";
const LAST: &str = "last";
const ULA: &str = "ula";
const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// Names in the directory that are no network's.
pub(super) const RESERVED: [&str; 3] = ["lock", ULA, "cni"];

/// The directory of networks.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
}

/// The lock of all networks, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _fd: OwnedFd,
}

/// What is in a directory of endpoints: who, and what is kept of it.
pub(super) type Kept = (String, Result<Endpoint>);

impl Store {
    pub(super) fn new(data_root: &Path) -> Self {
        Self { root: data_root.join("networks") }
    }

    /// Waits for the lock; makes the directory where there is none.
    pub(super) fn lock(&self) -> Result<Lock> {
        let open = || -> Result<OwnedFd> {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
            let open = || fs::open(self.root.join("lock"), flags, Mode::from_raw_mode(0o600));
            let fd = match open() {
                Err(e) if e.errno() == Errno::NOENT => {
                    // The data root is as the register makes it.
                    make(self.root.parent().unwrap_or(&self.root), 0o711)?;
                    make(&self.root, 0o700)?;
                    open()?
                }
                opened => opened?,
            };
            fs::flock_exclusive(&fd)?;
            Ok(fd)
        };
        Ok(Lock { _fd: open().during(|| "networks")? })
    }

    /// The directory of a network.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// All networks, by name.
    pub(super) fn networks(&self) -> Result<Vec<Network>> {
        let names = names(&self.root)?.into_iter().filter(|name| super::asked::is_name(name));
        names.filter_map(|name| self.network(&name).transpose()).collect()
    }

    /// A network by its whole name.
    pub(super) fn network(&self, name: &str) -> Result<Option<Network>> {
        if !super::asked::is_name(name) {
            return Ok(None);
        }
        let network: Option<Network> =
            read(&self.directory(name).join(NETWORK)).during(|| format!("network {name:?}"))?;
        match network {
            Some(network) if network.version != VERSION => {
                let version = network.version;
                let message =
                    format!("network {name:?}: version {version} is not known to this version of forgeone");
                Err(Error::new(Kind::Damaged, message))
            }
            network => Ok(network),
        }
    }

    pub(super) fn write_network(&self, network: &Network) -> Result<()> {
        let name = &network.name;
        make(&self.directory(name).join(ENDPOINTS), 0o700)?;
        self.write(&self.directory(name), NETWORK, network).during(|| format!("network {name:?}"))
    }

    /// Removes what is kept of a network.
    pub(super) fn remove_network(&self, name: &str) -> Result<()> {
        let directory = self.directory(name);
        unlink(&directory.join(NETWORK))?;
        let gone = std::fs::remove_dir_all(&directory);
        gone.map_err(|e| Error::new(Kind::System, format!("network {name:?}: {}: {e}", directory.display())))
    }

    /// What is kept of a network's endpoints, by their ids' order.
    pub(super) fn kept(&self, network: &str) -> Result<Vec<Kept>> {
        let directory = self.directory(network).join(ENDPOINTS);
        let mut all = Vec::new();
        for name in names(&directory)? {
            let Some(id) = name.strip_suffix(".json").filter(|_| !name.starts_with('.')) else { continue };
            let found = read::<Endpoint>(&directory.join(&name));
            if let Some(endpoint) = found.during(|| format!("network {network:?}")).transpose() {
                all.push((id.to_owned(), endpoint));
            }
        }
        Ok(all)
    }

    /// Removes files that were never finished. Who calls holds the lock, so that nobody is about to finish them.
    pub(super) fn sweep(&self, network: &str) -> Result<()> {
        let directory = self.directory(network).join(ENDPOINTS);
        let mut unfinished = names(&directory)?.into_iter().filter(|name| name.starts_with('.'));
        unfinished.try_for_each(|name| unlink(&directory.join(name)))
    }

    /// The endpoints of a network, by their ids' order.
    pub(super) fn endpoints(&self, network: &str) -> Result<Vec<Endpoint>> {
        self.kept(network)?.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// A container's place in a network, if it is in it.
    pub(super) fn endpoint(&self, network: &str, container: &str) -> Result<Option<Endpoint>> {
        read(&self.endpoint_file(network, container))
    }

    fn endpoint_file(&self, network: &str, container: &str) -> PathBuf {
        self.directory(network).join(ENDPOINTS).join(format!("{container}.json"))
    }

    pub(super) fn write_endpoint(&self, network: &str, endpoint: &Endpoint) -> Result<()> {
        let file = format!("{}.json", endpoint.container);
        let written = self.write(&self.directory(network).join(ENDPOINTS), &file, endpoint);
        written.during(|| format!("network {network:?}"))
    }

    pub(super) fn remove_endpoint(&self, network: &str, container: &str) -> Result<()> {
        unlink(&self.endpoint_file(network, container)).during(|| format!("network {network:?}"))
    }

    /// All networks with those who are in them.
    pub(super) fn populated(&self) -> Result<Vec<Populated>> {
        let populate = |network: Network| {
            let endpoints = self.endpoints(&network.name)?;
            Ok(Populated { resolver: None, endpoints, network })
        };
        self.networks()?.into_iter().map(populate).collect()
    }

    /// The addresses that were given last. It is a hint, and may be missing or wrong.
    pub(super) fn last(&self, network: &str) -> Vec<IpAddr> {
        let text = std::fs::read_to_string(self.directory(network).join(LAST)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    pub(super) fn set_last(&self, network: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<()> {
        let text: String = addresses.map(|address| format!("{address}\n")).collect();
        let directory = fs::open(self.directory(network), OPEN_DIR, Mode::empty())?;
        replace(&directory, LAST, text.as_bytes())
    }

    /// The IPv6 prefix of this data root, chosen once by chance (RFC 4193). Who calls holds the lock.
    pub(super) fn ula(&self) -> Result<Ipv6Net> {
        let kept =
            std::fs::read_to_string(self.root.join(ULA)).ok().and_then(|text| text.trim().parse().ok());
        if let Some(prefix) = kept.filter(|prefix: &Ipv6Net| prefix.prefix_len() == 48) {
            return Ok(prefix);
        }
        let mut bytes = [0; 16];
        random::getrandom(&mut bytes[1..6]).during(|| "IPv6 prefix")?;
        bytes[0] = 0xfd;
        let prefix = Ipv6Net::new_assert(Ipv6Addr::from(bytes), 48);
        let directory = fs::open(&self.root, OPEN_DIR, Mode::empty())?;
        replace(&directory, ULA, format!("{prefix}\n").as_bytes())?;
        Ok(prefix)
    }

    fn write(&self, directory: &Path, file: &str, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_vec_pretty(value);
        let text = text.map_err(|e| Error::new(Kind::System, format!("{file}: {e}")))?;
        replace(&fs::open(directory, OPEN_DIR, Mode::empty())?, file, &text)
    }
}

fn make(directory: &Path, mode: u32) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(|e| Error::new(Kind::System, format!("{}: {e}", directory.display())))
}

/// The names in a directory, in order; none if there is no directory.
fn names(directory: &Path) -> Result<Vec<String>> {
    let opened = match fs::open(directory, OPEN_DIR, Mode::empty()) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        opened => opened.during(|| "networks")?,
    };
    let entries = fs::read_dir(&opened).during(|| "networks")?;
    let mut names: Vec<String> =
        entries.into_iter().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// A file's object; `None` if there is no file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read_regular_at(fs::CWD, path, FILE_MAX) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        read => read?,
    };
    let damaged = |e| Error::new(Kind::Damaged, format!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(Kind::System, format!("{}: {e}", path.display())))
        }
        _ => Ok(()),
    }
}
