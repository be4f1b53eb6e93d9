//! Init: the process that becomes the container's program. A list of small steps, in an order that matters.
//!
//! It is a fork of the runtime, so it has the plan in memory and inherits what the runtime opened. From the
//! clone to the exec it is not dumpable (CVE-2016-9962), its descriptors are all CLOEXEC, and it exits when the
//! runtime dies before it is ready.

use super::channel::{Channel, Message};
use super::{hooks, program, spawn};
use crate::engine::{Engine, Program};
use crate::error::{During, Error, Kind, Result};
use crate::fs::{CgroupView, Entered, Prepared, Procfs, Rootfs, apply_sysctls};
use crate::plan::Plan;
use crate::plan::namespaces::{Inodes, KINDS, NamespacePlan};
use crate::spec::State;
use crate::{cgroup, faults, fs as rootfs};
use forgeone_sys::fs::{self, AtFlags};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::signal::{self, PollFd, SignalSet};
use forgeone_sys::{credentials, net, socket, uts};
use std::os::fd::{AsFd, OwnedFd};

/// How init learns that it may execute the program.
pub(super) enum Gate {
    /// The runtime says so itself: `run`.
    Channel,
    /// Whoever connects to this socket says so: `create`, then `start`.
    Socket(OwnedFd),
}

/// What init has beside the plan: all of it was opened or made by the runtime before the clone.
pub(super) struct Inherited<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The engine that takes the last step.
    pub engine: &'static dyn Engine,
    /// To the runtime.
    pub channel: Channel,
    /// When to execute.
    pub gate: Gate,
    /// The way into the cgroups.
    pub birth: Option<cgroup::Birth>,
    /// The container's view of its cgroups, for mounts of type cgroup.
    pub view: CgroupView,
    /// Descriptors for the root file system.
    pub prepared: Option<Prepared>,
    /// Namespaces to join; empty where the stage has done it.
    pub join: Vec<spawn::Target>,
    /// The state that hooks read; the process id is filled in.
    pub state: State,
    /// Whether to leave the session keyring alone.
    pub keep_keyring: bool,
    /// Whether supplementary groups can be set.
    pub may_set_groups: bool,
    /// How many descriptors from 3 on the program gets.
    pub preserve_fds: u32,
    /// Whether the runtime can only write the id maps of a process that is dumpable.
    pub dumpable_for_maps: bool,
    /// Signals that the runtime ignores, and the program isn't to.
    pub ignored: SignalSet,
    /// Holds the lock that says "not executed yet" by being open; closed by exec.
    pub waits: OwnedFd,
}

impl Inherited<'_> {
    fn prepared(&self) -> Result<&Prepared> {
        self.prepared.as_ref().ok_or_else(built_already)
    }
}

fn built_already() -> Error {
    Error::new(Kind::System, "the root file system was built already")
}

pub(super) fn no_network() -> Error {
    Error::new(Kind::Unsupported, "linux.netDevices: this kernel has no network namespaces")
}

/// Runs init. Comes back never: it executes the program, or reports the error and exits.
pub(super) fn main(mut inherited: Inherited) -> ! {
    let prepared = set_up(&mut inherited);
    let error = match prepared {
        Ok(program) => match wait(&inherited) {
            Ok(Waited::Runtime) => last(&inherited, &program),
            Ok(Waited::Starter(starter)) => {
                inherited.channel = starter;
                last(&inherited, &program)
            }
            // Whoever created the container is gone: there is nobody to tell.
            Err(_) => process::exit(1),
        },
        Err(e) => e,
    };
    // If this fails, the other side sees the end of file without a word, and says that init ended early.
    let _ = inherited.channel.send(&Message::Failed(error));
    process::exit(1)
}

/// All steps up to "ready".
fn set_up(own: &mut Inherited) -> Result<Program> {
    let plan = own.plan;
    if plan.cgroup.entry == cgroup::Entry::Moved {
        // Somebody else moves us: nothing may happen elsewhere.
        own.channel.wait_go()?;
    }
    // First, so that all that follows is accounted to the container, and before the PID is known to anyone.
    if let Some(birth) = own.birth.take() {
        birth.enter()?;
    }
    faults::at("init/cgroup")?;
    program::set_affinity(None)?;
    // Before anything that needs rights in the new user namespace, which is everything.
    let offsets = open_time_offsets(own)?;
    become_root(own)?;
    faults::at("init/user")?;
    // Before mounts, which may be of the joined namespaces (sysfs, mqueue).
    spawn::join(&own.join)?;
    own.join.clear();
    enter_late_namespaces(own, offsets)?;
    faults::at("init/namespaces")?;
    // Before the terminal, which becomes this session's. Fails only if we lead a group already: then it's ours.
    let _ = process::setsid();
    if !own.keep_keyring {
        program::session_keyring(&own.state.id)?;
    }
    if !plan.net_devices.is_empty() {
        let namespace = own.prepared()?.procfs().namespace("self/ns/net")?.ok_or_else(no_network)?;
        own.channel.send(&Message::Network(namespace))?;
        own.channel.wait_go()?;
    }
    if plan.loopback {
        net::loopback_up().during(|| "bring up the loopback interface")?;
    }
    if !plan.hostname.is_empty() {
        uts::sethostname(&plan.hostname).during(|| "hostname")?;
    }
    if !plan.domainname.is_empty() {
        uts::setdomainname(&plan.domainname).during(|| "domainname")?;
    }
    faults::at("init/names")?;
    let entered = build_root(own)?;
    let caller = program::Caller {
        procfs: Some(&entered.procfs),
        user_namespace: plan.namespaces.contains(Namespaces::USER),
        may_set_groups: own.may_set_groups,
    };
    let program = program::assume(&plan.process, &caller)?;
    faults::at("init/program")?;
    let namespaces = namespaces(&entered.procfs, &plan.namespaces)?;
    if own.preserve_fds == 0 {
        // All of it goes now, at once.
        std::mem::forget(entered);
    } else {
        // It may be among those that stay open.
        drop(entered);
    }
    shed(own)?;
    faults::at("init/shed")?;
    own.channel.send(&Message::Ready(namespaces))?;
    Ok(program)
}

