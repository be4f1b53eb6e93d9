//! User namespaces: the ids inside and outside, whose files are whose, and what root in there may not do.

use crate::inside::{dir, mount, mount_at, printed, probed, refused, run, shell};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::Stdio;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged};

/// Where the ranges of these tests begin on the host.
const FIRST: u32 = 200_000;

fn map(ranges: &[(u32, u32, u32)]) -> Value {
    let range = |&(inside, outside, size): &(u32, u32, u32)| json!({ "containerID": inside, "hostID": outside, "size": size });
    ranges.iter().map(range).collect()
}

/// Gives a bundle a user namespace with these ranges for users and groups.
fn mapped(bundle: Bundle, users: &[(u32, u32, u32)], groups: &[(u32, u32, u32)]) -> Bundle {
    bundle.namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = map(users);
        config["linux"]["gidMappings"] = map(groups);
    })
}

/// A busybox root that belongs to root of a user namespace with 65536 ids.
fn plain() -> Bundle {
    let ranges = [(0, FIRST, 65536)];
    mapped(Bundle::busybox().owned_by(FIRST, FIRST).writable(), &ranges, &ranges)
}

#[test]
fn ids_inside_are_mapped_to_the_ranges_outside() {
    if !privileged::root() {
        return;
    }
    let users = [(0, FIRST, 1000), (1000, FIRST + 50_000, 10)];
    let groups = [(0, FIRST, 500), (2000, FIRST + 60_000, 5)];
    let seen = probed(
        mapped(Bundle::busybox().owned_by(FIRST, FIRST), &users, &groups),
        &["stat:/etc/passwd", "stat:/proc"],
    );
    assert_eq!(seen["uid_map"], json!(["0 200000 1000", "1000 250000 10"]));
    assert_eq!(seen["gid_map"], json!(["0 200000 500", "2000 260000 5"]));
    assert_eq!(seen["setgroups"], "allow");
    assert_eq!(seen["credentials"]["Uid"], "0\t0\t0\t0");
    assert_eq!(seen["credentials"]["Gid"], "0\t0\t0\t0");
    assert_eq!(seen["asked"]["stat:/etc/passwd"]["owner"], "0:0");
    assert_eq!(seen["asked"]["stat:/proc"]["owner"], "65534:65534");
}

#[test]
fn a_user_with_groups_is_who_they_are_outside_too() {
    if !privileged::root() {
        return;
    }
    let door_bundle = plain().edit(|config| {
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 2000] });
    });
    let bundle = door_bundle.args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("who");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), [FIRST + 1000; 4]);
    assert_eq!(field("Gid:"), [FIRST + 1001; 4]);
    assert_eq!(field("Groups:"), [FIRST + 5, FIRST + 2000]);
    let inside = door.ok(["exec", "--user", "1000:1001", &id, "id", "-u"]).stdout;
    assert_eq!(inside, "1000\n");
    door.ok(["delete", "--force", &id]);
}

#[test]
fn files_made_inside_belong_to_mapped_ids_outside() {
    if !privileged::machine_root() {
        return;
    }
    let source = Temp::new("source");
    lchown(source.path(), Some(FIRST + 1000), Some(FIRST + 1000)).unwrap();
    let bundle = plain().mount(mount("/data", "bind", source.path(), "bind")).edit(|config| {
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    });
    fs::write(source.path().join("hosts"), "").unwrap();
    let said = shell(
        bundle,
        "touch /data/mine; stat -c %u:%g /data/mine /data/hosts; echo x 2>/dev/null >/data/hosts || echo denied",
    );
    assert_eq!(said, "1000:1000\n65534:65534\ndenied\n");
    let mine = fs::metadata(source.path().join("mine")).unwrap();
    assert_eq!((mine.uid(), mine.gid()), (FIRST + 1000, FIRST + 1000));
}

#[test]
fn mount_points_are_made_by_the_containers_root() {
    if !privileged::root() {
        return;
    }
    let bundle = plain().mount(mount("/made/inside", "tmpfs", "tmpfs", "")).args(["true"]);
    printed(&bundle);
    let made = fs::metadata(bundle.rootfs().join("made/inside")).unwrap();
    assert_eq!((made.uid(), made.gid()), (FIRST, FIRST));
}

