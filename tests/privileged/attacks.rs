//! What broke other runtimes: each really attempted, and the host is unharmed. The paths of a hostile root file system
//! are tried one by one in `crates/runtime/tests/privileged/fs/attacks.rs`; here is what the whole runtime makes of them.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::{Bundle, Door, Output, Temp, eventually, privileged, programs};

pub(crate) fn dir(bundle: &Bundle) -> &str {
    path(bundle.path())
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(door: &Door, bundle: &Bundle) -> Output {
    door.run(["run", "--bundle", dir(bundle), &door.id("attack")])
}

/// A container that runs until it is killed.
fn start(door: &Door, bundle: Bundle) -> (Bundle, String) {
    let (bundle, id) = (bundle.args(["sleep", "1000"]), door.id("victim"));
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    (bundle, id)
}

fn capabilities(bundle: Bundle, names: &[&str]) -> Bundle {
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(names);
        }
    })
}

fn bind(source: &Path, destination: &str) -> Value {
    json!({ "destination": destination, "source": source, "options": ["bind"] })
}

/// Everything below a directory of the host that nobody is to touch: path, mode, owner, size.
fn picture(directory: &Path) -> Vec<(PathBuf, u32, u32, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        all.push((path.clone(), meta.mode(), meta.uid(), meta.len()));
        if meta.is_dir() {
            all.extend(picture(&path));
        }
    }
    all.sort();
    all
}

/// A directory of the host with a file, which no container may change.
struct Host(Temp);

impl Host {
    fn new() -> (Self, Vec<(PathBuf, u32, u32, u64)>) {
        let host = Self(Temp::new("host"));
        fs::write(host.0.path().join("secret"), "secret").unwrap();
        fs::create_dir(host.0.path().join("etc")).unwrap();
        let picture = picture(host.0.path());
        (host, picture)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// CVE-2021-30465, CVE-2019-18837, CVE-2024-45310: a volume that another container has as well, in which directories are
/// swapped for links to the host while they are mounted on.
#[test]
fn a_volume_that_is_swapped_under_a_starting_container_leads_nowhere() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let volume = Temp::new("volume");
    fs::create_dir(volume.path().join("real")).unwrap();
    symlink(host.path(), volume.path().join("trap1")).unwrap();
    symlink("../../../../../../../../..".to_owned() + path(host.path()), volume.path().join("trap2"))
        .unwrap();
    let tmpfs = |destination: &str| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
    let bundle = Bundle::busybox()
        .mount(bind(volume.path(), "/data"))
        .mount(tmpfs("/data/swap"))
        .mount(tmpfs("/data/swap/made/deep"))
        .mount(bind(&host.path().join("secret"), "/data/swap/file"))
        .edit(|config| config["linux"]["maskedPaths"].as_array_mut().unwrap().push(json!("/data/swap/etc")))
        .shell("cat /proc/self/mountinfo | cut -d' ' -f5");
    let door = Door::new();
    let end = AtomicBool::new(false);
    let mut started = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let at = |name: &str| volume.path().join(name);
            while !end.load(Ordering::Relaxed) {
                for name in ["real", "trap1", "real", "trap2"] {
                    let _ = fs::rename(at(name), at("swap"));
                    let _ = fs::rename(at("swap"), at(name));
                }
            }
        });
        for _ in 0..500 {
            let output = run(&door, &bundle);
            if output.code == 0 {
                started += 1;
            } else {
                assert!(output.stderr.contains("mounts["), "{}", output.stderr);
            }
        }
        end.store(true, Ordering::Relaxed);
    });
    eprintln!("{started} of 500 were started");
    assert!(started > 0, "none was ever started");
    assert_eq!(picture(host.path()), before);
}

