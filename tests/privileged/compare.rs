//! What a program sees in a container, beside what it sees under Debian's runc for the same bundle, field by field.
//!
//! Both get the same id, so that everything that is called after it is the same. Every difference that is tolerated
//! is in [`ALWAYS`] or in the test, each with its reason; anything else fails.

use crate::inside::{Mounted, dir, mount, own_host};
use forgeone_sys::mount as sys_mount;
use serde_json::{Map, Value, json};
use std::path::Path;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged, probe};

fn bundle() -> Bundle {
    let asked = [
        PROBE,
        "list:/sys/fs/cgroup",
        "list:/sys",
        "read:/proc/keys",
        "read:/proc/kcore",
        "list:/sys/firmware",
        "write:/proc/sys/kernel/domainname",
        "write:/proc/sysrq-trigger",
        "write:/etc/passwd",
        "write:/dev/null",
        "write:/dev/full",
        "read:/dev/tty",
        "write:/dev/kmsg",
        "stat:/proc/self/root",
        "stat:/dev/shm",
        "stat:/dev/pts",
        "stat:/dev/mqueue",
        "stat:/sys/fs/cgroup",
        "sysctl:kernel.hostname",
        "read:/proc/self/status",
    ];
    Bundle::busybox().with_probe().args(asked)
}

/// Where the two differ, and why that's right.
const ALWAYS: &[(&str, &str)] = &[
    ("/signals/SigIgn", SIGNALS),
    ("/asked/read:/proc/self/status/SigIgn", SIGNALS),
    (
        "/mounts//sys/fs/cgroup/0/options",
        "the config says ro; runc leaves the tmpfs of the v1 hierarchies writable",
    ),
    (
        "/asked/stat:/sys/fs/cgroup/mode",
        "the tmpfs' own 0755; runc before 1.2 gives it the mode of what it covers",
    ),
    ("/mounts//proc/acpi/0/super_options", MASK),
    ("/mounts//sys/firmware/0/super_options", MASK),
];

const SIGNALS: &str =
    "runc leaves signal 32 ignored, which is of the Go runtime; forgeone gives all their defaults";
const MASK: &str = "what covers a directory has limits, so that nobody can fill memory by it";

/// The IPC namespace, and in it the root of mqueue, is made by the one clone of all namespaces, before the ids are
/// mapped; runc makes it afterwards, as the container's root. Its mode is 1777, so nobody depends on the owner.
const QUEUES: [&str; 2] = ["/dev//dev/mqueue/owner", "/asked/stat:/dev/mqueue/owner"];

/// runc starts helpers in the container's PID namespace, which take numbers; forgeone has none.
const NUMBERS: [&str; 9] = [
    "/process/pid",
    "/process/process_group",
    "/process/session",
    "/asked/read:/proc/self/status/Tgid",
    "/asked/read:/proc/self/status/Pid",
    "/asked/read:/proc/self/status/NStgid",
    "/asked/read:/proc/self/status/NSpid",
    "/asked/read:/proc/self/status/NSpgid",
    "/asked/read:/proc/self/status/NSsid",
];

/// runc copies between pipes and its own standard streams where there is no terminal; forgeone hands them on.
const PIPES: [&str; 3] = ["/descriptors/0", "/descriptors/1", "/descriptors/2"];

fn can_compare() -> bool {
    privileged::root() && privileged::program("runc", "runc")
}

/// The way in which the program is started.
#[derive(Clone, Copy)]
enum Way<'a> {
    Run(&'a [&'a str]),
    Start,
    Exec(&'a [&'a str]),
}

/// What the probe sees under both: runc, then forgeone.
fn both(bundle: Bundle, way: Way) -> (Value, Value) {
    let runc = Door::of(privileged::find_program("runc").unwrap());
    let forgeone = Door::new();
    let id = forgeone.id("compared");
    let host = probe::host();
    let see = |door| comparable(&host, seen(door, &bundle, &id, way), door);
    let first = see(&runc);
    // The second finds nothing that the first has made.
    if bundle.rootfs().join("m").exists() {
        std::fs::remove_dir_all(bundle.rootfs().join("m")).unwrap();
    }
    (first, see(&forgeone))
}

