//! A container from its cgroup to its end.

use crate::arguments::Arguments;
use crate::cgroup::Group;
use crate::{confine, mounts};
use forgeone_sys::credentials::{setresgid, setresuid};
use forgeone_sys::fs::{CWD, pipe, read, write_file_at, write_once};
use forgeone_sys::net::loopback_up;
use forgeone_sys::process::{CloneArgs, Forked, Namespaces, clone, wait};
use forgeone_sys::seccomp::Instruction;
use forgeone_sys::uts::sethostname;
use forgeone_sys::{AsFd, Error, OwnedFd, Result};

/// Runs the program; its exit status.
pub(crate) fn run(arguments: &Arguments) -> Result<u8> {
    let filter = confine::filter(arguments)?;
    let group = Group::make(arguments)?;
    let mapped = if arguments.user.is_empty() { None } else { Some(pipe()?) };
    let into_cgroup = group.unified.as_ref().map(AsFd::as_fd);
    let born = CloneArgs { namespaces: namespaces(arguments), into_cgroup, parent: false };
    let child = match clone(&born)? {
        Forked::Child => {
            let waits = mapped.map(|(waits, _)| waits);
            confine::give_up(init(arguments, &group, waits, &filter))
        }
        Forked::Parent(child) => child,
    };
    if let Some((_, go)) = mapped {
        map_ids(arguments, child.pid)?;
        write_once(go, b"g")?;
    }
    let exit = wait(child.pid)?;
    group.remove()?;
    Ok(exit.status() as u8)
}

fn namespaces(arguments: &Arguments) -> Namespaces {
    let mut kinds = Namespaces::PID | Namespaces::IPC | Namespaces::UTS | Namespaces::MOUNT;
    if !arguments.rootless {
        kinds |= Namespaces::NET;
    }
    if !arguments.user.is_empty() {
        kinds |= Namespaces::USER;
    }
    kinds
}

fn map_ids(arguments: &Arguments, pid: i32) -> Result<()> {
    let map = format!("0 {} {}\n", arguments.user, arguments.ids);
    if arguments.rootless {
        write_file_at(CWD, format!("/proc/{pid}/setgroups"), b"deny")?;
    }
    write_file_at(CWD, format!("/proc/{pid}/uid_map"), map.as_bytes())?;
    write_file_at(CWD, format!("/proc/{pid}/gid_map"), map.as_bytes())
}

/// Comes back only with what is wrong.
fn init(
    arguments: &Arguments,
    group: &Group,
    waits: Option<OwnedFd>,
    filter: &[Instruction],
) -> Result<Error> {
    group.enter()?;
    if let Some(waits) = waits {
        read(waits, &mut [0])?;
        setresgid(0)?;
        setresuid(0)?;
    }
    if !arguments.rootless {
        loopback_up()?;
    }
    sethostname("forgeone")?;
    mounts::enter_root(arguments)?;
    confine::become_program(arguments, filter)
}
