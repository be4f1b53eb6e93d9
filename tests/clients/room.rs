//! A room for a client: PID, mount and network namespaces of its own, and an empty `/run`.
//!
//! Whatever is started in there (daemons, shims, containers) is killed when the room ends, and its mounts and
//! networks go with it; so does the room when the test is killed, since its first process reads from the test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use testkit::{names, privileged};

/// What the first process does: it also waits for orphans, as an init has to.
const INIT: &str = "mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && eval \"$1\" || exit
    echo ready
    exec >/dev/null
    cat";

/// Namespaces that are held by a process of ours.
#[derive(Debug)]
pub(crate) struct Room {
    first: Child,
    /// Its first process, as seen from outside.
    pid: String,
}

/// A program that runs in a room until that ends, with its log.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Room {
    /// Makes one; `setup` is a line of shell that is run in there first. `None`, with the skip noted, where it can't be
    /// made.
    pub(crate) fn new(setup: &str) -> Option<Self> {
        let there = privileged::root() && privileged::program("nsenter", "util-linux");
        if !(there && privileged::program("ip", "iproute2")) {
            return None;
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net"]);
        unshare.args(["--propagation", "private", "sh", "-c", INIT, "sh", setup]);
        unshare.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut first = unshare.spawn().expect("run unshare");
        let mut said = String::new();
        BufReader::new(first.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "the room's first process: {:?}", first.try_wait());
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let pid = fs::read_to_string(children).unwrap().trim().to_owned();
        Some(Self { first, pid })
    }

    /// A program in the room.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--pid", "--mount", "--net", "--"]).arg(program);
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.first.stdin.take());
        self.first.wait().expect("wait for the room's first process");
    }
}

impl Daemon {
    /// Starts it; its output goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    /// Fails where it has ended already.
    pub(crate) fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the daemon has ended: {ended:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // nsenter, which we have started: the daemon itself ends with its room.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines.iter().rev().take(40).rev().copied();
            eprintln!("{ended:?}: {}", last.collect::<Vec<_>>().join("\n"));
        }
    }
}
