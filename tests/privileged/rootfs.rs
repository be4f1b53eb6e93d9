//! The root file system: how it becomes `/`, what of it can't be read or written, and what is in `/dev`.

use crate::inside::{
    Mounted, dir, joined, mount, mount_at, options_at, own_host, printed, probed, refused, run_with, shell,
};
use forgeone_sys::mount as sys_mount;
use forgeone_sys::mount::{MountFlags, MountPropagationFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged};

const EROFS: i32 = 30;

#[test]
fn the_bundles_root_is_all_that_is_there() {
    if !privileged::root() {
        return;
    }
    let seen = probed(Bundle::busybox(), &["list:/..", "list:/proc/1/root/"]);
    let names: Vec<_> = seen["root"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["bin", "dev", "etc", "home", "probe", "proc", "root", "run", "sys", "tmp", "var"]);
    assert_eq!(seen["asked"]["list:/.."], seen["root"]);
    assert_eq!(seen["asked"]["list:/proc/1/root/"], seen["root"]);
    let mounts = seen["mounts"].as_array().unwrap();
    let roots: Vec<_> = mounts.iter().filter(|mount| mount["point"] == "/").collect();
    assert_eq!(roots.len(), 1, "the host's root lies no more below: {roots:#?}");
}

#[test]
fn run_with_no_pivot_shows_the_bundles_root() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe().args([PROBE, "list:/..", "write:/etc/passwd"]);
    let output = run_with(&bundle, &["--no-pivot"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let seen = output.json();
    assert_eq!(seen["asked"]["list:/.."], seen["root"]);
    assert!(seen["root"].as_array().unwrap().contains(&json!("probe")));
    assert_eq!(seen["asked"]["write:/etc/passwd"], EROFS);
    assert_eq!(options_at(&seen, "/"), "relatime,ro");
    let points: Vec<_> =
        seen["mounts"].as_array().unwrap().iter().map(|m| m["point"].as_str().unwrap()).collect();
    assert!(
        points.iter().all(|point| !point.starts_with("/tmp/forgeone")),
        "nothing of the host: {points:?}"
    );
}

#[test]
fn no_pivot_refuses_private_propagation() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| config["linux"]["rootfsPropagation"] = json!("private"));
    let output = run_with(&bundle, &["--no-pivot"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("linux.rootfsPropagation") && output.stderr.contains("pivot_root"),
        "{}",
        output.stderr
    );
}

#[test]
fn run_with_read_only_root_refuses_writes() {
    if !privileged::root() {
        return;
    }
    let questions = ["write:/etc/passwd", "write:/dev/null", "list:/dev/shm"];
    let seen = probed(Bundle::busybox(), &questions);
    assert_eq!(seen["asked"]["write:/etc/passwd"], EROFS);
    assert_eq!(seen["asked"]["write:/dev/null"], "ok", "a device is no part of the root");
    assert_eq!(options_at(&seen, "/"), "relatime,ro");
    let tried =
        shell(Bundle::busybox(), "touch /x 2>/dev/null || echo root; echo y >/dev/shm/x; cat /dev/shm/x");
    assert_eq!(tried, "root\ny\n");
}

#[test]
fn a_writable_root_is_the_bundles_own() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().writable().shell("umask; echo new >/etc/new; mkdir -m 700 /etc/dir");
    assert_eq!(printed(&bundle), "0022\n");
    let new = bundle.rootfs().join("etc/new");
    assert_eq!(fs::read_to_string(&new).unwrap(), "new\n");
    let stat = fs::metadata(new).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (0, 0, 0o644));
    assert_eq!(fs::metadata(bundle.rootfs().join("etc/dir")).unwrap().mode() & 0o7777, 0o700);
    // What was mounted over stays as it was.
    assert_eq!(fs::read_dir(bundle.rootfs().join("dev")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(bundle.rootfs().join("sys")).unwrap().count(), 0);
}

