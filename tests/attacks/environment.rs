//! CVE-2026-57231: the caller's environment, and its keys.

use super::{dir, everywhere, path, start};
use serde_json::json;
use std::fs;
use testkit::{Bundle, privileged};

/// CVE-2026-57231: the environment of whoever calls the runtime.
#[test]
fn no_variable_of_the_caller_comes_into_the_container() {
    everywhere(|door| {
        let door = door();
        let bundle = Bundle::busybox().args(["env"]);
        let mut command = door.command(["run", "--bundle", dir(&bundle), &door.id("env")]);
        let output =
            door.finish(command.env("SECRET_TOKEN", "hush").env("HOME", "/secret").env("PATH", "/secret"));
        let mut seen: Vec<_> = output.stdout.lines().collect();
        seen.sort_unstable();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(seen, ["HOME=/root", path, "TERM=xterm"], "{}", output.stderr);
        let (_running, id) = start(&door, Bundle::busybox());
        let output = door.finish(door.command(["exec", &id, "env"]).env("SECRET_TOKEN", "hush"));
        assert!(output.code == 0 && !output.stdout.contains("hush"), "{}", output.stdout);
    });
}

/// What a loader would read is the container's program's alone: the runtime opens nothing of that name.
#[test]
fn variables_of_exec_do_not_touch_the_runtime() {
    everywhere(|door| {
        if !privileged::program("strace", "strace") {
            return;
        }
        let door = door();
        let (_running, id) = start(&door, Bundle::busybox());
        let trace = door.directory().join("trace");
        let strace = ["strace", "-f", "-qq", "-o", path(&trace), "-e", "trace=%file"];
        let variables = ["LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "LD_AUDIT=/evil.so"];
        let mut words = vec!["exec"];
        words.extend(variables.iter().flat_map(|variable| ["--env", variable]));
        words.extend([id.as_str(), "env"]);
        let output = door.finish(&mut door.through(strace, &words));
        assert_eq!(output.code, 0, "{}", output.stderr);
        for variable in variables {
            assert!(output.stdout.lines().any(|line| line == variable), "{}", output.stdout);
        }
        let calls = fs::read_to_string(&trace).unwrap();
        let evil = |line: &&str| line.contains("evil") && !line.contains("execve");
        assert!(calls.contains("execve(\"/bin/env\"") && calls.lines().find(evil).is_none(), "{calls}");
    });
}

/// The caller's session keyring isn't the container's, nor what `exec` starts in it.
#[test]
fn keys_of_the_caller_are_not_seen_inside() {
    everywhere(|door| {
        if !privileged::program("keyctl", "keyutils") {
            return;
        }
        let door = door();
        let bundle = Bundle::busybox()
            .args(["cat", "/proc/keys"])
            .edit(|config| config["linux"]["maskedPaths"] = json!([]));
        let (_running, id) =
            start(&door, Bundle::busybox().edit(|config| config["linux"]["maskedPaths"] = json!([])));
        // Only who possesses the key, by the session keyring, sees it.
        let ids = [door.id("keys")];
        for args in [&["run", "--bundle", dir(&bundle), &ids[0]][..], &["exec", &id, "cat", "/proc/keys"]] {
            let line = "key=$(keyctl add user forgeone-test-key secret @s) && keyctl setperm $key 0x3f000000 && exec \"$@\"";
            let output =
                door.finish(&mut door.through(["keyctl", "session", "-", "sh", "-c", line, "sh"], args));
            assert_eq!(output.code, 0, "{}", output.stderr);
            assert!(!output.stdout.contains("forgeone-test-key"), "{args:?}: {}", output.stdout);
            assert!(output.stdout.contains("_ses."), "{args:?}: {}", output.stdout);
        }
    });
}
