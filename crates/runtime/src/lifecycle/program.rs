//! From a finished sandbox to the program: credentials, limits, filter, working directory, exec.
//!
//! Used by init and by `exec` alike. Each step says what it must come before.

use super::channel::{Channel, Message, unexpected};
use crate::engine::Program;
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::fs::{Procfs, users};
use crate::plan::process::ProcessPlan;
use crate::plan::scheduling::AffinityPlan;
use crate::security::seccomp::Compiled;
use forgeone_sys::fs::{self, FileType, Mode, OFlags};
use forgeone_sys::process::{self, CpuSet};
use forgeone_sys::{Errno, credentials, describe, keyring, memory, pty, rlimit, seccomp};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// `CAP_SYS_ADMIN`, capabilities(7): loading a filter needs it where no_new_privs isn't set.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// What the caller's process is given on top of the plan.
pub(super) struct Caller<'a> {
    /// `/proc` of the host, opened before the root was changed; only where there are labels to be written.
    pub procfs: Option<&'a Procfs>,
    /// Whether the process is in a user namespace that isn't the runtime's.
    pub user_namespace: bool,
    /// Whether supplementary groups can be set: not where `setgroups` is denied for an unprivileged map.
    pub may_set_groups: bool,
}

/// Everything that may need a right which the program won't have. Returns the program, found.
///
/// After this, only `CAP_SYS_ADMIN` may be left over, and only until the program is executed.
pub(super) fn assume(plan: &ProcessPlan, caller: &Caller) -> Result<Program> {
    // Before the user changes: raising a hard limit and real-time classes need rights.
    set_limits(plan)?;
    if let Some(personality) = plan.personality {
        process::personality(personality).during(|| "linux.personality")?;
    }
    set_scheduling(plan)?;
    if let Some(policy) = &plan.memory_policy {
        memory::set_mempolicy(policy.mode, &policy.nodes).during(|| "linux.memoryPolicy")?;
    }
    labels(plan, caller.procfs)?;
    // Before the user changes: the working directory may be closed to the user, who gets a second try below.
    let entered = enter_cwd(plan)?;
    give_stdio(plan.uid, caller.user_namespace)?;
    let env = environment(plan);
    // Before the user changes: dropping from the bounding set needs CAP_SETPCAP.
    drop_bounding(plan.capabilities.bounding)?;
    change_user(plan, caller.may_set_groups)?;
    if !entered {
        process::chdir(plan.cwd.as_str()).map_err(Error::from).map_err(|e| e.during("process.cwd"))?;
    }
    check_cwd()?;
    // After the user changed, since that clears the effective set, and with the right to load the filter kept.
    let keep = if plan.seccomp.is_some() && !plan.no_new_privileges { CAP_SYS_ADMIN } else { 0 };
    set_capabilities(plan, keep)?;
    if plan.no_new_privileges {
        process::set_no_new_privs().during(|| "process.noNewPrivileges")?;
    }
    process::umask(plan.umask);
    let path = find(&plan.args[0], &env)?;
    Ok(Program { path, args: plan.args.clone(), env })
}

/// The filter comes: nothing but exec is left to do, and not another system call is made before it, which the filter
/// might refuse. The right to load the filter ends with the exec: it is neither inheritable nor ambient, so the program
/// gets what its file and the bounding set give (capabilities(7), "Transformation of capabilities during execve").
pub(super) fn seal(plan: &ProcessPlan, channel: &Channel) -> Result<()> {
    let Some(filter) = &plan.seccomp else { return Ok(()) };
    if !filter.notify {
        return load(filter).map(drop);
    }
    channel.send(&Message::Filter)?;
    match channel.receive()? {
        // The runtime takes the listener out of us. Ours is closed by exec: to close it is a system call.
        Message::Go => load(filter).map(std::mem::forget),
        Message::Send if filter.notifies_sendmsg => {
            let cause = "SCMP_ACT_NOTIFY for sendmsg needs a runtime that may trace the program (ptrace, pidfd_getfd)";
            Err(Error::new(Kind::Permission, format!("linux.seccomp: {cause}")))
        }
        Message::Send => {
            let listener =
                load(filter)?.ok_or_else(|| Error::new(Kind::System, "linux.seccomp: no listener"))?;
            channel.send(&Message::Listener(listener))?;
            channel.wait_go()
        }
        Message::End => Err(Error::new(Kind::System, "the runtime is gone")),
        other => Err(unexpected(&other)),
    }
}

