//! What broke other runtimes: each really attempted, from a hostile image, config, neighbour or container process, and
//! the host is unharmed. A file for each row of docs/security.md.
//!
//! All go three times: with all system calls, and with the newer ones failing (`lane`). The paths of a hostile root
//! file system are tried one by one in `crates/runtime/tests/privileged/fs/attacks.rs`; here is what the whole runtime
//! makes of them.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod console_link;
mod dev_link;
mod device_list;
mod environment;
mod false_null;
mod false_proc;
mod host_cgroups;
mod inheritable;
mod leaked_descriptor;
mod overflow;
mod own_binary;
mod own_files;
mod read_only;
mod start_socket;
mod swapped_targets;
mod traced;
mod user_ids;
mod working_directory;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use testkit::{Bundle, Door, Output, Temp, privileged, programs};

/// Runs an attack with all system calls, and as on older kernels, which have other ways: it is given a maker of doors.
fn everywhere(attack: impl Fn(&dyn Fn() -> Door)) {
    if !privileged::root() {
        return;
    }
    attack(&Door::new);
    for errno in ["ENOSYS", "EPERM"] {
        eprintln!("newer calls: {errno}");
        attack(&|| Door::new().launched([programs::lane().into_os_string(), errno.into()]));
    }
}

fn dir(bundle: &Bundle) -> &str {
    path(bundle.path())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(door: &Door, bundle: &Bundle) -> Output {
    door.run(["run", "--bundle", dir(bundle), &door.id("attack")])
}

/// A container that runs until it is killed.
fn start(door: &Door, bundle: Bundle) -> (Bundle, String) {
    let (bundle, id) = (bundle.args(["sleep", "1000"]), door.id("victim"));
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    (bundle, id)
}

fn capabilities(bundle: Bundle, names: &[&str]) -> Bundle {
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(names);
        }
    })
}

fn without_mounts(bundle: Bundle, below: &str) -> Bundle {
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with(below));
    })
}

fn bind(source: &Path, destination: &str) -> Value {
    json!({ "destination": destination, "source": source, "options": ["bind"] })
}

fn tmpfs(destination: &str) -> Value {
    json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" })
}

/// What a file or directory of the host looks like: path, mode, owner, size.
type Picture = Vec<(PathBuf, u32, u32, u64)>;

/// Everything below a directory of the host that nobody is to touch.
fn picture(directory: &Path) -> Picture {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        all.push((path.clone(), meta.mode(), meta.uid(), meta.len()));
        if meta.is_dir() {
            all.extend(picture(&path));
        }
    }
    all.sort();
    all
}

/// A directory of the host with a file, which no container may change.
struct Host(Temp);

impl Host {
    fn new() -> (Self, Picture) {
        let host = Self(Temp::new("host"));
        fs::write(host.0.path().join("secret"), "secret").unwrap();
        fs::create_dir(host.0.path().join("etc")).unwrap();
        let picture = picture(host.0.path());
        (host, picture)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}
