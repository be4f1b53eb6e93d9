//! The runtime's own binary can't be written from inside (CVE-2019-5736).
//!
//! The runtime is a copy of the door, so that a lost fight harms nobody; in the end it has to be the same, byte for
//! byte.

use super::path;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use testkit::{Bundle, Door, Temp, eventually, privileged, programs, repeatedly};

const ALL: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
];

/// A copy of the door, which is watched.
struct Victim {
    file: PathBuf,
    _temp: Temp,
}

impl Victim {
    fn new() -> Self {
        let temp = Temp::new("victim");
        let file = temp.path().join("forgeone");
        fs::copy(programs::forgeone(), &file).unwrap();
        Self { file, _temp: temp }
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        assert!(self.is_whole(), "the runtime's binary was written from inside");
    }

    /// Whether it is as it was; if not, it is made so, since it has to delete the containers.
    fn is_whole(&self) -> bool {
        let same = fs::read(&self.file).unwrap() == fs::read(programs::forgeone()).unwrap();
        if !same {
            fs::copy(programs::forgeone(), &self.file).unwrap();
        }
        same
    }
}

/// A container of the hostile program, with all rights that it could want, and `/tmp/target` to mount on.
fn bundle() -> Bundle {
    let bundle = Bundle::busybox().writable().file("/tmp/target", "").file("/script", "#!/proc/self/exe\n");
    fs::set_permissions(bundle.rootfs().join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(programs::attacker(), bundle.rootfs().join("attacker")).unwrap();
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(ALL);
        }
    })
}

/// How the container's root is related to the host's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    /// The host's own.
    Host,
    /// Another user of the host's.
    Mapped,
    /// The host's root by another name: it owns the file.
    Renamed,
}

const ROOTS: [Root; 3] = [Root::Host, Root::Mapped, Root::Renamed];

impl Root {
    fn of(self, bundle: Bundle) -> Bundle {
        let host = match self {
            Self::Host => return bundle,
            Self::Mapped => 100_000,
            Self::Renamed => 0,
        };
        let maps = json!([{ "containerID": 0, "hostID": host, "size": 65_536 }]);
        bundle.owned_by(host, host).namespace(json!({ "type": "user" })).edit(|config| {
            config["linux"]["uidMappings"] = maps.clone();
            config["linux"]["gidMappings"] = maps;
        })
    }
}

/// How the door protects itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    ReadOnlyMount,
    SealedCopy,
}

const PLACES: [Place; 2] = [Place::ReadOnlyMount, Place::SealedCopy];

impl Place {
    fn door(self, victim: &Victim) -> Door {
        let door = Door::of(&victim.file);
        match self {
            Self::ReadOnlyMount => door,
            Self::SealedCopy => door.launched([programs::lane().into_os_string(), "ENOSYS".into()]),
        }
    }
}

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[track_caller]
fn assert_lost(report: &Value, what: &str) {
    assert_eq!(report["won"], json!([]), "{what}: {report:#}");
}

/// The container's program is the runtime, which waits there; another process goes for it.
#[test]
fn an_entry_point_of_proc_self_exe_gives_no_way_to_write_it() {
    if !privileged::root() {
        return;
    }
    for place in PLACES {
        for root in ROOTS {
            let victim = Victim::new();
            // It waits in open(2) of a FIFO to which nobody writes.
            let bundle = root.of(bundle().args(["/proc/self/exe", "exec", "--process", "/tmp/fifo", "x"]));
            let fifo = bundle.rootfs().join("tmp/fifo");
            assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            let door = place.door(&victim);
            let id = door.id("entry");
            door.ok(["run", "--detach", "--bundle", path(bundle.path()), &id]);
            let pid = door.state(&id)["pid"].to_string();
            eventually("the runtime runs inside", || {
                fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().starts_with("/proc/self/exe")
            });
            let seen = report(&door.ok(["exec", &id, "/attacker", "exe", "/proc/1/exe"]).stdout);
            let what = format!("{place:?} {root:?}");
            assert_eq!(seen["seen"], 1, "{what}: {seen:#}");
            assert_lost(&seen, &what);
            assert!(seen["answers"]["open"].as_array().unwrap().len() == 1, "{seen:#}");
            drop(door);
            victim.assert_unchanged();
        }
    }
}

