//! containerd with the door as the runtime of its runc shim: as `ctr` asks for it, and as the kubelet does.

mod cri;
mod message;
mod tasks;

use crate::group::Group;
use crate::image;
use crate::room::{Daemon, Room};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Door, Output, eventually, names, privileged};

/// A daemon on directories of its own, in a room of its own, and the image of busybox in both namespaces.
struct Containerd {
    daemon: Daemon,
    room: Room,
    /// Also the name of containerd's namespace, after which it names the cgroup of its containers.
    group: Group,
    door: Door,
}

/// Which of containerd's namespaces an image is for.
enum For {
    Tasks,
    Pods,
}

impl Containerd {
    /// `None`, with the skip noted, where something is missing.
    fn new(what_for: For) -> Option<Self> {
        let there = privileged::root() && privileged::program("containerd", "containerd");
        if !(there && privileged::program("ctr", "containerd")) {
            return None;
        }
        let (door, group) = (Door::new(), Group::new("ctr"));
        let room = Room::new("")?;
        let dir = door.directory();
        ["cni", "logs"].iter().for_each(|name| fs::create_dir(dir.join(name)).unwrap());
        fs::write(dir.join("config.toml"), configuration(dir)).unwrap();
        let mut containerd = room.command("containerd");
        let daemon =
            Daemon::start(containerd.arg("--config").arg(dir.join("config.toml")), &dir.join("daemon.log"));
        let mut containerd = Self { daemon, room, group, door };
        eventually("containerd answers", || {
            containerd.daemon.assert_runs();
            containerd.ctr(["version"]).code == 0
        });
        let archive = image::oci_archive(containerd.dir());
        let namespace = match what_for {
            For::Tasks => containerd.group.name(),
            For::Pods => "k8s.io",
        };
        let archive = archive.to_str().unwrap();
        let import = ["--namespace", namespace, "images", "import", "--snapshotter", "native", archive];
        let output = containerd.ctr(import);
        assert_eq!(output.code, 0, "{}", output.stderr);
        Some(containerd)
    }

    fn dir(&self) -> &Path {
        self.door.directory()
    }

    fn command<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.room.command("ctr");
        command.arg("--address").arg(self.dir().join("containerd.sock"));
        command.args(["--namespace", self.group.name()]);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }

    fn ctr<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.door.finish(&mut self.command(args))
    }

    #[track_caller]
    fn ok<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = self.ctr(args);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Words of `ctr run` with the door.
    fn run_words(&self, options: &[&str], id: &str, command: &[&str]) -> Vec<String> {
        let door = testkit::forgeone();
        let ours = ["run", "--snapshotter", "native", "--runc-binary", door.to_str().unwrap()];
        let words = [&ours[..], options, &[image::NAME, id], command].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn run(&self, options: &[&str], id: &str, command: &[&str]) -> Output {
        self.ctr(self.run_words(options, id, command))
    }
}

/// Where its state, its socket and its plugins' files are; which runtime pods have.
fn configuration(dir: &Path) -> String {
    let (dir, door) = (dir.display(), testkit::forgeone());
    let (image, door) = (image::NAME, door.display());
    format!(
        r#"version = 2
root = "{dir}/containerd"
state = "/run/containerd-state"
[grpc]
  address = "{dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "forgeone"
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.forgeone]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.forgeone.options]
        BinaryName = "{door}"
"#
    )
}
