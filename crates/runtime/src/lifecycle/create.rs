//! `create`, and `run`'s first half: from a bundle to a process that waits to become the program.
//!
//! Order: everything is decided, then admitted, then the record is written, and only then is anything done.

use super::channel::{Channel, Message, unexpected};
use super::idmap::Writer;
use super::init::{self, Gate, Inherited};
use super::oom::OomScore;
use super::spawn::{self, Cloned};
use super::status::Kept;
use super::undo::Undo;
use super::{CreateOptions, Runtime, Started, hooks, listener, notify, proc, remove, userns};
use crate::bundle::{self, Bundle};
use crate::engine::{self, Engine};
use crate::error::{During, Result};
use crate::fs::{self as rootfs, CgroupHierarchy, CgroupView, Prepared, Procfs};
use crate::plan::namespaces::{Inodes, KINDS};
use crate::plan::{self, Plan};
use crate::security::labels;
use crate::spec::{Spec, State};
use crate::state::{self, Dir, Lock, MountKey, Record};
use crate::{cgroup, clock, faults, network, resctrl};
use cgroup::systemd::Manager;
use cgroup::{Birth, Entry, Group};
use forgeone_sys::fs;
use forgeone_sys::process::{self, Child, Namespaces};
use forgeone_sys::{credentials, socket};
use forgeone_trust as trust;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The longest mountinfo that is read, in bytes.
const MOUNTINFO_MAX: usize = 16 << 20;

/// A container whose init waits, and the channel over which it can be told to go on.
pub(super) struct Created {
    /// What the caller gets.
    pub started: Started,
    /// To init; it listens only where the gate is the channel.
    pub channel: Channel,
    /// The record as it was written last.
    pub record: Box<Record>,
    /// The container's directory.
    pub dir: Dir,
    /// The config.
    pub(super) kept: Kept,
}

/// Whether init waits for its creator or for whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// `run`.
    Told,
    /// `create`.
    Started,
}

/// Everything decided, nothing done.
struct Decision {
    bundle: Bundle,
    plan: Box<Plan>,
    engine: &'static dyn Engine,
    prepared: Prepared,
    manager: Option<Manager>,
    warnings: Vec<String>,
}

/// Makes the container.
pub(super) fn create(runtime: &Runtime, id: &str, options: &CreateOptions, until: Until) -> Result<Created> {
    super::check_single_threaded()?;
    plan::check_id(id)?;
    let decision = decide(runtime, id, options)?;
    faults::at("create/decided")?;
    check_terminal(&decision.plan, options, until)?;
    let (dir, lock) = runtime.root().create(id)?;
    let mut undo = Undo::default();
    if !decision.plan.hooks.poststop.is_empty() {
        let (hooks, state) = (decision.plan.hooks.poststop.clone(), state_of(id, &decision, "stopped"));
        undo.push("by poststop hooks", move || hooks::run_poststop(&hooks, &state));
    }
    let user_namespace = decision.plan.namespaces.new.contains(Namespaces::USER);
    undo.push("the state directory", || runtime.root().remove(id, &runtime.root().open(id)?));
    let made = || -> Result<Created> {
        faults::at("create/directory")?;
        let mut making = Making::begin((id, runtime.boot_id()?), options, until, decision, (dir, lock))?;
        faults::at("create/record")?;
        let birth = making.make_groups(&mut undo)?;
        faults::at("create/cgroup")?;
        let (mut making, init) = making.clone_init(birth, &mut undo)?;
        faults::at("create/cloned")?;
        making.move_in(&init, &mut undo)?;
        faults::at("create/moved")?;
        making.complete(init, &mut undo)
    };
    made().map_err(|e| undo.run(if user_namespace { userns::explain(e) } else { e }))
}

