//! Running a runtime as its users do: by its command line, with a state root of its own.
//!
//! ```no_run
//! use testkit::{Bundle, Door};
//! let bundle = Bundle::busybox().shell("exit 3");
//! let door = Door::new();
//! let id = door.id("three");
//! assert_eq!(door.run(["run", "--bundle", bundle.path().to_str().unwrap(), &id]).code, 3);
//! ```
//!
//! Invariants: output goes through files, not pipes, since a container keeps the descriptors that `create`
//! was given, and a pipe would stay open as long as it runs. On drop every container below the root is deleted
//! by force, the root is removed, and what is left on the machine fails the test. Make the bundle before the
//! door, so that it outlives it.

use crate::{Leaks, Temp, names, privileged, programs};
use serde_json::Value;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a command of the runtime, or what happens by itself, may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Variables of the caller that would change what the runtime does.
const FOREIGN: &[&str] =
    &["DEBUG", "FORGEONE_ROOT", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"];

/// A runtime and the directory of its states.
#[derive(Debug)]
pub struct Door {
    program: PathBuf,
    /// A program and its arguments that the runtime is started by.
    launcher: Vec<OsString>,
    /// Options in front of each command.
    options: &'static [&'static str],
    directory: Temp,
    leaks: Leaks,
    runs: Cell<u32>,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status as a shell tells it: 128 and the number for a signal.
    pub code: i32,
    /// Standard output when the command had ended.
    pub stdout: String,
    /// Standard error when the command had ended.
    pub stderr: String,
    /// The file of the standard output, to which a container still writes.
    pub stdout_file: PathBuf,
}

impl Door {
    /// The release door; where the suite says so, with the systemd driver.
    pub fn new() -> Self {
        let mut door = Self::of(programs::forgeone());
        if privileged::systemd_driver() {
            door.options = &["--systemd-cgroup"];
        }
        door
    }

    /// Another runtime with the same command line, `runc` to compare with.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        let leaks = Leaks::before();
        let directory = Temp::new("door");
        fs::create_dir(directory.path().join("root")).expect("mkdir root");
        let (launcher, options, runs) = (Vec::new(), &[][..], Cell::new(0));
        Self { program: program.into(), launcher, options, directory, leaks, runs }
    }

    /// The same, started by another program, which gets the command line as its last arguments.
    pub fn launched<S: Into<OsString>>(mut self, by: impl IntoIterator<Item = S>) -> Self {
        self.launcher = by.into_iter().map(Into::into).collect();
        self
    }

    /// A container id that no other test has.
    pub fn id(&self, tag: &str) -> String {
        names::unique(tag)
    }

    /// The state root, `--root`.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// A directory for files of the test, pid files for example; removed on drop.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command line with `--root` in front, without standard input, marked for the leak detector.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.through::<&str, S>([], args)
    }

    /// The same, by a program that changes something first and then executes its last arguments: `setpriv`, `sh -c`.
    pub fn through<W: AsRef<OsStr>, S: AsRef<OsStr>>(
        &self,
        wrapper: impl IntoIterator<Item = W>,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut words: Vec<OsString> = self.launcher.clone();
        let mut wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned());
        // By its path: a launcher doesn't look for it.
        let first = wrapper.next().map(|name| {
            let found = name.to_str().and_then(privileged::find_program);
            found.map_or(name, OsString::from)
        });
        words.extend(first.into_iter().chain(wrapper));
        words.push(self.program.clone().into());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("--root")
            .arg(self.root())
            .args(self.options)
            .args(args)
            .stdin(Stdio::null());
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command.env("FORGEONE_TEST", names::process_prefix());
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.finish(&mut self.command(args))
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.command(args);
        let output = self.finish(&mut command);
        assert_eq!(output.code, 0, "{command:?}: {}{}", output.stdout, output.stderr);
        output
    }

    /// Runs a prepared command to its end: standard input, environment or directory of its own.
    #[track_caller]
    pub fn finish(&self, command: &mut Command) -> Output {
        let run = self.runs.replace(self.runs.get() + 1);
        let file = |name| self.directory.path().join(format!("{run}.{name}"));
        let (stdout, stderr) = (file("out"), file("err"));
        let create = |path: &Path| File::options().create_new(true).append(true).open(path).expect("create");
        command.stdout(create(&stdout)).stderr(create(&stderr));
        let mut child = command.spawn().unwrap_or_else(|e| panic!("run {command:?}: {e}"));
        let status = wait(&mut child).unwrap_or_else(|| panic!("{command:?} took more than {LIMIT:?}"));
        let read = |path| String::from_utf8_lossy(&fs::read(path).expect("read output")).into_owned();
        Output { code: code(status), stdout: read(&stdout), stderr: read(&stderr), stdout_file: stdout }
    }

    /// What `state` says of a container.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        let output = self.ok(["state", id]);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|e| panic!("state of {id}: {e}: {}", output.stdout))
    }

    /// The container's status: `created`, `running`, `paused`, `stopped`.
    #[track_caller]
    pub fn status(&self, id: &str) -> String {
        self.state(id)["status"].as_str().expect("a status").to_owned()
    }

    /// Waits until the container has this status.
    #[track_caller]
    pub fn await_status(&self, id: &str, status: &str) {
        eventually(&format!("{id} is {status}"), || self.status(id) == status);
    }

    /// Ids of the containers that have a directory below the state root, in whatever state.
    pub fn containers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = directories.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    fn delete_all(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for id in self.containers() {
            let output = self.run(["delete", "--force", &id]);
            if output.code != 0 {
                failures.push(format!("delete --force {id}: {}", output.stderr.trim()));
            }
        }
        failures
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut failures = self.delete_all();
        failures.extend(self.leaks.left());
        if failures.is_empty() {
            return;
        }
        let message = format!("left behind by {}:\n  {}", self.program.display(), failures.join("\n  "));
        if std::thread::panicking() { eprintln!("{message}") } else { panic!("{message}") }
    }
}

