//! A pod as the kubelet makes it: a sandbox of the runtime class `forgeone`, and a container in it.

use super::message::{Answer, Message, call};
use super::{Containerd, For};
use crate::image;
use std::fs;
use testkit::{eventually, privileged};

/// `ContainerState` of api.proto.
const RUNNING: u64 = 1;
const EXITED: u64 = 2;
/// `NamespaceMode.NODE` of api.proto: the host's.
const NODE: u64 = 2;

/// Pods get addresses in a network of the room.
const NETWORK: &str = r#"{
  "cniVersion": "0.4.0", "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": { "type": "host-local", "subnet": "10.88.0.0/24", "dataDir": "/run/cni", "routes": [{ "dst": "0.0.0.0/0" }] }
  }]
}"#;

struct Kubelet(Containerd);

impl Kubelet {
    fn new() -> Option<Self> {
        if !privileged::program("curl", "curl") || !privileged::file("/usr/lib/cni/ptp") {
            return None;
        }
        let containerd = Containerd::new(For::Pods)?;
        // containerd watches the directory.
        fs::write(containerd.dir().join("cni/pods.conflist"), NETWORK).unwrap();
        let kubelet = Self(containerd);
        eventually("the network is ready", || ready(&kubelet.ok("Status", &Message::new()).message(1)));
        Some(kubelet)
    }

    fn call(&self, method: &str, request: &Message) -> Result<Answer, String> {
        call(&self.0.dir().join("containerd.sock"), self.0.dir(), method, request)
    }

    #[track_caller]
    fn ok(&self, method: &str, request: &Message) -> Answer {
        self.call(method, request).unwrap_or_else(|e| panic!("{method}: {e}"))
    }

    /// `PodSandboxConfig`.
    fn pod(&self, name: &str, host_network: bool) -> Message {
        let metadata = Message::new().text(1, name).text(2, name).text(3, "default");
        let namespaces = Message::new().number(1, if host_network { NODE } else { 0 });
        let security = Message::new().message(1, &namespaces);
        let linux = Message::new().text(1, self.0.group.path()).message(2, &security);
        let dns = Message::new().text(1, "10.0.0.1");
        let logs = self.0.dir().join("logs");
        // A host's network comes with its name.
        let hostname = if host_network { "" } else { "in-the-pod" };
        let pod = Message::new().message(1, &metadata).text(2, hostname).text(3, logs.to_str().unwrap());
        pod.message(4, &dns).message(8, &linux)
    }

    fn run_pod(&self, pod: &Message) -> String {
        self.ok("RunPodSandbox", &Message::new().message(1, pod).text(2, "forgeone")).text(1)
    }

    /// Creates and starts a container that runs a line of shell.
    fn run(&self, pod: (&str, &Message), name: &str, line: &str) -> String {
        let metadata = Message::new().text(1, name);
        let image = Message::new().text(1, image::NAME);
        // LinuxContainerResources: memory_limit_in_bytes; LinuxContainerSecurityContext: run_as_user.
        let user = Message::new().number(1, 1000);
        let linux = Message::new()
            .message(1, &Message::new().number(4, 32 << 20))
            .message(2, &Message::new().message(5, &user));
        let container = ["sh", "-c", line]
            .iter()
            .fold(Message::new().message(1, &metadata).message(2, &image), |message, word| {
                message.text(3, word)
            });
        let container = container.text(11, &format!("{name}.log")).message(15, &linux);
        let request = Message::new().text(1, pod.0).message(2, &container).message(3, pod.1);
        let id = self.ok("CreateContainer", &request).text(1);
        self.ok("StartContainer", &Message::new().text(1, &id));
        id
    }

    /// `ContainerStatus`: the state and the exit code.
    fn status(&self, id: &str) -> (u64, u64) {
        let status = self.ok("ContainerStatus", &Message::new().text(1, id)).message(1);
        (status.number(3), status.number(7))
    }