fn seen(door: &Door, bundle: &Bundle, id: &str, way: Way) -> Value {
    let output = match way {
        Way::Run(options) => door.ok([&["run", "--bundle", dir(bundle)], options, &[id]].concat()),
        Way::Start => {
            let created = door.ok(["create", "--bundle", dir(bundle), id]);
            door.ok(["start", id]);
            door.await_status(id, "stopped");
            testkit::Output { stdout: created.stdout_now(), ..created }
        }
        Way::Exec(options) => {
            let mut config = bundle.config().clone();
            config["process"]["args"] = json!(["sleep", "1000"]);
            std::fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
            door.ok(["run", "--detach", "--bundle", dir(bundle), id]);
            let asked = bundle.config()["process"]["args"].as_array().unwrap().iter();
            let asked = asked.map(|arg| arg.as_str().unwrap());
            let line = ["exec"].iter().chain(options).copied().chain([id]).chain(asked);
            let output = door.ok(line.collect::<Vec<_>>());
            std::fs::write(bundle.path().join("config.json"), bundle.config().to_string()).unwrap();
            output
        }
    };
    if !matches!(way, Way::Run(_)) {
        door.ok(["delete", "--force", id]);
    }
    output.json()
}

/// Without what differs between two starts of the same runtime: inode numbers, sizes, the runtime's own directory.
fn comparable(host: &Value, seen: Value, door: &Door) -> Value {
    let text = seen.to_string().replace(door.directory().to_str().unwrap(), "<directory of the test>");
    let mut seen = probe::relative_to(host, serde_json::from_str(&text).unwrap());
    // By mount point, in their order at each: the order among them isn't seen, but for what lies on what.
    let mut mounts = Map::new();
    for mount in seen["mounts"].as_array().unwrap() {
        let here = mounts.entry(mount["point"].as_str().unwrap()).or_insert(json!([]));
        here.as_array_mut().unwrap().push(mount.clone());
    }
    seen["mounts"] = Value::Object(mounts);
    let status = &mut seen["asked"]["read:/proc/self/status"];
    let fields = status.as_str().unwrap().lines().filter_map(|line| line.split_once(':'));
    let constant = fields.filter(|(name, _)| !is_measured(name));
    *status = constant.map(|(name, value)| (name.to_owned(), json!(value.trim()))).collect();
    seen
}

/// Whether a field of `/proc/self/status` tells a quantity that differs at each start.
fn is_measured(name: &str) -> bool {
    name.starts_with("Vm")
        || name.starts_with("Rss")
        || name.ends_with("ctxt_switches")
        || matches!(name, "FDSize" | "SigQ")
}

fn assert_same((runc, forgeone): (Value, Value), tolerated: &[&str]) {
    let tolerated: Vec<_> = ALWAYS.iter().map(|(at, _)| *at).chain(tolerated.iter().copied()).collect();
    let found = probe::differences(&runc, &forgeone, &tolerated);
    assert!(found.is_empty(), "runc != forgeone:\n  {}", found.join("\n  "));
}

#[test]
fn a_plain_bundle_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(bundle(), Way::Run(&[])), &PIPES);
    }
}

#[test]
fn a_created_and_started_bundle_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(bundle(), Way::Start), &[]);
    }
}

#[test]
fn a_writable_root_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(bundle().writable(), Way::Start), &[]);
    }
}

#[test]
fn a_root_that_is_not_pivoted_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(bundle(), Way::Run(&["--no-pivot"])), &PIPES);
    }
}

