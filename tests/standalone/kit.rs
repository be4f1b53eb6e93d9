//! A machine of its own for each test: installed programs, data and states in a temporary directory.

use forgeone_sys::net::loopback_up;
use forgeone_sys::process::{Namespaces, unshare};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Bundle, Installed, Leaks, Temp, privileged};

/// See the module. On drop all containers are removed, and what is left on the machine fails the test.
pub(crate) struct Machine {
    installed: Installed,
    temp: Temp,
    leaks: Leaks,
    root: Bundle,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Machine {
    /// `None`, with the reason told, where a test can't have one.
    pub(crate) fn new() -> Option<Self> {
        if !privileged::root() {
            return None;
        }
        let root = Bundle::busybox();
        // Bridges and rules are those of a network of the test's own.
        own_network();
        let leaks = Leaks::before();
        let temp = Temp::new("machine");
        fs::create_dir(temp.path().join("here")).unwrap();
        Some(Self { installed: Installed::new(), temp, leaks, root })
    }

    /// A root file system of busybox.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.root.rootfs()
    }

    /// The same, as an archive: each container has its own files above it.
    pub(crate) fn archive(&self) -> String {
        let archive = self.path("root.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&archive).arg("-C").arg(self.rootfs()).arg(".");
        assert!(tar.status().unwrap().success());
        archive.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.installed.door());
        for name in ["DEBUG", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"]
        {
            command.env_remove(name);
        }
        command.env("FORGEONE_ROOT", self.path("states")).env("FORGEONE_DATA_ROOT", self.path("data"));
        command.args(words).current_dir(self.path("here")).stdin(Stdio::null());
        command
    }

    /// Through files: a container's side may hold on to a pipe.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.finish(&mut self.command(words))
    }

    pub(crate) fn finish(&self, command: &mut Command) -> Output {
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let status = command.status().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let read = |path: &Path| String::from_utf8(fs::read(path).unwrap()).unwrap();
        Output { code, stdout: read(&out), stderr: read(&err) }
    }

    /// What it prints, if it succeeds and says nothing else.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{words:?}: {}", output.stdout);
        output.stdout
    }

    /// The one line of a failure with this status, without the program's name.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{words:?}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{words:?}: {}", output.stderr);
        output.stderr.trim_end().strip_prefix("forgeone: ").unwrap().to_owned()
    }

    /// `run` over the root of busybox, with these options, of this line of shell.
    pub(crate) fn shell<'a>(&self, rootfs: &'a str, options: &[&'a str], line: &'a str) -> Vec<&'a str> {
        [&["run", "--rootfs", rootfs][..], options, &["/bin/sh", "-c", line]].concat()
    }

    pub(crate) fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.ok(&["inspect", name])).unwrap();
        all[0].clone()
    }

    /// Waits until a template says so of a container.
    pub(crate) fn await_so(&self, name: &str, template: &str, wanted: &str) {
        testkit::eventually(&format!("{name}: {template} is {wanted}"), || {
            self.run(&["inspect", "--format", template, name]).stdout.trim() == wanted
        });
    }
}

/// Gives the calling thread, and whatever it starts, a network namespace of its own.
pub(crate) fn own_network() {
    unshare(Namespaces::NET).unwrap();
    loopback_up().unwrap();
}

impl Drop for Machine {
    fn drop(&mut self) {
        let removed = self.run(&["rm", "--all", "--force"]);
        let mut left = self.leaks.left();
        if removed.code != 0 {
            left.push(removed.stderr);
        }
        if !left.is_empty() {
            let message = format!("left behind:\n  {}", left.join("\n  "));
            if std::thread::panicking() { eprintln!("{message}") } else { panic!("{message}") }
        }
    }
}
