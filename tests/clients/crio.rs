//! CRI-O's way of calling a runtime. Debian doesn't have CRI-O, so that its calls are repeated here: containers are
//! made by conmon, which gets `--log-format json`; programs are executed from a file (`exec --process`); the rest are
//! commands of the runtime itself (cri-o, internal/oci/runtime_oci.go).

use crate::group::{self, Group};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use testkit::{Bundle, Door, Output, eventually, names, privileged};

/// conmon is given descriptors: it waits for a byte in one, and tells the process id in the other.
const CONMON: &str = "exec conmon \"$@\" 3>\"$SYNC\" 4<\"$START\"";

/// Whose the containers' groups are.
#[derive(Clone, Copy, PartialEq)]
enum Driver {
    Cgroupfs,
    Systemd,
}

/// A container of CRI-O's.
struct Container {
    id: String,
    driver: Driver,
    bundle: Bundle,
    group: Group,
    door: Door,
}

impl Container {
    /// Created by conmon, from a bundle; `None`, with the skip noted, where something is missing.
    fn create(bundle: Bundle, driver: Driver) -> Option<Self> {
        if !privileged::root() || !privileged::program("conmon", "conmon") {
            return None;
        }
        if driver == Driver::Systemd && !privileged::systemd() {
            return None;
        }
        let (door, group) = (Door::new(), Group::new("crio"));
        let id = door.id("crio");
        let path = match driver {
            Driver::Cgroupfs => format!("{}/crio-{id}", group.path()),
            Driver::Systemd => format!("system.slice:crio:{id}"),
        };
        let bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(path));
        for name in ["exits", "persist", "attach"] {
            fs::create_dir(door.directory().join(name)).unwrap();
        }
        fs::write(door.directory().join("start"), "x").unwrap();
        Some(Self { id, driver, bundle, group, door })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.door.directory().join(name)
    }

    /// conmon with what both of its uses need.
    fn conmon(&self, pid_file: &str, sync: &str) -> Command {
        let mut conmon = Command::new("sh");
        conmon.args(["-c", CONMON, "conmon", "--cid", &self.id, "--cuuid", &self.id, "--name", "web"]);
        conmon.arg("--runtime").arg(testkit::forgeone());
        conmon.arg(format!("--runtime-arg=--root={}", self.door.root().display()));
        conmon.arg("--runtime-arg=--log-format=json");
        if self.driver == Driver::Systemd {
            conmon.arg("--systemd-cgroup");
        }
        conmon.arg(format!("--runtime-arg=--log={}", self.file("runtime.log").display()));
        conmon.arg("--bundle").arg(self.bundle.path());
        conmon.arg("--container-pidfile").arg(self.file(pid_file));
        conmon.arg("--exit-dir").arg(self.file("exits")).arg("--persist-dir").arg(self.file("persist"));
        conmon.arg("--socket-dir-path").arg(self.file("attach"));
        conmon.env("SYNC", self.file(sync)).env("_OCI_SYNCPIPE", "3");
        conmon.env("START", self.file("start")).env("_OCI_STARTPIPE", "4");
        conmon.env("FORGEONE_TEST", names::process_prefix());
        conmon
    }

    /// Creates it; gives what conmon tells.
    fn made(&self) -> (Output, Value) {
        let mut conmon = self.conmon("pid", "created");
        conmon.arg("--log-path").arg(self.file("log")).arg("--conmon-pidfile").arg(self.file("conmon.pid"));
        let output = self.door.finish(&mut conmon);
        (output, self.told("created"))
    }

    /// The first line that conmon has written for its caller.
    fn told(&self, sync: &str) -> Value {
        let told = || fs::read_to_string(self.file(sync)).unwrap_or_default();
        eventually("conmon has told", || told().contains('\n'));
        serde_json::from_str(told().lines().next().unwrap()).unwrap()
    }

    /// Executes a program as `ExecSync` does; gives its exit status, and what is in its log.
    fn exec_sync(&self, name: &str, process: &Value) -> (Value, String) {
        fs::write(self.file(&format!("{name}.json")), process.to_string()).unwrap();
        let mut conmon = self.conmon(&format!("{name}.pid"), name);
        conmon.arg("--exec").arg("--exec-process-spec").arg(self.file(&format!("{name}.json")));
        conmon.arg("--log-path").arg(self.file(&format!("{name}.log"))).args(["--timeout", "60", "--sync"]);
        let output = self.door.finish(&mut conmon);
        let log = || fs::read_to_string(self.file(&format!("{name}.log"))).unwrap_or_default();
        let told = || fs::read_to_string(self.file(name)).unwrap_or_default();
        eventually("conmon has told the exit", || told().contains("exit_code") || output.code != 0);
        let last = told().lines().last().unwrap_or_default().to_owned();
        (serde_json::from_str(&last).unwrap_or(Value::Null), log())
    }

    /// A file of its group, in the hierarchy of a controller.
    fn limit(&self, controller: &str, file: &str) -> String {
        let pid = self.door.state(&self.id)["pid"].to_string();
        fs::read_to_string(group::of_process(&pid, controller).join(file)).unwrap().trim().to_owned()
    }

    fn exit_status(&self) -> Option<String> {
        fs::read_to_string(self.file("exits").join(&self.id)).ok()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let deleted = self.door.run(["delete", "--force", &self.id]);
        if !std::thread::panicking() {
            assert_eq!(deleted.code, 0, "{}", deleted.stderr);
            self.group.await_empty();
        }
    }
}