fn decide(runtime: &Runtime, id: &str, options: &CreateOptions) -> Result<Decision> {
    let mut bundle = bundle::load(&options.bundle)?;
    activate(&mut bundle.spec, options, &runtime.settings.root.join(id));
    let layout = cgroup::detect()?;
    let rootless = runtime.is_rootless();
    let mut manager = runtime.settings.systemd_cgroup.then(|| runtime.manager()).transpose()?;
    let plan_options = plan::Options {
        no_pivot: options.no_pivot,
        rootless,
        held: credentials::capget()?.permitted,
        systemd: manager.as_mut().map(Manager::facts).transpose()?,
    };
    let (mut plan, warnings) = plan::make(id, &bundle, &layout, plan_options)?;
    if options.console_size.is_some() {
        plan.process.console_size.clone_from(&options.console_size);
    }
    let engine = engine::of(plan.exec_mode)?;
    engine.adapt(&mut plan)?;
    let mut plan = plan::adjust(plan);
    labels::check(&plan.process.apparmor_profile, &plan.process.selinux_label)?;
    if let Some(filter) = plan::notifying_filter(&plan, &bundle.spec) {
        listener::check(filter)?;
    }
    let prepared = rootfs::prepare(&plan.rootfs)?;
    let demands = plan::trust_demands(&bundle.spec)?;
    let args = bundle.spec.process.as_ref().map_or(&[][..], |process| &process.args);
    let request = trust::AdmissionRequest {
        operation: trust::Operation::Create,
        id,
        subject: trust::Subject::Bundle { config: &bundle.config, rootfs: Some(prepared.rootfs()) },
        exec_mode: plan.exec_mode,
        args,
        annotations: &bundle.spec.annotations,
        trusted_issuers: &demands.issuers,
        minimum_entropy: demands.entropy,
    };
    plan::tighten(&mut plan, &super::admit(&request)?);
    Ok(Decision { bundle, plan, engine, prepared, manager, warnings })
}

/// What the program is given by the service that it is: sockets, and a way to say that it is ready.
fn activate(spec: &mut Spec, options: &CreateOptions, state: &Path) {
    if let Some(process) = spec.process.as_mut().filter(|_| options.listen_fds > 0) {
        // The program becomes process 1 of its PID namespace; as runc, whatever PID namespace it has.
        process.env.extend([format!("LISTEN_FDS={}", options.listen_fds), "LISTEN_PID=1".to_owned()]);
    }
    if options.notify_socket.is_some() {
        notify::plan(spec, state);
    }
}

/// runc's rules: a terminal needs somebody who takes its master.
fn check_terminal(plan: &Plan, options: &CreateOptions, until: Until) -> Result<()> {
    let detached = options.detach || until == Until::Started;
    super::check_console_socket(plan.process.terminal, detached, options.console_socket.is_some())
}

/// A container in the making: the steps are its methods, in their order. Whatever a step does gets its undo at once.
struct Making<'a> {
    options: &'a CreateOptions,
    until: Until,
    decision: Decision,
    /// What hooks read.
    state: State,
    record: Box<Record>,
    dir: Dir,
    /// Keeps other commands away from the directory.
    lock: Lock,
}

/// The container's first process, and how to talk to it.
struct Init {
    child: Child,
    channel: Channel,
    writer: Writer,
}

impl<'a> Making<'a> {
    /// Writes the record and the config down: from here on, whatever happens, what is left can be found and deleted.
    fn begin(
        (id, boot_id): (&str, &str),
        options: &'a CreateOptions,
        until: Until,
        decision: Decision,
        (dir, lock): (Dir, Lock),
    ) -> Result<Self> {
        let Decision { bundle, plan, engine, prepared, .. } = &decision;
        let mut record = record(id, boot_id, bundle, plan, *engine)?;
        record.keep_keyring = options.no_new_keyring;
        if let Some(wanted) = &plan.resctrl {
            let mounts = prepared.procfs().read("self/mountinfo", MOUNTINFO_MAX)?;
            record.resctrl = resctrl::survey(wanted, &mounts)?;
        }
        dir.write(&record)?;
        dir.keep_config(&bundle.config)?;
        let state = state_of(id, &decision, "creating");
        Ok(Self { options, until, decision, state, record, dir, lock })
    }

    /// The groups with their limits, before anybody is in them; the way into them.
    fn make_groups(&mut self, undo: &mut Undo<'a>) -> Result<Birth> {
        let mut group = Group::create(&self.decision.plan.cgroup)?;
        let paths = group.paths().clone();
        undo.push("the cgroup", move || Group::open(paths).delete());
        self.is_in(&group)?;
        if let Some(wanted) = &self.decision.plan.resctrl {
            let paths = self.record.resctrl.clone();
            undo.push("the resctrl groups", move || resctrl::remove(&paths));
            resctrl::make(wanted, &self.record.resctrl)?;
        }
        group.birth()
    }

    /// Notes the container's group.
    fn is_in(&mut self, group: &Group) -> Result<()> {
        self.record.cgroup = group.paths().clone();
        self.record.cgroup_id = group.id()?;
        Ok(())
    }