/// Closes all but what the wait needs: init may wait for long, and has nothing of the host's, nor of whoever called the
/// runtime, in its hands meanwhile. The hooks that follow are programs of the container.
fn shed(own: &Inherited) -> Result<()> {
    let gate = match &own.gate {
        Gate::Socket(listener) => Some(listener.as_fd()),
        Gate::Channel => None,
    };
    let keep: Vec<_> = [own.channel.as_fd(), own.waits.as_fd()].into_iter().chain(gate).collect();
    if faults::without("close") {
        return Ok(());
    }
    Ok(process::close_all_but(own.preserve_fds.saturating_add(3), &keep)?)
}

/// The inode numbers of our namespaces that aren't the runtime's; 0 for the others. Ours to read: nobody else may look
/// behind a process that isn't dumpable.
fn namespaces(procfs: &Procfs, plan: &NamespacePlan) -> Result<Inodes> {
    let (mut inodes, own) = (Inodes::default(), procfs.own_namespaces()?);
    for (inode, (_, name)) in inodes.iter_mut().zip(KINDS).filter(|(_, (kind, _))| plan.contains(*kind)) {
        *inode = fs::statat(&own, name, AtFlags::empty())?.st_ino;
    }
    Ok(inodes)
}

/// In a new user namespace: has the runtime write the maps, then takes the ids that the sandbox is built with.
fn become_root(own: &Inherited) -> Result<()> {
    let namespaces = &own.plan.namespaces;
    if namespaces.new.contains(Namespaces::USER) {
        // Not for root: the user who made it has every right over a user namespace, so that even a process without
        // capabilities, in a container that shares its PID namespace, could trace us with the host still in hand.
        super::hide(!own.dumpable_for_maps)?;
        own.channel.send(&Message::MapIds)?;
        own.channel.wait_go()?;
    }
    if namespaces.contains(Namespaces::USER) {
        credentials::setresgid(0).during(|| "become root of the user namespace")?;
        credentials::setresuid(0).during(|| "become root of the user namespace")?;
        super::hide(true)?;
    }
    Ok(())
}

/// The two that clone can't make: a time namespace's offsets can only be written before the first process is
/// in it, and a cgroup namespace's root is where its maker is at that moment.
fn enter_late_namespaces(own: &Inherited, offsets: Option<OwnedFd>) -> Result<()> {
    let (plan, new) = (own.plan, own.plan.namespaces.new);
    if new.contains(Namespaces::CGROUP) {
        process::unshare(Namespaces::CGROUP).during(|| "make the cgroup namespace")?;
    }
    if new.contains(Namespaces::TIME) {
        process::unshare(Namespaces::TIME).during(|| "make the time namespace")?;
        if let Some(file) = offsets {
            let written = fs::write_once(file, plan.namespaces.time_offsets.as_bytes());
            written.during(|| "linux.timeOffsets")?;
        }
    }
    Ok(())
}

/// The file for the time namespace's offsets, opened while we are who we were born as: it belongs to the host's root for
/// as long as we aren't dumpable, and for root we never are (see [`become_root`]).
fn open_time_offsets(own: &Inherited) -> Result<Option<OwnedFd>> {
    let namespaces = &own.plan.namespaces;
    if namespaces.time_offsets.is_empty() || !namespaces.new.contains(Namespaces::TIME) {
        return Ok(None);
    }
    super::hide(!own.dumpable_for_maps)?;
    let opened = own.prepared()?.procfs().open_for_writing("self/timens_offsets");
    super::hide(true)?;
    opened.map(Some).during(|| "linux.timeOffsets")
}

