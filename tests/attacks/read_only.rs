//! CVE-2026-115521: the image controls `/proc/self/fd` while mounts are made read-only.

use super::{Host, bind, everywhere, path, picture, run, without_mounts};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use testkit::{Bundle, Temp};

/// The image's `/proc` answers for every descriptor with a place that is to stay writable, and nothing is mounted on it.
#[test]
fn what_is_to_be_read_only_is_so_whatever_the_image_has_in_proc() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let volumes = [Temp::new("bound"), Temp::new("writable")];
        for volume in &volumes {
            fs::write(volume.path().join("file"), "old").unwrap();
        }
        let bundle = without_mounts(Bundle::busybox(), "/proc")
            .mount(json!({ "destination": "/bound", "source": volumes[0].path(), "options": ["bind", "ro"] }))
            .mount(bind(volumes[1].path(), "/writable"))
            .mount(json!({ "destination": "/late", "type": "tmpfs", "source": "tmpfs", "options": ["ro"] }))
            .edit(|config| {
                config["root"]["readonly"] = json!(true);
                config["linux"]["maskedPaths"] = json!(["/etc/group"]);
                config["linux"]["readonlyPaths"] = json!(["/etc"]);
            })
            .shell(
                "for file in /file /etc/passwd /bound/file /late/file /writable/file; do \
                 (echo new > $file) 2>/dev/null && echo wrote $file; done; cat /etc/group; true",
            );
        let proc = bundle.rootfs().join("proc");
        for own in ["self", "thread-self", "1"] {
            fs::create_dir_all(proc.join(own).join("fd")).unwrap();
            for number in 0..64 {
                let target = if number % 2 == 0 { "/writable" } else { path(host.path()) };
                symlink(target, proc.join(own).join("fd").join(number.to_string())).unwrap();
            }
        }
        let output = run(&door(), &bundle);
        assert_eq!(output.stdout, "wrote /writable/file\n", "{}", output.stderr);
        assert_eq!(fs::read_to_string(volumes[0].path().join("file")).unwrap(), "old");
        assert_eq!(picture(host.path()), before);
        // Nor did the host's own become read-only.
        fs::write(host.path().join("secret"), "still").unwrap();
    });
}
