//! A root file system, or a volume in it, that is a trap.

use super::{Host, bind, dir, path, picture, run, swapped_volume, while_swapped};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Temp, privileged, repeatedly};

/// CVE-2021-30465, CVE-2019-18837, CVE-2024-45310: a volume that another container has as well, in which directories are
/// swapped for links to the host while they are mounted on.
#[test]
fn a_volume_that_is_swapped_under_a_starting_container_leads_nowhere() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let volume = swapped_volume(host.path());
    let tmpfs = |destination: &str| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
    let bundle = Bundle::busybox()
        .mount(bind(volume.path(), "/data"))
        .mount(tmpfs("/data/swap"))
        .mount(tmpfs("/data/swap/made/deep"))
        .mount(bind(&host.path().join("secret"), "/data/swap/file"))
        .edit(|config| config["linux"]["maskedPaths"].as_array_mut().unwrap().push(json!("/data/swap/etc")))
        .shell("cat /proc/self/mountinfo | cut -d' ' -f5");
    let door = Door::new();
    while_swapped(&volume, || {
        repeatedly(500, |_| {
            let output = run(&door, &bundle);
            assert!(output.code == 0 || output.stderr.contains("mounts["), "{}", output.stderr);
            output.code == 0
        });
    });
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

/// The home directory is looked up in the image's passwd, which may be a trap.
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
