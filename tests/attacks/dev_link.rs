//! CVE-2026-41579, CVE-2026-47766: the image has `/dev` as a link.

use super::{Host, everywhere, path, picture, run};
use std::fs;
use std::os::unix::fs::symlink;
use testkit::Bundle;

/// CVE-2026-41579, CVE-2026-47766: `/dev` of the image is a link.
#[test]
fn dev_that_is_a_link_is_filled_inside() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
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
    });
}
