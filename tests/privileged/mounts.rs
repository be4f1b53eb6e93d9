//! Mounts of the config: every type, binds of everything, places that are missing, nested or behind links.

use crate::inside::{
    dir, joined, mount, mount_at, options_at, own_host, printed, probed, refused, run, shell,
};
use forgeone_sys::mount as sys_mount;
use forgeone_sys::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixDatagram;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged};

const EROFS: i32 = 30;
const ENOENT: &str = "ENOENT";

/// A directory with `sub/file`, to be bound.
fn source() -> Temp {
    let source = Temp::new("source");
    fs::create_dir(source.path().join("sub")).unwrap();
    fs::write(source.path().join("sub/file"), "from the host\n").unwrap();
    source
}

/// A busybox root that can be written to, since mount points are made in it.
fn writable() -> Bundle {
    Bundle::busybox().writable()
}

#[test]
fn a_bound_directory_is_the_hosts() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let bundle = writable().mount(mount("/srv/data", "bind", source.path(), "bind"));
    assert_eq!(shell(bundle, "cat /srv/data/sub/file; echo back >/srv/data/new"), "from the host\n");
    assert_eq!(fs::read_to_string(source.path().join("new")).unwrap(), "back\n");
}

#[test]
fn a_read_only_bind_refuses_writes_and_the_host_still_writes() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let bundle = writable().mount(mount("/data", "none", source.path(), "rbind ro nosuid"));
    let seen = probed(bundle, &["write:/data/sub/file", "read:/data/sub/file"]);
    assert_eq!(seen["asked"]["write:/data/sub/file"], EROFS);
    assert_eq!(seen["asked"]["read:/data/sub/file"], "from the host\n");
    assert_eq!(options_at(&seen, "/data"), "nosuid,relatime,ro");
    fs::write(source.path().join("sub/file"), "x").unwrap();
}

#[test]
fn a_bound_file_covers_one_or_makes_its_place() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let file = source.path().join("sub/file");
    let bundle = writable().mount(mount("/etc/passwd", "bind", &file, "bind ro")).mount(mount(
        "/new/deep/file",
        "bind",
        &file,
        "bind",
    ));
    let rootfs = bundle.rootfs();
    let seen =
        probed(bundle, &["read:/etc/passwd", "write:/etc/passwd", "read:/new/deep/file", "stat:/new/deep"]);
    assert_eq!(seen["asked"]["read:/etc/passwd"], "from the host\n");
    assert_eq!(seen["asked"]["write:/etc/passwd"], EROFS);
    assert_eq!(seen["asked"]["read:/new/deep/file"], "from the host\n");
    assert_eq!(seen["asked"]["stat:/new/deep"]["mode"], "0755");
    drop(rootfs);
}

#[test]
fn a_place_that_is_made_is_an_empty_file_or_a_directory() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let bundle = writable()
        .mount(mount("/made/file", "bind", source.path().join("sub/file"), "bind"))
        .mount(mount("/made/directory", "bind", source.path(), "bind"))
        .mount(mount("/made/tmpfs", "tmpfs", "tmpfs", ""))
        .args(["true"]);
    printed(&bundle);
    let made = |name: &str| fs::metadata(bundle.rootfs().join("made").join(name)).unwrap();
    assert!(made("file").is_file() && made("file").len() == 0);
    assert!(made("directory").is_dir() && made("tmpfs").is_dir());
    assert_eq!(fs::read_dir(bundle.rootfs().join("made/directory")).unwrap().count(), 0);
    for name in ["", "directory", "tmpfs"] {
        assert_eq!(made(name).mode() & 0o7777, 0o755, "{name:?}");
    }
    assert_eq!(made("file").mode() & 0o7777, 0o644);
}

#[test]
fn a_bound_socket_can_be_spoken_to() {
    if !privileged::root() {
        return;
    }
    let source = Temp::new("socket");
    let path = source.path().join("socket");
    let listener = UnixDatagram::bind(&path).unwrap();
    let bundle = writable().mount(mount("/dev/log", "bind", &path, "bind"));
    assert_eq!(shell(bundle, "test -S /dev/log; logger -t inside hello"), "");
    let mut said = [0; 128];
    let length = listener.recv(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..length]);
    assert!(said.contains("inside: hello"), "{said}");
}