/// CVE-2026-41579, CVE-2026-47766: `/dev` of the image is a link.
#[test]
fn dev_that_is_a_link_is_filled_inside() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let climb = format!("../../../../../../../..{}", path(host.path()));
    let targets = [path(host.path()), &climb, "/first", "/etc/../tmp"];
    for (target, mounted) in targets.into_iter().flat_map(|target| [(target, false), (target, true)]) {
        let bundle =
            Bundle::busybox().writable().shell("ls -l /dev/null && readlink /dev/ptmx").edit(|config| {
                if !mounted {
                    let mounts = config["mounts"].as_array_mut().unwrap();
                    mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
                }
            });
        fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
        symlink(target, bundle.rootfs().join("dev")).unwrap();
        symlink("second", bundle.rootfs().join("first")).unwrap();
        symlink("/tmp", bundle.rootfs().join("second")).unwrap();
        let output = run(&door, &bundle);
        assert_eq!(output.code, 0, "{target} {mounted}: {}", output.stderr);
        assert!(
            output.stdout.starts_with("crw-rw-rw-") && output.stdout.contains("1,   3"),
            "{}",
            output.stdout
        );
        assert_eq!(picture(host.path()), before, "{target} {mounted}");
    }
}

/// CVE-2025-31133, CVE-2026-88265: what masks, and what is standard input, isn't what the image calls `/dev/null`.
#[test]
fn a_false_dev_null_is_refused_and_given_to_nobody() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    for case in ["link", "file", "device"] {
        let bundle = Bundle::busybox().args(["true"]).edit(|config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
            config["linux"]["maskedPaths"] = json!(["/etc/passwd"]);
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        });
        let null = bundle.rootfs().join("dev/null");
        match case {
            "link" => symlink(host.path().join("secret"), &null).unwrap(),
            "file" => fs::write(&null, "").unwrap(),
            _ => assert!(Command::new("mknod").arg(&null).args(["c", "1", "5"]).status().unwrap().success()),
        }
        let output = run(&door, &bundle);
        assert_eq!(output.code, 1, "{case}");
        assert!(output.stderr.contains("device /dev/null: "), "{case}: {}", output.stderr);
        assert_eq!(picture(host.path()), before, "{case}");
    }
}

/// The host's `/dev/null` as standard input and output isn't given to the container's user.
#[test]
fn the_hosts_devices_keep_their_owner_as_standard_streams() {
    if !privileged::root() {
        return;
    }
    let owner = || fs::metadata("/dev/null").map(|null| (null.uid(), null.gid(), null.mode())).unwrap();
    let before = owner();
    let bundle = Bundle::busybox()
        .args(["id", "-u"])
        .edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    let door = Door::new();
    let status = door
        .command(["run", "--bundle", dir(&bundle), &door.id("null")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    assert_eq!(owner(), before);
}

/// CVE-2025-52565, CVE-2026-88264: `/dev/console` and `/dev/pts` of the image are links.
#[test]
fn a_console_or_devpts_that_is_a_link_gets_no_terminal_mounted_on_the_host() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let secret = host.path().join("secret");
    let cases = [
        ("dev/console", secret.as_path(), "/dev/console"),
        ("dev/console", Path::new("/proc/self/status"), "/dev/console"),
        ("dev/pts", host.path(), "terminal"),
    ];
    for (name, target, message) in cases {
        let bundle = Bundle::busybox().args(["true"]).edit(|config| {
            config["process"]["terminal"] = json!(true);
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| {
                let point = mount["destination"].as_str().unwrap();
                !point.starts_with("/dev") || (point == "/dev/pts" && name == "dev/console")
            });
        });
        symlink(target, bundle.rootfs().join(name)).unwrap();
        let socket = door.directory().join("console");
        let _ = fs::remove_file(&socket);
        let _listener = UnixListener::bind(&socket).unwrap();
        let id = door.id("console");
        let output = door.run(["create", "--console-socket", path(&socket), "--bundle", dir(&bundle), &id]);
        assert_eq!(output.code, 1, "{name} {target:?}");
        assert!(output.stderr.contains(message), "{name} {target:?}: {}", output.stderr);
        assert_eq!(picture(host.path()), before, "{name} {target:?}");
    }
}