/// Loads the filter; with flags that the profile doesn't ask for, where the kernel knows them.
fn load(filter: &Compiled) -> Result<Option<OwnedFd>> {
    let load = |flags| seccomp::seccomp_load(&filter.program, flags);
    let loaded = match load(filter.flags | filter.optional_flags) {
        Err(e) if e.errno() == Errno::INVAL && filter.optional_flags != 0 => load(filter.flags),
        loaded => loaded,
    };
    loaded.during(|| "linux.seccomp")
}

fn set_limits(plan: &ProcessPlan) -> Result<()> {
    for (kind, soft, hard) in &plan.rlimits {
        rlimit::setrlimit(kind, *soft, *hard).during(|| format!("process.rlimits {kind}"))?;
    }
    Ok(())
}

fn set_scheduling(plan: &ProcessPlan) -> Result<()> {
    if let Some(scheduler) = &plan.scheduler {
        process::sched_setattr(scheduler).during(|| "process.scheduler")?;
    }
    if let Some(io) = plan.io_priority {
        process::ioprio_set(io.class, io.priority).during(|| "process.ioPriority")?;
    }
    Ok(())
}

/// Once the process is in its cgroup: these CPUs; without any said, all that the cpuset allows. What the runtime's
/// caller was pinned to is not the program's concern. That the kernel won't hear of it is no reason to fail.
pub(super) fn set_affinity(affinity: Option<&AffinityPlan>) -> Result<()> {
    match affinity {
        Some(AffinityPlan { r#final: Some(cpus), .. }) => {
            process::sched_setaffinity(0, cpus).during(|| "process.execCPUAffinity.final")
        }
        Some(AffinityPlan { initial: Some(_), .. }) => Ok(()),
        _ => {
            let _ = process::sched_setaffinity(0, &CpuSet::all());
            Ok(())
        }
    }
}

/// A session keyring of the container's own, so that the runtime's isn't inherited: `exec` gets the one that init has
/// made, which its owner may search. Kernels without keyrings have nothing to inherit.
pub(super) fn session_keyring(id: &str) -> Result<()> {
    if faults::without("keyring") {
        return Ok(());
    }
    /// keyrings(7): the permission of the owner to find it by its name.
    const USER_SEARCH: u32 = 0x0008_0000;
    let join = || -> forgeone_sys::Result<()> {
        let ring = keyring::join_session_keyring(format!("_ses.{id}"))?;
        // The kernel's answer where it is the runtime's own already: that of a container with the same id around this one.
        if ring == 0 {
            return Ok(());
        }
        let permissions = keyring::keyring_permissions(ring)?;
        if permissions & USER_SEARCH != 0 {
            return Ok(());
        }
        keyring::keyring_set_permissions(ring, permissions | USER_SEARCH)
    };
    match join() {
        Err(e) if e.errno() == Errno::NOSYS => Ok(()),
        joined => joined.during(|| "session keyring"),
    }
}

/// Whether there are labels of a security module to be written.
pub(super) fn has_labels(plan: &ProcessPlan) -> bool {
    !plan.apparmor_profile.is_empty() || !plan.selinux_label.is_empty()
}

/// LSM labels take effect at exec; they go through the checked procfs, never through a path of the container's.
fn labels(plan: &ProcessPlan, procfs: Option<&Procfs>) -> Result<()> {
    let Some(procfs) = procfs.filter(|_| has_labels(plan)) else { return Ok(()) };
    if !plan.apparmor_profile.is_empty() {
        let value = format!("exec {}", plan.apparmor_profile);
        let written = procfs.write("self/attr/apparmor/exec", value.as_bytes());
        let written = written.or_else(|_| procfs.write("self/attr/exec", value.as_bytes()));
        let written = written.map_err(|e| match e.errno() {
            Errno::NOENT => Error::new(Kind::Config, "the profile is not loaded (apparmor_parser loads it)"),
            _ => e.into(),
        });
        written.during(|| format!("process.apparmorProfile \"{}\"", plan.apparmor_profile))?;
    }
    if !plan.selinux_label.is_empty() {
        let written = procfs.write("self/attr/exec", plan.selinux_label.as_bytes());
        written.during(|| format!("process.selinuxLabel \"{}\"", plan.selinux_label))?;
    }
    Ok(())
}

/// Tries to enter the working directory; `false` means that the user has to try.
fn enter_cwd(plan: &ProcessPlan) -> Result<bool> {
    match process::chdir(plan.cwd.as_str()) {
        Ok(()) => Ok(true),
        Err(e) if e.errno() == Errno::ACCESS => Ok(false),
        Err(e) => Err(Error::from(e).during("process.cwd").into_kind(Kind::Program)),
    }
}

/// The kernel prefixes a directory that isn't below the root with `(unreachable)` (CVE-2024-21626).
fn check_cwd() -> Result<()> {
    let cwd = process::getcwd().during(|| "process.cwd")?;
    if cwd.is_absolute() || faults::without("close") {
        return Ok(());
    }
    let message = format!("process.cwd: {} is outside of the container's root", cwd.display());
    Err(Error::new(Kind::Config, message))
}

/// The program's user becomes the owner of its standard streams, so that it can open them by path again.
///
/// By descriptor, and never a device node (CVE-2026-88265: the host's `/dev/null` isn't to be given away); only
/// terminals, pipes and sockets. What can't be given (read-only, or an owner that isn't mapped) stays.
fn give_stdio(uid: u32, user_namespace: bool) -> Result<()> {
    let stdio = [fs::stdin(), fs::stdout(), fs::stderr()];
    for fd in stdio {
        let Ok(stat) = fs::fstat(fd) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let fits = match kind {
            FileType::Fifo | FileType::Socket => true,
            FileType::CharacterDevice => pty::is_terminal(fd),
            _ => false,
        };
        if !(fits || faults::without("stdio")) || stat.st_uid == uid {
            continue;
        }
        match fs::fchown(fd, uid, stat.st_gid) {
            Err(e) if matches!(e.errno(), Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(e) if user_namespace && e.errno() == Errno::ACCESS => {}
            changed => changed.during(|| "standard streams")?,
        }
    }
    Ok(())
}

/// The environment, with `HOME` from the container's own passwd where the config doesn't say.
fn environment(plan: &ProcessPlan) -> Vec<CString> {
    let mut env: Vec<CString> = Vec::with_capacity(plan.env.len() + 1);
    for pair in &plan.env {
        // A later value replaces an earlier one, as a shell would have it.
        let name = |pair: &CStr| pair.to_bytes().split(|b| *b == b'=').next().map(<[u8]>::to_vec);
        match env.iter().position(|earlier| name(earlier) == name(pair)) {
            Some(at) => env[at] = pair.clone(),
            None => env.push(pair.clone()),
        }
    }
    if faults::without("environment") {
        let pairs = std::env::vars().map(|(name, value)| CString::new(format!("{name}={value}")));
        env.extend(pairs.filter_map(std::result::Result::ok));
    }
    let home = env.iter().position(|pair| pair.to_bytes().starts_with(b"HOME="));
    let empty = home.is_some_and(|at| env[at].to_bytes() == b"HOME=");
    if home.is_none() || empty {
        let root = fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let found = root
            .ok()
            .and_then(|root| users::home(root.as_fd(), plan.uid).ok().flatten())
            .unwrap_or_else(|| "/".into());
        if let Ok(pair) = CString::new([b"HOME=", found.as_bytes()].concat()) {
            home.map(|at| env.remove(at));
            env.push(pair);
        }
    }
    env
}

/// Dropped without a look whether it is there: that is half the calls.
fn drop_bounding(keep: u64) -> Result<()> {
    for number in (0..64).filter(|number| keep & (1 << number) == 0) {
        match credentials::bounding_drop(number) {
            // One beyond the last that this kernel knows.
            Err(e) if e.errno() == Errno::INVAL => break,
            // Without the right to drop, it is enough that there is nothing to drop.
            Err(e) if e.errno() == Errno::PERM && !credentials::bounding_contains(number) => {}
            dropped => dropped.during(|| "process.capabilities.bounding")?,
        }
    }
    Ok(())
}

fn change_user(plan: &ProcessPlan, may_set_groups: bool) -> Result<()> {
    // Root, as which we are here, keeps them by itself.
    if plan.uid != 0 {
        process::set_keep_caps(true)?;
    }
    if may_set_groups {
        credentials::setgroups(&plan.groups).during(|| "process.user.additionalGids")?;
    } else if !plan.groups.is_empty() {
        let message =
            "process.user.additionalGids: can't be set in a user namespace whose map needs setgroups denied";
        return Err(Error::new(Kind::Config, message));
    }
    // To the kernel -1 is "no change"; `sys` refuses it, too.
    let changes = |id: u32| id != u32::MAX || !faults::without("user-range");
    if changes(plan.gid) {
        credentials::setresgid(plan.gid).during(|| "process.user.gid")?;
    }
    if changes(plan.uid) {
        credentials::setresuid(plan.uid).during(|| "process.user.uid")?;
    }
    if plan.uid != 0 {
        process::set_keep_caps(false)?;
    }
    Ok(())
}

fn set_capabilities(plan: &ProcessPlan, keep: u64) -> Result<()> {
    let sets = &plan.capabilities;
    let kernel = credentials::Capabilities {
        effective: sets.effective | keep,
        permitted: sets.permitted | keep,
        inheritable: if faults::without("inheritable") { sets.permitted } else { sets.inheritable },
    };
    credentials::capset(&kernel).during(|| "process.capabilities")?;
    credentials::ambient_clear().during(|| "process.capabilities.ambient")?;
    for number in (0..64).filter(|number| sets.ambient & (1 << number) != 0) {
        credentials::ambient_raise(number).during(|| "process.capabilities.ambient")?;
    }
    Ok(())
}

/// Finds the program as execvp(3) does, but with the container's own `PATH` and as the container's user.
fn find(name: &CStr, env: &[CString]) -> Result<CString> {
    let shown = name.to_string_lossy();
    let failed = |cause: &str| Error::new(Kind::Program, format!("exec: \"{shown}\": {cause}"));
    if name.to_bytes().contains(&b'/') {
        return match executable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(failed(&format!("stat {shown}: no such file or directory")))
            }
            Err(Errno::ACCESS) => Err(failed("permission denied")),
            // Clients know a program that can't be executed by the last two words.
            Err(Errno::ISDIR) => Err(failed("is a directory: permission denied")),
            Err(e) => Err(failed(&describe(e))),
        };
    }
    let path = env.iter().find_map(|pair| pair.to_bytes().strip_prefix(b"PATH="));
    let mut denied = None;
    for dir in path.unwrap_or_default().split(|byte| *byte == b':').filter(|dir| !dir.is_empty()) {
        let file = OsStr::from_bytes(dir).as_bytes();
        let Ok(candidate) = CString::new([file, b"/", name.to_bytes()].concat()) else { continue };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR) => {}
            Err(e) => denied = denied.or(Some(e)),
        }
    }
    Err(match denied {
        None => failed("executable file not found in $PATH"),
        Some(Errno::ACCESS) => failed("permission denied"),
        Some(e) => failed(&describe(e)),
    })
}

