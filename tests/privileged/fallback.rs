//! The lanes: what matters of a container's life again, on what an older kernel has.
//!
//! | lane | what is missing |
//! |---|---|
//! | ENOSYS, EPERM | the system calls after Linux 5.1, as on an older kernel and in somebody's seccomp filter (`lane`) |
//! | v1 | cgroup2, and with it `cgroup.kill`, `cgroup.freeze` and birth into a cgroup |
//! | v2 | cgroup v1 |

use crate::running::dir;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use testkit::{Bundle, Door, Temp, eventually, privileged, programs};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lane {
    Enosys,
    Eperm,
    V1,
    V2,
    /// Linux 4.14, about.
    Oldest,
}

const ALL: [Lane; 5] = [Lane::Enosys, Lane::Eperm, Lane::V1, Lane::V2, Lane::Oldest];
/// Those in which all namespaces, mounts and clones go other ways.
const CALLS: [Lane; 2] = [Lane::Enosys, Lane::Eperm];

const WITHOUT_V2: &str = "umount -l /sys/fs/cgroup/unified && exec \"$@\"";
const V2_ALONE: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";

impl Lane {
    fn door(self) -> Door {
        let lane = path(&programs::lane()).to_owned();
        let view = |script: &str| {
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
                .map(str::to_owned)
                .to_vec()
        };
        let launcher = match self {
            Self::Enosys => vec![lane, "ENOSYS".to_owned()],
            Self::Eperm => vec![lane, "EPERM".to_owned()],
            Self::V1 => view(WITHOUT_V2),
            Self::V2 => view(V2_ALONE),
            Self::Oldest => [view(WITHOUT_V2), vec![lane, "ENOSYS".to_owned()]].concat(),
        };
        Door::new().launched(launcher)
    }

    /// Whether this machine's cgroups can be shown this way; notes the skip.
    fn is_there(self) -> bool {
        match self {
            Self::Enosys | Self::Eperm => true,
            Self::V1 | Self::Oldest | Self::V2 => privileged::file("/sys/fs/cgroup/unified/cgroup.procs"),
        }
    }
}

/// Doors to which the newer system calls are not there.
pub(crate) fn without_new_calls() -> [Door; 2] {
    CALLS.map(Lane::door)
}

fn lanes(lanes: &[Lane], test: impl Fn(Lane, Door)) {
    if !privileged::root() {
        return;
    }
    for lane in lanes.iter().filter(|lane| lane.is_there()) {
        eprintln!("lane {lane:?}");
        test(*lane, lane.door());
    }
}

fn namespaces(bundle: Bundle) -> Bundle {
    bundle.namespace(json!({ "type": "cgroup" }))
}

fn with_user(bundle: Bundle) -> Bundle {
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    bundle.owned_by(100_000, 100_000).namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
    })
}

#[test]
fn a_container_lives_from_create_to_delete() {
    lanes(&ALL, |lane, door| {
        let pid_file = door.directory().join("pid");
        let bundle = namespaces(Bundle::busybox()).args(["sleep", "1000"]);
        let id = door.id("life");
        door.ok(["create", "--bundle", dir(&bundle), "--pid-file", path(&pid_file), &id]);
        assert_eq!(door.status(&id), "created", "{lane:?}");
        door.ok(["start", &id]);
        assert_eq!(door.status(&id), "running", "{lane:?}");
        assert_eq!(door.state(&id)["pid"].to_string(), fs::read_to_string(pid_file).unwrap());
        door.ok(["pause", &id]);
        assert_eq!(door.status(&id), "paused", "{lane:?}");
        door.ok(["resume", &id]);
        let output = door.ok([
            "exec",
            &id,
            "sh",
            "-c",
            "echo $PPID; grep -c . /proc/1/status > /dev/null && echo one",
        ]);
        assert_eq!(output.stdout, "0\none\n", "{lane:?}");
        assert!(door.ok(["ps", &id]).stdout.contains("sleep"), "{lane:?}");
        assert_eq!(door.run(["delete", &id]).code, 1, "{lane:?}");
        door.ok(["kill", &id, "KILL"]);
        door.await_status(&id, "stopped");
        door.ok(["delete", &id]);
        assert!(door.containers().is_empty());
    });
}

