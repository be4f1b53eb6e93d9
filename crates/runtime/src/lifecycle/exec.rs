//! `exec`: another program in a container that runs.
//!
//! ```text
//! runtime ──clone──► stage: setns(mount, PID) ──clone3(CLONE_PARENT, …)──► joins the rest ──► program
//! ```
//!
//! From the moment that it is born the new process is seen by those inside, who may have the right to trace it. It
//! isn't dumpable, but for `CAP_SYS_PTRACE` that counts for nothing: so it is born with the container's root as its
//! own, and what the runtime has open of the host was closed before (see [`super::spawn`]). The process enters the
//! cgroups first, before it does anything that costs memory in there.

use super::affinity::Affinity;
use super::channel::{Channel, Message, unexpected};
use super::listener::Handover;
use super::oom::OomScore;
use super::spawn::{self, Cloned, Target};
use super::{ExecOptions, Runtime, Started, Status, init, proc, program, remove, start};
use crate::cgroup::{Birth, Group};
use crate::engine::{self, Engine};
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::fs::{self as rootfs, Procfs, Resolver};
use crate::plan::namespaces::KINDS;
use crate::plan::process::ProcessPlan;
use crate::plan::{self, process as process_plan};
use crate::security::{labels, seccomp};
use crate::spec::{Process, Spec};
use crate::state::{self, Record};
use forgeone_config::ExecMode;
use forgeone_sys::credentials;
use forgeone_sys::fs::{self as files, Mode, OFlags};
use forgeone_sys::process::{self, Child, Namespaces};
use forgeone_sys::signal::{self, SignalSet};
use forgeone_trust as trust;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Memory that a container must have left for another program, in bytes: less, and a program may be ended in the midst
/// of its exec, or others in its place.
const ROOM: usize = 256 << 10;

/// What the new process has: a fork's memory.
struct Inherited<'a> {
    plan: &'a ProcessPlan,
    engine: &'static dyn Engine,
    channel: Channel,
    birth: Option<Birth>,
    join: Vec<Target>,
    /// Only if it is open.
    procfs: Option<&'a Procfs>,
    user_namespace: bool,
    may_set_groups: bool,
    preserve_fds: u32,
    /// Signals that the runtime ignores, and the program isn't to.
    ignored: SignalSet,
    /// The container whose session keyring is joined; `None` if it has the caller's.
    keyring: Option<&'a str>,
}

impl Runtime {
    /// Starts another program in a running container: the one that `choose` makes of the container's own, with all its
    /// settings, as in `process` of `config.json`.
    ///
    /// # Errors
    /// [`Kind::State`] if it doesn't run or is full, [`Kind::Program`] if the program can't be executed; and those of
    /// `choose`.
    pub fn exec(
        &self,
        id: &str,
        options: &ExecOptions,
        choose: &dyn Fn(&Process) -> Result<Process>,
    ) -> Result<Started> {
        super::check_single_threaded()?;
        let container = self.find(id)?;
        let record = container.record()?;
        let status = container.status()?;
        match status {
            Status::Running | Status::Created => {}
            Status::Paused if options.ignore_paused => {}
            Status::Paused => {
                let message =
                    format!("cannot exec in a paused container; resume \"{id}\", or use --ignore-paused");
                return Err(Error::new(Kind::State, message));
            }
            other => return Err(start::not_running(id, other)),
        }
        let kept = container.kept()?;
        let own = kept.spec.process.as_ref();
        let process = choose(own.ok_or_else(|| Error::new(Kind::Config, "process: is missing"))?)?;
        super::check_console_socket(process.terminal, options.detach, options.console_socket.is_some())?;
        let (mut plan, warnings) = decide(&kept.spec, record, &process)?;
        let admission = super::ask(trust::Operation::Exec, id, kept, &process.args)?;
        plan::tighten_process(&mut plan, &admission);
        faults::at("exec/decided")?;

        let (child, channel) = clone(self, record, &plan, options)?;
        let (pid, pidfd) = (child.pid, child.pidfd.as_ref().map(files::dup).transpose()?);
        let started = || -> Result<Started> {
            faults::at("exec/cloned")?;
            crate::resctrl::enter(&record.resctrl, pid)?;
            let terminal = await_ready(pid, &channel)?;
            faults::at("exec/ready")?;
            OomScore::give(self.procfs()?, pid, plan.oom_score_adj)?;
            let handover = Handover { pid, kept, record, status };
            let started = release(child, &channel, terminal, options, &handover)?;
            faults::at("exec/released")?;
            state::append(&container.dir, &state::Event { pid, ..super::event(record, "exec") })?;
            faults::at("exec/noted")?;
            Ok(Started { warnings, ..started })
        };
        started().map_err(|e| end(pid, pidfd.as_ref(), e))
    }
}