#[test]
fn root_path_may_be_absolute_or_a_link() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let elsewhere = Temp::new("elsewhere");
    symlink(bundle.rootfs(), elsewhere.path().join("link")).unwrap();
    let path = bundle.rootfs();
    let bundle =
        bundle.shell("cat /etc/passwd | head -n 1").edit(|config| config["root"]["path"] = json!(path));
    assert_eq!(printed(&bundle), "root:x:0:0:root:/root:/bin/sh\n");
    let link = elsewhere.path().join("link");
    let bundle = bundle.edit(|config| config["root"]["path"] = json!(link));
    assert_eq!(printed(&bundle), "root:x:0:0:root:/root:/bin/sh\n");
}

#[test]
fn a_root_that_is_no_directory_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| config["root"]["path"] = json!("nowhere"));
    let said = refused(&bundle);
    assert!(
        said.contains("root.path") && said.contains("nowhere") && said.contains("No such file or directory"),
        "{said}"
    );
    let bundle = Bundle::busybox().edit(|config| config["root"]["path"] = json!("config.json"));
    let said = refused(&bundle);
    assert!(said.contains("root.path") && said.contains("ENOTDIR"), "{said}");
}

#[test]
fn a_missing_working_directory_is_made_inside() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().writable();
    symlink("/var", bundle.rootfs().join("link")).unwrap();
    let bundle = bundle.edit(|config| config["process"]["cwd"] = json!("/link/new/deep")).shell("pwd -P");
    assert_eq!(printed(&bundle), "/var/new/deep\n");
    assert!(bundle.rootfs().join("var/new/deep").is_dir());
}

/// Whether there is a mount at this point, as this thread sees it.
fn is_mounted(point: &std::path::Path) -> bool {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(4) == point.to_str())
}

/// Starts a container with this propagation, mounts on both sides, and tells what arrives: from the host in the
/// container, and from the container on the host.
fn propagates(word: &str, door: Door) -> (bool, bool) {
    let bundle = Bundle::busybox().edit(|config| {
        config["linux"]["rootfsPropagation"] = json!(word);
        let capabilities = config["process"]["capabilities"].as_object_mut().unwrap();
        capabilities.values_mut().for_each(|set| set.as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN")));
    });
    let bundle = bundle.args(["sleep", "1000"]);
    let (from_host, from_inside) = (bundle.rootfs().join("home"), bundle.rootfs().join("var"));
    let root = bundle.rootfs();
    // A mount of its own, in a peer group: otherwise all of the host's would be concerned.
    sys_mount::mount_bind(&root, &root, false).unwrap();
    let _unmounted = Mounted(root.clone());
    sys_mount::mount_propagation(&root, MountPropagationFlags::SHARED).unwrap();
    let id = door.id("propagates");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    sys_mount::mount("tmpfs", &from_host, "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(from_host.join("sign"), "").unwrap();
    let inside = door.run(["exec", &id, "test", "-e", "/home/sign"]).code == 0;
    door.ok(["exec", &id, "mount", "-t", "tmpfs", "tmpfs", "/var"]);
    let outside = is_mounted(&from_inside);
    door.ok(["delete", "--force", &id]);
    (inside, outside)
}

#[test]
fn rootfs_propagation_decides_which_mounts_cross() {
    if !privileged::root() {
        return;
    }
    own_host();
    for (word, expected) in [
        ("", (true, false)),
        ("slave", (true, false)),
        ("rslave", (true, false)),
        ("private", (false, false)),
        ("rprivate", (false, false)),
        ("shared", (false, false)),
        ("rshared", (false, false)),
        ("unbindable", (false, false)),
        ("runbindable", (false, false)),
    ] {
        // As under runc, which takes `slave` and `runbindable` otherwise: the first for the host's `/` alone, which
        // lets nothing through, the second so early that it can't bind the root any more.
        if let Some(runc) =
            privileged::find_program("runc").filter(|_| !["slave", "runbindable"].contains(&word))
        {
            assert_eq!(propagates(word, Door::of(runc)), expected, "{word:?}: under runc");
        }
        let seen = propagates(word, Door::new());
        assert_eq!(seen, expected, "{word:?}: (from the host, to the host)");
    }
}

#[test]
fn rootfs_propagation_is_seen_inside() {
    if !privileged::root() {
        return;
    }
    own_host();
    for (word, expected) in [
        ("", "master"),
        ("rslave", "master"),
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let bundle = Bundle::busybox().edit(|config| config["linux"]["rootfsPropagation"] = json!(word));
        let seen = probed(bundle, &[]);
        let words = joined(&mount_at(&seen, "/")["propagation"]);
        assert_eq!(words.replace("shared,master", "shared"), expected, "{word:?}");
    }
}

#[test]
fn an_unknown_propagation_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| config["linux"]["rootfsPropagation"] = json!("sideways"));
    let said = refused(&bundle);
    assert!(said.contains("linux.rootfsPropagation: \"sideways\""), "{said}");
}

