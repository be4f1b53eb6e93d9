//! The life of a container: create, start, exec, kill, pause, delete, and what is known of it in between.
//!
//! [`Runtime`]'s methods that make processes (`create`, `run`, `exec`) clone, which only a process with a single
//! thread may do; they are for the door. Programs with threads use [`crate::client`], which spawns the door.

mod affinity;
mod channel;
mod create;
mod exec;
mod hooks;
mod idmap;
mod init;
mod listener;
mod notify;
mod oom;
mod options;
mod proc;
mod program;
mod protect;
mod remove;
mod spawn;
mod start;
mod status;
mod undo;
mod update;
mod userns;
mod watch;

pub use notify::Notify;
pub use options::*;
pub use proc::in_user_namespace;
pub(crate) use proc::started;
pub use protect::protect;
pub use status::Status;
pub use userns::explain;
pub use watch::{Happened, Watch};

use crate::cgroup::Group;
use crate::cgroup::systemd::Manager;
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::fs::Procfs;
use crate::spec::{self, State};
use crate::state::{self, Event, Record, Root};
use forgeone_sys::fs::{self as files, AtFlags, Mode, OFlags};
use forgeone_sys::{AsFd, Errno, OwnedFd, process, socket};
use forgeone_trust as trust;
use status::Kept;
use std::cell::OnceCell;
use std::path::Path;

/// The runtime with a place for its state; every command is one of its methods.
#[derive(Debug)]
pub struct Runtime {
    settings: Settings,
    procfs: OnceCell<Procfs>,
    boot_id: OnceCell<String>,
}

impl Runtime {
    /// A runtime with these settings; touches nothing.
    pub fn new(settings: Settings) -> Self {
        Self { settings, procfs: OnceCell::new(), boot_id: OnceCell::new() }
    }

    fn root(&self) -> Root {
        Root::new(&self.settings.root)
    }

    fn procfs(&self) -> Result<&Procfs> {
        get_or_try(&self.procfs, Procfs::open)
    }

    fn boot_id(&self) -> Result<&str> {
        get_or_try(&self.boot_id, proc::boot_id).map(String::as_str)
    }

    /// Root in a user namespace has no more rights over the host's cgroups than the user who made it, rootless Podman
    /// for one.
    fn is_rootless(&self) -> bool {
        self.settings.rootless.unwrap_or_else(|| process::geteuid() != 0 || in_user_namespace())
    }

    /// The systemd that makes groups. Without the rights of the machine's root it is the user's own.
    fn manager(&self) -> Result<Manager> {
        Manager::connect(self.is_rootless()).during(|| "--systemd-cgroup")
    }

    /// Freezes all processes.
    ///
    /// # Errors
    /// [`Kind::State`] if it doesn't run.
    pub fn pause(&self, id: &str) -> Result<()> {
        let container = self.find_locked(id)?;
        let (record, status) = (container.record()?, container.status()?);
        if !matches!(status, Status::Running | Status::Created) {
            return Err(start::not_running(id, status));
        }
        Group::open(record.cgroup.clone()).freeze().during(|| format!("pause container \"{id}\""))?;
        state::append(&container.dir, &event(record, "paused"))
    }

    /// Thaws them.
    ///
    /// # Errors
    /// [`Kind::State`] if it isn't paused.
    pub fn resume(&self, id: &str) -> Result<()> {
        let container = self.find_locked(id)?;
        let (record, status) = (container.record()?, container.status()?);
        if status != Status::Paused {
            return Err(Error::new(Kind::State, format!("container \"{id}\" is {status}, not paused")));
        }
        Group::open(record.cgroup.clone()).thaw().during(|| format!("resume container \"{id}\""))?;
        state::append(&container.dir, &event(record, "resumed"))
    }

    /// The state as the specification prints it, with what runc adds to it.
    pub fn state(&self, id: &str) -> Result<Listed> {
        let container = self.find(id)?;
        let status = container.status()?;
        Ok(listed(&container.id, container.record.as_deref(), status))
    }

    /// What `list` shows, by id; entries that can't be read are given with their error.
    pub fn list(&self) -> Result<Vec<Result<Listed>>> {
        let rows = self.root().ids()?.into_iter().map(|id| self.state(&id));
        // One that is deleted while we look isn't there.
        Ok(rows.filter(|row| !matches!(row, Err(e) if e.kind() == Kind::NotFound)).collect())
    }

    /// Process ids of all processes in the container, as the caller's PID namespace sees them.
    pub fn pids(&self, id: &str) -> Result<Vec<i32>> {
        let container = self.find(id)?;
        let record = container.record()?;
        if record.cgroup.is_empty() {
            // Without a cgroup, as a rootless container may be, only init is known.
            return Ok(if self.is_init(record)? { vec![record.pid] } else { Vec::new() });
        }
        Group::open(record.cgroup.clone()).pids()
    }

    /// Writes down a container's exit, once: by its parent, who knows the status.
    pub fn exited(&self, id: &str, status: i32) -> Result<()> {
        let container = self.find(id)?;
        state::append_exit(&container.dir, &event(container.record()?, "exited"), Some(status))
    }
}

