//! Idmapped mounts: the owners of files are shown as others, the file system stays as it is.
//!
//! The kernel takes the mapping from a user namespace, and only for a mount that nobody has seen yet. Such a namespace
//! is made by a process that does nothing but live until its maps are written and the namespace is open; mounts with
//! the same maps share one. Who may map a mount is decided by the file system's own user namespace: a bind is mapped by
//! the runtime, before there is a container, and what is mounted in a container by init.

use super::plan::Users;
use super::procfs::Procfs;
use crate::error::{During, Error, Kind, Result};
use crate::spec::map_lines;
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces};
use forgeone_sys::{Errno, Error as SysError, Result as SysResult, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The user namespaces of the mounts so far.
#[derive(Debug, Default)]
pub(super) struct UserNamespaces<'a>(Vec<(&'a Users, OwnedFd)>);

impl<'a> UserNamespaces<'a> {
    /// The namespace for `users`, made or opened the first time.
    pub(super) fn get(&mut self, users: &'a Users, procfs: &Procfs) -> Result<&OwnedFd> {
        let at = match self.0.iter().position(|(known, _)| *known == users) {
            Some(at) => at,
            None => {
                self.0.push((users, open(users, procfs)?));
                self.0.len() - 1
            }
        };
        Ok(&self.0[at].1)
    }
}

fn open(users: &Users, procfs: &Procfs) -> Result<OwnedFd> {
    match users {
        Users::Joined(path) => join(path).during(|| "linux.namespaces: join"),
        Users::Mapped { uids, gids } => make(&map_lines(uids), &map_lines(gids), procfs),
    }
}

fn join(path: &Path) -> Result<OwnedFd> {
    let file = fs::openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    match fs::is_nsfs(&file)? {
        true => Ok(file),
        false => Err(Error::new(Kind::Config, format!("{}: is not a namespace", path.display()))),
    }
}

/// A user namespace with these maps. The process that was in it is gone when this comes back.
fn make(uids: &str, gids: &str, procfs: &Procfs) -> Result<OwnedFd> {
    let (ours, theirs) = socket::seqpacket_pair()?;
    let args = CloneArgs { namespaces: Namespaces::USER, into_cgroup: None, parent: false };
    let child = match process::clone(&args).during(|| "make a user namespace")? {
        Forked::Parent(child) => child,
        Forked::Child => {
            drop(ours);
            // Until the runtime lets go of its end, or is gone; what it says doesn't matter.
            let _ = socket::receive(&theirs, 1);
            process::exit(0)
        }
    };
    drop(theirs);
    let opened = write_maps(child.pid, uids, gids, procfs);
    drop(ours);
    process::wait(child.pid)?;
    opened
}

fn write_maps(pid: i32, uids: &str, gids: &str, procfs: &Procfs) -> Result<OwnedFd> {
    procfs.write(&format!("{pid}/uid_map"), uids.as_bytes()).during(|| "uidMappings")?;
    procfs.write(&format!("{pid}/gid_map"), gids.as_bytes()).during(|| "gidMappings")?;
    let namespace = procfs.namespace(&format!("{pid}/ns/user"))?;
    namespace.ok_or_else(|| Error::new(Kind::Unsupported, "this kernel has no user namespaces"))
}

/// Maps the ids of a mount that is attached nowhere yet and, if `recursive`, of those below it.
pub(super) fn apply(mount: impl AsFd, users: BorrowedFd, recursive: bool) -> SysResult<()> {
    let none = MountAttrFlags::empty();
    let applied = mount::mount_setattr(mount, "", recursive, none, none, None, Some(users));
    explained(applied).map_err(|e| {
        let cause = match e.errno() {
            Errno::INVAL => "the file system, or one below it, can't be idmapped by this kernel",
            Errno::PERM => "it is idmapped already, or the file system is not the caller's to idmap",
            _ => return e,
        };
        SysError::new(format!("{}: {cause}", e.call()), e.errno())
    })
}

/// Says what the kernel is too old for.
pub(super) fn explained<T>(result: SysResult<T>) -> SysResult<T> {
    result.map_err(|e| match e.errno() {
        Errno::NOSYS => SysError::new(format!("{}: idmapped mounts need Linux 5.12", e.call()), e.errno()),
        _ => e,
    })
}
