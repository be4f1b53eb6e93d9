//! Who is compared: the floor, ForgeOne, and the runtimes that are installed.

use crate::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that runs containers.
pub(crate) struct Peer {
    /// As in the tables.
    pub(crate) name: &'static str,
    /// A copy that every user may execute.
    pub(crate) program: PathBuf,
    /// What it says about itself.
    pub(crate) version: String,
    /// What it needs on its command line where an ordinary user may write no cgroup.
    pub(crate) without_cgroup: &'static [&'static str],
    /// What its `exec` needs to confine a program as the config does.
    pub(crate) exec: &'static [&'static str],
}

/// The floor's name: it has no subcommands of a runtime.
pub(crate) const FLOOR: &str = "floor";
/// The name of ours.
pub(crate) const OURS: &str = "forgeone";
/// The one that goals are told by.
pub(crate) const CRUN: &str = "crun";

/// A runtime that may be installed.
struct Runtime {
    name: &'static str,
    /// The variable that names another build of it.
    variable: &'static str,
    /// How it is had.
    package: &'static str,
    without_cgroup: &'static [&'static str],
    exec: &'static [&'static str],
}

const RUNTIMES: [Runtime; 4] = [
    Runtime {
        name: OURS,
        variable: "FORGEONE_BIN",
        package: "cargo build --release --package forgeone",
        without_cgroup: &[],
        exec: &[],
    },
    Runtime {
        name: CRUN,
        variable: "CRUN",
        package: "Debian package crun",
        without_cgroup: &["--cgroup-manager=disabled"],
        exec: &["--no-new-privs"],
    },
    Runtime {
        name: "runc",
        variable: "RUNC",
        package: "Debian package runc",
        without_cgroup: &[],
        exec: &[],
    },
    Runtime {
        name: "youki",
        variable: "YOUKI",
        package: ".ci/peers builds it from crates.io",
        without_cgroup: &[],
        exec: &[],
    },
];

impl Peer {
    /// Whether it is the floor.
    pub(crate) fn is_floor(&self) -> bool {
        self.name == FLOOR
    }
}

/// All that are there, copied into `into`; and those that aren't, with the reason.
pub(crate) fn find(into: &Path) -> Outcome<(Vec<Peer>, Vec<String>)> {
    let floor = copy(&beside(FLOOR)?, into, FLOOR)?;
    let kernel = "(the kernel's part only)".to_owned();
    let mut peers =
        vec![Peer { name: FLOOR, program: floor, version: kernel, without_cgroup: &[], exec: &[] }];
    let mut absent = Vec::new();
    for Runtime { name, variable, package, without_cgroup, exec } in RUNTIMES {
        match installed(name, variable) {
            Some(program) => {
                let version = version(&program)?;
                let program = copy(&program, into, name)?;
                peers.push(Peer { name, program, version, without_cgroup, exec });
            }
            None if name == OURS => return Err(format!("no forgeone: {package}")),
            None => absent.push(format!("{name} is not installed ({package})")),
        }
    }
    Ok((peers, absent))
}

/// A program that was built with this one.
pub(crate) fn beside(name: &str) -> Outcome<PathBuf> {
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let path = own.with_file_name(name);
    path.is_file().then_some(path).ok_or_else(|| format!("{name} is not beside {}", own.display()))
}

/// Named by the variable, built beside this program, got by `.ci/peers`, or installed.
fn installed(name: &str, variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let cache = std::env::var_os("FORGEONE_BENCH_CACHE").unwrap_or("/var/cache/forgeone-bench".into());
    let got = Path::new(&cache).join("bin").join(name);
    let candidates = [named, beside(name).ok(), Some(got)].into_iter().flatten();
    candidates.into_iter().find(|path| path.is_file()).or_else(|| testkit::privileged::find_program(name))
}

/// The first line of `--version`, without the program's name.
fn version(program: &Path) -> Outcome<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{} --version: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
}

fn copy(program: &Path, into: &Path, name: &str) -> Outcome<PathBuf> {
    let path = into.join(name);
    fs::copy(program, &path).map_err(|e| format!("copy {}: {e}", program.display()))?;
    Ok(path)
}
