//! Command lines: how each peer is told to do something, and how they are run and timed.

use crate::Outcome;
use crate::cases::{Case, MAPPED, MEMORY, ORDINARY, PIDS, User};
use crate::peers::Peer;
use crate::place::Place;
use crate::views::View;
use forgeone_sys::process::{pidfd_open, wait_any_nohang};
use forgeone_sys::signal::wait_readable;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Milliseconds after which a command is killed and has failed.
const LIMIT: i32 = 20_000;

/// A command that can be run again and again.
#[derive(Clone)]
pub(crate) struct Line {
    words: Vec<OsString>,
    user: Option<u32>,
    /// Files of its standard error and, where it is asked for, its standard output.
    errors: PathBuf,
    printed: PathBuf,
}

impl Line {
    /// The same, started by another program.
    pub(crate) fn by<S: Into<OsString>>(mut self, launcher: impl IntoIterator<Item = S>) -> Self {
        self.words.splice(0..0, launcher.into_iter().map(Into::into));
        self
    }

    /// The command, without standard input, in an environment of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// How long it takes, from before the fork until it is reaped. It has to succeed.
    pub(crate) fn time(&self) -> Outcome<Duration> {
        self.finish(Stdio::null())
    }

    /// What it prints. It has to succeed.
    pub(crate) fn output(&self) -> Outcome<String> {
        let file = File::options().create(true).read(true).write(true).truncate(true).open(&self.printed);
        let file = file.map_err(|e| format!("{}: {e}", self.printed.display()))?;
        self.finish(Stdio::from(file))?;
        let text = fs::read(&self.printed).map_err(|e| format!("{}: {e}", self.printed.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn finish(&self, stdout: Stdio) -> Outcome<Duration> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", self.words[0].display());
        let errors = File::create(&self.errors).map_err(|e| format!("{}: {e}", self.errors.display()))?;
        let mut command = self.command();
        command.stderr(errors).stdout(stdout);
        let start = Instant::now();
        let mut child = command.spawn().map_err(|e| failed(&e))?;
        let pidfd = pidfd_open(child.id() as i32).map_err(|e| failed(&e))?;
        let ended = wait_readable(&pidfd, Some(LIMIT)).map_err(|e| failed(&e))?;
        if !ended {
            child.kill().map_err(|e| failed(&e))?;
        }
        let status = child.wait().map_err(|e| failed(&e))?;
        let taken = start.elapsed();
        reap();
        match ended {
            true => self.judge(status).map(|()| taken),
            false => Err(format!("did not end within {} s", LIMIT / 1000)),
        }
    }

    /// An error ends with the last line that the command wrote.
    fn judge(&self, status: ExitStatus) -> Outcome<()> {
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let said: String =
            said.trim_end().lines().next_back().unwrap_or_default().chars().take(300).collect();
        Err(format!("{status}: {said}"))
    }
}

/// Reaps orphans of containers, which are this process's children (`PR_SET_CHILD_SUBREAPER`).
pub(crate) fn reap() {
    while let Ok(Some(_)) = wait_any_nohang() {}
}

/// A container that is running.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) pid: i32,
}

/// A peer that is about to do something with a container of a case.
#[derive(Clone, Copy)]
pub(crate) struct Teller<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) place: &'a Place,
    pub(crate) case: &'a Case,
    pub(crate) view: &'a View,
}

impl Teller<'_> {
    fn line(&self, words: Vec<OsString>) -> Line {
        let user = (self.case.user == User::Ordinary).then_some(ORDINARY);
        Line { words, user, errors: self.place.path("errors"), printed: self.place.path("printed") }
    }

    /// A command of a runtime.
    pub(crate) fn command<S: Into<OsString>>(&self, words: impl IntoIterator<Item = S>) -> Line {
        let root = self.place.state_root(self.peer.name, self.case.user);
        let mut all = vec![self.peer.program.clone().into(), "--root".into(), root.into()];
        if self.case.user == User::Ordinary {
            all.extend(self.peer.without_cgroup.iter().map(Into::into));
        }
        all.extend(words.into_iter().map(Into::into));
        self.line(all)
    }

    /// Runs the bundle in the foreground; `args` is what its config says.
    pub(crate) fn run(&self, bundle: &Path, id: &str, args: &[String]) -> Line {
        if self.peer.is_floor() {
            return self.floor("run", id, &[], args);
        }
        self.command(["run".into(), "--bundle".into(), bundle.as_os_str().to_owned(), id.into()])
    }

    /// Executes a program in a running container; the floor does it in `other`, since it has none.
    pub(crate) fn exec(&self, id: &str, other: &Running, args: &[String]) -> Line {
        if self.peer.is_floor() {
            return self.floor("exec", &other.id, &[format!("pid={}", other.pid)], args);
        }
        let options = self.peer.exec.iter().copied();
        let words = ["exec"].into_iter().chain(options).chain([id]).map(str::to_owned);
        self.command(words.chain(args.iter().cloned()))
    }

    /// Takes away what may be left of a container: by its runtime, and what that leaves by hand.
    pub(crate) fn discard(&self, id: &str) -> Outcome<()> {
        if !self.peer.is_floor() {
            // It may have been cleaned up already; then there is nothing to delete.
            let _ = self.command(["delete", "--force", id]).output();
        }
        if self.case.user == User::Ordinary { Ok(()) } else { self.view.sweep(id) }
    }

    /// The floor with another limit of memory.
    pub(crate) fn floor_with_memory(&self, id: &str, memory: u64, args: &[String]) -> Line {
        self.floor("run", id, &[format!("memory={memory}")], args)
    }

    fn floor(&self, command: &str, id: &str, more: &[String], args: &[String]) -> Line {
        let Self { peer, place, case, view } = self;
        let mut words = vec![command.to_owned(), format!("root={}", place.rootfs().display())];
        if case.user == User::Ordinary {
            words.extend(["rootless".to_owned(), format!("user={ORDINARY}"), "ids=1".to_owned()]);
        } else {
            words.push(format!("group={}/{id}", view.group));
            words.push(if view.v1.is_empty() { "v2".into() } else { format!("v1={}", view.v1.join(":")) });
        }
        if case.user == User::Mapped {
            words.extend([format!("user={}", MAPPED.0), format!("ids={}", MAPPED.1)]);
        }
        if case.limits {
            words.extend([format!("memory={MEMORY}"), format!("pids={PIDS}")]);
        }
        if case.seccomp {
            words.push(format!("filter={}", place.filter().display()));
        }
        if case.binds > 0 {
            words.push(format!("source={}", place.path("source").display()));
            words.push(format!("binds={}", case.binds));
        }
        words.extend_from_slice(more);
        words.push("--".to_owned());
        words.extend_from_slice(args);
        let program = OsString::from(&peer.program);
        self.line([program].into_iter().chain(words.into_iter().map(Into::into)).collect())
    }
}