#[test]
fn a_bundle_with_only_a_mount_namespace_looks_as_under_runc() {
    if !can_compare() {
        return;
    }
    let bundle = bundle().edit(|config| {
        config["linux"]["namespaces"] = json!([{ "type": "mount" }]);
        config.as_object_mut().unwrap().remove("hostname");
    });
    let see = |seen: Value| {
        let mut seen = seen;
        for pid in ["pid", "ppid", "process_group", "session"] {
            seen["process"][pid] = json!(null);
        }
        for field in ["Tgid", "Pid", "PPid", "NStgid", "NSpid", "NSpgid", "NSsid", "Threads"] {
            seen["asked"]["read:/proc/self/status"][field] = json!(null);
        }
        seen
    };
    let (runc, forgeone) = both(bundle, Way::Start);
    assert_eq!(forgeone["namespaces"]["net"], "same");
    assert_same((see(runc), see(forgeone)), &[]);
}

#[test]
fn a_bundle_that_says_everything_looks_as_under_runc() {
    if !can_compare() {
        return;
    }
    let volume = Temp::new("volume");
    let bundle = bundle().writable().edit(|config| {
        let some = json!(["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE"]);
        config["process"]["capabilities"] = json!({
            "bounding": some, "permitted": some, "effective": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN", "CAP_NET_RAW"],
            "ambient": ["CAP_CHOWN"],
        });
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1001, "umask": 0o27, "additionalGids": [5, 2000] });
        config["process"]["cwd"] = json!("/srv/work/dir");
        config["process"]["env"] = json!(["PATH=/bin", "A=1", "B=2", "A=3", "EMPTY="]);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(500);
        config["process"]["rlimits"] = json!([
            { "type": "RLIMIT_NOFILE", "hard": 512, "soft": 256 },
            { "type": "RLIMIT_CORE", "hard": 0, "soft": 0 },
            { "type": "RLIMIT_STACK", "hard": 8_388_608, "soft": 4_194_304 },
        ]);
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "kernel.shmmax": "65536" });
        config["linux"]["devices"] = json!([
            { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8 },
            { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 },
        ]);
        config["linux"]["rootfsPropagation"] = json!("rprivate");
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5 }],
        });
    });
    let bundle = bundle
        .mount(mount("/srv/volume", "bind", volume.path(), "rbind ro rprivate"))
        .mount(mount("/srv/copy", "tmpfs", "tmpfs", "mode=711,size=1m"))
        .mount(mount("/etc", "tmpfs", "tmpfs", "tmpcopyup"));
    // The mode of the directory below: this tmpfs is made with it, runc changes it afterwards.
    assert_same(both(bundle, Way::Start), &["/mounts//etc/0/super_options"]);
}

/// A bundle of which root is user 100000 of the host.
fn in_user_namespace() -> Bundle {
    bundle().owned_by(100_000, 100_000).namespace(json!({ "type": "user" })).edit(|config| {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    })
}

#[test]
fn a_user_namespace_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(in_user_namespace(), Way::Start), &QUEUES);
    }
}

#[test]
fn a_cgroup_namespace_looks_as_under_runc() {
    if can_compare() {
        assert_same(both(bundle().namespace(json!({ "type": "cgroup" })), Way::Start), &[]);
    }
}

#[test]
fn an_executed_program_sees_what_it_sees_under_runc() {
    if can_compare() {
        assert_same(both(bundle(), Way::Exec(&[])), &[&PIPES[..], &NUMBERS].concat());
    }
}

#[test]
fn a_program_executed_as_another_user_sees_what_it_sees_under_runc() {
    if can_compare() {
        let options = ["--user", "1000:2000", "--cwd", "/tmp", "--env", "MORE=1", "--cap", "CAP_CHOWN"];
        assert_same(both(bundle(), Way::Exec(&options)), &[&PIPES[..], &NUMBERS].concat());
    }
}

#[test]
fn a_program_executed_in_a_user_namespace_sees_what_it_sees_under_runc() {
    if can_compare() {
        let tolerated = [&PIPES[..], &NUMBERS, &QUEUES].concat();
        assert_same(both(in_user_namespace(), Way::Exec(&[])), &tolerated);
    }
}