/// The same, with the runtime ended while its executable is held: it isn't busy any more.
#[test]
fn the_binary_stays_read_only_when_nobody_runs_it_any_more() {
    if !privileged::root() {
        return;
    }
    for place in PLACES {
        for root in ROOTS {
            let victim = Victim::new();
            let bundle = root.of(bundle().shell("mkfifo /tmp/fifo; exec sleep 1000"));
            let door = place.door(&victim);
            let id = door.id("busy");
            door.ok(["run", "--detach", "--bundle", path(bundle.path()), &id]);
            // Through a process that is the runtime's binary: it waits for the FIFO.
            let fifo = bundle.rootfs().join("tmp/fifo");
            eventually("the FIFO is there", || fifo.exists());
            let args = ["/proc/self/exe", "exec", "--process", "/tmp/fifo", "x"];
            // Inside it protects itself once more, unless `make test-defences` is here to see what happens then.
            let without =
                format!("FORGEONE_WITHOUT={}", std::env::var("FORGEONE_WITHOUT").unwrap_or_default());
            let words = ["exec", "--detach", "--env", &without, "--pid-file", "@", &id];
            let pid_file = door.directory().join("pid");
            let words = words.map(|word| if word == "@" { path(&pid_file) } else { word });
            door.ok(words.iter().chain(&args));
            let host_pid = fs::read_to_string(&pid_file).unwrap();
            let inside = inside(&host_pid);
            let exe = format!("/proc/{inside}/exe");
            eventually("the runtime waits inside", || {
                fs::read_to_string(format!("/proc/{host_pid}/cmdline")).unwrap().starts_with("/proc/self/exe")
            });
            // No door waits for the attacker: it would be the same file, and busy.
            let attack = door.ok(["exec", "--detach", &id, "/attacker", "exe", &exe, &inside]);
            let told = || fs::read_to_string(&attack.stdout_file).unwrap();
            eventually("the attacker has tried", || told().ends_with("}\n"));
            let seen = report(&told());
            let what = format!("{place:?} {root:?}");
            assert_eq!(seen["seen"], 1, "{what}: {seen:#}");
            assert!(seen["answers"]["open after its end"].is_array(), "{seen:#}");
            let whole = victim.is_whole();
            assert_lost(&seen, &what);
            drop(door);
            assert!(whole, "{what}: the runtime's binary was written from inside");
        }
    }
}

/// The number that a process has in its own PID namespace.
fn inside(pid: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

/// Starts a container whose program watches all processes that it sees, and gives its report when it was told to end.
struct Race {
    door: Door,
    id: String,
    stop: PathBuf,
    running: Child,
    output: PathBuf,
}

impl Race {
    fn start(door: Door, bundle: &Bundle) -> Self {
        let id = door.id("race");
        let output = door.directory().join("race");
        let stop = bundle.rootfs().join("tmp/stop");
        let _ = fs::remove_file(&stop);
        let mut command = door.command(["run", "--bundle", path(bundle.path()), &id]);
        command.stdout(fs::File::create(&output).unwrap()).stderr(Stdio::inherit());
        let running = command.spawn().unwrap();
        eventually("the attacker runs", || {
            door.run(["state", &id]).stdout.contains("\"running\"") || output.metadata().unwrap().len() > 0
        });
        Self { door, id, stop, running, output }
    }

    fn has_seen(&self) -> bool {
        self.output.metadata().unwrap().len() > 0
    }

    fn end(mut self) -> Value {
        fs::write(&self.stop, "").unwrap();
        let status = self.running.wait().unwrap();
        let text = fs::read_to_string(&self.output).unwrap();
        assert!(status.success(), "{status}: {text}");
        report(&text)
    }
}

/// `exec` again and again: the attacker sees the runtime's processes in its own PID namespace, and may trace them.
#[test]
fn an_attacker_that_waits_for_exec_cannot_write_the_binary() {
    if !privileged::root() {
        return;
    }
    for place in PLACES {
        for root in ROOTS {
            let victim = Victim::new();
            let bundle = root.of(bundle().args(["/attacker", "race", "/tmp/stop"]));
            let race = Race::start(place.door(&victim), &bundle);
            repeatedly(100, |round| {
                let program = ["/bin/true", "/proc/self/exe", "/script"][round as usize % 3];
                let done = race.door.run(["exec", &race.id, program]);
                assert!(program != "/bin/true" || done.code == 0, "{}", done.stderr);
                race.has_seen()
            });
            let seen = race.end();
            assert!(seen["seen"].as_u64().unwrap() > 0, "{seen:#}");
            assert_lost(&seen, &format!("{place:?} {root:?}"));
            victim.assert_unchanged();
        }
    }
}

/// In the host's PID namespace it sees each run of the door, from its very first instruction on. It has no right to
/// trace what belongs to the host (whoever has needs no runtime's binary any more), but its uid is that of the owner of
/// the user namespaces that are made there.
#[test]
fn an_attacker_in_the_hosts_pid_namespace_gets_nothing_of_the_host() {
    if !privileged::root() {
        return;
    }
    for root in ROOTS {
        let victim = Victim::new();
        let mark = victim.file.parent().unwrap();
        let hostile = root.of(bundle().args(["/attacker", "race", "/tmp/stop"])).edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|namespace| namespace["type"] != "pid");
            let mark = format!("FORGEONE_TEST_HOST_MARK={}", path(mark));
            config["process"]["env"].as_array_mut().unwrap().push(json!(mark));
            if root != Root::Host {
                // The kernel gives a proc of its own only to who owns the PID namespace.
                config["mounts"][0] =
                    json!({ "destination": "/proc", "source": "/proc", "options": ["rbind"] });
            } else {
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"]);
                }
            }
        });
        let quick = [Root::Host, Root::Mapped].map(|root| root.of(Bundle::busybox().args(["true"])));
        let race = Race::start(Door::of(&victim.file), &hostile);
        for round in 0..60 {
            let bundle = path(quick[round % 2].path());
            race.door.ok(["run", "--bundle", bundle, &race.door.id("quick")]);
        }
        let seen = race.end();
        assert_lost(&seen, &format!("{root:?}"));
        assert_eq!(seen["host"], json!([]), "{root:?}: {seen:#}");
        victim.assert_unchanged();
    }
}