#[test]
fn run_gives_the_exit_status_and_removes_all() {
    lanes(&ALL, |lane, door| {
        let bundle = Bundle::busybox().shell("echo out; exit 7");
        for bundle in [bundle, with_user(Bundle::busybox().shell("echo out; exit 7"))] {
            let output = door.run(["run", "--bundle", dir(&bundle), &door.id("run")]);
            assert_eq!((output.code, output.stdout.as_str()), (7, "out\n"), "{lane:?}: {}", output.stderr);
            assert!(door.containers().is_empty());
        }
    });
}

/// Field by field as on the newest kernel; what differs is the filter itself, and the cgroups of the lane.
#[test]
fn the_program_sees_what_it_sees_on_a_new_kernel() {
    if !privileged::root() {
        return;
    }
    for user in [false, true] {
        let door = Door::new();
        let make = || {
            let bundle = Bundle::probe().edit(|config| {
                config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
                config["process"]["oomScoreAdj"] = json!(100);
                config["linux"]["resources"]["pids"] = json!({ "limit": 50 });
            });
            let bundle = bundle.mount(json!({
                "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "size=1m", "mode=700"],
            }));
            let bundle = bundle.mount(json!({
                "destination": "/bound", "source": "/usr", "options": ["rbind", "ro", "nosuid", "noexec"],
            }));
            if user { with_user(bundle) } else { bundle }
        };
        let bundle = make();
        let id = "same-for-all".to_owned() + &door.id("");
        let seen = |door: &Door| -> Value {
            let output = door.ok(["run", "--bundle", dir(&bundle), &id]);
            let host = testkit::probe::host();
            testkit::probe::relative_to(&host, output.json())
        };
        let expected = seen(&door);
        let except = ["/process/seccomp", "/process/seccomp_filters", "/cgroup", "/mounts", "/descriptors"];
        for lane in CALLS {
            let found = seen(&lane.door());
            let differences = testkit::probe::differences(&expected, &found, &except);
            assert!(differences.is_empty(), "{lane:?} user {user}: {differences:#?}");
            assert_eq!(mounts(&expected), mounts(&found), "{lane:?} user {user}");
        }
    }
}

/// Mounts as a program sees them: what the two ways of mounting write differently is left out (the name of a source that
/// is none, and mode options that a tmpfs has by default).
fn mounts(seen: &Value) -> Vec<String> {
    let line = |mount: &Value| format!("{} {} {}", mount["point"], mount["type"], mount["options"]);
    seen["mounts"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn kill_all_reaches_those_who_left_the_pid_namespace_alone() {
    if !privileged::machine_root() {
        return;
    }
    lanes(&ALL, |lane, door| {
        // In the runtime's PID namespace, where nobody dies with init.
        let script = "sleep 1000 & sleep 1000 & (setsid sleep 1000 &) ; echo ready; exec sleep 1000";
        let bundle = Bundle::busybox().shell(script).edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|namespace| namespace["type"] != "pid");
        });
        let id = door.id("all");
        let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        eventually("all run", || {
            output.stdout_now() == "ready\n" && door.ok(["ps", &id]).stdout.lines().count() == 5
        });
        door.ok(["kill", "--all", &id, "KILL"]);
        door.await_status(&id, "stopped");
        door.ok(["delete", &id]);
        assert!(door.containers().is_empty(), "{lane:?}");
    });
}

#[test]
fn delete_by_force_takes_a_paused_container_away() {
    lanes(&ALL, |lane, door| {
        let bundle = Bundle::busybox().args(["sleep", "1000"]);
        let id = door.id("paused");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        door.ok(["pause", &id]);
        door.ok(["delete", "--force", &id]);
        assert!(door.containers().is_empty(), "{lane:?}");
    });
}