#[test]
fn masked_paths_can_not_be_read_nor_written() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox()
        .writable()
        .file("/etc/secret", "key\n")
        .file("/etc/secrets/one", "key\n")
        .file("/etc/real", "key\n")
        .edit(|config| {
            config["linux"]["maskedPaths"] = json!([
                "/etc/secret",
                "/etc/secrets",
                "/etc/link",
                "/nowhere",
                "/etc/secret",
                "/proc/uptime"
            ]);
        });
    symlink("/etc/real", bundle.rootfs().join("etc/link")).unwrap();
    let questions =
        ["read:/etc/secret", "list:/etc/secrets", "read:/etc/real", "read:/proc/uptime", "stat:/etc/secret"];
    let bundle = bundle.with_probe().args([&[PROBE][..], &questions].concat());
    let seen: Value = serde_json::from_str(&printed(&bundle)).unwrap();
    let asked = &seen["asked"];
    for file in ["read:/etc/secret", "read:/etc/real", "read:/proc/uptime"] {
        assert_eq!(asked[file], "", "{file}");
    }
    assert_eq!(asked["list:/etc/secrets"], json!([]));
    assert_eq!(asked["stat:/etc/secret"]["device"], "1:3");
    assert_eq!(options_at(&seen, "/etc/secrets"), "relatime,ro");
    let bundle = bundle.shell("echo x >/etc/secret; touch /etc/secrets/x 2>/dev/null || echo no; cat /etc/secret; ls -A /etc/secrets");
    assert_eq!(printed(&bundle), "no\n");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("etc/secret")).unwrap(), "key\n");
    assert!(!bundle.rootfs().join("nowhere").exists());
}

#[test]
fn read_only_paths_can_be_read_but_not_written() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox()
        .writable()
        .file("/etc/settings", "on\n")
        .file("/srv/deep/file", "on\n")
        .mount(mount("/srv/below", "tmpfs", "tmpfs", ""))
        .edit(|config| {
            config["linux"]["readonlyPaths"] = json!(["/etc/settings", "/srv", "/nowhere", "/proc/sys"]);
        });
    let questions = [
        "read:/etc/settings",
        "write:/etc/settings",
        "read:/srv/deep/file",
        "write:/srv/deep/file",
        "write:/etc/passwd",
        "sysctl:kernel.ostype",
        "write:/proc/sys/kernel/domainname",
    ];
    let seen = probed(bundle, &questions);
    let asked = &seen["asked"];
    assert_eq!(
        (&asked["read:/etc/settings"], &asked["read:/srv/deep/file"]),
        (&json!("on\n"), &json!("on\n"))
    );
    for file in ["write:/etc/settings", "write:/srv/deep/file", "write:/proc/sys/kernel/domainname"] {
        assert_eq!(asked[file], EROFS, "{file}");
    }
    assert_eq!(asked["write:/etc/passwd"], "ok");
    assert_eq!(asked["sysctl:kernel.ostype"], "Linux");
    assert!(options_at(&seen, "/srv/below").contains("rw"), "as under runc, mounts below stay");
}