/// Options of one mount, and combinations of them. `defaults` isn't here: runc 1.1 gives it to the kernel, which
/// refuses it. Of flavours of access time the last counts; for runc it's the kernel that chooses, and where the two
/// differ (`noatime relatime`, `strictatime noatime`) they aren't here.
const OPTIONS: &[&str] = &[
    "none",
    "async",
    "atime",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "relatime",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "unbindable",
    "ro rw",
    "rw ro",
    "noatime ro",
    "relatime noatime",
    "noatime nodiratime",
    "noatime strictatime",
    "nosuid suid",
    "nodev noexec nosuid ro",
    "noatime atime",
    "shared slave",
    "private shared",
    "mode=711",
    "size=16k",
    "uid=7 gid=8",
    "mode=1770,size=1m,nr_inodes=50 ro",
];

/// Options of a tree. `ratime` and `rnostrictatime` alone aren't here: runc 1.1 makes a call of them that the kernel
/// refuses.
const RECURSIVE: &[&str] = &[
    "rro",
    "rrw",
    "ro rrw",
    "rnosuid",
    "rsuid",
    "rnodev",
    "rdev",
    "rnoexec",
    "rexec",
    "rnoatime",
    "rnodiratime",
    "rdiratime",
    "rrelatime",
    "rnorelatime",
    "rstrictatime",
    "rnosymfollow",
    "rsymfollow",
    "rnoatime rnodiratime rro",
    "nosuid rsuid",
];

/// A mount with these options, at a place that is called after them.
fn named(kind: &str, source: &Path, options: &str) -> Value {
    let place = format!("/m/{}", options.replace(' ', "_"));
    let options = match kind {
        "tmpfs" => options.to_owned(),
        recursive_or_not => format!("{recursive_or_not} {options}"),
    };
    mount(&place, kind, source, options.trim_end_matches("none"))
}

/// The mount points below `/m` and all that is seen of them, under both.
fn mounts_of_both(mounts: impl Iterator<Item = Value>) -> (Value, Value) {
    let bundle = bundle().writable().edit(|config| config["mounts"].as_array_mut().unwrap().extend(mounts));
    let (runc, forgeone) = both(bundle, Way::Start);
    let below = |seen: &Value| -> Value {
        let all = seen["mounts"].as_object().unwrap().iter();
        all.filter(|(point, _)| point.starts_with("/m/")).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    (below(&runc), below(&forgeone))
}

#[test]
fn every_option_of_a_tmpfs_looks_as_under_runc() {
    if !can_compare() {
        return;
    }
    let all = OPTIONS.iter().map(|options| named("tmpfs", Path::new("tmpfs"), options));
    let (runc, forgeone) = mounts_of_both(all);
    assert_eq!(forgeone.as_object().unwrap().len(), OPTIONS.len());
    assert_same((runc, forgeone), &[]);
}

#[test]
fn every_option_of_a_bind_looks_as_under_runc() {
    if !can_compare() {
        return;
    }
    let source = Temp::new("source");
    let options = OPTIONS.iter().filter(|options| !options.contains('='));
    let all: Vec<_> = options.collect();
    let mounts = all.iter().map(|options| named("bind", source.path(), options));
    let (runc, forgeone) = mounts_of_both(mounts);
    assert_eq!(forgeone.as_object().unwrap().len(), all.len());
    assert_same((runc, forgeone), &[]);
}

#[test]
fn every_recursive_option_looks_as_under_runc() {
    if !can_compare() {
        return;
    }
    own_host();
    let source = Temp::new("source");
    let below = source.path().join("below");
    std::fs::create_dir(&below).unwrap();
    sys_mount::mount("tmpfs", &below, "tmpfs", sys_mount::MountFlags::NOEXEC, None).unwrap();
    let _unmounted = Mounted(below);
    let mounts = RECURSIVE.iter().map(|options| named("rbind", source.path(), options));
    let (runc, forgeone) = mounts_of_both(mounts);
    assert_eq!(forgeone.as_object().unwrap().len(), RECURSIVE.len() * 2);
    assert_same((runc, forgeone), &[]);
}