#[test]
fn a_bound_fifo_and_device_are_what_they_are() {
    if !privileged::root() {
        return;
    }
    let source = Temp::new("nodes");
    let kind = forgeone_sys::fs::FileType::Fifo;
    let fifo = source.path().join("fifo");
    forgeone_sys::fs::mknodat(forgeone_sys::fs::CWD, &fifo, kind, 0o600, 0, 0).unwrap();
    let bundle = writable().mount(mount("/run/fifo", "bind", &fifo, "bind")).mount(mount(
        "/dev/nothing",
        "bind",
        "/dev/null",
        "bind",
    ));
    let seen = probed(bundle, &["stat:/run/fifo", "stat:/dev/nothing", "write:/dev/nothing"]);
    assert_eq!(seen["asked"]["stat:/run/fifo"]["type"], "fifo");
    assert_eq!(seen["asked"]["stat:/dev/nothing"]["device"], "1:3");
    assert_eq!(seen["asked"]["write:/dev/nothing"], "ok");
}

#[test]
fn a_relative_source_is_the_bundles() {
    if !privileged::root() {
        return;
    }
    let bundle = writable().mount(mount("/data", "bind", "beside", "bind"));
    fs::create_dir(bundle.path().join("beside")).unwrap();
    fs::write(bundle.path().join("beside/file"), "beside\n").unwrap();
    assert_eq!(shell(bundle, "cat /data/file"), "beside\n");
}

#[test]
fn a_source_behind_a_link_is_what_it_leads_to() {
    if !privileged::root() {
        return;
    }
    let source = source();
    symlink("sub/file", source.path().join("link")).unwrap();
    let bundle = writable().mount(mount("/data", "bind", source.path().join("link"), "bind"));
    assert_eq!(shell(bundle, "cat /data"), "from the host\n");
}

#[test]
fn a_missing_source_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let bundle = writable().mount(mount("/data", "bind", "/nowhere/at/all", "bind"));
    let said = refused(&bundle);
    assert!(
        said.contains("mounts[7] \"/data\"") && said.contains("/nowhere/at/all") && said.contains(ENOENT),
        "{said}"
    );
    assert!(!bundle.rootfs().join("data").exists(), "nothing was made for it");
    let bundle = Bundle::busybox().mount(json!({ "destination": "/data", "options": ["bind"] }));
    let said = refused(&bundle);
    assert!(said.contains("mounts[7].source"), "{said}");
}

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
        (mount("/m", "bind", source.path(), "bind idmap"), "mounts[7].options"),
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
fn a_missing_place_in_a_read_only_image_is_still_made() {
    if !privileged::root() {
        return;
    }
    // The root becomes read-only after the mounts.
    let source = source();
    let bundle = Bundle::busybox().mount(mount("/srv/new", "bind", source.path(), "bind"));
    let seen = probed(bundle, &["read:/srv/new/sub/file", "write:/etc/passwd", "write:/srv/new/sub/file"]);
    assert_eq!(seen["asked"]["read:/srv/new/sub/file"], "from the host\n");
    assert_eq!(seen["asked"]["write:/etc/passwd"], EROFS);
    assert_eq!(seen["asked"]["write:/srv/new/sub/file"], "ok");
}