    /// Clones init. Everything that it needs of the host is open before, since it can't be opened from inside.
    fn clone_init(mut self, mut birth: Birth, undo: &mut Undo<'a>) -> Result<(Self, Init)> {
        let waits = self.dir.waits()?;
        if self.options.notify_socket.is_some() {
            notify::prepare(&self.dir)?;
            self.decision.prepared.last_source_made(&self.decision.plan.rootfs)?;
        }
        let plan = &self.decision.plan;
        let procfs = self.decision.prepared.procfs();
        let targets = spawn::open_targets(&plan.namespaces)?;
        let (channel, inner) = Channel::pair()?;
        let gate = self.gate()?;
        let writer = Writer::choose(&plan.namespaces);
        let may_set_groups = writer.leaves_setgroups()
            && (!proc::in_user_namespace() && !plan.namespaces.joins(Namespaces::USER)
                || proc::may_set_groups("self", procfs)?);
        let score = OomScore::lend(procfs, plan.process.oom_score_adj)?;
        let ignored = proc::ignored_signals(procfs)?;
        super::hide(true)?;
        let new = at_clone(plan.namespaces.new);
        let (first, later) =
            if plan.namespaces.joins_first() { (targets, vec![]) } else { (vec![], targets) };
        let child = match spawn::clone_init(new, &mut birth, &first, &|_, _| Ok(()))? {
            Cloned::Runtime(child) => child,
            Cloned::Init => {
                let view = self.view();
                let Self { options, decision, state, dir, lock, .. } = self;
                let Decision { plan, engine, prepared, manager, .. } = decision;
                // The lock is the runtime's: with a copy open in here it would last as long as the container waits.
                drop((channel, first, dir, lock, score, manager));
                init::main(Inherited {
                    plan: &plan,
                    engine,
                    channel: inner,
                    gate,
                    birth: Some(birth),
                    view,
                    prepared: Some(prepared),
                    join: later,
                    state,
                    keep_keyring: options.no_new_keyring,
                    may_set_groups,
                    preserve_fds: options.listen_fds.saturating_add(options.preserve_fds),
                    ignored,
                    waits,
                    dumpable_for_maps: writer.needs_dumpable(),
                })
            }
        };
        score.take_back()?;
        let (pid, pidfd) = (child.pid, child.pidfd.as_ref().map(fs::dup).transpose()?);
        undo.push("init", move || remove::end_child(pid, pidfd.as_ref()));
        // What else was opened for init closes here: end of file must mean that init is gone, and that lock is init's alone.
        Ok((self, Init { child, channel, writer }))
    }

    fn gate(&self) -> Result<Gate> {
        match self.until {
            Until::Told => Ok(Gate::Channel),
            Until::Started => {
                let listener = socket::listen_seqpacket(&self.dir, "start");
                listener.map(Gate::Socket).during(|| "rendezvous")
            }
        }
    }

    /// The container's groups, as the root file system is told of them: it doesn't know the cgroup module.
    fn view(&self) -> CgroupView {
        let plan = &self.decision.plan.cgroup;
        let group = match plan.entry {
            Entry::AtBirth => plan.view(&self.record.cgroup),
            Entry::Moved => plan.view(&cgroup::Paths::of(plan)),
        };
        let hierarchy = |subsystem: &cgroup::Subsystem| CgroupHierarchy {
            name: subsystem.name.clone(),
            option: subsystem.option.clone(),
            group: subsystem.host.clone().into(),
        };
        CgroupView {
            hierarchies: group.v1.iter().map(hierarchy).collect(),
            unified: group.v2.as_ref().map(|subsystem| subsystem.host.clone().into()),
        }
    }

    /// Has init brought to where it can't go by itself, before it does anything else.
    fn move_in(&mut self, init: &Init, undo: &mut Undo<'a>) -> Result<()> {
        if let Some(mut manager) = self.decision.manager.take() {
            let group = Group::move_in(&mut manager, &self.decision.plan.cgroup, init.child.pid)?;
            let unit = Group::open(group.paths().clone());
            undo.push("the unit", move || unit.kill().and_then(|()| unit.delete()));
            self.is_in(&group)?;
            init.channel.send(&Message::Go)?;
        }
        resctrl::enter(&self.record.resctrl, init.child.pid)
    }

    /// Answers init until it is ready, and completes the record: the container is created.
    fn complete(mut self, init: Init, undo: &mut Undo<'a>) -> Result<Created> {
        let Decision { bundle, plan, prepared, warnings, .. } = self.decision;
        let Init { child, channel, writer } = init;
        self.record.pid = child.pid;
        let state = State { pid: child.pid, ..self.state };
        let (terminal, inodes) = converse(&child, &channel, &plan, writer, &prepared, &state, undo)?;
        self.record.namespaces = own_namespaces(&plan, inodes);
        faults::at("create/ready")?;
        self.record.pidfd_inode = child.pidfd.as_ref().and_then(process::pidfd_inode).unwrap_or(0);
        finish(&mut self.record, prepared.procfs(), &self.dir)?;
        faults::at("create/noted")?;
        let terminal = super::hand_over(terminal, self.options.console_socket.as_deref())?;
        super::send_pidfd(child.pidfd.as_ref(), self.options.pidfd_socket.as_deref(), "standard")?;
        if let Some(file) = &self.options.pid_file {
            super::write_pid_file(file, child.pid)?;
        }
        faults::at("create/handed")?;
        if self.until == Until::Started {
            // Only now init may outlive us: all that is known of it is written down.
            channel.send(&Message::Go)?;
        }
        faults::at("create/told")?;
        let started = Started { pid: child.pid, pidfd: child.pidfd, terminal, notify: None, warnings };
        let kept = Kept { config: bundle.config, spec: bundle.spec };
        Ok(Created { started, channel, record: self.record, dir: self.dir, kept })
    }
}

