//! `exec`: another program in a running container.

use super::{Door, input};
use crate::foreground::{Foreground, console_size};
use forgeone_cli::{Call, usage};
use forgeone_runtime::Result;
use forgeone_runtime::fs::users;
use forgeone_runtime::lifecycle::ExecOptions;
use forgeone_runtime::spec::{Capabilities, Process};
use forgeone_sys::credentials::capability_number;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let change = Change::of(call)?;
    let file = call.flags.path("process")?.map(|file| input::json::<Process>(&file)).transpose()?;
    let detach = call.flags.switch("detach");
    let choose = |own: &Process| {
        let template = match &file {
            Some(process) => completed(process.clone(), own),
            None => Process { terminal: false, args: Vec::new(), ..own.clone() },
        };
        let mut process = change.applied_to(template)?;
        if process.terminal && !detach {
            process.console_size = console_size().or(process.console_size);
        }
        Ok(process)
    };
    let options = ExecOptions {
        console_socket: call.flags.path("console-socket")?,
        pidfd_socket: call.flags.path("pidfd-socket")?,
        cgroups: call.flags.texts("cgroup")?,
        pid_file: call.flags.path("pid-file")?,
        preserve_fds: call.flags.number("preserve-fds")?.unwrap_or(0),
        detach,
        ignore_paused: call.flags.switch("ignore-paused"),
    };
    let foreground = if options.detach { None } else { Some(Foreground::prepare(door.log)?) };
    let exec = || door.runtime.exec(call.id()?, &options, &choose);
    let started = match &foreground {
        // It is frozen with the others, until somebody lets them go on.
        Some(foreground) if options.ignore_paused => foreground.endable(exec)?,
        _ => exec()?,
    };
    door.warn("exec", &started);
    door.log.debug(|| format!("started process {}", started.pid));
    foreground.map_or(Ok(0), |foreground| foreground.attend(started))
}

/// A process of `--process` has the container's own settings where it says nothing, as with runc: above all, it isn't
/// less confined than the container is.
fn completed(process: Process, own: &Process) -> Process {
    let text = |said: String, own: &String| if said.is_empty() { own.clone() } else { said };
    Process {
        capabilities: process.capabilities.or_else(|| own.capabilities.clone()),
        rlimits: if process.rlimits.is_empty() { own.rlimits.clone() } else { process.rlimits },
        apparmor_profile: text(process.apparmor_profile, &own.apparmor_profile),
        selinux_label: text(process.selinux_label, &own.selinux_label),
        oom_score_adj: process.oom_score_adj.or(own.oom_score_adj),
        scheduler: process.scheduler.or_else(|| own.scheduler.clone()),
        io_priority: process.io_priority.or_else(|| own.io_priority.clone()),
        exec_cpu_affinity: process.exec_cpu_affinity.or_else(|| own.exec_cpu_affinity.clone()),
        ..process
    }
}

/// What the options change of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<String>,
    tty: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    additional_gids: Vec<u32>,
    label: Option<String>,
    apparmor: Option<String>,
    no_new_privileges: Option<bool>,
    capabilities: Vec<String>,
}

impl Change {
    fn of(call: &Call) -> Result<Self> {
        let flags = &call.flags;
        let (uid, gid) = flags.text("user")?.map(user).transpose()?.unwrap_or_default();
        let args = call.words.iter().skip(1).map(|word| {
            let text = word.to_str().map(str::to_owned);
            text.ok_or_else(|| usage(format!("argument {word:?} is not UTF-8")))
        });
        Ok(Self {
            args: args.collect::<Result<_>>()?,
            cwd: flags.text("cwd")?.map(str::to_owned),
            env: flags.texts("env")?,
            tty: flags.switch("tty"),
            uid,
            gid,
            additional_gids: flags
                .texts("additional-gids")?
                .iter()
                .map(|gid| group(gid))
                .collect::<Result<_>>()?,
            label: flags.text("process-label")?.map(str::to_owned),
            apparmor: flags.text("apparmor")?.map(str::to_owned),
            no_new_privileges: flags.choice("no-new-privs"),
            capabilities: flags.texts("cap")?.into_iter().map(capability).collect::<Result<_>>()?,
        })
    }

    fn applied_to(&self, mut process: Process) -> Result<Process> {
        if !self.args.is_empty() {
            process.args.clone_from(&self.args);
        }
        if process.args.is_empty() {
            return Err(usage("missing [command]"));
        }
        let text = |said: &Option<String>, own: String| said.clone().unwrap_or(own);
        process.cwd = text(&self.cwd, process.cwd);
        process.env.extend_from_slice(&self.env);
        process.terminal |= self.tty;
        process.user.uid = self.uid.unwrap_or(process.user.uid);
        process.user.gid = self.gid.unwrap_or(process.user.gid);
        process.user.additional_gids.extend_from_slice(&self.additional_gids);
        process.selinux_label = text(&self.label, process.selinux_label);
        process.apparmor_profile = text(&self.apparmor, process.apparmor_profile);
        process.no_new_privileges = self.no_new_privileges.unwrap_or(process.no_new_privileges);
        if !self.capabilities.is_empty() {
            add(process.capabilities.get_or_insert_default(), &self.capabilities);
        }
        Ok(process)
    }
}

/// Adds to the sets that decide what the program may do. It becomes ambient only where capabilities are inherited
/// anyway (capabilities(7) asks for both), and never inheritable: CVE-2022-29162.
fn add(sets: &mut Capabilities, names: &[String]) {
    let inherits = !sets.inheritable.is_empty();
    let always = [&mut sets.bounding, &mut sets.effective, &mut sets.permitted];
    for set in always.into_iter().chain(inherits.then_some(&mut sets.ambient)) {
        for name in names {
            if !set.contains(name) {
                set.push(name.clone());
            }
        }
    }
}

fn capability(name: String) -> Result<String> {
    match capability_number(&name) {
        Some(_) => Ok(name),
        None => Err(usage(format!("option --cap: unknown capability {name:?}"))),
    }
}

/// `UID[:GID]`.
fn user(text: &str) -> Result<(Option<u32>, Option<u32>)> {
    let wrong = || usage(format!("option --user: {text:?} is not UID or UID:GID, in digits, below 2^32-1"));
    users::ids(text).map(|(uid, gid)| (Some(uid), gid)).ok_or_else(wrong)
}

fn group(text: &str) -> Result<u32> {
    let wrong = || usage(format!("option --additional-gids: {text:?} is not a group id"));
    users::id(text.as_bytes()).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
