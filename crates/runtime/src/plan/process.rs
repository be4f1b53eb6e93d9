//! The program: arguments, environment, credentials and limits, as the kernel will be given them.

use super::memory::MemoryPlan;
use super::scheduling::{self, AffinityPlan, IoPriorityPlan};
use crate::error::{Error, Kind, Result};
use crate::faults;
use crate::security::capabilities::{self, CapabilitySets};
use crate::security::seccomp;
use crate::spec::{ConsoleSize, Process};
use forgeone_sys::process::SchedAttr;
use forgeone_sys::rlimit;
use std::ffi::CString;

/// The program and all that is set for it between clone and exec.
#[derive(Clone, Debug)]
pub struct ProcessPlan {
    /// The program, looked up in `PATH` inside the container, and its arguments.
    pub args: Vec<CString>,
    /// `KEY=value`; `HOME` is added from the container's passwd where it is missing.
    pub env: Vec<CString>,
    /// Working directory inside the container, absolute.
    pub cwd: String,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// Capability sets.
    pub capabilities: CapabilitySets,
    /// Resource limits: kind, soft, hard.
    pub rlimits: Vec<(String, u64, u64)>,
    /// no_new_privs.
    pub no_new_privileges: bool,
    /// `oom_score_adj`.
    pub oom_score_adj: Option<i64>,
    /// Whether it gets a pseudo-terminal.
    pub terminal: bool,
    /// Its size.
    pub console_size: Option<ConsoleSize>,
    /// personality(2): the container's, of all its programs.
    pub personality: Option<u32>,
    /// System call filter, compiled.
    pub seccomp: Option<seccomp::Compiled>,
    /// AppArmor profile, empty for none.
    pub apparmor_profile: String,
    /// SELinux label, empty for none.
    pub selinux_label: String,
    /// sched_setattr(2).
    pub scheduler: Option<SchedAttr>,
    /// The container's `linux.memoryPolicy`, which whoever plans from the whole config puts in.
    pub memory_policy: Option<MemoryPlan>,
    /// ioprio_set(2).
    pub io_priority: Option<IoPriorityPlan>,
    /// sched_setaffinity(2), for a process that joins a container; `None` for every CPU.
    pub affinity: Option<AffinityPlan>,
}

fn refuse(field: impl std::fmt::Display, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("process.{field}: {cause}"))
}

fn strings(field: &str, values: &[String]) -> Result<Vec<CString>> {
    let c_string = |(i, value): (usize, &String)| {
        CString::new(value.as_str()).map_err(|_| refuse(format_args!("{field}[{i}]"), "contains a NUL byte"))
    };
    values.iter().enumerate().map(c_string).collect()
}

/// User and group ids that mean "no change" to the kernel, and so would leave the caller's.
fn check_id(field: &str, id: u32) -> Result<()> {
    if id == u32::MAX && !faults::without("user-range") {
        Err(refuse(field, "4294967295 is not an id"))
    } else {
        Ok(())
    }
}

/// Plans the program; also gives warnings. `grantable` are the capabilities that the runtime holds where the program is
/// to run, a bit each.
///
/// # Errors
/// [`Kind::Config`], naming the field.
pub fn plan(
    process: &Process,
    seccomp: Option<seccomp::Compiled>,
    grantable: u64,
) -> Result<(ProcessPlan, Vec<String>)> {
    if process.args.is_empty() || process.args[0].is_empty() {
        return Err(refuse("args", "names no program"));
    }
    if !process.cwd.starts_with('/') {
        return Err(refuse("cwd", format_args!("\"{}\" must be an absolute path", process.cwd)));
    }
    if process.cwd.contains('\0') {
        return Err(refuse("cwd", "contains a NUL byte"));
    }
    // As runc's: a pair without a name is what no program could ask for.
    for (i, pair) in process.env.iter().enumerate() {
        if pair.find('=').is_none_or(|at| at == 0) {
            return Err(refuse(format!("env[{i}]"), format_args!("\"{pair}\" is not NAME=VALUE")));
        }
    }
    check_id("user.uid", process.user.uid)?;
    check_id("user.gid", process.user.gid)?;
    for gid in &process.user.additional_gids {
        check_id("user.additionalGids", *gid)?;
    }
    if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(refuse("oomScoreAdj", format_args!("{score} is not between -1000 and 1000")));
    }
    let (capabilities, warnings) = capabilities::plan(process.capabilities.as_ref(), grantable);
    let plan = ProcessPlan {
        args: strings("args", &process.args)?,
        env: strings("env", &process.env)?,
        cwd: process.cwd.clone(),
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: process.user.umask.unwrap_or(0o022) & 0o777,
        capabilities,
        rlimits: rlimits(process)?,
        no_new_privileges: process.no_new_privileges,
        oom_score_adj: process.oom_score_adj,
        terminal: process.terminal,
        console_size: process.console_size.clone(),
        personality: None,
        // A profile that says nothing makes no program: there is nothing to load.
        seccomp: seccomp.filter(|filter| !filter.program.is_empty()),
        apparmor_profile: process.apparmor_profile.clone(),
        selinux_label: process.selinux_label.clone(),
        memory_policy: None,
        scheduler: process.scheduler.as_ref().map(scheduling::scheduler).transpose()?,
        io_priority: process.io_priority.as_ref().map(scheduling::io_priority).transpose()?,
        affinity: process.exec_cpu_affinity.as_ref().map(scheduling::affinity).transpose()?,
    };
    Ok((plan, warnings))
}

fn rlimits(process: &Process) -> Result<Vec<(String, u64, u64)>> {
    let mut out: Vec<(String, u64, u64)> = Vec::with_capacity(process.rlimits.len());
    for (i, limit) in process.rlimits.iter().enumerate() {
        let field = format!("rlimits[{i}]");
        if rlimit::rlimit_number(&limit.kind).is_none() {
            return Err(refuse(field, format_args!("type: \"{}\" is not a resource limit", limit.kind)));
        }
        if out.iter().any(|(kind, ..)| *kind == limit.kind) {
            return Err(refuse(field, format_args!("type: {} is there twice", limit.kind)));
        }
        if limit.soft > limit.hard {
            return Err(refuse(field, format_args!("soft: {} exceeds hard: {}", limit.soft, limit.hard)));
        }
        out.push((limit.kind.clone(), limit.soft, limit.hard));
    }
    Ok(out)
}
