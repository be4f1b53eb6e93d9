//! From a finished sandbox to the program: credentials, limits, filter, working directory, exec.
//!
//! Used by init and by `exec` alike. Each step says what it must come before.

use crate::engine::Program;
use crate::error::{During, Error, Kind, Result};
use crate::fs::{Procfs, users};
use crate::plan::process::ProcessPlan;
use forgeone_sys::fs::{self, FileType, Mode, OFlags};
use forgeone_sys::process::{self, SchedAttr};
use forgeone_sys::{Errno, credentials, keyring, memory, pty, rlimit, seccomp};
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
/// After this, only `CAP_SYS_ADMIN` may be left over, and only until [`seal`].
pub(super) fn assume(plan: &ProcessPlan, caller: &Caller) -> Result<Program> {
    // Before the user changes: raising a hard limit and real-time classes need rights.
    set_limits(plan)?;
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

/// The last rights go, the filter comes: nothing but exec is left to do.
pub(super) fn seal(plan: &ProcessPlan) -> Result<()> {
    let Some(filter) = &plan.seccomp else { return Ok(()) };
    seccomp::seccomp_load(&filter.program, filter.flags).during(|| "linux.seccomp")?;
    if plan.no_new_privileges { Ok(()) } else { set_capabilities(plan, 0) }
}

fn set_limits(plan: &ProcessPlan) -> Result<()> {
    for (kind, soft, hard) in &plan.rlimits {
        rlimit::setrlimit(kind, *soft, *hard).during(|| format!("process.rlimits {kind}"))?;
    }
    Ok(())
}

fn set_scheduling(plan: &ProcessPlan) -> Result<()> {
    if let Some(scheduler) = &plan.scheduler {
        let attr = SchedAttr {
            policy: scheduler_policy(&scheduler.policy)?,
            nice: scheduler.nice,
            priority: scheduler.priority as u32,
            flags: scheduler_flags(&scheduler.flags)?,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
        };
        process::sched_setattr(&attr).during(|| "process.scheduler")?;
    }
    if let Some(priority) = &plan.io_priority {
        // ioprio_set(2): IOPRIO_CLASS_RT 1, BE 2, IDLE 3.
        let classes = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];
        let class = classes.iter().position(|class| *class == priority.class);
        let class = class.ok_or_else(|| unknown("process.ioPriority.class", &priority.class))? as u8 + 1;
        let level = u8::try_from(priority.priority).ok().filter(|level| *level < 8);
        let level =
            level.ok_or_else(|| unknown("process.ioPriority.priority", &priority.priority.to_string()))?;
        process::ioprio_set(class, level).during(|| "process.ioPriority")?;
    }
    Ok(())
}

fn unknown(field: &str, value: &str) -> Error {
    Error::new(Kind::Config, format!("{field}: \"{value}\" is not known"))
}

/// sched(7), <linux/sched.h>.
fn scheduler_policy(word: &str) -> Result<u32> {
    let known = [
        ("SCHED_OTHER", 0),
        ("SCHED_FIFO", 1),
        ("SCHED_RR", 2),
        ("SCHED_BATCH", 3),
        ("SCHED_ISO", 4),
        ("SCHED_IDLE", 5),
        ("SCHED_DEADLINE", 6),
    ];
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    found.ok_or_else(|| unknown("process.scheduler.policy", word))
}

fn scheduler_flags(words: &[String]) -> Result<u64> {
    let known = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01),
        ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ];
    words.iter().try_fold(0, |flags, word| {
        let found = known.iter().find(|(name, _)| name == word);
        found.map(|(_, flag)| flags | flag).ok_or_else(|| unknown("process.scheduler.flags", word))
    })
}

/// A session keyring of the container's own, so that the runtime's isn't inherited: `exec` gets the one that init has
/// made, which its owner may search. Kernels without keyrings have nothing to inherit.
pub(super) fn session_keyring(id: &str) -> Result<()> {
    /// keyrings(7): the permission of the owner to find it by its name.
    const USER_SEARCH: u32 = 0x0008_0000;
    let join = || -> forgeone_sys::Result<()> {
        let ring = keyring::join_session_keyring(format!("_ses.{id}"))?;
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
        written
            .or_else(|_| procfs.write("self/attr/exec", value.as_bytes()))
            .during(|| format!("process.apparmorProfile \"{}\"", plan.apparmor_profile))?;
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
    if cwd.is_absolute() {
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
        if !fits || stat.st_uid == uid {
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

fn drop_bounding(keep: u64) -> Result<()> {
    for number in 0..=credentials::last_capability() {
        if keep & (1 << number) == 0 && credentials::bounding_contains(number) {
            credentials::bounding_drop(number).during(|| "process.capabilities.bounding")?;
        }
    }
    Ok(())
}

fn change_user(plan: &ProcessPlan, may_set_groups: bool) -> Result<()> {
    process::set_keep_caps(true)?;
    if may_set_groups {
        credentials::setgroups(&plan.groups).during(|| "process.user.additionalGids")?;
    } else if !plan.groups.is_empty() {
        let message =
            "process.user.additionalGids: can't be set in a user namespace whose map needs setgroups denied";
        return Err(Error::new(Kind::Config, message));
    }
    credentials::setresgid(plan.gid).during(|| "process.user.gid")?;
    credentials::setresuid(plan.uid).during(|| "process.user.uid")?;
    process::set_keep_caps(false)?;
    Ok(())
}

fn set_capabilities(plan: &ProcessPlan, keep: u64) -> Result<()> {
    let sets = &plan.capabilities;
    let kernel = credentials::Capabilities {
        effective: sets.effective | keep,
        permitted: sets.permitted | keep,
        inheritable: sets.inheritable,
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
            Err(e) => Err(failed(&e.to_string())),
        };
    }
    let path = env.iter().find_map(|pair| pair.to_bytes().strip_prefix(b"PATH="));
    let mut denied = false;
    for dir in path.unwrap_or_default().split(|byte| *byte == b':').filter(|dir| !dir.is_empty()) {
        let file = OsStr::from_bytes(dir).as_bytes();
        let Ok(candidate) = CString::new([file, b"/", name.to_bytes()].concat()) else { continue };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(e) => denied |= e == Errno::ACCESS,
        }
    }
    Err(failed(if denied { "permission denied" } else { "executable file not found in $PATH" }))
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

/// Makes `peer` the terminal of this process: its session's, and its standard streams.
pub(super) fn take_terminal(peer: OwnedFd) -> Result<()> {
    pty::set_controlling_terminal(&peer).during(|| "terminal")?;
    for number in 0..3 {
        fs::dup2_stdio(peer.as_fd(), number).during(|| "terminal")?;
    }
    Ok(())
}
