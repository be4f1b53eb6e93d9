//! Docker with the door as a runtime of its daemon, in a room of its own with its own bridge and firewall.

use crate::client::Client;
use crate::group::Group;
use crate::room::{Daemon, Room};
use crate::{image, terminal};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Door, eventually, names, privileged};

/// The client that comes with the daemon: one of another version may refuse it.
const CLIENT: &str = "/usr/bin/docker";

/// A daemon on directories of its own, with an image `bb` of busybox.
struct Docker {
    daemon: Daemon,
    room: Room,
    group: Group,
    door: Door,
}

impl Docker {
    /// `None`, with the skip noted, where something is missing.
    fn new() -> Option<Self> {
        let there = privileged::root() && privileged::program("dockerd", "docker.io");
        if !(there && privileged::file(CLIENT)) {
            return None;
        }
        let (door, group) = (Door::new(), Group::new("docker"));
        let room = Room::new("")?;
        let dir = door.directory();
        let mut dockerd = room.command("dockerd");
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "docker.pid")]
        {
            dockerd.arg(option).arg(dir.join(name));
        }
        dockerd.arg("--host").arg(socket(dir)).arg("--config-file").arg(dir.join("daemon.json"));
        fs::write(dir.join("daemon.json"), "{}").unwrap();
        dockerd.args(["--storage-driver", "vfs", "--bip", "10.89.0.1/24"]);
        dockerd.arg(format!("--add-runtime=forgeone={}", testkit::forgeone().display()));
        dockerd.args(["--default-runtime", "forgeone", "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        dockerd.args(["--cgroup-parent", group.path()]);
        // Hard limits can't be raised everywhere.
        dockerd.args(["--default-ulimit", "nofile=512:512"]);
        let daemon = Daemon::start(&mut dockerd, &dir.join("daemon.log"));
        let mut docker = Self { daemon, room, group, door };
        eventually("dockerd answers", || {
            docker.daemon.assert_runs();
            docker.answer(["version"]).code == 0
        });
        let tar = image::tar(docker.dir());
        docker.ok(["import", tar.to_str().unwrap(), "bb"]);
        Some(docker)
    }

    fn dir(&self) -> &Path {
        self.door.directory()
    }
}

impl Client for Docker {
    fn door(&self) -> &Door {
        &self.door
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.room.command(CLIENT);
        command.arg("--host").arg(socket(self.dir())).args(args).env("DOCKER_CONFIG", self.dir());
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }

    fn run_words<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        [&["run"], options, &["bb"], command].concat()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.answer(["ps", "--all", "--quiet"]).stdout;
        let mut said = String::new();
        for id in all.lines() {
            said += &self.answer(["rm", "--force", "--volumes", id]).stderr;
        }
        if std::thread::panicking() {
            return;
        }
        assert_eq!(said, "");
        self.group.await_empty();
    }
}

fn socket(dir: &Path) -> String {
    format!("unix://{}", dir.join("docker.sock").display())
}

#[test]
fn docker_run_gives_output_and_exit_status() {
    let Some(docker) = Docker::new() else { return };
    let output = docker.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    // 126: can't be executed; 127: isn't there.
    docker.start("web", &[], &["sleep", "1000"]);
    for (status, program) in [(127, "nosuch"), (127, "/nosuch"), (126, "/etc"), (126, "/etc/passwd")] {
        let output = docker.run(&["--rm"], &[program]);
        assert_eq!(output.code, status, "{program}: {}{}", output.stdout, output.stderr);
        // Docker 20 says 126 for both of an exec.
        let output = docker.answer(["exec", "web", program]);
        assert!([126, status].contains(&output.code), "{program}: {}{}", output.stdout, output.stderr);
    }
    let input = docker.dir().join("input");
    fs::write(&input, "some\ninput\n").unwrap();
    let mut command = docker.command(["run", "--rm", "-i", "bb", "wc", "-l"]);
    let output = docker.door.finish(command.stdin(fs::File::open(&input).unwrap()));
    assert_eq!((output.code, output.stdout.trim()), (0, "2"), "{}", output.stderr);
    if let Some(mut command) = terminal::in_terminal(&docker.command(["run", "--rm", "-it", "bb", "tty"])) {
        let output = docker.door.finish(&mut command);
        assert_eq!((output.code, output.stdout.as_str()), (0, "/dev/pts/0\r\n"), "{}", output.stderr);
    }
}

