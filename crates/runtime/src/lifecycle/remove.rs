//! `kill` and `delete`, and how a container that failed is taken away.

use super::{Runtime, Status, hooks, proc};
use crate::cgroup::{self, Group};
use crate::error::{During, Error, Kind, Result};
use crate::spec::Hooks;
use crate::state::{self, Dir, Lock, Record};
use crate::{faults, resctrl};
use forgeone_sys::Errno;
use forgeone_sys::process::{self, Exit};
use forgeone_sys::signal;
use std::os::fd::OwnedFd;
use std::time::Duration;

const SIGKILL: i32 = 9;

/// How long a killed init may take, in milliseconds: one that hangs in the kernel is reported, not waited for.
const END_MS: i32 = 10_000;

/// How long `delete --force` leaves those who work on the container alone.
const PATIENCE: Duration = Duration::from_secs(1);

impl Runtime {
    /// Sends a signal to the container's init, or to all of its processes.
    ///
    /// # Errors
    /// [`Kind::State`] if it isn't running.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let container = self.find(id)?;
        let record = container.record()?;
        faults::at("kill/found")?;
        // Without a cgroup, as a rootless container may be, only init is known.
        if all && !record.cgroup.is_empty() {
            return Group::open(record.cgroup.clone()).signal(signal);
        }
        // Where init shares its PID namespace, the others don't go with it.
        let group = Group::open(record.cgroup.clone());
        let kills_all = signal == SIGKILL && !record.namespaces.contains_key("pid");
        if container.status()? == Status::Stopped {
            if kills_all && group.populated()? {
                return group.kill().during(|| format!("container \"{id}\""));
            }
            // containerd knows a container that has ended by the first three words.
            return Err(Error::new(Kind::State, format!("container not running: \"{id}\" is stopped")));
        }
        self.signal_init(record, signal)?;
        faults::at("kill/signalled")?;
        if kills_all {
            group.kill().during(|| format!("container \"{id}\""))?;
        }
        // A frozen process would only see the signal when it is thawed.
        if signal == SIGKILL && container.status()? == Status::Paused {
            group.thaw().during(|| format!("container \"{id}\""))?;
        }
        Ok(())
    }

    /// Signals init by pidfd, after making sure that the id is still its own.
    fn signal_init(&self, record: &Record, signal: i32) -> Result<()> {
        match process::pidfd_open(record.pid) {
            Ok(pidfd) if self.is_init(record)? => gone_is_fine(process::pidfd_send_signal(&pidfd, signal)),
            Ok(_) => Ok(()),
            Err(e) if e.errno() == Errno::SRCH => Ok(()),
            // No pidfds: the number may be another's by the time of the call, but not yet.
            Err(_) if self.is_init(record)? => gone_is_fine(process::kill(record.pid, signal)),
            Err(_) => Ok(()),
        }
    }

    /// Removes a stopped or merely created container; with `force` any, and a missing one is no error. Gives warnings.
    ///
    /// # Errors
    /// [`Kind::State`] if it runs; [`Kind::Damaged`], without `force`, if its record can't be read. Everything that can't
    /// be removed is reported together.
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<String>> {
        self.remove(id, force, None)
    }

    /// [`Runtime::exited`], if the status is known, and [`Runtime::delete`] by force: for the parent of a container's
    /// init, which has ended.
    ///
    /// # Errors
    /// As for both.
    pub fn finish(&self, id: &str, status: Option<i32>) -> Result<Vec<String>> {
        self.remove(id, true, status)
    }

    fn remove(&self, id: &str, force: bool, exit: Option<i32>) -> Result<Vec<String>> {
        let lock = |dir: &Dir| if force { self.lock_by_force(id, dir) } else { dir.lock() };
        let (dir, lock) = match self.open_locked(id, lock) {
            Err(e) if force && e.kind() == Kind::NotFound => return Ok(Vec::new()),
            found => found?,
        };
        faults::at("delete/locked")?;
        let container = match dir.read() {
            Err(e) if force && e.kind() == Kind::Damaged => return self.salvage(id, &dir, &e),
            record => self.container(id, dir, record?, Some(lock)),
        };
        let status = container.status()?;
        if !force && !matches!(status, Status::Stopped | Status::Created) {
            let message = format!("container \"{id}\" is {status}; stop it first, or delete it with --force");
            return Err(Error::new(Kind::State, message));
        }
        let Some(record) = &container.record else {
            // Create ended before it had done anything.
            self.root().remove(id, &container.dir)?;
            return Ok(Vec::new());
        };
        // The hooks are in the config, which goes with the rest.
        let config = (record.poststop != Some(false)).then(|| container.dir.config());
        self.take_away(record, &container.dir, status, exit)?;
        Ok(config.map_or_else(Vec::new, |config| self.poststop(id, record, &config)))
    }

    /// Takes away what can be found of a container whose record can't be read: its groups, by the path that its config
    /// asks for or that is its id's, and its directory.
    fn salvage(&self, id: &str, dir: &Dir, unread: &Error) -> Result<Vec<String>> {
        let config = dir.config().and_then(|config| crate::bundle::parse(&config));
        let asked = config.ok().and_then(|spec| spec.linux).map_or(String::new(), |linux| linux.cgroups_path);
        let systemd = self.settings.systemd_cgroup.then(|| self.manager().and_then(|mut m| m.facts()));
        let options = cgroup::Options { systemd: systemd.transpose()?, ..cgroup::Options::default() };
        let (plan, _) = cgroup::plan(&cgroup::detect()?, id, &asked, None, &options)?;
        let paths = cgroup::Paths::of(&plan);
        let shown = paths.primary().unwrap_or("none").to_owned();
        let group = Group::open(paths);
        let gone = group.kill().and_then(|()| group.delete()).and_then(|()| self.root().remove(id, dir));
        gone.during(|| format!("delete container \"{id}\""))?;
        Ok(vec![format!(
            "{unread}; its processes were looked for in the group that its path names, {shown}, and no other group was removed; no poststop hook was run"
        )])
    }

    /// Waits for the lock, a while. Who holds it then waits for the container, or for a hook in it: so it is killed, and
    /// they give up. What still holds the lock after that (because of a hook on the host) is not ours to end: it is named.
    fn lock_by_force(&self, id: &str, dir: &Dir) -> Result<Lock> {
        if let Some(lock) = dir.lock_within(PATIENCE)? {
            return Ok(lock);
        }
        let mut killed = false;
        for _ in 0..4 {
            // Read each time: create writes it anew when init is there.
            if let Ok(Some(record)) = dir.read() {
                self.kill_init(&record)?;
                Group::open(record.cgroup).kill()?;
                killed = true;
            }
            if let Some(lock) = dir.lock_within(PATIENCE)? {
                return Ok(lock);
            }
        }
        let holder = match proc::lock_holder(self.procfs()?, dir)? {
            Some(pid) => format!("process {pid} ({})", proc::command(self.procfs()?, pid)),
            None => "a process".to_owned(),
        };
        let state = if killed { "is killed, but" } else { "is not to be read, and" };
        let why = format!(
            "container \"{id}\" {state} {holder} still works on it, perhaps waiting for a hook or a process that does not end; \
             end that first"
        );
        Err(Error::new(Kind::State, why))
    }

    /// Processes, cgroup, then the directory: as long as something is left, so is the record of it.
    fn take_away(&self, record: &Record, dir: &Dir, status: Status, exit: Option<i32>) -> Result<()> {
        let mut errors = Vec::new();
        let exited = || state::append_exit(dir, &super::event(record, "exited"), exit);
        errors.extend(exit.and_then(|_| exited().err()));
        let group = Group::open(record.cgroup.clone());
        // Whoever init leaves behind, which it can where it had no PID namespace, is still in the group.
        if status != Status::Stopped || !group.delete_vacant() {
            let init = self.kill_init(record);
            // Before init is waited for: one that v1's freezer holds only dies when this thaws it.
            errors.extend(group.kill().err());
            errors
                .extend(init.and_then(|init| init.map_or(Ok(()), |init| await_end(record.pid, &init))).err());
            errors.extend(faults::at("delete/killed").err());
            errors.extend(group.delete().err());
        }
        errors.extend(faults::at("delete/cgroup").err());
        errors.extend(resctrl::remove(&record.resctrl).err());
        if errors.is_empty() {
            errors.extend(exit.is_none().then(exited).and_then(Result::err));
            let noted = faults::at("delete/noted");
            errors.extend(noted.and_then(|()| self.root().remove(&record.id, dir)).err());
        }
        match Error::all(errors) {
            Some(e) => Err(e.during(format_args!("delete container \"{}\"", record.id))),
            None => Ok(()),
        }
    }

    /// Kills init; what its end is seen by, if it lives and there are pidfds.
    fn kill_init(&self, record: &Record) -> Result<Option<OwnedFd>> {
        if !self.is_init(record)? {
            return Ok(None);
        }
        let pidfd = process::pidfd_open(record.pid).ok();
        self.signal_init(record, SIGKILL)?;
        Ok(pidfd)
    }

    /// Takes away a container that didn't get to run, and then runs the hooks after the end (runtime.md, "Lifecycle",
    /// 12 and 13); gives all errors.
    pub(super) fn give_up(&self, record: &Record, dir: &Dir, hooks: Option<&Hooks>, cause: Error) -> Error {
        let done =
            self.take_away(record, dir, Status::Created, None).and_then(|()| run_poststop(hooks, record));
        let errors = [Err(cause.clone()), done].into_iter().filter_map(Result::err);
        Error::all(errors.collect()).unwrap_or(cause)
    }

    /// The hooks after the end; that one fails is a warning, since the container is gone (runtime.md, "Lifecycle").
    fn poststop(&self, id: &str, record: &Record, config: &Result<Vec<u8>>) -> Vec<String> {
        let spec = config.as_ref().map_err(Clone::clone).and_then(|config| crate::bundle::parse(config));
        let done = match spec {
            // Create was killed before it had kept the config whole, and so before it had done anything.
            Err(_) if !record.complete => Ok(()),
            spec => spec.and_then(|spec| run_poststop(spec.hooks.as_ref(), record)),
        };
        done.err().map(|e| format!("container \"{id}\": {e}")).into_iter().collect()
    }
}

