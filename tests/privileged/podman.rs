//! Podman with the door as its runtime, as its users call it: exit statuses, output, terminals, limits.
//!
//! Everything of Podman's is in a directory of the test: storage, run directories, configuration, and its
//! containers' cgroups in a group of the test's name. Networks are `none` and `host`: a bridge leaves firewall chains.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Output, eventually, names, privileged};

/// Hard limits that a container asks for must be below the machine's, which can't be raised everywhere.
const CONFIGURATION: &str = r#"
[containers]
default_ulimits = ["nofile=512:512", "nproc=512:512"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// Podman on directories of its own, with an image `bb` of busybox.
struct Podman {
    door: Door,
    group: String,
}

impl Podman {
    /// `None`, with the skip noted, where something is missing.
    fn new() -> Option<Self> {
        let there = privileged::root() && privileged::program("podman", "podman");
        if !(there && privileged::program("conmon", "conmon")) {
            return None;
        }
        let bundle = Bundle::busybox();
        let podman = Self { door: Door::new(), group: names::unique("podman") };
        let dir = podman.door.directory();
        fs::write(dir.join("containers.conf"), CONFIGURATION).unwrap();
        fs::write(dir.join("policy.json"), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
        let tar = dir.join("bb.tar");
        let packed =
            Command::new("tar").arg("-C").arg(bundle.rootfs()).arg("-cf").arg(&tar).arg(".").status();
        assert!(packed.unwrap().success());
        podman.ok(["import", tar.to_str().unwrap(), "bb"]);
        Some(podman)
    }

    fn dir(&self) -> &Path {
        self.door.directory()
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.dir().join(name));
        }
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "vfs"]);
        command.arg("--runtime").arg(testkit::forgeone()).args(args);
        command.env("CONTAINERS_CONF", self.dir().join("containers.conf"));
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }

    fn podman<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.door.finish(&mut self.command(args))
    }

    #[track_caller]
    fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let output = self.podman(args);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output
    }

    /// Words of `podman run`, with a cgroup of ours and no network.
    fn run_words<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        [&["run", "--cgroup-parent", &self.group, "--network=none"], options, &["bb"], command].concat()
    }

    fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.podman(self.run_words(options, command))
    }

    /// What an attached container says; it ends with success and without a word on standard error.
    #[track_caller]
    fn says(&self, options: &[&str], line: &str) -> String {
        let output = self.run(&[&["--rm"], options].concat(), &["sh", "-c", line]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}: {}", output.stdout);
        output.stdout
    }

    fn inspect(&self, name: &str, what: &str) -> String {
        self.ok(["inspect", "--format", what, name]).stdout.trim().to_owned()
    }
}

impl Drop for Podman {
    /// As with runc, the parent groups stay; conmon's own too.
    fn drop(&mut self) {
        let removed = self.podman(["rm", "--all", "--force", "--time", "0"]);
        let mut left = removed.stderr.trim().to_owned();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = hierarchy.path().join(&self.group);
            // conmon goes a moment after its container.
            let gone = |path: &Path| fs::remove_dir(path).is_ok() || !path.exists();
            for below in fs::read_dir(&group).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
                for conmon in
                    fs::read_dir(below.path()).into_iter().flatten().flatten().filter(|e| e.path().is_dir())
                {
                    eventually("conmon is gone", || gone(&conmon.path()));
                }
                eventually("the container's group is gone", || gone(&below.path()));
            }
            if !gone(&group) {
                left += &format!("; {} stays", group.display());
            }
        }
        if !left.is_empty() && !std::thread::panicking() {
            panic!("podman: {left}");
        }
    }
}

