//! CVE-2025-31133, CVE-2025-62161, CVE-2026-88265: what the image calls `/dev/null`.

use super::{Host, dir, everywhere, picture, run};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use testkit::{Bundle, Temp, privileged};

/// CVE-2025-31133, CVE-2026-88265: what masks, and what is standard input, isn't what the image calls `/dev/null`.
#[test]
fn a_false_dev_null_is_refused_and_given_to_nobody() {
    if !privileged::machine_root() {
        return;
    }
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
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
                _ => assert!(
                    Command::new("mknod").arg(&null).args(["c", "1", "5"]).status().unwrap().success()
                ),
            }
            let output = run(&door, &bundle);
            assert_eq!(output.code, 1, "{case}");
            assert!(output.stderr.contains("device /dev/null: "), "{case}: {}", output.stderr);
            assert_eq!(picture(host.path()), before, "{case}");
        }
    });
}

/// The host's `/dev/null` as standard input and output isn't given to the container's user.
#[test]
fn the_hosts_devices_keep_their_owner_as_standard_streams() {
    if !privileged::machine_root() {
        return;
    }
    everywhere(|door| {
        // A node of our own, so that a lost fight harms nobody.
        let host = Temp::new("host");
        let null = host.path().join("null");
        assert!(Command::new("mknod").arg(&null).args(["c", "1", "3"]).status().unwrap().success());
        let owner = || fs::metadata(&null).map(|null| (null.uid(), null.gid(), null.mode())).unwrap();
        let open = || fs::File::options().read(true).write(true).open(&null).unwrap();
        let before = owner();
        let bundle = Bundle::busybox()
            .args(["id", "-u"])
            .edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
        let door = door();
        let status = door
            .command(["run", "--bundle", dir(&bundle), &door.id("null")])
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .status();
        assert!(status.unwrap().success());
        assert_eq!(owner(), before);
    });
}