/// CVE-2024-21626: a working directory behind a descriptor that the runtime has open.
#[test]
fn a_working_directory_behind_a_descriptor_is_refused() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_running, id) = start(&door, Bundle::busybox());
    for number in 3..20 {
        for way in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
            let bundle = Bundle::busybox().args(["pwd"]).edit(|config| config["process"]["cwd"] = json!(way));
            let created = run(&door, &bundle);
            assert_ne!(created.code, 0, "{way}: {}", created.stdout);
            let entered = door.run(["exec", "--cwd", &way, &id, "pwd"]);
            // Some are of the container itself, its root for example.
            let inside = entered.stdout.trim();
            assert!(entered.code != 0 || inside.starts_with('/'), "{way}: {inside}");
            assert!(!Path::new(inside).starts_with(door.root()), "{way}: {inside}");
        }
    }
}

/// The same, with a directory of the host that the runtime's caller has left open, and with one that is passed on.
#[test]
fn a_descriptor_that_the_caller_leaked_does_not_come_into_the_container() {
    if !privileged::root() {
        return;
    }
    let (host, _) = Host::new();
    let door = Door::new();
    let line = "exec 7<\"$0\" 9<\"$0\"; exec \"$@\"";
    let leaking = |args: &[&str]| {
        let real = door.command(args.iter().copied());
        let mut command = Command::new("sh");
        command.args(["-c", line]).arg(host.path()).arg(real.get_program()).args(real.get_args());
        command.stdin(Stdio::null());
        door.finish(&mut command)
    };
    let list = ["ls", "/proc/self/fd"];
    let bundle = Bundle::busybox().args(list);
    let output = leaking(&["run", "--bundle", dir(&bundle), &door.id("leak")]);
    assert_eq!(
        output.stdout.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "{}",
        output.stderr
    );
    let (_running, id) = start(&door, Bundle::busybox());
    let output = leaking(&["exec", &id, "ls", "/proc/self/fd"]);
    assert_eq!(
        output.stdout.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "{}",
        output.stderr
    );
    for args in [["--cwd", "/proc/self/fd/7"], ["--cwd", "/proc/self/fd/9"]] {
        let output = leaking(&["exec", args[0], args[1], &id, "cat", "secret"]);
        assert_ne!(output.code, 0, "{}", output.stdout);
        assert!(!output.stdout.contains("secret"));
    }
}

/// A hook in the container is a program of the image.
#[test]
fn a_start_container_hook_sees_no_descriptor_of_the_callers() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox().writable().args(["cat", "/tmp/seen"]).edit(|config| {
        let script = "ls /proc/self/fd > /tmp/seen";
        config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    });
    let (host, _) = Host::new();
    let real = door.command(["run", "--bundle", dir(&bundle), &door.id("hook")]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 7<\"$0\"; exec \"$@\""]).arg(host.path());
    command.arg(real.get_program()).args(real.get_args()).stdin(Stdio::null());
    let output = door.finish(&mut command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(output.stdout, "0\n1\n2\n3\n", "3 is the list itself");
}

/// CVE-2022-29162, CVE-2025-27612: inheritable capabilities, by `run` and by `exec --cap`.
#[test]
fn no_capability_is_inheritable_unless_the_config_says_so() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let line = "grep -E 'Cap(Inh|Amb)' /proc/self/status";
    let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    // Whatever the caller's own are.
    let bundle = Bundle::busybox().shell(line);
    let real = door.command(["run", "--bundle", dir(&bundle), &door.id("inherit")]);
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=+chown,+kill", "--ambient-caps=+chown"]);
    command.arg(real.get_program()).args(real.get_args()).stdin(Stdio::null());
    assert_eq!(door.finish(&mut command).stdout, none);
    let (_running, id) = start(&door, Bundle::busybox());
    for more in
        [&[][..], &["--cap", "CAP_CHOWN"], &["--user", "1000"], &["--user", "1000", "--cap", "CAP_CHOWN"]]
    {
        let args = [&["exec"][..], more, &[&id, "sh", "-c", line]].concat();
        assert_eq!(door.ok(args).stdout, none, "{more:?}");
    }
}