#[test]
fn namespaces_are_joined_by_path() {
    lanes(&ALL, |lane, door| {
        let (first, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("first"));
        door.ok(["run", "--detach", "--bundle", dir(&first), &id]);
        let pid = door.state(&id)["pid"].to_string();
        let joined = |bundle: Bundle, kind: &str, file: &str| {
            bundle.namespace(json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") }))
        };
        let bundle = Bundle::busybox().shell("readlink /proc/1/exe; readlink /proc/self/ns/net");
        let bundle = joined(joined(joined(bundle, "pid", "pid"), "network", "net"), "ipc", "ipc");
        let output = door.ok(["run", "--bundle", dir(&bundle), &door.id("second")]);
        let net = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_eq!(
            output.stdout,
            format!("/bin/busybox\n{}\n", net.display()),
            "{lane:?}: {}",
            output.stderr
        );
    });
}

#[test]
fn a_terminal_is_the_containers_own() {
    lanes(&CALLS, |lane, door| {
        let bundle = Bundle::busybox()
            .shell("tty; stat -c %t:%T /dev/console; exit 4")
            .edit(|config| config["process"]["terminal"] = json!(true));
        // script(1) gives the door a terminal of its own.
        let real = door.command(["run", "--bundle", dir(&bundle), &door.id("tty")]);
        let words = std::iter::once(real.get_program()).chain(real.get_args());
        let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
        let mut command = std::process::Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).stdin(std::process::Stdio::piped());
        let output = door.finish(&mut command);
        assert_eq!(output.code, 4, "{lane:?}: {}{}", output.stdout, output.stderr);
        let lines: Vec<_> = output.stdout.lines().map(str::trim).collect();
        assert_eq!(lines, ["/dev/pts/0", "88:0"], "{lane:?}: {:?}", output.stdout);
    });
}

#[test]
fn hooks_run_and_time_out() {
    lanes(&CALLS, |lane, door| {
        let hook = |script: &str, timeout: u32| json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": timeout }]);
        let note = door.directory().join("note");
        let bundle = Bundle::busybox()
            .args(["true"])
            .edit(|config| config["hooks"]["createRuntime"] = hook(&format!("cat > {}", path(&note)), 10));
        door.ok(["run", "--bundle", dir(&bundle), &door.id("hook")]);
        assert!(fs::read_to_string(&note).unwrap().contains("\"status\":\"creating\""), "{lane:?}");
        let bundle = bundle.edit(|config| config["hooks"]["createRuntime"] = hook("exec sleep 1000", 1));
        let output = door.run(["run", "--bundle", dir(&bundle), &door.id("slow")]);
        assert!(output.code == 1 && output.stderr.contains("time-out of 1 s"), "{lane:?}: {}", output.stderr);
    });
}

#[test]
fn what_fails_leaves_nothing() {
    lanes(&ALL, |lane, door| {
        let broken = [
            Bundle::busybox().args(["/no/such/program"]),
            Bundle::busybox()
                .mount(json!({ "destination": "/x", "source": "/no/such", "options": ["bind"] })),
            Bundle::busybox().edit(|config| config["linux"]["sysctl"] = json!({ "net.no.such": "1" })),
            Bundle::busybox().edit(|config| config["hooks"]["prestart"] = json!([{ "path": "/bin/false" }])),
        ];
        for bundle in &broken {
            for command in ["run", "create"] {
                let output = door.run([command, "--bundle", dir(bundle), &door.id("broken")]);
                assert_ne!(output.code, 0, "{lane:?}");
                assert_eq!(output.stderr.lines().count(), 1, "{lane:?}: {}", output.stderr);
                assert!(door.containers().is_empty(), "{lane:?}: {}", output.stderr);
            }
        }
    });
}