fn run_poststop(hooks: Option<&Hooks>, record: &Record) -> Result<()> {
    let Some(hooks) = hooks else { return Ok(()) };
    hooks::run_poststop(&hooks.poststop, &super::spec_state(record, Status::Stopped))
}

/// Waits for a killed init's end, which without a cgroup nothing else does.
fn await_end(pid: i32, init: &OwnedFd) -> Result<()> {
    match signal::wait_readable(init, Some(END_MS))? {
        true => Ok(()),
        false => Err(Error::new(Kind::System, format!("init (pid {pid}) does not end after SIGKILL"))),
    }
}

fn gone_is_fine(sent: forgeone_sys::Result<()>) -> Result<()> {
    match sent {
        Err(e) if e.errno() == Errno::SRCH => Ok(()),
        sent => Ok(sent?),
    }
}

/// Kills a child that failed, and reaps it.
pub(super) fn end_child(pid: i32, pidfd: Option<&OwnedFd>) -> Result<()> {
    let sent = match pidfd {
        Some(fd) => process::pidfd_send_signal(fd, SIGKILL),
        None => process::kill(pid, SIGKILL),
    };
    gone_is_fine(sent)?;
    match process::wait(pid) {
        // Somebody waited already: it was asked how it ended.
        Err(e) if e.errno() == Errno::CHILD => Ok(()),
        waited => Ok(waited.map(drop)?),
    }
}

/// Waits for a child whose channel closed, and says how it ended.
pub(super) fn how_it_ended(pid: i32) -> String {
    match process::wait(pid) {
        Ok(Exit::Code(code)) => format!("exit status {code}"),
        // Only the kernel does that to it, and for one reason.
        Ok(Exit::Signal(SIGKILL)) => "killed; linux.resources.memory may be too low".to_owned(),
        Ok(Exit::Signal(signal)) => format!("signal {signal}"),
        Err(e) => e.to_string(),
    }
}