/// GHSA-g54h: an empty list of devices allows none.
#[test]
fn an_empty_list_of_devices_denies_them() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    for list in [json!([]), json!(null), json!([{ "allow": false, "access": "rwm" }])] {
        // /dev/kmsg, which isn't among the default devices.
        let bundle = capabilities(Bundle::busybox(), &["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"])
            .writable()
            .edit(|config| config["linux"]["resources"]["devices"] = list.clone())
            .shell("mknod /tmp/kmsg c 1 11; cat /tmp/kmsg; head -c 1 /dev/zero | wc -c");
        let output = run(&door, &bundle);
        assert!(
            output.stderr.contains("Operation not permitted"),
            "{list}: {} {}",
            output.stdout,
            output.stderr
        );
        assert_eq!(output.stdout, "1\n", "{list}: {}", output.stderr);
    }
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2025-52881: `/proc` of the image is a trap for what the runtime writes.
#[test]
fn sysctls_are_not_written_into_a_false_proc() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let trap = |bundle: &Bundle, proc: &Path| {
        fs::create_dir_all(proc.join("sys/net/ipv4")).unwrap();
        fs::create_dir_all(proc.join("self/attr")).unwrap();
        symlink(host.path().join("secret"), proc.join("sys/net/ipv4/ip_forward")).unwrap();
        symlink(host.path().join("secret"), proc.join("self/attr/exec")).unwrap();
        assert!(bundle.path().exists());
    };
    let sysctl = |config: &mut Value| config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    // Without a mount: the image's own directory. The parameter is set all the same, where it belongs.
    let bundle =
        Bundle::busybox().edit(sysctl).args(["cat", "/real/sys/net/ipv4/ip_forward"]).edit(|config| {
            config["mounts"][0]["destination"] = json!("/real");
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        });
    trap(&bundle, &bundle.rootfs().join("proc"));
    let output = run(&door, &bundle);
    assert_eq!(output.stdout, "1\n", "{}", output.stderr);
    // A link.
    let bundle = Bundle::busybox().edit(sysctl).args(["true"]);
    fs::remove_dir(bundle.rootfs().join("proc")).unwrap();
    trap(&bundle, &bundle.rootfs().join("fake"));
    symlink("/fake", bundle.rootfs().join("proc")).unwrap();
    let output = run(&door, &bundle);
    assert!(output.code == 1 && output.stderr.contains("\"/proc\""), "{}", output.stderr);
    // A volume over it, or in it.
    let volume = Temp::new("volume");
    fs::write(volume.path().join("file"), "").unwrap();
    let places =
        ["/proc", "/proc/sys", "/proc/self", "/proc/self/attr/exec", "/proc/sys/net/ipv4/ip_forward"];
    for place in places {
        let source = if place.ends_with("exec") || place.ends_with("forward") { "file" } else { "" };
        let bundle =
            Bundle::busybox().edit(sysctl).args(["true"]).mount(bind(&volume.path().join(source), place));
        let output = run(&door, &bundle);
        assert!(output.code == 1 && output.stderr.contains("/proc"), "{place}: {}", output.stderr);
    }
    assert_eq!(picture(host.path()), before);
    assert_eq!(fs::read_to_string(host.path().join("secret")).unwrap(), "secret");
}

/// CVE-2026-30892, CVE-2024-40635: what looks like a user and isn't becomes nobody, least of all root.
#[test]
fn user_ids_that_are_none_are_refused() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_running, id) = start(&door, Bundle::busybox());
    let wrong = [
        "4294967295",
        "4294967296",
        "-1",
        "+0",
        "1000:4294967295",
        "0x10",
        ":",
        "1000:",
        ":1000",
        " 1",
        "1e3",
    ];
    for user in wrong {
        let output = door.run(["exec", "--user", user, &id, "id"]);
        assert_ne!(output.code, 0, "{user:?}: {}", output.stdout);
        assert_eq!(output.stdout, "", "{user:?}");
    }
    for (user, seen) in [("2147483648:4294967294", "2147483648 4294967294"), ("7", "7 0")] {
        let output = door.ok(["exec", "--user", user, &id, "sh", "-c", "echo $(id -u) $(id -g)"]);
        assert_eq!(output.stdout.trim(), seen, "{user}");
    }
    for (field, value) in [("uid", json!(4294967295_u32)), ("gid", json!(4294967295_u32)), ("uid", json!(-1))]
    {
        let bundle =
            Bundle::busybox().args(["id"]).edit(|config| config["process"]["user"][field] = value.clone());
        let output = run(&door, &bundle);
        assert!(output.code == 1 && output.stderr.contains(field), "{field} {value}: {}", output.stderr);
    }
    let bundle = Bundle::busybox().args(["id"]).edit(|config| {
        config["process"]["user"]["additionalGids"] = json!([1, 4294967295_u32]);
    });
    assert!(run(&door, &bundle).stderr.contains("additionalGids"));
}

