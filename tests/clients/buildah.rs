//! Buildah with the door as its runtime: a build whose steps run in containers, and a container of its own.

use crate::group::Group;
use crate::image;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Door, Output, names, privileged};

/// As Podman's: limits below the machine's.
const CONFIGURATION: &str = "[containers]\ndefault_ulimits = [\"nofile=512:512\", \"nproc=512:512\"]\n";

/// Each step sees what those before it have done; the second runs as another user, the third has the build's arguments.
const BUILD: &str = "FROM localhost/bb
ARG WORD
RUN echo one > /steps && test $$ -lt 10
USER 1000
RUN id -u > /tmp/two && ! touch /three 2>/dev/null
USER 0
RUN echo two $(cat /tmp/two) >> /steps && echo $WORD >> /steps
";

struct Buildah {
    group: Group,
    door: Door,
}

impl Buildah {
    /// `None`, with the skip noted, where something is missing.
    fn new() -> Option<Self> {
        if !privileged::root() || !privileged::program("buildah", "buildah") {
            return None;
        }
        let buildah = Self { group: Group::new("buildah"), door: Door::new() };
        let dir = buildah.dir();
        fs::write(dir.join("containers.conf"), CONFIGURATION).unwrap();
        fs::write(dir.join("policy.json"), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
        let archive = image::oci_archive(dir);
        let source = format!("oci-archive:{}", archive.display());
        let pulled = buildah.ok(&["pull", "--signature-policy", &buildah.file("policy.json"), &source]);
        buildah.ok(&["tag", pulled.stdout.trim(), "localhost/bb"]);
        Some(buildah)
    }

    fn dir(&self) -> &Path {
        self.door.directory()
    }

    fn file(&self, name: &str) -> String {
        self.dir().join(name).to_str().unwrap().to_owned()
    }

    fn buildah<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let mut command = Command::new("buildah");
        for (option, name) in [("--root", "storage"), ("--runroot", "run")] {
            command.arg(option).arg(self.dir().join(name));
        }
        command.args(["--storage-driver", "vfs"]).args(args).stdin(Stdio::null());
        command.env("CONTAINERS_CONF", self.dir().join("containers.conf")).env("TMPDIR", self.dir());
        command.env("BUILDAH_ISOLATION", "oci").env("BUILDAH_RUNTIME", testkit::forgeone());
        command.env("FORGEONE_TEST", names::process_prefix());
        self.door.finish(&mut command)
    }

    #[track_caller]
    fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let output = self.buildah(args);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        let output = self.buildah(&["rm", "--all"]);
        assert!(output.code == 0 || std::thread::panicking(), "{}", output.stderr);
    }
}

#[test]
fn buildah_builds_an_image_in_three_steps() {
    let Some(buildah) = Buildah::new() else { return };
    let (context, policy, door) = (buildah.file("context"), buildah.file("policy.json"), testkit::forgeone());
    fs::create_dir(&context).unwrap();
    fs::write(buildah.dir().join("context/Containerfile"), BUILD).unwrap();
    let build =
        ["bud", "--runtime", door.to_str().unwrap(), "--signature-policy", &policy, "--network", "none"];
    let ours =
        ["--cgroup-parent", buildah.group.path(), "--build-arg", "WORD=three", "--tag", "built", &context];
    let output = buildah.ok(&[&build[..], &ours].concat());
    assert!(output.stdout.contains("STEP 7/7"), "{}", output.stdout);
    let failing = buildah.dir().join("context/Failing");
    fs::write(&failing, "FROM localhost/bb\nRUN exit 3\n").unwrap();
    let output = buildah.buildah(&[&build[..], &["--file", failing.to_str().unwrap(), &context]].concat());
    assert!(output.code != 0 && output.stderr.contains("exit status 3"), "{output:?}");

    let built = buildah.ok(&["from", "--signature-policy", &policy, "built"]).stdout;
    let run = ["run", "--runtime", door.to_str().unwrap(), "--network", "none", built.trim(), "--"];
    assert_eq!(buildah.ok(&[&run[..], &["cat", "/steps"]].concat()).stdout, "one\ntwo 1000\nthree\n");
    let output = buildah.buildah(&[&run[..], &["sh", "-c", "echo out; echo err >&2; exit 3"]].concat());
    assert_eq!((output.code, output.stdout.as_str()), (3, "out\n"), "{}", output.stderr);
    // Its config lists ambient capabilities that aren't inheritable, of which a runtime warns.
    assert!(output.stderr.lines().any(|line| line == "err"), "{}", output.stderr);
}
