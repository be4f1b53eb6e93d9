//! How init gets into its namespaces: one clone, or a second process where something must be joined first.
//!
//! ```text
//! nothing to join first:   runtime ──clone3(new namespaces, cgroup)──► init
//! PID or user joined:      runtime ──clone──► stage: setns … ──clone3(CLONE_PARENT, …)──► init   (stage exits)
//! ```
//!
//! Either way init is the runtime's child. The stage joins in this order: all that it has the right to, then
//! the user namespace, then what only that one's owner may join.

use super::channel::{Channel, Message, unexpected};
use crate::cgroup::Birth;
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::fs::Procfs;
use crate::plan::namespaces::{Join, NamespacePlan};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process::{self, Child, CloneArgs, Forked, Namespaces};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A namespace to join, open.
#[derive(Debug)]
pub(super) struct Target {
    kind: Namespaces,
    file: OwnedFd,
    name: String,
}

impl Target {
    /// The namespace's descriptor.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether it is of this kind.
    pub(super) fn is(&self, kind: Namespaces) -> bool {
        self.kind == kind
    }

    /// The namespace `theirs` below `/proc`, unless `ours` is the same one. `None` where this kernel has no such kind.
    pub(super) fn of_process(
        procfs: &Procfs,
        kind: Namespaces,
        theirs: &str,
        ours: &str,
    ) -> Result<Option<Self>> {
        let Some(file) = procfs.namespace(theirs)? else { return Ok(None) };
        let Some(own) = procfs.namespace(ours)? else { return Ok(None) };
        let same = fs::fstat(&file)?.st_ino == fs::fstat(&own)?.st_ino;
        Ok((!same).then(|| Self { kind, file, name: format!("/proc/{theirs}") }))
    }
}

/// Opens the namespaces to join, before anything is cloned.
pub(super) fn open_targets(plan: &NamespacePlan) -> Result<Vec<Target>> {
    plan.join.iter().map(open_target).collect()
}

fn open_target(join: &Join) -> Result<Target> {
    let name = join.path.display().to_string();
    let file = fs::open(&join.path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
    let file = file.during(|| "linux.namespaces: join")?;
    if !fs::is_nsfs(&file)? {
        return Err(Error::new(Kind::Config, format!("linux.namespaces: join {name}: is not a namespace")));
    }
    Ok(Target { kind: join.kind, file, name })
}

/// Joins one namespace after the other; the kernel checks the kind.
pub(super) fn join(targets: &[Target]) -> Result<()> {
    let mut later = Vec::new();
    for target in targets.iter().filter(|target| target.kind != Namespaces::USER) {
        if enter(target).is_err() {
            later.push(target);
        }
    }
    for target in targets.iter().filter(|target| target.kind == Namespaces::USER) {
        enter(target)?;
    }
    later.into_iter().try_for_each(enter)
}

fn enter(target: &Target) -> Result<()> {
    process::setns(&target.file, target.kind).during(|| format!("linux.namespaces: join {}", target.name))
}

/// What comes back from [`clone_init`].
pub(super) enum Cloned {
    /// In the runtime.
    Runtime(Child),
    /// In init.
    Init,
}

/// Clones init into `new` namespaces and into the cgroup; with `first`, by a process that joins these before.
///
/// `shed` closes what the joining process shan't hand down to one that others in a joined PID namespace can look at; it
/// is given the descriptor by which that process reports.
pub(super) fn clone_init(
    new: Namespaces,
    birth: &mut Birth,
    first: &[Target],
    shed: &dyn Fn(&Birth, BorrowedFd) -> Result<()>,
) -> Result<Cloned> {
    if first.is_empty() {
        return Ok(match clone_into(birth, new, false)? {
            Forked::Parent(child) => Cloned::Runtime(child),
            Forked::Child => Cloned::Init,
        });
    }
    // A channel of its own: init, which doesn't wait for the stage, would else be heard before it is known.
    let (channel, inner) = Channel::pair()?;
    let plain = CloneArgs { namespaces: Namespaces::empty(), into_cgroup: None, parent: false };
    match process::clone(&plain).during(|| "clone the joining process")? {
        Forked::Parent(stage) => {
            // Ours is closed: end of file must mean that the stage is gone.
            drop(inner);
            adopt(&stage, &channel)
        }
        Forked::Child => {
            // Closed by `shed`, maybe, and its number another's by then.
            std::mem::forget(channel);
            match shed(birth, inner.as_fd()).and_then(|()| stage(new, birth, first, &inner)) {
                Ok(Forked::Child) => Ok(Cloned::Init),
                Ok(Forked::Parent(_)) => process::exit(0),
                Err(e) => {
                    // Nobody is left to tell if this fails as well.
                    let _ = inner.send(&Message::Failed(e));
                    process::exit(1)
                }
            }
        }
    }
}

/// Clones into the cgroup; before Linux 5.7 the new process has to go there itself.
fn clone_into(birth: &mut Birth, namespaces: Namespaces, parent: bool) -> Result<Forked> {
    let into_cgroup = birth.into_cgroup();
    let wanted = into_cgroup.is_some();
    match process::clone(&CloneArgs { namespaces, into_cgroup, parent }) {
        Err(e) if wanted && e.errno() == Errno::NOSYS => {
            birth.without_clone3()?;
            process::clone(&CloneArgs { namespaces, into_cgroup: None, parent }).during(|| "clone")
        }
        forked => forked.during(|| "clone"),
    }
}

/// The joining process: joins, clones init as its own sibling, tells the runtime about it.
fn stage(new: Namespaces, birth: &mut Birth, first: &[Target], inner: &Channel) -> Result<Forked> {
    join(first)?;
    faults::at("stage/joined")?;
    let forked = clone_into(birth, new, true)?;
    if let Forked::Parent(child) = &forked {
        let pidfd = child.pidfd.as_ref().map(fs::dup).transpose()?;
        inner.send(&Message::Cloned(child.pid, pidfd))?;
    }
    Ok(forked)
}

/// The runtime's side of [`stage`]: learns of its new child and reaps the stage.
fn adopt(stage: &Child, channel: &Channel) -> Result<Cloned> {
    let message = channel.receive();
    process::wait(stage.pid).during(|| "wait for the joining process")?;
    match message? {
        Message::Cloned(pid, pidfd) => Ok(Cloned::Runtime(Child { pid, pidfd })),
        Message::Failed(e) => Err(e),
        Message::End => Err(Error::new(Kind::System, "the process that joins namespaces ended early")),
        other => Err(unexpected(&other)),
    }
}