/// What hooks read while there is no record.
fn state_of(id: &str, decision: &Decision, status: &str) -> State {
    State {
        version: crate::spec::VERSION.to_owned(),
        id: id.to_owned(),
        status: status.to_owned(),
        bundle: decision.bundle.dir.display().to_string(),
        annotations: decision.plan.annotations.clone(),
        ..State::default()
    }
}

/// What `clone3` makes: cgroup and time come later, in init.
fn at_clone(new: Namespaces) -> Namespaces {
    new.without(Namespaces::CGROUP | Namespaces::TIME)
}

fn record(id: &str, boot_id: &str, bundle: &Bundle, plan: &Plan, engine: &dyn Engine) -> Result<Box<Record>> {
    let mounts = plan.rootfs.mounts.iter().enumerate();
    let mounts = mounts.map(|(i, mount)| MountKey {
        key: format!("m{i}"),
        destination: mount.destination.clone(),
        ..MountKey::default()
    });
    Ok(Box::new(Record {
        version: state::VERSION,
        id: id.to_owned(),
        oci_version: plan.version.clone(),
        bundle: bundle.dir.display().to_string(),
        rootfs: plan.rootfs.path.display().to_string(),
        created: clock::now(),
        boot_id: boot_id.to_owned(),
        poststop: Some(!plan.hooks.poststop.is_empty()),
        engine: engine.name().to_owned(),
        group: plan.group.clone(),
        owner: process::geteuid(),
        stdio: (0..3).map(proc::describe_fd).collect(),
        mounts: mounts.collect(),
        cgroup: cgroup::Paths::survey(&plan.cgroup)?,
        annotations: plan.annotations.clone(),
        ..Record::default()
    }))
}

/// Answers init until it is ready; gives the terminal's master and init's namespaces.
fn converse(
    child: &Child,
    channel: &Channel,
    plan: &Plan,
    writer: Writer,
    prepared: &Prepared,
    state: &State,
    undo: &mut Undo,
) -> Result<(Option<OwnedFd>, Inodes)> {
    let procfs = prepared.procfs();
    let mut terminal = None;
    // An init that is gone can't be told; what it said last, or that it ended, is what comes next.
    let go = || drop(channel.send(&Message::Go));
    loop {
        match channel.receive()? {
            Message::MapIds => {
                writer.write(child.pid, &plan.namespaces, procfs)?;
                go();
            }
            Message::Network(container) => {
                let own = procfs.namespace("self/ns/net")?.ok_or_else(init::no_network)?;
                let moved = network::move_in(&plan.net_devices, own, container)?;
                undo.push("the move of network devices", || moved.give_back());
                channel.send(&Message::Go)?;
            }
            Message::Idmap(mount, tree) => {
                prepared.idmap(&plan.rootfs, mount, &tree)?;
                go();
            }
            Message::RunHooks => {
                hooks::run("prestart", &plan.hooks.prestart, state)?;
                hooks::run("createRuntime", &plan.hooks.create_runtime, state)?;
                go();
            }
            Message::Terminal(master) => terminal = Some(master),
            Message::Ready(inodes) => return Ok((terminal, inodes)),
            Message::Failed(e) => return Err(e),
            Message::End => return Err(init::ended_early(&remove::how_it_ended(child.pid))),
            other => return Err(unexpected(&other)),
        }
    }
}

/// Those of init's namespaces that aren't the runtime's, by name.
fn own_namespaces(plan: &Plan, inodes: Inodes) -> BTreeMap<String, u64> {
    let own = KINDS.iter().zip(inodes).filter(|((kind, _), _)| plan.namespaces.contains(*kind));
    own.map(|((_, name), inode)| ((*name).to_owned(), inode)).collect()
}

/// Completes the record: from here on the container is created.
fn finish(record: &mut Record, procfs: &Procfs, dir: &Dir) -> Result<()> {
    record.start_time = proc::stat(procfs, record.pid)?.map_or(0, |stat| stat.start_time);
    record.complete = true;
    dir.write(record)?;
    state::begin(dir, &super::event(record, "created"))
}