/// Asks for admission of something that is done to a container that exists.
fn ask(operation: trust::Operation, id: &str, kept: &Kept, args: &[String]) -> Result<trust::Admission> {
    let demands = crate::plan::trust_demands(&kept.spec)?;
    admit(&trust::AdmissionRequest {
        operation,
        id,
        subject: trust::Subject::Bundle { config: &kept.config, rootfs: None },
        exec_mode: crate::plan::exec_mode(&kept.spec.annotations)?,
        args,
        annotations: &kept.spec.annotations,
        trusted_issuers: &demands.issuers,
        minimum_entropy: demands.entropy,
    })
}

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use channel::fuzz;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use proc::fuzz as fuzz_proc;

/// Makes this process one that others can't look behind, or one that they can: that of those who may trace it.
fn hide(hidden: bool) -> Result<()> {
    match faults::without("dumpable") {
        true => Ok(()),
        false => Ok(process::set_dumpable(!hidden)?),
    }
}

/// `OnceCell::get_or_try_init`, which is not stable yet.
fn get_or_try<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

fn admit(request: &trust::AdmissionRequest) -> Result<trust::Admission> {
    let refused = |e: trust::Refusal| Error::new(Kind::Refused, format!("admission: {e}"));
    trust::admit(request).map_err(refused)
}

fn event<'a>(record: &'a Record, name: &'a str) -> Event<'a> {
    Event { name, boot_id: &record.boot_id, cgroup: record.cgroup_id, pid: record.pid }
}

fn listed(id: &str, record: Option<&Record>, status: Status) -> Listed {
    let Some(record) = record else {
        return Listed { id: id.to_owned(), status: status.word().to_owned(), ..Listed::default() };
    };
    Listed {
        // Of the state, not of the config (runtime.md, "State").
        version: spec::VERSION.to_owned(),
        id: id.to_owned(),
        pid: if status == Status::Stopped { 0 } else { record.pid },
        status: status.word().to_owned(),
        bundle: record.bundle.clone(),
        rootfs: record.rootfs.clone(),
        created: record.created.clone(),
        annotations: record.annotations.clone(),
        owner: record.owner,
    }
}

/// The state that hooks read.
fn spec_state(record: &Record, status: Status) -> State {
    State {
        version: spec::VERSION.to_owned(),
        id: record.id.clone(),
        status: status.word().to_owned(),
        pid: if status == Status::Stopped { 0 } else { record.pid },
        bundle: record.bundle.clone(),
        annotations: record.annotations.clone(),
        ..State::default()
    }
}

/// runc's rules: a terminal whose caller goes away needs a socket that takes its master, and only such a one.
fn check_console_socket(terminal: bool, detached: bool, socket: bool) -> Result<()> {
    let message = match (terminal, detached, socket) {
        (true, true, false) => "process.terminal: a detached container's terminal needs --console-socket",
        (true, false, true) => "--console-socket: is only for detached containers",
        (false, _, true) => "--console-socket: is only for containers with a terminal (process.terminal)",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Usage, message))
}

/// What makes processes changes its own first: which PID namespace its children go to, whether it is dumpable. A program
/// with threads must not find itself changed, so it is refused before the clone would refuse it.
fn check_single_threaded() -> Result<()> {
    if process::single_threaded() {
        return Ok(());
    }
    let message =
        "the calling process has more than one thread: containers are made for it by client::Client";
    Err(Error::new(Kind::Usage, message))
}

/// Sends a new process's pidfd to whoever listens at the socket, with a word for its kind, as runc does.
fn send_pidfd(pidfd: Option<&OwnedFd>, socket: Option<&Path>, kind: &str) -> Result<()> {
    let Some(path) = socket else { return Ok(()) };
    let step = || "--pidfd-socket";
    let missing = || Error::new(Kind::Unsupported, "--pidfd-socket: this kernel has no pidfds (Linux 5.2)");
    let pidfd = pidfd.ok_or_else(missing)?;
    let connected = socket::connect_stream(path).during(step)?;
    socket::send(&connected, kind.as_bytes(), &[pidfd.as_fd()]).during(step)
}

/// Gives the terminal's master to the console socket. Without one it is the caller's, to be shown on a terminal that
/// ends lines itself; set before the program starts, which may look at it and set it as it was.
fn hand_over(terminal: Option<OwnedFd>, socket_path: Option<&Path>) -> Result<Option<OwnedFd>> {
    let Some(master) = &terminal else { return Ok(None) };
    let Some(path) = socket_path else {
        forgeone_sys::pty::keep_line_ends(master).during(|| "terminal")?;
        return Ok(terminal);
    };
    let connected = socket::connect_stream(path).during(|| "--console-socket")?;
    socket::send(&connected, b"/dev/ptmx", &[master.as_fd()]).during(|| "--console-socket")?;
    Ok(None)
}

/// Written whole or not at all: a reader never sees half a number.
fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::new(Kind::Usage, "--pid-file: is not a file's name"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        let dir = files::open(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let new = format!(".{}.{pid}", name.to_string_lossy());
        // The directory may be everybody's: what somebody put there under this name isn't written to.
        match files::unlinkat(&dir, new.as_str(), AtFlags::empty()) {
            Err(e) if e.errno() != Errno::NOENT => return Err(e.into()),
            _ => {}
        }
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = files::openat(&dir, new.as_str(), create, Mode::from_raw_mode(0o666))?;
        files::write_all(&file, pid.to_string().as_bytes())?;
        Ok(files::renameat(&dir, new.as_str(), &dir, name)?)
    };
    write().during(|| "--pid-file")
}
