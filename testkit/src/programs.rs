//! Where the programs under test are: named by the environment, otherwise built by cargo.
//!
//! `make test` builds each once and names it, so that a test never waits for a build. A single test that is
//! started by hand has cargo build what is not fresh, and says so: a stale program is never tested.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A program of the workspace that tests run.
struct Program {
    variable: &'static str,
    package: &'static str,
    name: &'static str,
    profile: &'static str,
    /// Built with these, in a folder of its own, so that neither build replaces the other.
    features: Option<&'static str>,
}

/// The release door, as users get it: `FORGEONE_BIN`.
const DOOR: Program = Program {
    variable: "FORGEONE_BIN",
    package: "forgeone",
    name: "forgeone",
    profile: "release",
    features: None,
};

/// The program that tells what it sees inside a container: `FORGEONE_PROBE_BIN`.
const PROBE: Program = Program {
    variable: "FORGEONE_PROBE_BIN",
    package: "testkit",
    name: "probe",
    profile: "ci",
    features: None,
};

/// The launcher that makes newer system calls fail: `FORGEONE_LANE_BIN`.
const LANE: Program = Program {
    variable: "FORGEONE_LANE_BIN",
    package: "testkit",
    name: "lane",
    profile: "ci",
    features: None,
};

/// The hostile program: `FORGEONE_ATTACKER_BIN`.
const ATTACKER: Program = Program {
    variable: "FORGEONE_ATTACKER_BIN",
    package: "testkit",
    name: "attacker",
    profile: "ci",
    features: None,
};

/// A door that fails where it is told to, and lacks the defence that it is told: `FORGEONE_FAULTS_BIN`. Never shipped.
const FAULTS: Program = Program {
    variable: "FORGEONE_FAULTS_BIN",
    package: "forgeone",
    name: "forgeone",
    profile: "ci",
    features: Some("faults"),
};

/// What the door hands over to for containers from images: `FORGEONE_STANDALONE_BIN`.
const STANDALONE: Program = Program {
    variable: "FORGEONE_STANDALONE_BIN",
    package: "forgeone-standalone",
    name: "forgeone-standalone",
    profile: "ci",
    features: None,
};

/// What the door hands over to for images: `FORGEONE_IMAGE_BIN`.
const IMAGE: Program = Program {
    variable: "FORGEONE_IMAGE_BIN",
    package: "forgeone-image",
    name: "forgeone-image",
    profile: "ci",
    features: None,
};

/// The standalone program.
pub fn standalone() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| STANDALONE.path()).clone()
}

/// The program for images.
pub fn image() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| IMAGE.path()).clone()
}

/// The door with the fail-points.
pub fn faults() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| FAULTS.path()).clone()
}

/// The release door.
pub fn forgeone() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| DOOR.path()).clone()
}

/// The probe, static: it runs in an empty root file system.
pub fn probe() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| PROBE.path()).clone()
}

/// The launcher that makes newer system calls fail.
pub fn lane() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| LANE.path()).clone()
}

/// The hostile program, static as the probe.
pub fn attacker() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| ATTACKER.path()).clone()
}

/// Builds all of them; gives the variables that name them to the tests.
pub fn build_all() -> Vec<(&'static str, PathBuf)> {
    [DOOR, PROBE, LANE, ATTACKER, FAULTS, STANDALONE, IMAGE]
        .into_iter()
        .map(|program| (program.variable, program.path()))
        .collect()
}

/// The workspace's directory.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit lies in the workspace")
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    workspace().join(named.unwrap_or("target".into()))
}

/// `cargo`, the one that runs the tests, in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace()).stdin(Stdio::null());
    command
}

impl Program {
    fn path(&self) -> PathBuf {
        match std::env::var_os(self.variable) {
            Some(path) => {
                let path = PathBuf::from(path);
                assert!(path.is_file(), "{} names no file: {}", self.variable, path.display());
                path
            }
            None => self.build(),
        }
    }

    fn build(&self) -> PathBuf {
        let Self { variable, package, name, profile, features } = self;
        eprintln!("{variable} is not set: cargo builds {name} (profile {profile}) if it is not fresh");
        let mut build = cargo();
        build.args(["build", "--locked", "--package", package, "--bin", name, "--profile", profile]);
        if let Some(features) = features {
            build.args(["--features", features, "--target-dir"]).arg(target().join(features));
        }
        build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
        let output = build.output().expect("run cargo build");
        assert!(output.status.success(), "cargo build --package {package} --profile {profile} failed");
        executable(&output.stdout, name, None).expect("cargo build tells no executable")
    }
}

/// The executable's path in cargo's messages, one JSON object a line: that of the target of this name and, where
/// several have it, of this source in the workspace.
pub fn executable(messages: &[u8], name: &str, source: Option<&str>) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let is = |path: &str| source.is_none_or(|source| Path::new(path) == workspace().join(source));
    let ours = messages.filter(|message| message["target"]["name"] == name);
    let mut ours = ours.filter(|message| is(message["target"]["src_path"].as_str().unwrap_or_default()));
    ours.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"forgeone"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"probe"},"executable":"/t/probe"}
{"reason":"compiler-artifact","target":{"name":"forgeone"},"executable":"/t/forgeone"}"#;
        assert_eq!(executable(messages, "forgeone", None), Some("/t/forgeone".into()));
        assert_eq!(executable(messages, "other", None), None);
    }
}