/// The root file system, with the hooks and the terminal at their places in its making.
fn build_root(own: &mut Inherited) -> Result<Entered> {
    let plan = own.plan;
    let prepared = own.prepared.take().ok_or_else(built_already)?;
    let idmap = |mount, tree| {
        own.channel.send(&Message::Idmap(mount, tree))?;
        own.channel.wait_go()
    };
    let root = rootfs::build(&plan.rootfs, prepared, &own.view, &idmap)?;
    faults::at("init/mounts")?;
    run_hooks(own, &root)?;
    faults::at("init/hooks")?;
    // After the hooks, which may mount as well; before the root changes, while the program isn't there.
    if plan.process.cwd != "/" {
        root.make_directory(&plan.process.cwd).during(|| "process.cwd")?;
    }
    let peer = if plan.process.terminal { Some(open_terminal(own, &root)?) } else { None };
    root.finish()?;
    if faults::without("host-proc") {
        // By whatever the image has at the path.
        let place =
            fs::openat(root.root(), "proc/sys/net/ipv4/ip_forward", fs::OFlags::WRONLY, fs::Mode::empty());
        drop(place.and_then(|file| fs::write_once(file, b"1")));
    }
    apply_sysctls(root.procfs(), &plan.sysctl)?;
    faults::at("init/finished")?;
    let entered = root.enter()?;
    faults::at("init/entered")?;
    peer.map_or(Ok(()), program::take_terminal)?;
    Ok(entered)
}

fn run_hooks(own: &Inherited, root: &Rootfs) -> Result<()> {
    let hooks = &own.plan.hooks;
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        own.channel.send(&Message::RunHooks)?;
        own.channel.wait_go()?;
    }
    if hooks.create_container.is_empty() {
        return Ok(());
    }
    process::fchdir(root.root()).during(|| "hooks.createContainer")?;
    let state = State { pid: process::getpid(), ..own.state.clone() };
    hooks::run_inside("createContainer", &hooks.create_container, &state, &[])
}

/// A terminal of the container's own devpts, bound to `/dev/console`.
fn open_terminal(own: &Inherited, root: &Rootfs) -> Result<OwnedFd> {
    let peer = program::open_terminal(root.devpts()?, &own.plan.process, &own.channel)?;
    root.console(peer.as_fd())?;
    Ok(peer)
}

enum Waited {
    Runtime,
    Starter(Channel),
}

/// Waits until the program may be executed.
fn wait(own: &Inherited) -> Result<Waited> {
    // From `create` as well: a runtime that died before it wrote down who we are leaves nobody who could start us.
    own.channel.wait_go()?;
    let Gate::Socket(listener) = &own.gate else { return Ok(Waited::Runtime) };
    let creator = own.channel.peer()?;
    signal::block_all()?;
    let signals = signal::signalfd()?;
    loop {
        let mut awaited = [PollFd::readable(listener), PollFd::readable(&signals)];
        signal::poll(&mut awaited, None)?;
        end_by_signal(&signals)?;
        if !awaited[0].is_readable() {
            continue;
        }
        let starter = Channel::from_socket(socket::accept(listener)?);
        // The socket is in a directory of the runtime's; its user is checked all the same. Both ids are read
        // from here, so that a user namespace shows them alike.
        if starter.peer()?.uid != creator.uid && !faults::without("peer") {
            continue;
        }
        // Somebody who connects and goes away again has not started it.
        if matches!(starter.receive(), Ok(Message::Go)) {
            return Ok(Waited::Starter(starter));
        }
    }
}

/// Ends a container that is created by what would end its program, as runc's ends: the kernel spares the first process of
/// a PID namespace whatever it has no handler for.
fn end_by_signal(signals: &OwnedFd) -> Result<()> {
    while let Some(signal) = signal::read_signal(signals)? {
        if signal::ends_by_default(signal.number) {
            process::exit(128 + signal.number);
        }
    }
    Ok(())
}

/// From the leave to go on to the program; only comes back with an error.
fn last(own: &Inherited, program: &Program) -> Error {
    match last_steps(own, program) {
        Ok(()) => own.engine.execute(program),
        Err(e) => e,
    }
}

fn last_steps(own: &Inherited, program: &Program) -> Result<()> {
    faults::at("init/told")?;
    let start_container = &own.plan.hooks.start_container;
    if start_container.is_empty() {
        // Signals as the program expects them. Before the filter, which may not allow it.
        signal::reset_for_exec(own.ignored)?;
        program::seal(&own.plan.process, &own.channel)?;
        return faults::at("init/sealed");
    }
    // Before the hooks, which are programs of the container: they are confined as its own is.
    program::seal(&own.plan.process, &own.channel)?;
    let state = State { pid: process::getpid(), status: "created".to_owned(), ..own.state.clone() };
    hooks::run_inside("startContainer", start_container, &state, &program.env)?;
    faults::at("init/sealed")?;
    own.channel.write(&Message::HooksRan)?;
    // After them, so that a signal waits for the program.
    Ok(signal::reset_for_exec(own.ignored)?)
}

/// What a runtime says if init is gone without having said why.
pub(super) fn ended_early(status: &str) -> Error {
    Error::new(Kind::System, format!("init ended early ({status})"))
}