    /// `ExecSync`: exit code and output.
    #[track_caller]
    fn exec(&self, id: &str, line: &str) -> (u64, String) {
        let request = ["sh", "-c", line].iter().fold(Message::new().text(1, id), |m, word| m.text(2, word));
        let answer = self.ok("ExecSync", &request.number(3, 60));
        (answer.number(3), answer.text(1))
    }

    fn remove(&self, pod: &str) {
        self.ok("StopPodSandbox", &Message::new().text(1, pod));
        self.ok("RemovePodSandbox", &Message::new().text(1, pod));
        self.0.group.await_empty();
    }
}

/// Whether all conditions of a `RuntimeStatus` are met.
fn ready(status: &Answer) -> bool {
    status.messages(1).iter().all(|condition| condition.number(2) == 1)
}

#[test]
fn a_pod_has_a_container_with_its_network_and_host_name() {
    let Some(kubelet) = Kubelet::new() else { return };
    let config = kubelet.pod("web", false);
    let pod = kubelet.run_pod(&config);
    let script = "echo out; echo err >&2; trap 'exit 4' TERM; while :; do sleep 0.01; done";
    let id = kubelet.run((&pod, &config), "one", script);
    assert_eq!(kubelet.status(&id), (RUNNING, 0));
    let address = "ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4";
    assert_eq!(kubelet.exec(&id, address), (0, "10.88.0.2/24\n".into()));
    let line = "hostname; id -u; cat /sys/fs/cgroup/memory/memory.limit_in_bytes; exit 7";
    assert_eq!(kubelet.exec(&id, line), (7, "in-the-pod\n1000\n33554432\n".into()));
    let other = kubelet.run((&pod, &config), "two", "readlink /proc/self/ns/net; hostname");
    eventually("the other has ended", || kubelet.status(&other) == (EXITED, 0));
    let log = |name: &str| fs::read_to_string(kubelet.0.dir().join("logs").join(name)).unwrap();
    let network = kubelet.exec(&id, "readlink /proc/self/ns/net").1;
    assert!(log("two.log").contains(&format!("stdout F {network}")), "{}", log("two.log"));

    kubelet.ok("StopContainer", &Message::new().text(1, &id).number(2, 60));
    assert_eq!(kubelet.status(&id), (EXITED, 4));
    let lines = log("one.log");
    assert!(lines.contains("stdout F out\n") && lines.contains("stderr F err\n"), "{lines}");
    kubelet.ok("RemoveContainer", &Message::new().text(1, &id));
    kubelet.remove(&pod);
}

#[test]
fn a_pods_container_gets_other_limits_while_it_runs() {
    let Some(kubelet) = Kubelet::new() else { return };
    let config = kubelet.pod("web", true);
    let pod = kubelet.run_pod(&config);
    let id = kubelet.run((&pod, &config), "one", "exec sleep 1000");
    let limits = Message::new().number(3, 77).number(4, 64 << 20);
    kubelet.ok("UpdateContainerResources", &Message::new().text(1, &id).message(2, &limits));
    let line = "cd /sys/fs/cgroup; cat cpu/cpu.shares memory/memory.limit_in_bytes";
    assert_eq!(kubelet.exec(&id, line), (0, "77\n67108864\n".into()));
    // ContainerStats: memory, its usage.
    let stats = kubelet.ok("ContainerStats", &Message::new().text(1, &id)).message(1);
    assert!(stats.message(3).message(2).number(1) > 0, "{stats:?}");
    kubelet.remove(&pod);
}

#[test]
fn a_pods_container_that_lacks_memory_says_so() {
    let Some(kubelet) = Kubelet::new() else { return };
    let config = kubelet.pod("web", true);
    let pod = kubelet.run_pod(&config);
    let id = kubelet.run((&pod, &config), "one", "exec tail /dev/zero");
    eventually("it has ended", || kubelet.status(&id) == (EXITED, 137));
    // ContainerStatus: reason.
    let reason = || kubelet.ok("ContainerStatus", &Message::new().text(1, &id)).message(1).text(10);
    eventually("the reason is told", || reason() == "OOMKilled");
    kubelet.remove(&pod);
}
