//! A container of Podman's, on a bridge of netavark's.

use std::fs;
use std::process::{Command, Output, Stdio};
use testkit::Temp;

/// See the module; it is removed on drop.
pub(crate) struct Podman {
    place: String,
    /// Its first process.
    pub(crate) pid: String,
    /// The host's address on its network.
    pub(crate) gateway: String,
}

impl Podman {
    /// One that sleeps, over this root; `None` if Podman or netavark isn't here, or can't start it.
    pub(crate) fn start(temp: &Temp, root: &str) -> Option<Self> {
        let (podman, netavark) = ("podman", "/usr/lib/podman/netavark");
        if !testkit::privileged::program(podman, podman) || !fs::exists(netavark).ok()? {
            return None;
        }
        let place = temp.path().display().to_string();
        // Its default limits may be above what this machine lets anybody have.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\n\
                    [network]\nnetwork_backend = \"netavark\"\n";
        fs::write(temp.path().join("containers.conf"), conf).unwrap();
        let mut made = Self { place, pid: String::new(), gateway: String::new() };
        let mut run =
            vec!["run", "-d", "--network", "podman", "--name", "flow", "--rootfs", root, "sleep", "100000"];
        run.insert(1, "--security-opt=seccomp=unconfined");
        if !made.podman(&run).status.success() {
            return None;
        }
        let told = |made: &Self, field: &str| {
            let output = made.podman(&["inspect", "--format", field, "flow"]);
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        made.pid = told(&made, "{{.State.Pid}}");
        made.gateway = told(&made, "{{.NetworkSettings.Gateway}}");
        (!made.gateway.is_empty()).then_some(made)
    }

    fn podman(&self, words: &[&str]) -> Output {
        let storage = [
            "--root",
            "podman",
            "--runroot",
            "podman-run",
            "--storage-driver",
            "vfs",
            "--log-level",
            "error",
        ];
        let mut command = Command::new("podman");
        command.args(storage).args(words).current_dir(&self.place);
        command.env("CONTAINERS_CONF", format!("{}/containers.conf", self.place));
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.podman(&["rm", "--force", "--time", "0", "flow"]);
    }
}