fn executable(path: &CStr) -> std::result::Result<(), Errno> {
    let stat = fs::statat(fs::CWD, path, fs::AtFlags::empty()).map_err(|e| e.errno())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        FileType::RegularFile => match fs::may_execute(path).map_err(|e| e.errno()) {
            // A filter's answer: execve will say.
            Err(Errno::PERM) => Ok(()),
            result => result,
        },
        _ => Err(Errno::ACCESS),
    }
}

/// Opens a terminal of the file system `devpts`, as large as planned. The master goes to the runtime.
pub(super) fn open_terminal(devpts: impl AsFd, plan: &ProcessPlan, channel: &Channel) -> Result<OwnedFd> {
    let terminal = pty::open_pty(devpts).during(|| "terminal")?;
    if let Some(size) = &plan.console_size {
        let (rows, columns) = (size.height.min(65535) as u16, size.width.min(65535) as u16);
        pty::set_window_size(&terminal.master, rows, columns).during(|| "process.consoleSize")?;
    }
    channel.send(&Message::Terminal(terminal.master))?;
    Ok(terminal.peer)
}

/// Makes `peer` the terminal of this process: its session's, and its standard streams.
pub(super) fn take_terminal(peer: OwnedFd) -> Result<()> {
    pty::set_controlling_terminal(&peer).during(|| "terminal")?;
    for number in 0..3 {
        fs::dup2_stdio(peer.as_fd(), number).during(|| "terminal")?;
    }
    Ok(())
}