#[test]
fn later_mounts_lie_in_and_on_earlier_ones() {
    if !privileged::root() {
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
    let rootfs = bundle.rootfs();
    let seen = probed(bundle, &["read:/a/b/c/d/sub/file", "list:/a"]);
    assert_eq!(seen["asked"]["read:/a/b/c/d/sub/file"], fs::read_to_string("/etc/hostname").unwrap());
    assert_eq!(
        joined(&mount_at(&seen, "/a")["super_options"]),
        "mode=755,rw,size=1024k".replace("mode=755,", "")
    );
    assert_eq!(joined(&mount_at(&seen, "/a/b/c")["super_options"]), "rw,size=2048k");
    let twice: Vec<_> =
        seen["mounts"].as_array().unwrap().iter().filter(|m| m["point"] == "/twice").collect();
    assert_eq!((&twice[0]["source"], &twice[1]["source"]), (&json!("first"), &json!("second")));
    assert_eq!(fs::read_dir(rootfs_gone(&rootfs)).map(Iterator::count).unwrap_or(0), 0);
}

fn rootfs_gone(rootfs: &std::path::Path) -> std::path::PathBuf {
    rootfs.join("a")
}

#[test]
fn links_lead_to_places_inside_the_root_only() {
    if !privileged::root() {
        return;
    }
    let outside = Temp::new("outside");
    let source = source();
    let bundle = writable();
    let link = |target: &str, name: &str| symlink(target, bundle.rootfs().join(name)).unwrap();
    link("/var/inner", "absolute");
    link("var/relative", "relative");
    link("../../../../../../var/above", "above");
    link(outside.path().to_str().unwrap(), "out");
    link("absolute/deep", "chain");
    let names = ["absolute", "relative", "above", "out", "chain/more"];
    let bundle = names.iter().fold(bundle, |bundle, name| {
        bundle.mount(mount(&format!("/{name}/there"), "bind", source.path(), "bind"))
    });
    let rootfs = bundle.rootfs();
    let line = "cat /var/inner/there/sub/file /var/relative/there/sub/file /var/above/there/sub/file /out/there/sub/file /chain/more/there/sub/file | wc -l";
    let bundle = bundle.shell(line);
    assert_eq!(printed(&bundle), "5\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "nothing was made on the host");
    let inside = outside.path().strip_prefix("/").unwrap();
    assert!(rootfs.join(inside).join("there").is_dir(), "it was made inside");
}

#[test]
fn links_are_not_followed_to_proc_and_sys() {
    if !privileged::root() {
        return;
    }
    for name in ["proc", "sys"] {
        let bundle = writable();
        fs::remove_dir(bundle.rootfs().join(name)).unwrap();
        symlink("/tmp", bundle.rootfs().join(name)).unwrap();
        let said = refused(&bundle);
        assert!(said.contains(&format!("\"/{name}\"")) && said.contains("ELOOP"), "{said}");
    }
    // A link that leads into /proc is no way around.
    let source = source();
    let bundle = writable().mount(mount("/link/sys", "bind", source.path(), "bind"));
    symlink("/proc", bundle.rootfs().join("link")).unwrap();
    let said = refused(&bundle);
    assert!(said.contains("leads into /proc"), "{said}");
}

#[test]
fn recursive_binds_bring_what_is_mounted_below() {
    if !privileged::root() {
        return;
    }
    own_host();
    let source = source();
    let below = source.path().join("sub");
    sys_mount::mount("below", &below, "tmpfs", MountFlags::NOEXEC, None).unwrap();
    fs::write(below.join("mark"), "").unwrap();
    let bundle = writable()
        .mount(mount("/plain", "bind", source.path(), "bind"))
        .mount(mount("/tree", "bind", source.path(), "rbind"))
        .mount(mount("/ro", "bind", source.path(), "rbind ro"))
        .mount(mount("/rro", "bind", source.path(), "rbind rro rnosuid"))
        .mount(mount("/mixed", "bind", source.path(), "rbind rro rw"));
    let questions = [
        "list:/plain/sub",
        "list:/tree/sub",
        "write:/ro/sub/mark",
        "write:/rro/sub/mark",
        "write:/mixed/sub/mark",
    ];
    let seen = probed(bundle, &questions);
    sys_mount::umount(&below, UnmountFlags::DETACH).unwrap();
    let asked = &seen["asked"];
    assert_eq!((&asked["list:/plain/sub"], &asked["list:/tree/sub"]), (&json!(["file"]), &json!(["mark"])));
    assert_eq!((&asked["write:/ro/sub/mark"], &asked["write:/rro/sub/mark"]), (&json!("ok"), &json!(EROFS)));
    assert_eq!(asked["write:/mixed/sub/mark"], EROFS);
    assert_eq!(options_at(&seen, "/tree/sub"), "noexec,relatime,rw");
    assert_eq!(options_at(&seen, "/rro/sub"), "noexec,nosuid,relatime,ro");
    assert_eq!(
        (options_at(&seen, "/ro"), options_at(&seen, "/ro/sub")),
        ("relatime,ro".into(), "noexec,relatime,rw".into())
    );
}

#[test]
fn options_forbid_what_they_say() {
    if !privileged::root() {
        return;
    }
    let source = Temp::new("source");
    let busybox = source.path().join("busybox");
    fs::copy(privileged::find_program("busybox").unwrap(), &busybox).unwrap();
    fs::set_permissions(&busybox, fs::Permissions::from_mode(0o4755)).unwrap();
    let kind = forgeone_sys::fs::FileType::CharacterDevice;
    let node = source.path().join("null");
    forgeone_sys::fs::mknodat(forgeone_sys::fs::CWD, &node, kind, 0o666, 1, 3).unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
    symlink("busybox", source.path().join("link")).unwrap();
    let at = |place: &str, options: &str| mount(place, "bind", source.path(), options);
    let bundle = writable()
        .mount(at("/plain", "bind"))
        .mount(at("/noexec", "bind noexec"))
        .mount(at("/nodev", "bind nodev"))
        .mount(at("/nosymfollow", "bind nosymfollow"))
        .mount(at("/nosuid", "bind nosuid"))
        .edit(|config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
            config["process"]["noNewPrivileges"] = json!(false);
        });
    let line = "for m in plain noexec nodev nosymfollow nosuid; do
            echo $m $(/$m/busybox id -u 2>&1 | tail -c 18) $( (echo x >/$m/null) 2>/dev/null && echo dev) $(head -c 1 /$m/link >/dev/null 2>&1 && echo link)
        done";
    let said = shell(bundle, line);
    let lines: Vec<_> = said.lines().collect();
    // busybox drops what set-user-ID gave it, so `id -u` says the user in all cases where it runs.
    assert_eq!(lines[0], "plain 1000 dev link");
    assert!(
        lines[1].starts_with("noexec") && lines[1].contains("denied") && lines[1].ends_with("dev link"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2], "nodev 1000 link");
    assert_eq!(lines[3], "nosymfollow 1000 dev");
    assert_eq!(lines[4], "nosuid 1000 dev link");
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
    if !privileged::root() {
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
fn mount_propagation_decides_what_crosses() {
    if !privileged::root() {
        return;
    }
    own_host();
    for (word, expected, from_host, to_host) in [
        ("rprivate", "", false, false),
        ("rslave", "master", true, false),
        ("private", "", false, false),
        ("slave", "master", true, false),
        ("", "master", true, false),
        ("rshared", "shared", true, true),
        ("shared", "shared", true, true),
    ] {
        let source = source();
        let path = source.path();
        sys_mount::mount_bind(path, path, false).unwrap();
        sys_mount::mount_propagation(path, MountPropagationFlags::SHARED).unwrap();
        fs::create_dir(path.join("other")).unwrap();
        let root = if expected == "shared" { "shared" } else { "" };
        let bundle =
            writable().mount(mount("/data", "bind", path, &format!("rbind {word}"))).edit(|config| {
                config["linux"]["rootfsPropagation"] = json!(root);
                let sets = config["process"]["capabilities"].as_object_mut().unwrap();
                sets.values_mut().for_each(|set| set.as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN")));
            });
        let bundle = bundle.with_probe().args(["sleep", "1000"]);
        let door = Door::new();
        let id = door.id("crosses");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        let seen = door.ok(["exec", &id, PROBE]).json();
        let words = joined(&mount_at(&seen, "/data")["propagation"]);
        assert_eq!(words.replace("shared,master", "shared"), expected, "{word}");
        sys_mount::mount("tmpfs", path.join("sub"), "tmpfs", MountFlags::empty(), None).unwrap();
        let inside = door.run(["exec", &id, "test", "-e", "/data/sub/file"]).code != 0;
        assert_eq!(inside, from_host, "{word}: from the host");
        door.ok(["exec", &id, "mount", "-t", "tmpfs", "tmpfs", "/data/other"]);
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let other = path.join("other");
        assert_eq!(mounts.contains(other.to_str().unwrap()), to_host, "{word}: to the host");
        door.ok(["delete", "--force", &id]);
        sys_mount::umount(path, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_container_leaves_nothing_mounted_on_a_shared_host() {
    if !privileged::root() {
        return;
    }
    own_host();
    let before = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    for propagation in ["", "rshared", "rslave", "rprivate"] {
        let bundle = writable()
            .mount(mount("/data", "tmpfs", "tmpfs", ""))
            .mount(mount("/tmp", "bind", "/tmp", "rbind rshared"))
            .edit(|config| config["linux"]["rootfsPropagation"] = json!(propagation))
            .args(["sleep", "1000"]);
        let door = Door::new();
        let id = door.id("nothing");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        assert_eq!(
            fs::read_to_string("/proc/thread-self/mountinfo").unwrap(),
            before,
            "{propagation:?} while it runs"
        );
        door.ok(["delete", "--force", &id]);
        assert_eq!(fs::read_to_string("/proc/thread-self/mountinfo").unwrap(), before, "{propagation:?}");
    }
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
fn names_with_blanks_and_brackets_are_names() {
    if !privileged::root() {
        return;
    }
    let source = Temp::new("source");
    let odd = source.path().join("a b,c=d:]\\é");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("file"), "odd\n").unwrap();
    let bundle = writable().mount(mount("/x y]:z,ro", "bind", &odd, "bind ro"));
    assert_eq!(shell(bundle, "cat '/x y]:z,ro/file'"), "odd\n");
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
