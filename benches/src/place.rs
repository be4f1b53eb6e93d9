//! Where the benchmark works: one root file system, a bundle for each case and runtime, the filter, state roots.
//!
//! ```text
//! TEMP/bin/PEER           TEMP/state/PEER/      (and TEMP/user/… of the ordinary user)
//! TEMP/source/            bound into containers
//! TEMP/filter             the floor's, compiled
//! TEMP/bundles/NAME/config.json
//! ```

use crate::Outcome;
use crate::cases::{Case, MAPPED, MEMORY, ORDINARY, PIDS, User};
use crate::views::View;
use forgeone_runtime::security::seccomp;
use forgeone_runtime::spec::Seccomp;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Bundle, Temp};

/// A filter of the size of Docker's default one.
const PROFILE: &str = include_str!("../../crates/runtime/tests/fixtures/seccomp-large.json");

/// How many directories of the root can be bound over.
const TARGETS: u32 = 100;

/// All of it; removed with the value.
pub(crate) struct Place {
    temp: Temp,
    root: Bundle,
}

/// A change of a config beyond its case.
pub(crate) struct Container<'a> {
    pub(crate) case: &'a Case,
    pub(crate) view: &'a View,
    pub(crate) id: &'a str,
    pub(crate) args: &'a [String],
    /// In place of the case's.
    pub(crate) memory: Option<u64>,
}

impl Place {
    pub(crate) fn make() -> Outcome<Self> {
        let place = Self { temp: Temp::new("bench"), root: Bundle::busybox() };
        for directory in ["bin", "state", "user", "source", "bundles"] {
            make_directory(&place.path(directory))?;
        }
        chown(place.path("user"), Some(ORDINARY), Some(ORDINARY)).map_err(|e| format!("chown: {e}"))?;
        for number in 0..TARGETS {
            make_directory(&place.root.rootfs().join(format!("m{number}")))?;
        }
        let profile: Seccomp = serde_json::from_str(PROFILE).map_err(|e| format!("profile: {e}"))?;
        let compiled = seccomp::compile(&profile).map_err(|e| e.to_string())?;
        let bytes: Vec<u8> = compiled.program.iter().flat_map(bytes).collect();
        write(&place.filter(), &bytes)?;
        Ok(place)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn filter(&self) -> PathBuf {
        self.path("filter")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.root.rootfs()
    }

    /// Where a runtime keeps its states.
    pub(crate) fn state_root(&self, peer: &str, user: User) -> PathBuf {
        let owner = if user == User::Ordinary { "user" } else { "state" };
        self.path(owner).join(peer)
    }

    /// Has ForgeOne write the config that all bundles start from.
    pub(crate) fn template(&self, forgeone: &Path, rootless: bool) -> Outcome<Value> {
        let directory = self.path(if rootless { "spec-rootless" } else { "spec" });
        make_directory(&directory)?;
        let mut command = Command::new(forgeone);
        command.arg("spec").current_dir(&directory).args(rootless.then_some("--rootless"));
        let status = command.stdin(Stdio::null()).status().map_err(|e| format!("forgeone spec: {e}"))?;
        let text = fs::read(directory.join("config.json")).map_err(|e| format!("config.json: {e}"))?;
        match status.success() {
            true => serde_json::from_slice(&text).map_err(|e| format!("config.json: {e}")),
            false => Err(format!("forgeone spec: {status}")),
        }
    }

    /// Writes a bundle; its directory.
    pub(crate) fn bundle(&self, name: &str, template: &Value, container: &Container) -> Outcome<PathBuf> {
        let directory = self.path("bundles").join(name);
        if !directory.exists() {
            make_directory(&directory)?;
        }
        let config = self.config(template.clone(), container)?;
        write(&directory.join("config.json"), config.to_string().as_bytes())?;
        Ok(directory)
    }

    fn config(&self, mut config: Value, container: &Container) -> Outcome<Value> {
        let Container { case, view, id, args, memory } = container;
        // Debian 12's crun refuses newer ones; nothing in these bundles is newer.
        config["ociVersion"] = json!("1.0.2");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["root"]["path"] = json!(self.rootfs());
        if case.user != User::Ordinary {
            config["linux"]["cgroupsPath"] = json!(format!("{}/{id}", view.group));
        }
        if case.limits {
            config["linux"]["resources"]["memory"] = json!({ "limit": memory.unwrap_or(MEMORY) });
            config["linux"]["resources"]["pids"] = json!({ "limit": PIDS });
        }
        if case.seccomp {
            let profile = serde_json::from_str(PROFILE).map_err(|e| format!("profile: {e}"))?;
            config["linux"]["seccomp"] = profile;
        }
        let (first, count) = match case.user {
            User::Root => (0, 0),
            User::Mapped => MAPPED,
            User::Ordinary => (ORDINARY, 1),
        };
        if count > 0 {
            let map = json!([{ "containerID": 0, "hostID": first, "size": count }]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }
        if case.user == User::Mapped {
            push(&mut config["linux"]["namespaces"], json!({ "type": "user" }));
        }
        for number in 0..case.binds {
            let (target, source) = (format!("/m{number}"), self.path("source"));
            let bind =
                json!({ "destination": target, "type": "bind", "source": source, "options": ["bind"] });
            push(&mut config["mounts"], bind);
        }
        Ok(config)
    }
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

/// As the kernel has it in memory.
fn bytes(instruction: &seccomp::Instruction) -> Vec<u8> {
    let code = instruction.code.to_ne_bytes();
    [&code[..], &[instruction.jt, instruction.jf], &instruction.k.to_ne_bytes()].concat()
}

fn make_directory(path: &Path) -> Outcome<()> {
    fs::create_dir(path).map_err(|e| format!("mkdir {}: {e}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes).map_err(|e| format!("write {}: {e}", path.display()))
}
