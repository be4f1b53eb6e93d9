//! Binds of directories, files, sockets and trees: their places, options and propagation.

use crate::inside::{
    Mounted, dir, joined, mount, mount_at, options_at, own_host, printed, probed, refused, shell, source,
    writable,
};
use forgeone_sys::mount::{self as sys_mount, MountFlags, MountPropagationFlags};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged};

const EROFS: i32 = 30;

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
    let seen =
        probed(bundle, &["read:/etc/passwd", "write:/etc/passwd", "read:/new/deep/file", "stat:/new/deep"]);
    assert_eq!(seen["asked"]["read:/etc/passwd"], "from the host\n");
    assert_eq!(seen["asked"]["write:/etc/passwd"], EROFS);
    assert_eq!(seen["asked"]["read:/new/deep/file"], "from the host\n");
    assert_eq!(seen["asked"]["stat:/new/deep"]["mode"], "0755");
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
        said.contains("mounts[7] \"/data\"") && said.contains("/nowhere/at/all") && said.contains("ENOENT"),
        "{said}"
    );
    assert!(!bundle.rootfs().join("data").exists(), "nothing was made for it");
    let bundle = Bundle::busybox().mount(json!({ "destination": "/data", "options": ["bind"] }));
    let said = refused(&bundle);
    assert!(said.contains("mounts[7].source"), "{said}");
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
    let _unmounted = Mounted(below.clone());
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

/// A mount with one below it, both with all the options that forbid something, or with none.
fn tree(strict: bool) -> (Mounted, Temp) {
    let source = Temp::new("tree");
    let path = source.path().to_owned();
    let all = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    let all = all | MountFlags::NODIRATIME | MountFlags::NOSYMFOLLOW;
    let flags = if strict { all } else { MountFlags::empty() };
    sys_mount::mount("tree", &path, "tmpfs", flags, None).unwrap();
    let mounted = Mounted(path.clone());
    fs::create_dir(path.join("below")).unwrap();
    sys_mount::mount("tree", path.join("below"), "tmpfs", flags, None).unwrap();
    for mount in [path.join("below"), path].into_iter().filter(|_| strict) {
        sys_mount::mount_remount(mount, MountFlags::BIND | MountFlags::RDONLY | flags, None).unwrap();
    }
    // Dropped in this order.
    (mounted, source)
}

#[test]
fn each_recursive_option_changes_the_whole_tree() {
    if !privileged::root() {
        return;
    }
    own_host();
    let (strict, lax) = (tree(true), tree(false));
    // The word, on which tree, what it takes away and what it brings.
    let cases = [
        ("ratime", true, "noatime", "relatime"),
        ("rdev", true, "nodev", ""),
        ("rdiratime", true, "nodiratime", ""),
        ("rexec", true, "noexec", ""),
        ("rnoatime", false, "relatime", "noatime"),
        ("rnodev", false, "", "nodev"),
        ("rnodiratime", false, "", "nodiratime"),
        ("rnoexec", false, "", "noexec"),
        ("rnorelatime", false, "", ""),
        ("rnostrictatime", true, "noatime", "relatime"),
        ("rnosuid", false, "", "nosuid"),
        ("rnosymfollow", false, "", "nosymfollow"),
        ("rrelatime", true, "noatime", "relatime"),
        ("rro", false, "rw", "ro"),
        ("rrw", true, "ro", "rw"),
        ("rstrictatime", false, "relatime", ""),
        ("rsuid", true, "nosuid", ""),
        ("rsymfollow", true, "nosymfollow", ""),
    ];
    let others = [
        "rbind",
        "relatime",
        "remount",
        "ridmap",
        "ro",
        "rprivate",
        "rshared",
        "rslave",
        "runbindable",
        "rw",
    ];
    let known = forgeone_runtime::fs::known_options();
    let known: Vec<_> = known.filter(|word| word.starts_with('r') && !others.contains(word)).collect();
    assert_eq!(cases.map(|(word, ..)| word).to_vec(), known, "all of them are here");
    let source = |full| if full { strict.1.path() } else { lax.1.path() };
    let bundle = cases.iter().fold(writable(), |bundle, (word, full, ..)| {
        bundle.mount(mount(&format!("/o/{word}"), "bind", source(*full), &format!("rbind {word}")))
    });
    let seen = probed(bundle, &[]);
    for (word, full, gone, new) in cases {
        let base = if full { "noatime,nodev,nodiratime,noexec,nosuid,nosymfollow,ro" } else { "relatime,rw" };
        let mut expected: Vec<_> =
            base.split(',').chain([new]).filter(|o| *o != gone && !o.is_empty()).collect();
        expected.sort_unstable();
        for point in [format!("/o/{word}"), format!("/o/{word}/below")] {
            assert_eq!(options_at(&seen, &point), expected.join(","), "{point}");
        }
    }
}

#[test]
fn options_forbid_what_they_say() {
    if !privileged::machine_root() {
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
        ("unbindable", "unbindable", false, false),
        ("runbindable", "unbindable", false, false),
    ] {
        let source = source();
        let path = source.path();
        sys_mount::mount_bind(path, path, false).unwrap();
        let _unmounted = Mounted(path.to_owned());
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