/// CVE-2026-57231: the environment of whoever calls the runtime.
#[test]
fn no_variable_of_the_caller_comes_into_the_container() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox().args(["env"]);
    let mut command = door.command(["run", "--bundle", dir(&bundle), &door.id("env")]);
    let output =
        door.finish(command.env("SECRET_TOKEN", "hush").env("HOME", "/secret").env("PATH", "/secret"));
    let mut seen: Vec<_> = output.stdout.lines().collect();
    seen.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(seen, ["HOME=/root", path, "TERM=xterm"], "{}", output.stderr);
    let (_running, id) = start(&door, Bundle::busybox());
    let output = door.finish(door.command(["exec", &id, "env"]).env("SECRET_TOKEN", "hush"));
    assert!(output.code == 0 && !output.stdout.contains("hush"), "{}", output.stdout);
}

/// CVE-2026-55686: the working directory is made where a link of the image leads to.
#[test]
fn a_working_directory_behind_a_link_is_made_inside() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let climb = format!("../../../../../../../..{}", path(host.path()));
    for target in [path(host.path()), &climb] {
        let bundle = Bundle::busybox()
            .writable()
            .args(["pwd"])
            .edit(|config| config["process"]["cwd"] = json!("/work/new/deep"));
        symlink(target, bundle.rootfs().join("work")).unwrap();
        let output = run(&door, &bundle);
        assert_eq!(output.stdout.trim(), format!("{}/new/deep", path(host.path())), "{}", output.stderr);
        assert!(bundle.rootfs().join(path(host.path()).trim_start_matches('/')).join("new/deep").is_dir());
        assert_eq!(picture(host.path()), before);
    }
}

/// CVE-2022-0492, CVE-2023-25809: nothing of the host's cgroups can be written.
#[test]
fn cgroups_can_not_be_changed_nor_their_release_agent() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let script = "for file in $(find /sys/fs/cgroup -type f); do \
        case $file in *release_agent) echo $file;; esac; \
        (echo 1 > $file) 2>/dev/null && echo wrote $file; done; \
        mkdir /tmp/c; for kind in memory rdma name=x; do \
        mount -t cgroup -o $kind none /tmp/c 2>/dev/null && echo mounted $kind; done; \
        for dir in $(find /sys/fs/cgroup -type d); do mkdir $dir/sub 2>/dev/null && echo made $dir; done; true";
    for namespace in [false, true] {
        let bundle = Bundle::busybox().shell(script).mount(json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
        }));
        let bundle = if namespace { bundle.namespace(json!({ "type": "cgroup" })) } else { bundle };
        let output = run(&door, &bundle);
        assert_eq!(output.stdout, "", "cgroup namespace {namespace}: {}", output.stderr);
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
}

/// CVE-2016-9962: those who share its PID namespace can't look into an init that waits, and through it at the host.
#[test]
fn a_created_container_shows_nothing_of_the_host() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("waits"));
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].to_string();
    // As the host's root sees it: not dumpable, in its own root, with few descriptors.
    assert_eq!(fs::metadata(format!("/proc/{pid}/fd")).unwrap().uid(), 0);
    let root = fs::metadata(format!("/proc/{pid}/root/")).unwrap().ino();
    assert_eq!(root, fs::metadata(bundle.rootfs()).unwrap().ino());
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = fs::read_link(entry.path()).unwrap();
        let harmless =
            target.to_str().unwrap().starts_with("socket:[") || target.ends_with(format!("{id}/waits"));
        assert!(number < 3 || harmless, "descriptor {number}: {}", target.display());
        let meta = fs::metadata(entry.path()).unwrap();
        assert!(number < 3 || !meta.is_dir(), "descriptor {number}: {}", target.display());
    }
    let waits = fs::metadata(door.root().join(&id).join("waits")).unwrap();
    assert_eq!(waits.len(), 0);
    // As the container's root sees it, without CAP_SYS_PTRACE.
    for file in ["fd/*", "root/*", "cwd/*", "exe", "environ", "maps", "mem"] {
        let line = format!("for file in /proc/1/{file}; do readlink $file || cat $file; done 2>/dev/null");
        assert_eq!(door.run(["exec", &id, "sh", "-c", &line]).stdout, "", "{file}");
    }
    door.ok(["start", &id]);
    door.ok(["exec", &id, "ls", "/proc/1/fd"]);
}

