//! Mounts of the config: every type, what is in them, what lies on what, and what is refused.

use crate::inside::{
    joined, mount, mount_at, options_at, printed, probed, refused, run, shell, source, writable,
};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use testkit::bundle::PROBE;
use testkit::{Bundle, Temp, privileged};

const EROFS: i32 = 30;

#[test]
fn what_does_not_fit_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let file = source.path().join("sub/file");
    for (mount, expected) in [
        (mount("/etc/passwd", "bind", source.path(), "bind"), "mounts[7] \"/etc/passwd\""),
        (mount("/etc", "bind", &file, "bind"), "mounts[7] \"/etc\""),
        (mount("/etc/passwd", "tmpfs", "tmpfs", ""), "mounts[7] \"/etc/passwd\""),
        (mount("/", "tmpfs", "tmpfs", ""), "mounts[7].destination"),
        (mount("/a/../b", "tmpfs", "tmpfs", ""), "mounts[7].destination"),
        (mount("", "tmpfs", "tmpfs", ""), "mounts[7].destination"),
        (mount("/m", "", "tmpfs", ""), "mounts[7].type"),
        (mount("/m", "bind", source.path(), ""), "mounts[7].type"),
        (mount("/m", "nosuchfs", "x", ""), "mounts[7] \"/m\" (nosuchfs)"),
        (mount("/m", "tmpfs", "tmpfs", "size=many"), "mounts[7] \"/m\" (tmpfs)"),
        (mount("/m", "tmpfs", "tmpfs", "nosuchoption"), "nosuchoption"),
        (mount("/m", "bind", source.path(), "bind nosuchoption"), "mounts[7].options"),
        (mount("/m", "bind", source.path(), "bind tmpcopyup"), "mounts[7].options"),
        (mount("/m", "bind", source.path(), "bind idmap"), "mounts[7].options: \"idmap\": needs uidMappings"),
        (mount("/proc", "tmpfs", "tmpfs", ""), "mounts[7].destination"),
        (mount("/proc", "bind", source.path(), "bind"), "mounts[7] \"/proc\""),
        (mount("/proc/self", "bind", source.path(), "bind"), "mounts[7].destination"),
        (mount("/m", "none", "none", "remount ro"), "mounts[7] \"/m\" (remount)"),
    ] {
        let bundle = writable().mount(mount.clone());
        let said = refused(&bundle);
        assert!(said.contains(expected), "{mount}: {said}");
    }
}

#[test]
fn later_mounts_lie_in_and_on_earlier_ones() {
    if !privileged::machine_root() {
        return;
    }
    let source = source();
    let bundle = writable()
        .mount(mount("/a", "tmpfs", "tmpfs", "size=1m"))
        .mount(mount("/a/b/c", "tmpfs", "tmpfs", "size=2m"))
        .mount(mount("/a/b/c/d", "bind", source.path(), "bind"))
        .mount(mount("/a/b/c/d/sub/file", "bind", "/etc/hostname", "bind"))
        .mount(mount("/twice", "tmpfs", "first", ""))
        .mount(mount("/twice/", "tmpfs", "second", ""));
    let bundle = bundle.with_probe().args([PROBE, "read:/a/b/c/d/sub/file"]);
    let seen: Value = serde_json::from_str(&printed(&bundle)).unwrap();
    assert_eq!(seen["asked"]["read:/a/b/c/d/sub/file"], fs::read_to_string("/etc/hostname").unwrap());
    assert_eq!(joined(&mount_at(&seen, "/a")["super_options"]), "rw,size=1024k");
    assert_eq!(joined(&mount_at(&seen, "/a/b/c")["super_options"]), "rw,size=2048k");
    let twice: Vec<_> =
        seen["mounts"].as_array().unwrap().iter().filter(|m| m["point"] == "/twice").collect();
    assert_eq!((&twice[0]["source"], &twice[1]["source"]), (&json!("first"), &json!("second")));
    let left = fs::read_dir(bundle.rootfs().join("a")).unwrap().count();
    assert_eq!(left, 0, "what was made in a tmpfs is gone with it");
}