#[test]
fn masks_hold_against_root_with_all_capabilities_but_admin() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| {
        config["linux"]["maskedPaths"] = json!(["/proc/uptime"]);
        let sets = config["process"]["capabilities"].as_object_mut().unwrap();
        let all = json!([
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_CHOWN",
            "CAP_FOWNER",
            "CAP_SYS_CHROOT",
            "CAP_MKNOD"
        ]);
        sets.values_mut().for_each(|set| *set = all.clone());
    });
    let line = "head -c 1 /proc/uptime | wc -c; umount /proc/uptime 2>/dev/null || echo stays
        echo 1 2>/dev/null >/proc/sys/vm/drop_caches || echo read-only";
    assert_eq!(shell(bundle, line), "0\nstays\nread-only\n");
}

#[test]
fn default_devices_and_links_are_there_and_work() {
    if !privileged::machine_root() {
        return;
    }
    let seen = probed(Bundle::busybox(), &[]);
    let dev = seen["dev"].as_object().unwrap();
    let device = |number: &str| json!({ "type": "character device", "mode": "0666", "owner": "0:0", "device": number, "target": null });
    for (name, number) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        assert_eq!(dev[&format!("/dev/{name}")], device(number), "{name}");
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        assert_eq!(dev[&format!("/dev/{name}")]["target"], target, "{name}");
    }
    let mut names: Vec<_> =
        dev.keys().map(|path| path.trim_start_matches("/dev/")).filter(|name| *name != "core").collect();
    names.sort_unstable();
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(names.join(" "), expected);
    let line = "echo gone >/dev/null; head -c 3 /dev/zero | od -An -tx1
        head -c 5 /dev/urandom | wc -c; head -c 1 /dev/random | wc -c
        echo x 2>/dev/null >/dev/full || echo full
        echo out >>/dev/stdout; echo in | cat /dev/stdin; test -c /dev/ptmx && test -c /dev/pts/ptmx && echo ptmx";
    assert_eq!(shell(Bundle::busybox(), line), " 00 00 00\n5\n1\nfull\nout\nin\nptmx\n");
}

#[test]
fn linux_devices_have_their_type_mode_and_owner() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().writable().edit(|config| {
        config["linux"]["devices"] = json!([
            { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1000, "gid": 2000 },
            { "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200 },
            { "path": "/dev/kvm", "type": "c", "major": 10, "minor": 232 },
            { "path": "/dev/disk", "type": "b", "major": 7, "minor": 300, "fileMode": 0o600 },
            { "path": "/run/pipe", "type": "p", "fileMode": 0o622, "uid": 7 },
            { "path": "/srv/kmsg", "type": "u", "major": 1, "minor": 11, "fileMode": 0o606 },
            { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o444, "uid": 9, "gid": 9 },
        ]);
        config["linux"]["resources"]["devices"] = json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" },
        ]);
    });
    let door = Door::new();
    let questions = ["stat:/run/pipe", "stat:/srv/kmsg", "write:/srv/kmsg", "write:/dev/kvm"];
    let bundle = bundle.with_probe().args([&[PROBE][..], &questions].concat());
    let id = door.id("devices");
    let command = "umask 077; exec \"$@\"";
    let mut caller = std::process::Command::new("sh");
    let inner = door.command(["run", "--bundle", dir(&bundle), &id]);
    caller.args(["-c", command, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let output = door.finish(caller.stdin(std::process::Stdio::null()));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let seen = output.json();
    let (dev, asked) = (&seen["dev"], &seen["asked"]);
    let stat = |kind: &str, mode: &str, owner: &str, device: Value| json!({ "type": kind, "mode": mode, "owner": owner, "device": device, "target": null });
    let (character, block) = ("character device", "block device");
    assert_eq!(dev["/dev/fuse"], stat(character, "0640", "1000:2000", json!("10:229")));
    assert_eq!(dev["/dev/net/tun"], stat(character, "0666", "0:0", json!("10:200")));
    assert_eq!(dev["/dev/net"]["mode"], "0755");
    assert_eq!(dev["/dev/disk"], stat(block, "0600", "0:0", json!("7:300")));
    assert_eq!(dev["/dev/null"], stat(character, "0444", "9:9", json!("1:3")));
    assert_eq!(asked["stat:/run/pipe"], stat("fifo", "0622", "7:0", Value::Null));
    assert_eq!(asked["stat:/srv/kmsg"], stat(character, "0606", "0:0", json!("1:11")));
    const EPERM: i32 = 1;
    assert_eq!((&asked["write:/srv/kmsg"], &asked["write:/dev/kvm"]), (&json!(EPERM), &json!(EPERM)));
}

#[test]
fn a_device_in_place_of_something_else_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().writable().file("/srv/there", "text").edit(|config| {
        config["linux"]["devices"] = json!([{ "path": "/srv/there", "type": "c", "major": 1, "minor": 3 }]);
    });
    let said = refused(&bundle);
    assert!(said.contains("/srv/there") && said.contains("1:3"), "{said}");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("srv/there")).unwrap(), "text");
}