#[test]
fn default_devices_are_the_hosts_bound() {
    if !privileged::root() {
        return;
    }
    let seen = probed(plain(), &["write:/dev/null", "write:/dev/zero", "stat:/dev"]);
    for (name, number) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        let path = format!("/dev/{name}");
        assert_eq!(seen["dev"][&path]["device"], number, "{name}");
        assert_eq!(seen["dev"][&path]["owner"], "65534:65534", "{name}");
        assert_eq!(mount_at(&seen, &path)["type"], "devtmpfs", "{name}");
    }
    assert_eq!(
        (&seen["asked"]["write:/dev/null"], &seen["asked"]["write:/dev/zero"]),
        (&json!("ok"), &json!("ok"))
    );
    assert_eq!(seen["asked"]["stat:/dev"]["owner"], "0:0");
    let line = "echo x >/dev/null; head -c 2 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; echo x 2>/dev/null >/dev/full || echo full";
    assert_eq!(shell(plain(), line), " 00 00\n4\nfull\n");
}

#[test]
fn linux_devices_are_bound_or_refused_by_name() {
    if !privileged::root() || !privileged::file("/dev/fuse") {
        return;
    }
    let with = |device: Value| plain().edit(|config| config["linux"]["devices"] = json!([device]));
    let seen = probed(with(json!({ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 })), &[]);
    assert_eq!(seen["dev"]["/dev/fuse"]["device"], "10:229");
    let said = refused(&with(json!({ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 228 })));
    assert!(said.contains("/dev/fuse") && said.contains("10:228"), "{said}");
    let said = refused(&with(json!({ "path": "/dev/nowhere", "type": "c", "major": 1, "minor": 3 })));
    assert!(said.contains("/dev/nowhere") && said.contains("ENOENT"), "{said}");
    let seen = probed(with(json!({ "path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 7 })), &[]);
    assert_eq!(
        (&seen["dev"]["/dev/pipe"]["type"], &seen["dev"]["/dev/pipe"]["owner"]),
        (&json!("fifo"), &json!("7:0"))
    );
}

#[test]
fn root_inside_has_capabilities_but_not_over_the_host() {
    if !privileged::root() {
        return;
    }
    let bundle = plain().edit(|config| {
        let all = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_SYS_ADMIN",
            "CAP_MKNOD",
            "CAP_SYS_MODULE",
            "CAP_NET_ADMIN",
            "CAP_SYS_RESOURCE",
            "CAP_SETUID"
        ]);
        config["process"]["capabilities"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .for_each(|set| *set = all.clone());
    });
    let line = "mount -t tmpfs tmpfs /tmp && echo mounts
        mknod /tmp/node b 8 0 2>/dev/null || echo no devices
        hostname other && hostname
        echo 0 2>/dev/null >/proc/sys/vm/swappiness || echo only its own
        ip link set lo mtu 1000 && cat /sys/class/net/lo/mtu
        touch /home/x && chown 1000 /home/x && stat -c %u /home/x
        chown 70000 /home/x 2>/dev/null || echo not mapped";
    let said = shell(bundle, line);
    assert_eq!(said, "mounts\nno devices\nother\nonly its own\n1000\n1000\nnot mapped\n");
}

#[test]
fn masked_and_read_only_paths_hold() {
    if !privileged::root() {
        return;
    }
    let bundle =
        plain().file("/etc/secret", "key\n").file("/etc/dir/x", "").owned_by(FIRST, FIRST).edit(|config| {
            config["linux"]["maskedPaths"] = json!(["/etc/secret", "/etc/dir", "/proc/uptime"]);
            config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/etc/group"]);
            // Or the parameter couldn't be written anyway.
            let sets = config["process"]["capabilities"].as_object_mut().unwrap();
            sets.values_mut().for_each(|set| set.as_array_mut().unwrap().push(json!("CAP_NET_ADMIN")));
        });
    let questions = [
        "read:/etc/secret",
        "list:/etc/dir",
        "read:/proc/uptime",
        "write:/etc/group",
        "write:/proc/sys/net/ipv4/ip_forward",
    ];
    let seen = probed(bundle, &questions);
    let asked = &seen["asked"];
    assert_eq!((&asked["read:/etc/secret"], &asked["read:/proc/uptime"]), (&json!(""), &json!("")));
    assert_eq!(asked["list:/etc/dir"], json!([]));
    const EROFS: i32 = 30;
    assert_eq!(
        (&asked["write:/etc/group"], &asked["write:/proc/sys/net/ipv4/ip_forward"]),
        (&json!(EROFS), &json!(EROFS))
    );
}

#[test]
fn a_root_behind_a_closed_directory_is_reached() {
    if !privileged::root() {
        return;
    }
    let bundle = plain();
    let source = Temp::new("closed");
    fs::write(source.path().join("file"), "closed\n").unwrap();
    fs::create_dir(source.path().join("dir")).unwrap();
    fs::write(source.path().join("dir/file"), "deep\n").unwrap();
    for path in [source.path(), bundle.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let bundle = bundle.mount(mount("/data", "bind", source.path().join("dir"), "rbind ro")).mount(mount(
        "/etc/one",
        "bind",
        source.path().join("file"),
        "bind",
    ));
    assert_eq!(
        shell(bundle, "cat /data/file /etc/one; touch /data/x 2>/dev/null || echo read-only"),
        "deep\nclosed\nread-only\n"
    );
}

/// A process in a user namespace of its own, to join it.
pub(crate) struct Holder(std::process::Child);

impl Holder {
    pub(crate) fn new(first: u32) -> Self {
        let mut unshare = std::process::Command::new("unshare");
        // With a map by the test, as root may write any.
        let child = unshare.args(["--user", "sleep", "1000"]).stdin(Stdio::null()).spawn().unwrap();
        let holder = Self(child);
        let own = fs::read_link("/proc/self/ns/user").unwrap();
        testkit::eventually("the namespace is there", || {
            fs::read_link(holder.namespace()).is_ok_and(|ns| ns != own)
        });
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{map}", holder.0.id()), format!("0 {first} 65536")).unwrap();
        }
        holder
    }

    pub(crate) fn namespace(&self) -> String {
        format!("/proc/{}/ns/user", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_joined_user_namespace_is_the_one_at_the_path() {
    if !privileged::machine_root() {
        return;
    }
    let holder = Holder::new(FIRST);
    let bundle = Bundle::busybox().owned_by(FIRST, FIRST).writable();
    let bundle = bundle.namespace(json!({ "type": "user", "path": holder.namespace() }));
    let inode = fs::read_link(holder.namespace()).unwrap();
    let bundle = bundle.with_probe().args([PROBE, "write:/dev/null", "stat:/etc/passwd"]);
    let seen: Value = serde_json::from_str(&printed(&bundle)).unwrap();
    assert_eq!(seen["namespaces"]["user"], inode.to_str().unwrap());
    assert_eq!(seen["uid_map"], json!(["0 200000 65536"]));
    assert_eq!(seen["asked"]["write:/dev/null"], "ok");
    assert_eq!(seen["asked"]["stat:/etc/passwd"]["owner"], "0:0");
    let bundle = bundle.args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("joined");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].to_string();
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), FIRST);
    let seen = door.ok(["exec", &id, PROBE]).json();
    assert_eq!(seen["namespaces"]["user"], inode.to_str().unwrap());
    door.ok(["delete", "--force", &id]);
}

#[test]
fn exec_is_in_the_namespace_as_the_user_that_is_asked_for() {
    if !privileged::root() {
        return;
    }
    let bundle = plain().with_probe().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("exec");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let seen = door.ok(["exec", &id, PROBE]).json();
    let pid = door.state(&id)["pid"].to_string();
    for (name, inode) in seen["namespaces"].as_object().unwrap() {
        let file = name.replace("_for_children", "");
        let theirs = fs::read_link(format!("/proc/{pid}/ns/{file}")).unwrap();
        assert_eq!(inode, theirs.to_str().unwrap(), "{name}");
    }
    assert_eq!(seen["uid_map"], json!(["0 200000 65536"]));
    assert_eq!(
        (&seen["credentials"]["Uid"], &seen["credentials"]["Groups"]),
        (&json!("0\t0\t0\t0"), &json!(""))
    );
    let user = door.ok(["exec", "--user", "1000:1001", "--additional-gids", "2000", &id, PROBE]).json();
    assert_eq!(
        (&user["credentials"]["Uid"], &user["credentials"]["Groups"]),
        (&json!("1000\t1000\t1000\t1000"), &json!("2000"))
    );
    let made = door.ok(["exec", &id, "sh", "-c", "touch /tmp/made; stat -c %u /tmp/made"]).stdout;
    assert_eq!(made, "0\n");
    assert_eq!(fs::metadata(bundle.rootfs().join("tmp/made")).unwrap().uid(), FIRST);
    let unmapped = door.run(["exec", "--user", "70000", &id, "true"]);
    assert_ne!(unmapped.code, 0);
    assert!(unmapped.stderr.contains("process.user"), "{}", unmapped.stderr);
    door.ok(["delete", "--force", &id]);
}

#[test]
fn what_can_not_be_mapped_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let plain_map = [(0, FIRST, 10)];
    let root = || Bundle::busybox().owned_by(FIRST, FIRST);
    for (bundle, expected) in [
        (mapped(root(), &[], &plain_map), "linux.uidMappings"),
        (mapped(root(), &plain_map, &[]), "linux.gidMappings"),
        (mapped(root(), &[(0, FIRST, 10), (5, FIRST + 100, 10)], &plain_map), "linux.uidMappings"),
        (mapped(root(), &[(0, FIRST, 0)], &plain_map), "linux.uidMappings"),
        (mapped(root(), &[(0, u32::MAX - 1, 10)], &plain_map), "linux.uidMappings"),
        (root().edit(|config| config["linux"]["uidMappings"] = map(&plain_map)), "linux.uidMappings"),
        (
            mapped(root(), &plain_map, &plain_map).edit(|c| c["process"]["user"]["uid"] = json!(10)),
            "process.user.uid",
        ),
        (
            mapped(root(), &plain_map, &plain_map).edit(|c| c["process"]["user"]["gid"] = json!(10)),
            "process.user.gid",
        ),
        (
            mapped(root(), &plain_map, &plain_map)
                .edit(|c| c["process"]["user"]["additionalGids"] = json!([10])),
            "process.user.additionalGids",
        ),
        (root().namespace(json!({ "type": "user", "path": "/proc/self/ns/net" })), "linux.namespaces"),
        (root().namespace(json!({ "type": "user", "path": "/nowhere" })), "linux.namespaces"),
    ] {
        let said = refused(&bundle);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_map_without_the_terminals_group_is_borne_with_a_warning() {
    if !privileged::root() {
        return;
    }
    let ranges = [(0, FIRST, 1)];
    let bundle = mapped(Bundle::busybox().owned_by(FIRST, FIRST), &ranges, &ranges)
        .shell("ls -ld /dev/pts/ptmx | cut -c1-10; id -u");
    let output = run(&bundle);
    assert_eq!((output.code, output.stdout.as_str()), (0, "crw-rw-rw-\n0\n"), "{}", output.stderr);
    assert!(output.stderr.contains("gid=5"), "{}", output.stderr);
}

#[test]
fn each_container_has_a_user_namespace_of_its_own() {
    if !privileged::root() {
        return;
    }
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    let see = || probed(plain(), &[])["namespaces"]["user"].as_str().unwrap().to_owned();
    let (first, host) = (see(), own.to_str().unwrap());
    assert_ne!(first, host);
}

#[test]
fn cgroups_are_shown_and_not_writable() {
    if !privileged::root() || !Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
        return;
    }
    for namespace in [false, true] {
        let mut bundle = plain();
        if namespace {
            bundle = bundle.namespace(json!({ "type": "cgroup" }));
        }
        let bundle = bundle.edit(|config| config["mounts"][6]["options"] = json!(["nosuid"]));
        let line = "head -n 1 /sys/fs/cgroup/pids/cgroup.procs; mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo denied
            echo 5 2>/dev/null >/sys/fs/cgroup/pids/pids.max || echo denied";
        assert_eq!(shell(bundle, line), "1\ndenied\ndenied\n", "cgroup namespace: {namespace}");
    }
}

#[test]
fn sysfs_without_a_network_namespace_is_the_hosts_and_read_only() {
    if !privileged::root() {
        return;
    }
    let bundle = plain().edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != "network");
        config["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/sys/fs/cgroup");
    });
    let seen = probed(bundle, &["list:/sys", "write:/sys/kernel/mm/ksm/run", "list:/sys/fs/cgroup"]);
    assert_eq!(mount_at(&seen, "/sys")["type"], "sysfs");
    assert!(seen["asked"]["list:/sys"].as_array().unwrap().contains(&json!("class")));
    assert_ne!(seen["asked"]["write:/sys/kernel/mm/ksm/run"], "ok");
    for mount in seen["mounts"].as_array().unwrap() {
        if mount["point"].as_str().unwrap().starts_with("/sys") {
            assert!(mount["options"].as_array().unwrap().contains(&json!("ro")), "{mount}");
        }
    }
}