#[test]
fn masked_and_read_only_paths_hold() {
    lanes(&CALLS, |lane, door| {
        for user in [false, true] {
            let script = "cat /proc/keys /etc/passwd; ls /proc/acpi /etc/dir; \
                for path in /proc/sys/kernel/hostname /etc/group /file /dev/shm/x; do (echo x > $path) 2>/dev/null && echo wrote $path; done";
            let bundle = Bundle::busybox().file("/etc/dir/file", "x").shell(script).edit(|config| {
                let linux = &mut config["linux"];
                linux["maskedPaths"]
                    .as_array_mut()
                    .unwrap()
                    .extend([json!("/etc/passwd"), json!("/etc/dir")]);
                linux["readonlyPaths"].as_array_mut().unwrap().push(json!("/etc/group"));
                config["root"]["readonly"] = json!(true);
            });
            let bundle = if user { with_user(bundle) } else { bundle };
            let output = door.run(["run", "--bundle", dir(&bundle), &door.id("mask")]);
            assert_eq!(
                output.stdout.replace("/proc/acpi:\n", "").replace("/etc/dir:\n", "").trim(),
                "wrote /dev/shm/x",
                "{lane:?} user {user}: {}",
                output.stderr
            );
        }
    });
}

/// That the lanes are what they say: the newer calls do fail.
#[test]
fn the_lanes_lack_what_they_should() {
    lanes(&[Lane::V1, Lane::V2], |lane, door| {
        let bundle = Bundle::busybox().args(["sleep", "1000"]);
        let id = door.id("lane");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        let record: Value =
            serde_json::from_slice(&fs::read(door.root().join(&id).join("state.json")).unwrap()).unwrap();
        let (v1, v2) = (&record["cgroup"]["v1"], &record["cgroup"]["v2"]);
        assert_eq!(v1.as_object().is_none_or(|v1| v1.is_empty()), lane == Lane::V2, "{record:#}");
        assert_eq!(v2.is_null(), lane == Lane::V1, "{record:#}");
    });
    if !privileged::root() {
        return;
    }
    let file = Temp::new("file");
    let file = file.path().join("file");
    fs::write(&file, "").unwrap();
    for (word, code) in [("ENOSYS", "code: 38,"), ("EPERM", "code: 1,")] {
        let mut command = std::process::Command::new(programs::lane());
        let output = command.arg(word).arg(programs::attacker()).arg("exe").arg(&file).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for call in ["mount_setattr", "open_tree"] {
            assert!(report["answers"][call][0].as_str().unwrap().contains(code), "{word}: {report:#}");
        }
    }
    let wrong = std::process::Command::new(programs::lane()).args(["EIO", "true"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(125));
}

/// Without root: what belongs to the host's root once the runtime isn't dumpable is opened before.
#[test]
fn an_ordinary_user_sets_oom_score_and_time_offsets() {
    use std::os::unix::fs::chown;
    if !privileged::root() || !privileged::program("setpriv", "util-linux") {
        return;
    }
    const USER: u32 = 54_321;
    let home = Temp::new("home");
    let file = home.path().join("forgeone");
    fs::copy(programs::forgeone(), &file).unwrap();
    fs::create_dir(home.path().join("state")).unwrap();
    chown(home.path().join("state"), Some(USER), Some(USER)).unwrap();
    let maps = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    let bundle = Bundle::busybox()
        .shell("cat /proc/self/oom_score_adj /proc/self/timens_offsets")
        .owned_by(USER, USER)
        .namespace(json!({ "type": "user" }))
        .namespace(json!({ "type": "time" }))
        .edit(|config| {
            config["process"]["oomScoreAdj"] = json!(321);
            config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 77 } });
            config["linux"]["uidMappings"] = maps.clone();
            config["linux"]["gidMappings"] = maps;
            config["linux"]["resources"] = json!({});
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| !matches!(mount["type"].as_str(), Some("devpts" | "cgroup")));
        });
    let door = Door::new();
    let mut command = std::process::Command::new("setpriv");
    let user = USER.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&file);
    command.arg("--root").arg(home.path().join("state"));
    command.args(["run", "--bundle", dir(&bundle), &door.id("rootless")]).stdin(std::process::Stdio::null());
    let output = door.finish(&mut command);
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["321", "monotonic", "0", "0", "boottime", "77", "0"], "{}", output.stderr);
    assert_eq!(fs::read_dir(home.path().join("state")).unwrap().count(), 0);
}
