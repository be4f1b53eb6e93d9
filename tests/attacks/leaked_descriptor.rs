//! CVE-2024-21626: what the runtime or its caller has open, seen from inside.

use super::{Host, dir, everywhere, path, run, start};
use serde_json::json;
use std::path::Path;
use testkit::Bundle;

/// CVE-2024-21626: a working directory behind a descriptor that the runtime has open.
#[test]
fn a_working_directory_behind_a_descriptor_is_refused() {
    everywhere(|door| {
        let door = door();
        let (_running, id) = start(&door, Bundle::busybox());
        for number in 3..12 {
            for way in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
                let bundle =
                    Bundle::busybox().args(["pwd"]).edit(|config| config["process"]["cwd"] = json!(way));
                let created = run(&door, &bundle);
                assert_ne!(created.code, 0, "{way}: {}", created.stdout);
                let entered = door.run(["exec", "--cwd", &way, &id, "pwd"]);
                // Some are of the container itself, its root for example.
                let inside = entered.stdout.trim();
                assert!(entered.code != 0 || inside.starts_with('/'), "{way}: {inside}");
                assert!(!Path::new(inside).starts_with(door.root()), "{way}: {inside}");
            }
        }
    });
}

/// The same, with a directory of the host that the runtime's caller has left open, and with one that is passed on.
#[test]
fn a_descriptor_that_the_caller_leaked_does_not_come_into_the_container() {
    everywhere(|door| {
        let (host, _) = Host::new();
        let door = door();
        let line = "exec 7<\"$0\" 9<\"$0\"; exec \"$@\"";
        let leaking =
            |args: &[&str]| door.finish(&mut door.through(["sh", "-c", line, path(host.path())], args));
        let list = ["ls", "/proc/self/fd"];
        let bundle = Bundle::busybox().args(list);
        let output = leaking(&["run", "--bundle", dir(&bundle), &door.id("leak")]);
        assert_eq!(
            output.stdout.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{}",
            output.stderr
        );
        let (_running, id) = start(&door, Bundle::busybox());
        let output = leaking(&["exec", &id, "ls", "/proc/self/fd"]);
        assert_eq!(
            output.stdout.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{}",
            output.stderr
        );
        for args in [["--cwd", "/proc/self/fd/7"], ["--cwd", "/proc/self/fd/9"]] {
            let output = leaking(&["exec", args[0], args[1], &id, "cat", "secret"]);
            assert_ne!(output.code, 0, "{}", output.stdout);
            assert!(!output.stdout.contains("secret"));
        }
    });
}

/// A hook in the container is a program of the image.
#[test]
fn a_start_container_hook_sees_no_descriptor_of_the_callers() {
    everywhere(|door| {
        let door = door();
        let bundle = Bundle::busybox().writable().args(["cat", "/tmp/seen"]).edit(|config| {
            let script = "ls /proc/self/fd > /tmp/seen";
            config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
        });
        let (host, _) = Host::new();
        let open = ["sh", "-c", "exec 7<\"$0\"; exec \"$@\"", path(host.path())];
        let output =
            door.finish(&mut door.through(open, ["run", "--bundle", dir(&bundle), &door.id("hook")]));
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(output.stdout, "0\n1\n2\n3\n", "3 is the list itself");
    });
}