impl Output {
    /// The standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e} in {}\n{}", self.stdout, self.stderr))
    }

    /// What the container has written to its standard output until now.
    pub fn stdout_now(&self) -> String {
        fs::read_to_string(&self.stdout_file).unwrap_or_default()
    }
}

/// Waits for what happens by itself, without a fixed sleep; panics after two minutes.
#[track_caller]
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Does what is a matter of luck `rounds` times, or as often as half a minute allows on a busy machine, and on until it
/// has succeeded once; panics after four minutes without that. With `make soak` all of it is so many times more.
#[track_caller]
pub fn repeatedly(rounds: u32, mut attempt: impl FnMut(u32) -> bool) {
    let start = Instant::now();
    let mut succeeded = false;
    let factor = crate::soak::rounds(1) as u32;
    for round in 0.. {
        let enough =
            round >= rounds.saturating_mul(factor) || start.elapsed() > Duration::from_secs(30) * factor;
        if enough && succeeded {
            return;
        }
        assert!(!enough || start.elapsed() < 2 * LIMIT * factor, "not once in {round} rounds");
        succeeded |= attempt(round);
    }
}

/// Waits for the end; a child that takes too long is killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return Some(status);
        }
        if start.elapsed() > LIMIT {
            child.kill().and_then(|()| child.wait()).expect("kill");
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("an exit status")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime in miniature: `--root DIR COMMAND …`.
    fn door(script: &str) -> (Temp, Door) {
        use std::os::unix::fs::PermissionsExt;
        let temp = Temp::new("script");
        let file = temp.path().join("runtime");
        fs::write(&file, format!("#!/bin/sh\nroot=$2; shift 2\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        (temp, Door::of(file))
    }

    #[test]
    fn output_and_exit_status_are_told() {
        let (_script, door) = door("echo out; echo err >&2; exit 3");
        let output = door.run(["anything"]);
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    }

    #[test]
    fn a_process_that_stays_behind_does_not_hold_the_command_up() {
        let (_script, door) = door(
            "case $1 in delete) kill $(cat $root/c/pid); rm -r $root/c;; *)
            mkdir $root/c; sleep 600 & echo $! > $root/c/pid; esac",
        );
        let output = door.run(["create"]);
        assert_eq!(output.code, 0);
    }

    #[test]
    fn death_by_a_signal_is_128_and_its_number() {
        let (_script, door) = door("kill -9 $$");
        assert_eq!(door.run(["anything"]).code, 137);
    }

    #[test]
    #[should_panic(expected = "left behind")]
    fn a_container_that_is_not_deleted_fails_the_test() {
        let (_script, door) = door("case $1 in delete) echo no >&2; exit 1;; *) mkdir $root/c; esac");
        door.ok(["create"]);
    }
}