/// With CAP_SYS_PTRACE as well: what `exec` brings into the container has nothing of the host at any moment.
#[test]
fn an_exec_that_is_watched_by_a_tracer_shows_nothing_of_the_host() {
    if !privileged::root() {
        return;
    }
    let mark = Temp::new("mark");
    let bundle =
        capabilities(Bundle::busybox().writable(), &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"])
            .args(["/attacker", "race", "/tmp/stop"])
            .edit(|config| {
                let variable = format!("FORGEONE_TEST_HOST_MARK={}", path(mark.path()));
                config["process"]["env"].as_array_mut().unwrap().push(json!(variable));
            });
    fs::copy(programs::attacker(), bundle.rootfs().join("attacker")).unwrap();
    let door = Door::new();
    let id = door.id("traced");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &door.id("x")]);
    let id = door.containers().into_iter().find(|other| *other != id).unwrap();
    for round in 0..200 {
        let user = if round % 2 == 0 { "0" } else { "1000" };
        door.ok(["exec", "--user", user, &id, "true"]);
    }
    fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
    door.await_status(&id, "stopped");
    let seen: Value = serde_json::from_str(&output.stdout_now()).unwrap();
    assert!(seen["seen"].as_u64().unwrap() > 0, "nothing was ever seen: {seen:#}");
    assert_eq!(seen["host"], json!([]), "{seen:#}");
}

/// CVE-2020-15257: whoever is not the container's owner can't start it.
#[test]
fn the_start_socket_is_its_owners_alone() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("socket"));
    let real = door.command(["create", "--bundle", dir(&bundle), &id]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(real.get_program()).args(real.get_args());
    let output = door.finish(command.stdin(Stdio::null()));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let socket = door.root().join(&id).join("start").metadata().unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o777, 0o600);
    for file in ["state.json", "config.json", "waits", "events"] {
        assert_eq!(door.root().join(&id).join(file).metadata().unwrap().mode() & 0o777, 0o600, "{file}");
    }
    // No abstract name, which a shared network namespace would show.
    let names = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!names.lines().any(|line| line.contains(" @") && line.contains(&id)), "{names}");
    let real = door.command(["start", &id]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(real.get_program()).args(real.get_args());
    assert_ne!(door.finish(command.stdin(Stdio::null())).code, 0);
    assert_eq!(door.status(&id), "created");
}

/// What stands where the runtime's files are to be written is not written to.
#[test]
fn links_in_place_of_the_runtimes_files_are_not_followed() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let secret = host.path().join("secret");
    // A pid file in a directory of everybody's: the name is replaced, the link not followed.
    let shared = Temp::new("shared");
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let pid_file = shared.path().join("pid");
    symlink(&secret, &pid_file).unwrap();
    let (bundle, id) = (Bundle::busybox().args(["true"]), door.id("pid"));
    door.ok(["create", "--pid-file", path(&pid_file), "--bundle", dir(&bundle), &id]);
    assert!(pid_file.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), door.state(&id)["pid"].to_string());
    // A container's directory that is a link.
    let id = door.id("link");
    symlink(host.path(), door.root().join(&id)).unwrap();
    for args in [&["create", "--bundle", dir(&bundle)][..], &["start"], &["state"], &["delete", "--force"]] {
        let output = door.run([args, &[&id]].concat());
        assert_ne!(output.code, 0, "{args:?}");
    }
    fs::remove_file(door.root().join(&id)).unwrap();
    assert_eq!(picture(host.path()), before);
}