/// Ends the process, since this failed.
fn end(pid: i32, pidfd: Option<&OwnedFd>, e: Error) -> Error {
    match remove::end_child(pid, pidfd) {
        Ok(()) => e,
        Err(also) => Error::all(vec![e.clone(), also]).unwrap_or(e),
    }
}

/// The plan of the program: what the caller says, and the container's filter.
fn decide(spec: &Spec, record: &Record, process: &Process) -> Result<(ProcessPlan, Vec<String>)> {
    labels::check(&process.apparmor_profile, &process.selinux_label)?;
    let filter = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
    let filter = filter.map(seccomp::compile).transpose()?;
    let own_user = record.namespaces.contains_key("user");
    let grantable = if own_user { u64::MAX } else { credentials::capget()?.permitted };
    let (mut planned, warnings) = process_plan::plan(process, filter, grantable)?;
    planned.personality = spec.linux.as_deref().map(plan::personality).transpose()?.flatten();
    let policy = spec.linux.as_ref().and_then(|linux| linux.memory_policy.as_ref());
    planned.memory_policy = policy.map(plan::memory::plan).transpose()?;
    Ok((planned, warnings))
}

/// Clones the process and lets it run up to "ready".
fn clone(
    runtime: &Runtime,
    record: &Record,
    plan: &ProcessPlan,
    options: &ExecOptions,
) -> Result<(Child, Channel)> {
    let procfs = runtime.procfs()?;
    let targets = targets(runtime, record, procfs)?;
    let user_namespace = targets.iter().any(|target| target.is(Namespaces::USER));
    let group = Group::open(record.cgroup.clone());
    let container = || format!("container \"{}\"", record.id);
    if let Some(most) = group.full().during(container)? {
        let cause = format!("linux.resources.pids.limit: all {most} are in use");
        return Err(Error::new(Kind::State, cause).during(container()));
    }
    let mut birth = group.birth_inside(&options.cgroups, record.pid).during(container)?;
    let (channel, inner) = Channel::pair()?;
    let score = OomScore::lend_highest(procfs, plan.oom_score_adj)?;
    let cpus = Affinity::lend(plan.affinity.as_ref().and_then(|affinity| affinity.initial.as_ref()))?;
    super::hide(true)?;

    let ignored = proc::ignored_signals(procfs)?;
    let may_set_groups = proc::may_set_groups(&record.pid.to_string(), procfs)?;
    let (first, later) = if user_namespace && process::geteuid() != 0 {
        // From inside the container's cgroup namespace, a delegated cgroup2 lets nobody come in from outside (ENOENT).
        targets.into_iter().partition(|target| !target.is(Namespaces::CGROUP))
    } else if targets.iter().any(|target| target.is(Namespaces::PID)) {
        let first = |target: &Target| target.is(Namespaces::PID) || target.is(Namespaces::MOUNT);
        targets.into_iter().partition(first)
    } else {
        // In the runtime's PID namespace there is nothing to hide that isn't in the runtime itself.
        (vec![], targets)
    };
    let procfs_stays = first.is_empty() || program::has_labels(plan);
    let shed = |birth: &Birth, stage: BorrowedFd| {
        if faults::without("close") {
            return Ok(());
        }
        let targets = first.iter().chain(&later).map(Target::descriptor);
        let keep = targets.chain(birth.descriptors()).chain([inner.as_fd(), stage]);
        let keep: Vec<_> = keep.chain(procfs_stays.then_some(procfs.as_fd())).collect();
        Ok(process::close_all_but(options.preserve_fds.saturating_add(3), &keep)?)
    };
    match spawn::clone_init(Namespaces::empty(), &mut birth, &first, &shed)? {
        Cloned::Runtime(child) => {
            score.take_back()?;
            cpus.take_back()?;
            if let Some(attach) = birth.attach() {
                let moved = attach.process(child.pid).and_then(|()| channel.send(&Message::Go));
                moved.map_err(|e| end(child.pid, child.pidfd.as_ref(), e))?;
            }
            Ok((child, channel))
        }
        Cloned::Init => {
            match first.is_empty() {
                true => drop(channel),
                // Closed by the stage, and its number may be another's by now.
                false => std::mem::forget(channel),
            }
            main(Inherited {
                plan,
                engine: engine::of(ExecMode::Native).unwrap_or(&engine::Native),
                channel: inner,
                birth: Some(birth),
                join: later,
                procfs: procfs_stays.then_some(procfs),
                user_namespace,
                may_set_groups,
                preserve_fds: options.preserve_fds,
                ignored,
                keyring: (!record.keep_keyring).then_some(record.id.as_str()),
            })
        }
    }
}

