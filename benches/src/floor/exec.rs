//! A program in a running container.

use crate::arguments::Arguments;
use crate::cgroup::Group;
use crate::confine;
use forgeone_sys::process::{CloneArgs, Forked, Namespaces, clone, pidfd_open, setns, wait};
use forgeone_sys::{AsFd, Result};

/// Runs the program; its exit status.
pub(crate) fn exec(arguments: &Arguments) -> Result<u8> {
    let filter = confine::filter(arguments)?;
    let group = Group::of_running(arguments)?;
    let init = pidfd_open(arguments.pid)?;
    group.enter()?;
    let kinds = Namespaces::PID | Namespaces::IPC | Namespaces::UTS | Namespaces::MOUNT | Namespaces::NET;
    setns(&init, kinds)?;
    let into_cgroup = group.unified.as_ref().map(AsFd::as_fd);
    match clone(&CloneArgs { into_cgroup, ..CloneArgs::default() })? {
        Forked::Child => confine::give_up(confine::become_program(arguments, &filter)),
        Forked::Parent(child) => Ok(wait(child.pid)?.status() as u8),
    }
}