#[test]
fn a_tmpfs_has_its_options_and_the_mode_of_what_it_covers() {
    if !privileged::root() {
        return;
    }
    let bundle = writable()
        .mount(mount("/root", "tmpfs", "tmpfs", ""))
        .mount(mount("/tmp", "tmpfs", "tmpfs", "size=64k nr_inodes=10"))
        .mount(mount("/var", "tmpfs", "tmpfs", "mode=700 uid=1000 gid=2000"))
        .mount(mount("/new", "tmpfs", "tmpfs", ""))
        .mount(mount("/ro", "tmpfs", "tmpfs", "ro"));
    let seen =
        probed(bundle, &["stat:/root", "stat:/tmp", "stat:/var", "stat:/new", "stat:/ro", "write:/ro/x"]);
    let stat = |path: &str| {
        (seen["asked"][path]["mode"].as_str().unwrap(), seen["asked"][path]["owner"].as_str().unwrap())
    };
    assert_eq!(stat("stat:/root"), ("0700", "0:0"));
    assert_eq!(stat("stat:/tmp"), ("1777", "0:0"));
    assert_eq!(stat("stat:/var"), ("0700", "1000:2000"));
    assert_eq!(stat("stat:/new"), ("1777", "0:0"));
    assert!(options_at(&seen, "/ro").contains("ro"));
    let bundle = writable().mount(mount("/tmp", "tmpfs", "tmpfs", "size=64k nr_inodes=10"));
    let line = "head -c 65536 /dev/zero >/tmp/fits; echo x 2>/dev/null >/tmp/more || echo full
        touch /tmp/1 /tmp/2 /tmp/3 /tmp/4 /tmp/5 /tmp/6 /tmp/7 /tmp/8 /tmp/9 2>/dev/null || echo no inodes";
    assert_eq!(shell(bundle, line), "full\nno inodes\n");
}

#[test]
fn tmpcopyup_begins_with_what_it_covers() {
    if !privileged::root() {
        return;
    }
    let bundle =
        writable().file("/etc/deep/er/file", "text\n").mount(mount("/etc", "tmpfs", "tmpfs", "tmpcopyup"));
    let rootfs = bundle.rootfs();
    lchown(rootfs.join("etc/deep/er/file"), Some(7), Some(8)).unwrap();
    fs::set_permissions(rootfs.join("etc/deep/er"), fs::Permissions::from_mode(0o2711)).unwrap();
    symlink("deep/er/file", rootfs.join("etc/link")).unwrap();
    let bundle = bundle.with_probe();
    let probe = bundle.args([
        PROBE,
        "read:/etc/link",
        "stat:/etc/link",
        "stat:/etc/deep/er",
        "stat:/etc/deep/er/file",
        "read:/etc/group",
    ]);
    let seen: Value = serde_json::from_str(&printed(&probe)).unwrap();
    let asked = &seen["asked"];
    assert_eq!(
        (&asked["read:/etc/link"], &asked["stat:/etc/link"]["target"]),
        (&json!("text\n"), &json!("deep/er/file"))
    );
    assert_eq!(asked["stat:/etc/deep/er"]["mode"], "2711");
    assert_eq!(asked["stat:/etc/deep/er/file"]["owner"], "7:8");
    assert_eq!(asked["read:/etc/group"], fs::read_to_string(rootfs.join("etc/group")).unwrap());
    assert_eq!(mount_at(&seen, "/etc")["type"], "tmpfs");
    let bundle = probe.shell("echo changed >/etc/group; rm /etc/link; cat /etc/group");
    assert_eq!(printed(&bundle), "changed\n");
    assert!(rootfs.join("etc/link").symlink_metadata().is_ok(), "the bundle's own stays as it was");
}

#[test]
fn kernel_file_systems_are_the_containers_own() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = writable().mount(mount("/proc2", "proc", "proc", "hidepid=2 nosuid"));
    let seen = probed(
        bundle,
        &["list:/proc", "list:/dev/pts", "list:/sys/class/net", "stat:/dev/pts/ptmx", "list:/dev/mqueue"],
    );
    let processes = seen["asked"]["list:/proc"].as_array().unwrap();
    let numbers: Vec<_> = processes.iter().filter_map(|name| name.as_str()?.parse::<u32>().ok()).collect();
    assert_eq!(numbers, [1]);
    assert_eq!(seen["asked"]["list:/dev/pts"], json!(["ptmx"]));
    assert_eq!(seen["asked"]["list:/sys/class/net"], json!(["lo"]));
    assert_eq!(seen["asked"]["stat:/dev/pts/ptmx"]["mode"], "0666");
    assert_eq!(seen["asked"]["list:/dev/mqueue"], json!([]));
    for (point, kind, options) in [
        ("/proc", "proc", "relatime,rw"),
        ("/proc2", "proc", "nosuid,relatime,rw"),
        ("/sys", "sysfs", "nodev,noexec,nosuid,relatime,ro"),
        ("/dev", "tmpfs", "nosuid,rw"),
        ("/dev/pts", "devpts", "noexec,nosuid,relatime,rw"),
        ("/dev/shm", "tmpfs", "nodev,noexec,nosuid,relatime,rw"),
        ("/dev/mqueue", "mqueue", "nodev,noexec,nosuid,relatime,rw"),
    ] {
        assert_eq!(
            (mount_at(&seen, point)["type"].as_str().unwrap(), options_at(&seen, point).as_str()),
            (kind, options),
            "{point}"
        );
    }
    assert_eq!(joined(&mount_at(&seen, "/dev/pts")["super_options"]), "gid=5,mode=620,ptmxmode=666,rw");
    assert!(joined(&mount_at(&seen, "/proc2")["super_options"]).contains("hidepid"));
}

