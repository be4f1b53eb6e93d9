//! Who the program is and what it may: users, capabilities, devices, cgroups, environment, keys.

use super::{capabilities, dir, run, start};
use serde_json::json;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, privileged};

/// CVE-2022-29162, CVE-2025-27612: inheritable capabilities, by `run` and by `exec --cap`.
#[test]
fn no_capability_is_inheritable_unless_the_config_says_so() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let line = "grep -E 'Cap(Inh|Amb)' /proc/self/status";
    let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    // Whatever the caller's own are.
    let bundle = Bundle::busybox().shell(line);
    let real = door.command(["run", "--bundle", dir(&bundle), &door.id("inherit")]);
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=+chown,+kill", "--ambient-caps=+chown"]);
    command.arg(real.get_program()).args(real.get_args()).stdin(Stdio::null());
    assert_eq!(door.finish(&mut command).stdout, none);
    let (_running, id) = start(&door, Bundle::busybox());
    for more in
        [&[][..], &["--cap", "CAP_CHOWN"], &["--user", "1000"], &["--user", "1000", "--cap", "CAP_CHOWN"]]
    {
        let args = [&["exec"][..], more, &[&id, "sh", "-c", line]].concat();
        assert_eq!(door.ok(args).stdout, none, "{more:?}");
    }
}

/// GHSA-g54h: an empty list of devices allows none.
#[test]
fn an_empty_list_of_devices_denies_them() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    for list in [json!([]), json!(null), json!([{ "allow": false, "access": "rwm" }])] {
        // /dev/kmsg, which isn't among the default devices.
        let bundle = capabilities(Bundle::busybox(), &["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"])
            .writable()
            .edit(|config| config["linux"]["resources"]["devices"] = list.clone())
            .shell("mknod /tmp/kmsg c 1 11; cat /tmp/kmsg; head -c 1 /dev/zero | wc -c");
        let output = run(&door, &bundle);
        assert!(
            output.stderr.contains("Operation not permitted"),
            "{list}: {} {}",
            output.stdout,
            output.stderr
        );
        assert_eq!(output.stdout, "1\n", "{list}: {}", output.stderr);
    }
}

/// CVE-2026-30892, CVE-2024-40635: what looks like a user and isn't becomes nobody, least of all root.
#[test]
fn user_ids_that_are_none_are_refused() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_running, id) = start(&door, Bundle::busybox());
    let wrong = [
        "4294967295",
        "4294967296",
        "-1",
        "+0",
        "1000:4294967295",
        "0x10",
        ":",
        "1000:",
        ":1000",
        " 1",
        "1e3",
    ];
    for user in wrong {
        let output = door.run(["exec", "--user", user, &id, "id"]);
        assert_ne!(output.code, 0, "{user:?}: {}", output.stdout);
        assert_eq!(output.stdout, "", "{user:?}");
    }
    for (user, seen) in [("2147483648:4294967294", "2147483648 4294967294"), ("7", "7 0")] {
        let output = door.ok(["exec", "--user", user, &id, "sh", "-c", "echo $(id -u) $(id -g)"]);
        assert_eq!(output.stdout.trim(), seen, "{user}");
    }
    for (field, value) in [("uid", json!(4294967295_u32)), ("gid", json!(4294967295_u32)), ("uid", json!(-1))]
    {
        let bundle =
            Bundle::busybox().args(["id"]).edit(|config| config["process"]["user"][field] = value.clone());
        let output = run(&door, &bundle);
        assert!(output.code == 1 && output.stderr.contains(field), "{field} {value}: {}", output.stderr);
    }
    let bundle = Bundle::busybox().args(["id"]).edit(|config| {
        config["process"]["user"]["additionalGids"] = json!([1, 4294967295_u32]);
    });
    assert!(run(&door, &bundle).stderr.contains("additionalGids"));
}

/// CVE-2026-57231: the environment of whoever calls the runtime.
#[test]
fn no_variable_of_the_caller_comes_into_the_container() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
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
}

/// CVE-2022-0492, CVE-2023-25809: nothing of the host's cgroups can be written.
#[test]
fn cgroups_can_not_be_changed_nor_their_release_agent() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let script = "for file in $(find /sys/fs/cgroup -type f); do \
        case $file in *release_agent) echo $file;; esac; \
        (echo 1 > $file) 2>/dev/null && echo wrote $file; done; \
        mkdir /tmp/c; for kind in memory rdma name=x; do \
        mount -t cgroup -o $kind none /tmp/c 2>/dev/null && echo mounted $kind; done; \
        for dir in $(find /sys/fs/cgroup -type d); do mkdir $dir/sub 2>/dev/null && echo made $dir; done; true";
    for namespace in [false, true] {
        let bundle = Bundle::busybox().shell(script).mount(json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
        }));
        let bundle = if namespace { bundle.namespace(json!({ "type": "cgroup" })) } else { bundle };
        let output = run(&door, &bundle);
        assert_eq!(output.stdout, "", "cgroup namespace {namespace}: {}", output.stderr);
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
}

/// The caller's session keyring isn't the container's, nor what `exec` starts in it.
#[test]
fn keys_of_the_caller_are_not_seen_inside() {
    if !privileged::root() || !privileged::program("keyctl", "keyutils") {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox()
        .args(["cat", "/proc/keys"])
        .edit(|config| config["linux"]["maskedPaths"] = json!([]));
    let (_running, id) =
        start(&door, Bundle::busybox().edit(|config| config["linux"]["maskedPaths"] = json!([])));
    // Only who possesses the key, by the session keyring, sees it.
    let ids = [door.id("keys")];
    for args in [&["run", "--bundle", dir(&bundle), &ids[0]][..], &["exec", &id, "cat", "/proc/keys"]] {
        let real = door.command(args);
        let mut command = Command::new("keyctl");
        let line = "key=$(keyctl add user forgeone-test-key secret @s) && keyctl setperm $key 0x3f000000 && exec \"$@\"";
        command.args(["session", "-", "sh", "-c", line, "sh"]).arg(real.get_program()).args(real.get_args());
        let output = door.finish(command.stdin(Stdio::null()));
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(!output.stdout.contains("forgeone-test-key"), "{args:?}: {}", output.stdout);
        assert!(output.stdout.contains("_ses."), "{args:?}: {}", output.stdout);
    }
}
