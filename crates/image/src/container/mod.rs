//! What is done with the files of one container: `diff`, `commit`, `export` and `cp`, by the directory that it is kept in.
//!
//! Looking at them takes a mount of their own, for reading, in a mount namespace that ends with this process. What is
//! written to a running container goes through its own root (`/proc/PID/root`), resolved inside it.

mod commit;
mod copy;
mod diff;

pub(crate) use commit::import;

use crate::failure::Failure;
use crate::pack::{Form, Packer};
use crate::snapshot::{self, Changes};
use forgeone_cli::{Call, Values};
use forgeone_runtime::registry::rootfs::{Image, Mounted, RootfsPlan};
use forgeone_sys::fs as sys;
use forgeone_sys::fs::{Mode, OFlags};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{AsFd, OwnedFd};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Carries a command out.
pub(crate) fn run(call: &Call, global: &Values) -> Result<(), Failure> {
    let container = Container::open(call)?;
    match call.command.name {
        "diff" => diff::print(&container),
        "commit" => commit::commit(&container, call, global),
        "export" => export(&container, call),
        "copy-out" => copy::out(&container, call),
        "copy-in" => copy::into(&container, call),
        name if name.starts_with("snapshot-") => snapshot::named::run(&container, call),
        _ => Err(Failure::new("no such command")),
    }
}

/// Why some containers have no changes.
pub(crate) const NOT_APART: &str =
    "what it changes isn't kept apart from what it began with: it writes to a directory or a disk image";

/// A container, as its directory has it.
pub(crate) struct Container {
    pub(crate) directory: PathBuf,
    pub(crate) record: Record,
    /// Its first process, if it runs.
    pub(crate) pid: Option<u32>,
}

/// What of `container.json` is needed.
#[derive(Deserialize)]
pub(crate) struct Record {
    #[serde(default)]
    pub(crate) image: Option<Image>,
    pub(crate) rootfs: RootfsPlan,
}

impl Container {
    pub(crate) fn open(call: &Call) -> Result<Self, Failure> {
        let directory = call.flags.path("container")?;
        let directory = directory.ok_or_else(|| Failure::new("--container is needed"))?;
        let file = directory.join("container.json");
        let failed = |e: &dyn std::fmt::Display| Failure::new(format_args!("{}: {e}", file.display()));
        let text = fs::read(&file).map_err(|e| failed(&e))?;
        let record = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
        let pid = call.flags.number("pid")?.filter(|pid| *pid > 0);
        Ok(Self { directory, record, pid })
    }

    /// Where it is mounted.
    pub(crate) fn target(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// What it has changed; `None` if it has never run.
    fn changes(&self) -> Result<Option<Changes>, Failure> {
        if self.record.rootfs.changed().is_none() {
            return Err(Failure::new(NOT_APART));
        }
        snapshot::driver(self.record.rootfs.driver).changes(self)
    }

    /// Its root directory, for reading; as long as the second is there.
    fn look(&self) -> Result<(OwnedFd, Option<Mounted>), Failure> {
        alone()?;
        match (self.record.rootfs.mount_for_reading(&self.target()), self.pid) {
            (Ok(mounted), _) => Ok((open(&self.target())?, Some(mounted))),
            // Its file system is in a file that is being written to.
            (Err(_), Some(pid)) => Ok((root_of(pid)?, None)),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Its root directory, to be written to.
    fn enter(&self) -> Result<(OwnedFd, Option<Mounted>), Failure> {
        if let Some(pid) = self.pid {
            return Ok((root_of(pid)?, None));
        }
        alone()?;
        let mounted = self.record.rootfs.mount(&self.target())?;
        Ok((open(&self.target())?, Some(mounted)))
    }
}

pub(crate) fn open(path: &Path) -> Result<OwnedFd, Failure> {
    Ok(sys::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?)
}

/// The same, to be read or given other attributes.
pub(crate) fn open_for_reading(path: &Path) -> Result<OwnedFd, Failure> {
    Ok(sys::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// The root directory of a running container's first process.
fn root_of(pid: u32) -> Result<OwnedFd, Failure> {
    let gone = |e: forgeone_sys::Error| Failure::new(format_args!("process {pid} of the container: {e}"));
    let number = i32::try_from(pid).unwrap_or(0);
    let process = process::pidfd_open(number).map_err(gone)?;
    let root = sys::open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
    let root = root.map_err(gone)?;
    // It was that process's, and not one's that got its number.
    process::pidfd_send_signal(process, 0).map_err(gone)?;
    Ok(root)
}

/// Has a mount namespace of its own from here on.
pub(crate) fn alone() -> Result<(), Failure> {
    process::unshare(Namespaces::MOUNT)?;
    Ok(mount::mount_propagation("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

fn export(container: &Container, call: &Call) -> Result<(), Failure> {
    let to: Box<dyn Write> = match call.flags.value("output") {
        Some(path) => {
            let path = Path::new(path);
            Box::new(File::create(path).map_err(|e| Failure::new(format_args!("{}: {e}", path.display())))?)
        }
        None if forgeone_sys::pty::is_terminal(sys::stdout()) => {
            return Err(Failure::new("a terminal shows no archives; use --output or redirect it"));
        }
        None => Box::new(io::stdout().lock()),
    };
    let (root, _mounted) = container.look()?;
    let mut packer = Packer::new(BufWriter::new(to), Form::Whole);
    packer.tree(root.as_fd())?;
    let flushed = packer.finish()?.flush();
    flushed.map_err(Failure::new)
}