#[test]
fn message_queues_are_seen_and_not_the_hosts() {
    if !privileged::root() {
        return;
    }
    let said =
        shell(Bundle::busybox(), "touch /dev/mqueue/own; ls /dev/mqueue; cat /dev/mqueue/own | cut -c1-9");
    assert_eq!(said, "own\nQSIZE:0  \n");
}

/// A v1 controller that is mounted by itself on this machine.
const CONTROLLER: &str = "/sys/fs/cgroup/pids";

#[test]
fn cgroup_shows_the_containers_own_group() {
    if !privileged::root() || !privileged::file(format!("{CONTROLLER}/cgroup.procs")) {
        return;
    }
    for namespace in [false, true] {
        let mut bundle = Bundle::busybox();
        if namespace {
            bundle = bundle.namespace(json!({ "type": "cgroup" }));
        }
        let questions = [
            "read:/sys/fs/cgroup/pids/cgroup.procs",
            "write:/sys/fs/cgroup/pids/cgroup.procs",
            "list:/sys/fs/cgroup",
        ];
        let seen = probed(bundle, &questions);
        let asked = &seen["asked"];
        assert_eq!(asked["read:/sys/fs/cgroup/pids/cgroup.procs"], "1\n", "cgroup namespace: {namespace}");
        assert_eq!(asked["write:/sys/fs/cgroup/pids/cgroup.procs"], EROFS);
        let host: Vec<_> = host_hierarchies();
        assert_eq!(asked["list:/sys/fs/cgroup"], json!(host));
        let shown = mount_at(&seen, CONTROLLER)["root"].as_str().unwrap();
        match namespace {
            true => assert_eq!(shown, "/"),
            false => assert!(shown.contains("forgeone-test-"), "{shown}"),
        }
        let paths = seen["cgroup"].as_array().unwrap();
        let at_root = paths.iter().all(|line| line.as_str().unwrap().ends_with(":/"));
        assert_eq!(at_root, namespace, "{paths:?}");
    }
}