/// A directory with the devices that a program needs, as a host's `/dev`.
fn own_dev() -> Temp {
    let dev = Temp::new("dev");
    for (name, minor) in [("null", 3), ("mine", 5)] {
        let kind = forgeone_sys::fs::FileType::CharacterDevice;
        forgeone_sys::fs::mknodat(forgeone_sys::fs::CWD, dev.path().join(name), kind, 0o666, 1, minor)
            .unwrap();
    }
    for dir in ["pts", "shm", "mqueue"] {
        fs::create_dir(dev.path().join(dir)).unwrap();
    }
    dev
}

#[test]
fn dev_that_is_bound_is_left_as_it_is() {
    if !privileged::machine_root() {
        return;
    }
    let dev = own_dev();
    let bind = mount("/dev", "bind", dev.path(), "bind nosuid");
    let bundle = Bundle::busybox().edit(|config| config["mounts"][1] = bind);
    let seen = probed(bundle, &["write:/dev/mine", "stat:/dev/pts/ptmx"]);
    let names: Vec<_> = seen["dev"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["/dev/mine", "/dev/mqueue", "/dev/null", "/dev/pts", "/dev/shm"]);
    assert_eq!(seen["asked"]["stat:/dev/pts/ptmx"]["device"], "5:2");
    assert_eq!(fs::read_dir(dev.path()).unwrap().count(), 5, "nothing was made on the host");
    assert!(fs::metadata(dev.path().join("null")).unwrap().file_type().is_char_device());
}

#[test]
fn without_a_mount_dev_is_filled_in_the_root() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| {
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    let bundle = bundle.with_probe();
    let twice =
        [printed(&bundle), printed(&bundle)].map(|text| serde_json::from_str::<Value>(&text).unwrap());
    for seen in &twice {
        assert_eq!(seen["dev"]["/dev/null"]["device"], "1:3");
        assert_eq!(seen["dev"]["/dev/stdin"]["target"], "/proc/self/fd/0");
    }
    assert_eq!(twice[0]["dev"], twice[1]["dev"], "what is there already is used");
    assert!(bundle.rootfs().join("dev/zero").symlink_metadata().unwrap().file_type().is_char_device());
}

#[test]
fn a_read_only_dev_is_filled_before() {
    if !privileged::root() {
        return;
    }
    let dev = mount("/dev", "tmpfs", "tmpfs", "nosuid ro mode=700 size=64k");
    let bundle = Bundle::busybox().edit(|config| config["mounts"][1] = dev);
    let seen = probed(bundle, &["write:/dev/new", "stat:/dev"]);
    assert_eq!(options_at(&seen, "/dev"), "nosuid,relatime,ro");
    assert_eq!(seen["dev"]["/dev/null"]["device"], "1:3");
    assert_eq!(seen["asked"]["stat:/dev"]["mode"], "0700");
    assert!(seen["dev"]["/dev/pts"]["type"] == "directory");
}

#[test]
fn a_root_of_mode_0700_is_kept_so() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    fs::set_permissions(bundle.rootfs(), fs::Permissions::from_mode(0o700)).unwrap();
    let seen = probed(bundle, &["stat:/"]);
    assert_eq!(seen["asked"]["stat:/"]["mode"], "0700");
}