/// The caller's session keyring isn't the container's, nor what `exec` starts in it.
#[test]
fn keys_of_the_caller_are_not_seen_inside() {
    if !privileged::root() || !privileged::program("keyctl", "keyutils") {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox()
        .args(["cat", "/proc/keys"])
        .edit(|config| config["linux"]["maskedPaths"] = json!([]));
    let (_running, id) =
        start(&door, Bundle::busybox().edit(|config| config["linux"]["maskedPaths"] = json!([])));
    // Only who possesses the key, by the session keyring, sees it.
    let ids = [door.id("keys")];
    for args in [&["run", "--bundle", dir(&bundle), &ids[0]][..], &["exec", &id, "cat", "/proc/keys"]] {
        let real = door.command(args);
        let mut command = Command::new("keyctl");
        let line = "key=$(keyctl add user forgeone-test-key secret @s) && keyctl setperm $key 0x3f000000 && exec \"$@\"";
        command.args(["session", "-", "sh", "-c", line, "sh"]).arg(real.get_program()).args(real.get_args());
        let output = door.finish(command.stdin(Stdio::null()));
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(!output.stdout.contains("forgeone-test-key"), "{args:?}: {}", output.stdout);
        assert!(output.stdout.contains("_ses."), "{args:?}: {}", output.stdout);
    }
}

/// What a container says on its terminal or leaves in its root isn't executed or read by the runtime as its own.
#[test]
fn passwd_of_the_image_may_be_anything() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (host, _) = Host::new();
    let secret = host.path().join("secret");
    fs::write(&secret, "user:x:1000:1000::/from-the-host:/bin/sh\n").unwrap();
    for case in ["link", "fifo", "directory", "device"] {
        let bundle = Bundle::busybox()
            .args(["sh", "-c", "echo $HOME"])
            .edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
        let passwd = bundle.rootfs().join("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        match case {
            "link" => symlink(&secret, &passwd).unwrap(),
            "fifo" => assert!(Command::new("mkfifo").arg(&passwd).status().unwrap().success()),
            "directory" => fs::create_dir(&passwd).unwrap(),
            _ => symlink("/dev/zero", &passwd).unwrap(),
        }
        let output = run(&door, &bundle);
        assert_eq!((output.code, output.stdout.as_str()), (0, "/\n"), "{case}: {}", output.stderr);
    }
}

/// A program that is written by somebody else while the container starts, or a swarm of others: the runtime doesn't hang.
#[test]
fn a_connection_that_says_nothing_does_not_stop_the_start() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("silent"));
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    // It goes away again without a word.
    let directory = File::open(door.root().join(&id)).unwrap();
    let state = forgeone_sys::socket::connect_seqpacket(&directory, "start").unwrap();
    drop(state);
    assert_eq!(door.status(&id), "created");
    // Garbage isn't the word.
    let state = forgeone_sys::socket::connect_seqpacket(&directory, "start").unwrap();
    forgeone_sys::socket::send(&state, b"x", &[]).unwrap();
    drop(state);
    assert_eq!(door.status(&id), "created");
    door.ok(["start", &id]);
    eventually("it runs", || door.status(&id) == "running");
    assert!(directory.as_raw_fd() > 2);
}

/// The door's answer to a process that writes into its own memory, as seen from a neighbour: a program that was executed is
/// an ordinary one again, which its own user may trace.
#[test]
fn the_programs_own_user_may_look_at_it() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_bundle, id) = start(&door, Bundle::busybox());
    let output = door.ok([
        "exec",
        &id,
        "sh",
        "-c",
        "readlink /proc/1/exe; cat /proc/1/environ | tr '\\0' '\\n' | head -1",
    ]);
    assert!(output.stdout.starts_with("/bin/busybox\nPATH="), "{}", output.stdout);
    let mut text = String::new();
    File::open(format!("/proc/{}/status", door.state(&id)["pid"]))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("CapInh:\t0000000000000000"), "{text}");
    std::io::stdout().flush().unwrap();
}