#[test]
fn docker_keeps_a_container_in_the_background() {
    let Some(docker) = Docker::new() else { return };
    let script = "echo ready; trap 'echo bye; exit 4' TERM; while :; do sleep 0.01; done";
    docker.start("web", &["--memory", "32m"], &["sh", "-c", script]);
    eventually("it is ready", || docker.ok(["logs", "web"]).stdout == "ready\n");
    let exec = ["exec", "--user", "1000:2000", "--env", "A=b", "--workdir", "/tmp", "web", "sh", "-c"];
    let output = docker.answer([&exec[..], &["echo $(id -u):$(id -g) $A $PWD; exit 7"]].concat());
    assert_eq!((output.code, output.stdout.as_str()), (7, "1000:2000 b /tmp\n"), "{}", output.stderr);
    let format = "{{.MemUsage}}";
    let stats = docker.ok(["stats", "--no-stream", "--format", format, "web"]).stdout;
    assert!(stats.trim().ends_with("/ 32MiB") && !stats.starts_with("0B"), "{stats}");
    assert!(docker.ok(["top", "web"]).stdout.contains("sh -c"));

    docker.ok(["pause", "web"]);
    assert_eq!(docker.inspect("web", "{{.State.Status}}"), "paused");
    docker.ok(["unpause", "web"]);
    let file = docker.dir().join("file");
    fs::write(&file, "text\n").unwrap();
    docker.ok(["cp", file.to_str().unwrap(), "web:/file"]);
    assert_eq!(docker.exec("web", "cat /file"), "text");

    let pid = docker.inspect("web", "{{.State.Pid}}");
    docker.ok(["restart", "--time", "20", "web"]);
    assert_ne!(docker.inspect("web", "{{.State.Pid}}"), pid);
    eventually("it is ready again", || docker.ok(["logs", "web"]).stdout == "ready\nbye\nready\n");
    docker.ok(["stop", "--time", "20", "web"]);
    assert_eq!(docker.inspect("web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    docker.ok(["start", "web"]);
    docker.ok(["kill", "web"]);
    assert_eq!(docker.ok(["wait", "web"]).stdout, "137\n");
}

#[test]
fn dockers_update_changes_limits_while_the_container_runs() {
    let Some(docker) = Docker::new() else { return };
    if !privileged::file("/sys/fs/cgroup/memory/memory.limit_in_bytes") {
        return;
    }
    docker.start("web", &["--memory", "32m", "--memory-swap", "32m"], &["sleep", "1000"]);
    let update =
        ["update", "--memory", "64m", "--memory-swap", "64m", "--cpu-shares", "512", "--cpus", "0.5"];
    docker.ok([&update[..], &["web"]].concat());
    let line = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us";
    assert_eq!(docker.exec("web", line), "67108864\n512\n50000");
}

#[test]
fn docker_says_that_memory_was_lacking() {
    let Some(docker) = Docker::new() else { return };
    let options = ["--name", "greedy", "--memory", "16m", "--memory-swap", "16m"];
    let output = docker.run(&options, &["tail", "/dev/zero"]);
    assert_eq!(output.code, 137, "{}", output.stderr);
    assert_eq!(docker.inspect("greedy", "{{.State.OOMKilled}}"), "true");
    docker.ok(["rm", "greedy"]);
}

#[test]
fn docker_restarts_and_watches_containers() {
    let Some(docker) = Docker::new() else { return };
    docker.start("failing", &["--restart", "on-failure:2"], &["sh", "-c", "echo again; exit 3"]);
    let count = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}";
    eventually("it has been restarted", || docker.inspect("failing", count) == "2 exited 3");
    assert_eq!(docker.ok(["logs", "failing"]).stdout, "again\n".repeat(3));
    let health = ["--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "1"];
    docker.start("web", &[&health[..], &["--init"]].concat(), &["sleep", "1000"]);
    assert_eq!(docker.exec("web", "cat /proc/1/comm"), "docker-init");
    let is = |status: &str| docker.inspect("web", "{{.State.Health.Status}}") == status;
    eventually("it is unhealthy", || is("unhealthy"));
    docker.exec("web", "touch /ok");
    eventually("it is healthy", || is("healthy"));
}

#[test]
fn dockers_options_are_seen_inside() {
    let Some(docker) = Docker::new() else { return };
    let line = "touch /x 2>/dev/null || echo read-only; df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2";
    assert_eq!(docker.says(&["--read-only", "--tmpfs", "/t:size=64k"], line), "read-only\n64\n");
    assert_eq!(docker.says(&["--user", "1000:2000"], "echo $(id -u):$(id -g)"), "1000:2000\n");
    let sysctl = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=77"];
    assert_eq!(docker.says(&sysctl, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "77\n");
    if privileged::file("/dev/fuse") {
        let line = "(exec 3</dev/f) && echo readable; (exec 3>/dev/f) 2>/dev/null || echo refused";
        assert_eq!(docker.says(&["--device", "/dev/fuse:/dev/f:r"], line), "readable\nrefused\n");
    }
    assert_eq!(docker.says(&["--ulimit", "nofile=77:99"], "ulimit -Sn; ulimit -Hn"), "77\n99\n");
    assert_eq!(
        docker.says(&["--cap-drop", "all"], "grep CapBnd /proc/self/status"),
        "CapBnd:\t0000000000000000\n"
    );
    assert_eq!(
        docker.says(&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status"),
        "NoNewPrivs:\t1\n"
    );
    assert_eq!(docker.says(&[], "grep Seccomp: /proc/self/status"), "Seccomp:\t2\n");
    let volume = format!("{}:/v:ro", docker.dir().display());
    let line = "ls /v/daemon.json; touch /v/x 2>/dev/null || echo read-only";
    assert_eq!(docker.says(&["--volume", &volume], line), "/v/daemon.json\nread-only\n");
}

#[test]
fn dockers_containers_reach_each_other() {
    let Some(docker) = Docker::new() else { return };
    docker.start("web", &["--ipc", "shareable"], &["sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    let address = docker.inspect("web", "{{.NetworkSettings.IPAddress}}");
    assert!(address.starts_with("10.89.0."), "{address}");
    let line = format!("until nc {address} 80 </dev/null; do :; done");
    assert_eq!(docker.says(&[], &line), "hello\n");
    let shared = ["--network", "container:web", "--pid", "container:web", "--ipc", "container:web"];
    let links = "for name in net pid ipc; do readlink /proc/self/ns/$name; done";
    assert_eq!(docker.says(&shared, links).trim(), docker.exec("web", links));
}