/// The namespaces of init that aren't ours. Its pidfd pins the process: the start time is checked after it is open.
fn targets(runtime: &Runtime, record: &Record, procfs: &Procfs) -> Result<Vec<Target>> {
    let mut targets = Vec::with_capacity(KINDS.len());
    for (kind, name) in KINDS {
        let (theirs, ours) = (format!("{}/ns/{name}", record.pid), format!("self/ns/{name}"));
        let Some(target) = Target::of_process(procfs, kind, &theirs, &ours)? else { continue };
        targets.push(target);
    }
    if runtime.is_init(record)? { Ok(targets) } else { Err(start::not_running(&record.id, Status::Stopped)) }
}

/// The runtime's side, until nothing but the leave to go on is missing; gives the terminal's master.
fn await_ready(pid: i32, channel: &Channel) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        match channel.receive()? {
            Message::Terminal(master) => terminal = Some(master),
            Message::Ready(_) => return Ok(terminal),
            Message::Failed(e) => return Err(e),
            Message::End => return Err(init::ended_early(&remove::how_it_ended(pid))),
            other => return Err(unexpected(&other)),
        }
    }
}

/// The rest of it, up to the program's start.
fn release(
    child: Child,
    channel: &Channel,
    terminal: Option<OwnedFd>,
    options: &ExecOptions,
    handover: &Handover,
) -> Result<Started> {
    let terminal = super::hand_over(terminal, options.console_socket.as_deref())?;
    super::send_pidfd(child.pidfd.as_ref(), options.pidfd_socket.as_deref(), "setns")?;
    if let Some(file) = &options.pid_file {
        super::write_pid_file(file, child.pid)?;
    }
    start::go(channel, handover, false)?;
    Ok(Started { pid: child.pid, pidfd: child.pidfd, terminal, notify: None, warnings: Vec::new() })
}

/// The new process. Comes back never.
fn main(mut own: Inherited) -> ! {
    let error = match run(&mut own) {
        Ok(program) => own.engine.execute(&program),
        Err(e) => e,
    };
    // If this fails, the other side sees the end of file without a word, and says that init ended early.
    let _ = own.channel.send(&Message::Failed(error));
    process::exit(1)
}

fn run(own: &mut Inherited) -> Result<engine::Program> {
    // First, so that what follows is accounted to the container.
    if let Some(birth) = own.birth.take() {
        if birth.attach().is_some() {
            own.channel.wait_go()?;
        }
        birth.enter()?;
    }
    faults::at("join/cgroup")?;
    program::set_affinity(own.plan.affinity.as_ref())?;
    spawn::join(&own.join)?;
    own.join.clear();
    if own.user_namespace {
        credentials::setresgid(0).during(|| "become root of the user namespace")?;
        credentials::setresuid(0).during(|| "become root of the user namespace")?;
        super::hide(true)?;
    }
    faults::at("join/namespaces")?;
    // Before the terminal, which becomes this session's. Fails only if we lead a group already: then it's ours.
    let _ = process::setsid();
    if let Some(id) = own.keyring {
        program::session_keyring(id)?;
    }
    if own.plan.terminal {
        // The container's devpts is below our root by now.
        let root = files::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let devpts = rootfs::devpts(&root, &Resolver::default())?;
        program::take_terminal(program::open_terminal(devpts, own.plan, &own.channel)?)?;
    }
    let caller = program::Caller {
        procfs: own.procfs,
        user_namespace: own.user_namespace,
        may_set_groups: own.may_set_groups,
    };
    let found = program::assume(own.plan, &caller)?;
    // While we are the first that the kernel would end for want of memory: what a program needs to begin with is there.
    drop(std::hint::black_box(vec![1_u8; ROOM]));
    faults::at("join/program")?;
    own.channel.send(&Message::Ready(Default::default()))?;
    own.channel.wait_go()?;
    faults::at("join/told")?;
    signal::reset_for_exec(own.ignored)?;
    if !faults::without("close") {
        process::close_range_cloexec(own.preserve_fds.saturating_add(3))?;
    }
    program::seal(own.plan, &own.channel)?;
    faults::at("join/sealed")?;
    Ok(found)
}
