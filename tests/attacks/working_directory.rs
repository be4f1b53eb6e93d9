//! CVE-2026-55686: the working directory is made where a link of the image leads to; and other files of the image that the runtime reads.

use super::{Host, everywhere, path, picture, run};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use testkit::Bundle;

/// CVE-2026-55686: the working directory is made where a link of the image leads to.
#[test]
fn a_working_directory_behind_a_link_is_made_inside() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
        let climb = format!("../../../../../../../..{}", path(host.path()));
        for target in [path(host.path()), &climb] {
            let bundle = Bundle::busybox()
                .writable()
                .args(["pwd"])
                .edit(|config| config["process"]["cwd"] = json!("/work/new/deep"));
            symlink(target, bundle.rootfs().join("work")).unwrap();
            let output = run(&door, &bundle);
            assert_eq!(output.stdout.trim(), format!("{}/new/deep", path(host.path())), "{}", output.stderr);
            assert!(
                bundle.rootfs().join(path(host.path()).trim_start_matches('/')).join("new/deep").is_dir()
            );
            assert_eq!(picture(host.path()), before);
        }
    });
}

/// The home directory is looked up in the image's passwd, which may be a trap.
#[test]
fn passwd_of_the_image_may_be_anything() {
    everywhere(|door| {
        let door = door();
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
    });
}
