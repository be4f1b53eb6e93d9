//! CVE-2025-52565, CVE-2026-88264: `/dev/console` and `/dev/pts` of the image are links.

use super::{Host, dir, everywhere, path, picture};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use testkit::Bundle;

/// CVE-2025-52565, CVE-2026-88264: `/dev/console` and `/dev/pts` of the image are links.
#[test]
fn a_console_or_devpts_that_is_a_link_gets_no_terminal_mounted_on_the_host() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
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
            let output =
                door.run(["create", "--console-socket", path(&socket), "--bundle", dir(&bundle), &id]);
            assert_eq!(output.code, 1, "{name} {target:?}");
            assert!(output.stderr.contains(message), "{name} {target:?}: {}", output.stderr);
            assert_eq!(picture(host.path()), before, "{name} {target:?}");
        }
    });
}
