//! CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-52881: what the runtime writes to /proc is led elsewhere.

use super::{Host, bind, everywhere, picture, run};
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use testkit::{Bundle, Temp};

/// CVE-2019-16884, CVE-2019-19921, CVE-2025-52881: `/proc` of the image is a trap for what the runtime writes.
#[test]
fn sysctls_are_not_written_into_a_false_proc() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
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
    });
}