#[test]
fn podman_run_gives_output_and_exit_status() {
    let Some(podman) = Podman::new() else { return };
    let output = podman.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    let output = podman.run(&["--rm"], &["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]);
    assert_eq!(output.code, 143, "{}", output.stderr);
}

/// 125: Podman itself; 126: can't be executed; 127: isn't there.
#[test]
fn podman_knows_why_a_program_does_not_start() {
    let Some(podman) = Podman::new() else { return };
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sleep", "1000"]));
    let table: &[(i32, &[&str], &str)] = &[
        (127, &["nosuch"], "executable file not found in $PATH"),
        (127, &["/nosuch"], "no such file or directory"),
        (126, &["/etc"], "permission denied"),
        (126, &["/etc/passwd"], "permission denied"),
        (42, &["sh", "-c", "exit 42"], ""),
    ];
    for (status, command, word) in table {
        for output in [podman.run(&["--rm"], command), podman.podman([&["exec", "web"], *command].concat())] {
            assert_eq!(output.code, *status, "{command:?}: {}", output.stderr);
            assert!(output.stderr.contains(word), "{command:?}: {}", output.stderr);
        }
    }
    let output = podman.podman(["exec", "--workdir", "/nowhere", "web", "true"]);
    assert_eq!(output.code, 127, "{}", output.stderr);
    assert_eq!(podman.run(&["--rm", "--memory", "lots"], &["true"]).code, 125);
    assert_eq!(podman.podman(["exec", "nobody", "true"]).code, 125);
}

#[test]
fn podman_runs_a_container_in_the_background_and_stops_it() {
    let Some(podman) = Podman::new() else { return };
    let script = "echo ready; trap 'echo bye; exit 4' TERM; while :; do sleep 0.01; done";
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sh", "-c", script]));
    eventually("it is ready", || podman.ok(["logs", "web"]).stdout == "ready\n");
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "running");
    let output = podman.ok(["exec", "web", "sh", "-c", "id -u; cat /proc/1/comm"]);
    assert_eq!(output.stdout, "0\nsh\n");
    let output = podman.ok([
        "exec",
        "--user",
        "1000:2000",
        "--env",
        "A=b",
        "--workdir",
        "/tmp",
        "web",
        "sh",
        "-c",
        "echo $(id -u):$(id -g) $A $PWD",
    ]);
    assert_eq!(output.stdout, "1000:2000 b /tmp\n");
    podman.ok(["exec", "--detach", "web", "touch", "/tmp/detached"]);
    eventually("the detached exec has run", || {
        podman.podman(["exec", "web", "test", "-e", "/tmp/detached"]).code == 0
    });
    let titles = podman.ok(["top", "web", "pid", "comm"]).stdout;
    assert!(titles.contains("sh") || titles.contains("busybox"), "{titles}");

    podman.ok(["stop", "--time", "20", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    assert_eq!(podman.ok(["logs", "web"]).stdout, "ready\nbye\n");
    podman.ok(["start", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "running");
    podman.ok(["pause", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.Status}}"), "paused");
    podman.ok(["unpause", "web"]);
    podman.ok(["kill", "--signal", "KILL", "web"]);
    assert_eq!(podman.ok(["wait", "web"]).stdout, "137\n");
    podman.ok(["rm", "web"]);
    assert_eq!(podman.ok(["ps", "--all", "--quiet"]).stdout, "");
}

#[test]
fn podman_gives_a_terminal() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::program("script", "bsdutils") {
        return;
    }
    // script(1) is the user's terminal.
    let in_terminal = |command: &Command| {
        let word = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
        let line: Vec<_> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
        // Its end would be typed into the terminal.
        script.stdin(Stdio::piped());
        for (key, value) in command.get_envs() {
            script.env(key, value.unwrap_or_default());
        }
        podman.door.finish(&mut script)
    };
    let line = "tty; test -t 0 -a -t 1 -a -t 2 && echo terminal; exit 5";
    let output = in_terminal(&podman.command(podman.run_words(&["--rm", "-it"], &["sh", "-c", line])));
    assert_eq!((output.code, output.stdout.as_str()), (5, "/dev/pts/0\r\nterminal\r\n"), "{}", output.stderr);

    podman.ok(podman.run_words(&["--detach", "-t", "--name", "web"], &["sh", "-c", "tty; exec sleep 1000"]));
    eventually("it has said its terminal", || podman.ok(["logs", "web"]).stdout.contains("/dev/pts/0"));
    let output = in_terminal(&podman.command(["exec", "-it", "web", "sh", "-c", line]));
    assert_eq!((output.code, output.stdout.as_str()), (5, "/dev/pts/1\r\nterminal\r\n"), "{}", output.stderr);
}

#[test]
fn podman_passes_standard_input_on() {
    let Some(podman) = Podman::new() else { return };
    let file = podman.dir().join("input");
    fs::write(&file, "some\ninput\n").unwrap();
    let mut command = podman.command(podman.run_words(&["--rm", "-i"], &["wc", "-l"]));
    let output = podman.door.finish(command.stdin(fs::File::open(&file).unwrap()));
    assert_eq!((output.code, output.stdout.trim()), (0, "2"), "{}", output.stderr);
}

#[test]
fn podmans_options_are_seen_inside() {
    let Some(podman) = Podman::new() else { return };
    let output = podman.run(&["--rm", "--read-only"], &["sh", "-c", "touch /x; touch /tmp/x && echo tmp"]);
    assert!(output.stderr.contains("Read-only file system") && output.stdout == "tmp\n", "{output:?}");
    assert_eq!(podman.says(&["--user", "1000:2000"], "echo $(id -u):$(id -g)"), "1000:2000\n");
    assert_eq!(podman.says(&["--user", "user"], "id -un; echo $HOME"), "user\n/home\n");
    assert_eq!(podman.says(&["--hostname", "web"], "hostname"), "web\n");
    assert_eq!(podman.says(&[], "ls /sys/class/net"), "lo\n");
    assert_eq!(
        podman.says(&["--tmpfs", "/t:size=64k"], "df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2"),
        "64\n"
    );
    assert_eq!(
        podman.says(&["--cap-drop", "all"], "grep CapBnd /proc/self/status"),
        "CapBnd:\t0000000000000000\n"
    );
    assert_eq!(
        podman.says(&["--ulimit", "nofile=77:99", "--ulimit", "nproc=512:512"], "ulimit -Sn; ulimit -Hn"),
        "77\n99\n"
    );
    assert_eq!(
        podman.says(&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status"),
        "NoNewPrivs:\t1\n"
    );
    assert_eq!(
        podman.says(&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status"),
        "Seccomp:\t0\n"
    );
    assert_eq!(podman.says(&[], "grep Seccomp: /proc/self/status"), "Seccomp:\t2\n");
    let volume = format!("{}:/v:ro", podman.dir().display());
    assert_eq!(
        podman.says(
            &["--volume", &volume],
            "ls /v/policy.json; touch /v/x 2>&1".replace("touch", "! touch").as_str()
        ),
        "/v/policy.json\ntouch: /v/x: Read-only file system\n"
    );
    let map =
        podman.says(&["--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"], "cat /proc/self/uid_map");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "1000"]);
    let privileged = podman.says(&["--privileged"], "grep CapEff /proc/self/status; ls -d /sys/firmware");
    assert!(!privileged.contains("CapEff:\t00000000800405fb"), "{privileged}");
}

#[test]
fn podmans_limits_are_the_cgroups() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::file("/sys/fs/cgroup/memory/memory.limit_in_bytes") {
        return;
    }
    let options = ["--memory", "32m", "--pids-limit", "50", "--cpus", "0.5"];
    let line = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us";
    assert_eq!(podman.says(&options, line), "33554432\n50\n50000\n");
    let output =
        podman.run(&["--rm", "--memory", "16m", "--memory-swap", "16m"], &["sh", "-c", "tail /dev/zero"]);
    assert_eq!(output.code, 137, "{}", output.stderr);
}

#[test]
fn podman_shares_the_hosts_network() {
    let Some(podman) = Podman::new() else { return };
    let words = [
        "run",
        "--rm",
        "--cgroup-parent",
        &podman.group,
        "--network=host",
        "bb",
        "readlink",
        "/proc/self/ns/net",
    ];
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(podman.ok(words).stdout.trim(), ours.to_str().unwrap());
}

#[test]
fn podmans_containers_share_namespaces_with_each_other() {
    let Some(podman) = Podman::new() else { return };
    podman.ok(podman.run_words(&["--detach", "--name", "web"], &["sleep", "1000"]));
    let link =
        "readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts; ls -d /proc/1; cat /proc/1/comm";
    let theirs = podman.ok(["exec", "web", "sh", "-c", link]).stdout;
    let words = [
        "run",
        "--rm",
        "--cgroup-parent",
        &podman.group,
        "--network=container:web",
        "--ipc=container:web",
        "--uts=container:web",
        "--pid=container:web",
        "bb",
        "sh",
        "-c",
        link,
    ];
    assert_eq!(podman.ok(words).stdout, theirs);
}