/// Names of the v1 hierarchies as they are mounted here.
fn host_hierarchies() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points =
        text.lines().filter(|line| line.contains(" - cgroup ")).map(|line| line.split(' ').nth(4).unwrap());
    let mut names: Vec<_> = points.map(|point| point.rsplit('/').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_writable_cgroup_mount_can_be_written() {
    if !privileged::root() || !privileged::file(format!("{CONTROLLER}/cgroup.procs")) {
        return;
    }
    for namespace in [false, true] {
        let mut bundle = Bundle::busybox();
        if namespace {
            bundle = bundle.namespace(json!({ "type": "cgroup" }));
        }
        let bundle =
            bundle.edit(|config| config["mounts"][6]["options"] = json!(["nosuid", "noexec", "nodev"]));
        let line = "cd /sys/fs/cgroup/pids; mkdir sub; echo 5 >sub/pids.max; cat sub/pids.max; rmdir sub";
        assert_eq!(shell(bundle, line), "5\n", "cgroup namespace: {namespace}");
    }
}

#[test]
fn cgroup2_shows_the_containers_own_group() {
    if !privileged::root() || !privileged::file("/sys/fs/cgroup/unified/cgroup.procs") {
        return;
    }
    for namespace in [false, true] {
        let mut bundle = writable();
        if namespace {
            bundle = bundle.namespace(json!({ "type": "cgroup" }));
        }
        let bundle = bundle
            .edit(|config| config["mounts"][6] = mount("/sys/fs/cgroup", "cgroup2", "cgroup2", "nosuid ro"));
        let questions = [
            "read:/sys/fs/cgroup/cgroup.procs",
            "write:/sys/fs/cgroup/cgroup.procs",
            "read:/sys/fs/cgroup/cgroup.events",
        ];
        let seen = probed(bundle, &questions);
        assert_eq!(seen["asked"]["read:/sys/fs/cgroup/cgroup.procs"], "1\n", "cgroup namespace: {namespace}");
        assert_eq!(seen["asked"]["write:/sys/fs/cgroup/cgroup.procs"], EROFS);
        let shown = mount_at(&seen, "/sys/fs/cgroup");
        assert_eq!(shown["type"], "cgroup2");
        assert_eq!(shown["root"] == "/", namespace, "{shown}");
    }
}

#[test]
fn remount_changes_what_is_there() {
    if !privileged::root() {
        return;
    }
    let bundle = writable()
        .mount(mount("/data", "tmpfs", "tmpfs", "size=1m"))
        .mount(mount("/data/file", "bind", "/etc/hostname", "bind"))
        .mount(mount("/data", "none", "none", "remount bind ro nosuid"))
        .mount(mount("/dev/shm", "tmpfs", "shm", "remount size=128k"));
    let seen = probed(bundle, &[]);
    assert_eq!(options_at(&seen, "/data"), "nosuid,relatime,ro");
    assert!(joined(&mount_at(&seen, "/dev/shm")["super_options"]).contains("size=128k"));
}

#[test]
fn a_relative_destination_is_taken_from_the_root() {
    if !privileged::root() {
        return;
    }
    let bundle = writable()
        .mount(mount("data/here", "tmpfs", "tmpfs", ""))
        .shell("grep -q ' /data/here tmpfs ' /proc/mounts && echo there");
    let output = run(&bundle);
    assert_eq!((output.code, output.stdout.as_str()), (0, "there\n"));
    assert!(
        output.stderr.contains("mounts[7].destination") && output.stderr.contains("deprecated"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_hundred_mounts_are_all_there() {
    if !privileged::root() {
        return;
    }
    let bundle = (0..100)
        .fold(writable(), |bundle, n| bundle.mount(mount(&format!("/m/{n}"), "tmpfs", "many", "size=4k")));
    assert_eq!(shell(bundle, "grep -c '^many ' /proc/mounts"), "100\n");
}

#[test]
fn overlay_is_mounted_with_its_layers() {
    if !privileged::root() {
        return;
    }
    let layers = Temp::new("layers");
    for name in ["lower,one", "upper", "work"] {
        fs::create_dir(layers.path().join(name)).unwrap();
    }
    fs::write(layers.path().join("lower,one/file"), "lower\n").unwrap();
    let own = layers.path().to_str().unwrap();
    let escaped = own.to_owned() + "/lower\\,one";
    let options = format!("lowerdir={escaped},upperdir={own}/upper,workdir={own}/work");
    let bundle = writable().mount(
        json!({ "destination": "/data", "type": "overlay", "source": "overlay", "options": [options] }),
    );
    assert_eq!(shell(bundle, "cat /data/file; echo upper >/data/file"), "lower\n");
    assert_eq!(fs::read_to_string(layers.path().join("upper/file")).unwrap(), "upper\n");
    assert!(!fs::metadata(layers.path().join("upper/file")).unwrap().file_type().is_char_device());
}

/// Without SELinux as under runc: what takes the label as an option is refused by the kernel, the rest goes without.
#[test]
fn a_label_is_given_to_what_can_bear_it() {
    if !privileged::root() {
        return;
    }
    if fs::exists("/sys/fs/selinux/enforce").unwrap() {
        return testkit::skip("is about a kernel without SELinux");
    }
    let labelled = |kinds: &[&str]| {
        Bundle::busybox().edit(|config| {
            config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| kinds.contains(&mount["type"].as_str().unwrap()));
            mounts.iter_mut().for_each(|mount| {
                if mount["type"] == "mqueue" {
                    mount["destination"] = json!("/mnt");
                }
            });
            config["linux"]["maskedPaths"] = json!([]);
        })
    };
    assert_eq!(shell(labelled(&["proc", "sysfs", "mqueue"]).writable(), "ls /mnt; echo runs"), "runs\n");
    let said = refused(&labelled(&["proc", "tmpfs"]));
    assert!(
        said.contains("mounts[1] \"/dev\" (tmpfs)") && said.contains("c1,c2") && said.contains("EINVAL"),
        "{said}"
    );
}