#[test]
fn crio_creates_starts_executes_and_deletes() {
    lives(Driver::Cgroupfs);
}

#[test]
fn crio_creates_starts_executes_and_deletes_with_systemd() {
    lives(Driver::Systemd);
}

fn lives(driver: Driver) {
    let script = "echo ready; trap 'exit 4' TERM; while :; do sleep 0.01; done";
    let Some(container) = Container::create(Bundle::busybox().shell(script), driver) else { return };
    let (output, told) = container.made();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let state = container.door.state(&container.id);
    assert_eq!((&state["status"], &state["pid"]), (&json!("created"), &told["pid"]), "{told}");
    container.door.ok(["start", &container.id]);
    if driver == Driver::Systemd {
        let group = group::of_process(&told["pid"].to_string(), "pids");
        assert!(group.ends_with(format!("system.slice/crio-{}.scope", container.id)), "{group:?}");
    }
    let log = || fs::read_to_string(container.file("log")).unwrap();
    eventually("its output is in the log", || log().contains(" stdout F ready\n"));

    let process = json!({
        "args": ["sh", "-c", "echo $A $(id -u) $PWD; echo err >&2; grep NoNewPrivs /proc/self/status; exit 7"],
        "env": ["A=b", "PATH=/bin"], "cwd": "/tmp", "user": { "uid": 1000, "gid": 1000 },
        "noNewPrivileges": true, "terminal": false,
    });
    let (exit, log) = container.exec_sync("exec", &process);
    assert_eq!(exit["exit_code"], 7, "{exit} {log}");
    assert!(log.contains(" stdout F b 1000 /tmp\n") && log.contains(" stderr F err\n"), "{log}");
    assert!(log.contains("NoNewPrivs:\t1\n"), "{log}");
    // Where somebody is attached, the runtime is called without conmon.
    let process = container.file("exec.json");
    let output = container.door.run(["exec", "--process", process.to_str().unwrap(), &container.id]);
    assert_eq!((output.code, output.stdout.lines().next()), (7, Some("b 1000 /tmp")), "{}", output.stderr);

    container.door.ok(["pause", &container.id]);
    assert_eq!(container.door.status(&container.id), "paused");
    container.door.ok(["resume", &container.id]);
    container.door.ok(["kill", &container.id, "TERM"]);
    eventually("conmon has written the exit status", || container.exit_status().as_deref() == Some("4"));
    container.door.ok(["delete", "--force", &container.id]);
    assert!(container.door.containers().is_empty());
}

#[test]
fn crio_updates_a_container_from_standard_input() {
    updates(Driver::Cgroupfs);
}

#[test]
fn crio_updates_a_container_of_systemd_from_standard_input() {
    updates(Driver::Systemd);
}

fn updates(driver: Driver) {
    let Some(container) = Container::create(Bundle::busybox().args(["sleep", "1000"]), driver) else {
        return;
    };
    assert_eq!(container.made().0.code, 0);
    container.door.ok(["start", &container.id]);
    let resources = container.file("resources.json");
    fs::write(&resources, r#"{"cpu": {"shares": 2}, "pids": {"limit": 50}}"#).unwrap();
    let mut update = container.door.command(["update", "--resources", "-", &container.id]);
    let output = container.door.finish(update.stdin(fs::File::open(resources).unwrap()));
    assert_eq!(output.code, 0, "{}", output.stderr);
    // The smallest share of each version.
    let (file, least) = if group::is_v2() { ("cpu.weight", "1") } else { ("cpu.shares", "2") };
    assert_eq!(container.limit("cpu", file), least);
    assert_eq!(container.limit("pids", "pids.max"), "50");
}

#[test]
fn crio_reads_why_a_container_can_not_be_created() {
    let Some(container) = Container::create(Bundle::busybox().args(["nosuch"]), Driver::Cgroupfs) else {
        return;
    };
    let (output, told) = container.made();
    assert_eq!(told["pid"], -1, "{told} {output:?}");
    let said = told["message"].as_str().unwrap();
    let why = "exec: \"nosuch\": executable file not found in $PATH";
    assert!(said.contains(why), "{said}");
    let log = fs::read_to_string(container.file("runtime.log")).unwrap();
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors: Vec<_> = entries.filter(|entry| entry["level"] == "error").collect();
    assert!(errors.len() == 1 && errors[0]["msg"].as_str().unwrap().contains(why), "{log}");
    assert!(container.door.containers().is_empty());
}
