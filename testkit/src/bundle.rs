//! Bundles made for a test: a root file system of real programs and a `config.json`.
//!
//! A bundle lives in a temporary directory of its own and goes away with its value:
//!
//! ```text
//! /tmp/forgeone-test-<pid>-<n>-bundle/
//!   config.json     written anew at each change
//!   rootfs/
//! ```
//!
//! The template has the shape of what `runc spec` writes, but for the terminal, which is off.

use crate::{Temp, busybox, debian, programs};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

/// Path of the probe inside a bundle that has it.
pub const PROBE: &str = "/probe";

/// A bundle directory.
#[derive(Debug)]
pub struct Bundle {
    temp: Temp,
    config: Value,
}

impl Bundle {
    /// A root of Debian's `busybox-static`: `/bin/busybox`, a symlink per applet, `/etc/passwd` and `/etc/group`.
    /// Panics, naming the package, where it is not installed; a test that runs without root asks
    /// `privileged::program` first.
    pub fn busybox() -> Self {
        let bundle = Self::empty();
        busybox::unpack(&bundle.rootfs());
        bundle
    }

    /// A root of Debian's smallest system, made by `debootstrap` once and copied for each bundle.
    /// `None`, with the skip noted, where it can't be made.
    pub fn debian() -> Option<Self> {
        let bundle = Self::empty();
        debian::copy_to(&bundle.rootfs())?;
        Some(bundle)
    }

    /// A root that holds the probe only, which is what runs.
    pub fn probe() -> Self {
        Self::empty().with_probe()
    }

    /// An empty root; the program to run, `sh`, is not in it.
    pub fn empty() -> Self {
        let temp = Temp::new("bundle");
        fs::create_dir(temp.path().join("rootfs")).expect("mkdir rootfs");
        Self { temp, config: template() }.saved()
    }

    /// The bundle directory.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// The root file system's directory.
    pub fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// `config.json` as it stands.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Sets `process.args`.
    pub fn args<S: AsRef<str>>(self, args: impl IntoIterator<Item = S>) -> Self {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.edit(|config| config["process"]["args"] = json!(args))
    }

    /// Runs a line of shell: `process.args` becomes `sh -c LINE`.
    pub fn shell(self, line: &str) -> Self {
        self.args(["sh", "-c", line])
    }

    /// Changes `config.json` in any way.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self.saved()
    }

    /// Adds a mount after the others.
    pub fn mount(self, mount: Value) -> Self {
        self.edit(|config| config["mounts"].as_array_mut().expect("mounts is a list").push(mount))
    }

    /// Removes the namespaces of this kind and adds this one: `json!({"type": "user"})`.
    pub fn namespace(self, namespace: Value) -> Self {
        self.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
            list.retain(|other| other["type"] != namespace["type"]);
            list.push(namespace);
        })
    }

    /// Makes a writable root: the template's is read-only, as runc's.
    pub fn writable(self) -> Self {
        self.edit(|config| config["root"]["readonly"] = json!(false))
    }

    /// Writes a file of the root; its directories are made.
    pub fn file(self, path: &str, text: &str) -> Self {
        let file = self.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().expect("a file has a directory")).expect("mkdir in the root");
        fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        self
    }

    /// Copies the probe into the root and makes it the program to run.
    pub fn with_probe(self) -> Self {
        let inside = self.rootfs().join(PROBE.trim_start_matches('/'));
        fs::copy(programs::probe(), inside).expect("copy the probe");
        self.args([PROBE])
    }

    /// Writes these bytes in place of `config.json`, for input that is no valid config.
    pub fn raw(self, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.path().join("config.json"), bytes).expect("write config.json");
        self
    }

    /// Gives the whole root to a user and group of the host, for user namespaces that map root to them.
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        own(&self.rootfs(), uid, gid).expect("chown the root");
        self
    }

    fn saved(self) -> Self {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON of a value");
        self.raw(text)
    }
}

fn own(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    lchown(path, Some(uid), Some(gid))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// What `runc spec` writes, without a terminal.
fn template() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bundle",
        "mounts": mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "network" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &str| {
        let options: Vec<_> = options.split(',').filter(|option| !option.is_empty()).collect();
        json!({ "destination": destination, "type": kind, "source": source, "options": options })
    };
    json!([
        mount("/proc", "proc", "proc", ""),
        mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ])
}
