//! Every claim of `features` is tried: what is listed there works, on this machine.

use crate::running::{dir, run};
use serde_json::{Value, json};
use std::fs;
use testkit::{Bundle, Door, privileged};

fn claims() -> Option<Value> {
    if !privileged::root() {
        return None;
    }
    Some(Door::new().ok(["features"]).json())
}

fn words(claims: &Value, pointer: &str) -> Vec<String> {
    let list =
        claims.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} is a list"));
    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// What is wrong with the run of this bundle, whose program prints `fine`.
fn fault(claim: &str, bundle: &Bundle) -> Option<String> {
    let output = run(bundle);
    let fine = (output.code, output.stdout.as_str()) == (0, "fine\n");
    (!fine).then(|| format!("{claim}: status {}, {:?}: {}", output.code, output.stdout, output.stderr))
}

fn all_fine(faults: impl Iterator<Item = Option<String>>) {
    let faults: Vec<_> = faults.flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_namespace_that_is_claimed_can_be_made() {
    let Some(claims) = claims() else { return };
    let kinds = words(&claims, "/linux/namespaces");
    let faults = kinds.iter().map(|kind| {
        let file = match kind.as_str() {
            "network" => "net",
            "mount" => "mnt",
            // That of children: the program is born before it.
            other => other,
        };
        let host = fs::read_link(format!("/proc/self/ns/{file}")).unwrap();
        let line = format!("test \"$(readlink /proc/self/ns/{file})\" != '{}' && echo fine", host.display());
        let mut bundle = Bundle::busybox().shell(&line).namespace(json!({ "type": kind }));
        if kind == "user" {
            let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            bundle = bundle.owned_by(100_000, 100_000).edit(|config| {
                config["linux"]["uidMappings"] = maps.clone();
                config["linux"]["gidMappings"] = maps;
            });
        }
        fault(kind, &bundle)
    });
    all_fine(faults);
}

#[test]
fn every_capability_that_is_claimed_can_be_given() {
    let Some(claims) = claims() else { return };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap().trim();
    let held = u64::from_str_radix(held, 16).unwrap();
    for (number, name) in words(&claims, "/linux/capabilities").iter().enumerate() {
        let bundle = Bundle::busybox().shell("grep ^CapEff /proc/self/status").edit(|config| {
            let sets = json!({ "bounding": [name], "permitted": [name], "effective": [name] });
            config["process"]["capabilities"] = sets;
        });
        // What the caller doesn't hold it can't give.
        let expected = format!("CapEff:\t{:016x}\n", 1_u64 << number & held);
        assert_eq!(run(&bundle).stdout, expected, "{name}");
    }
}

#[test]
fn every_mount_option_that_is_claimed_is_carried_out() {
    if !privileged::machine_root() {
        return;
    }
    let Some(claims) = claims() else { return };
    let faults = words(&claims, "/mountOptions").into_iter().map(|option| {
        let maps = json!([{ "containerID": 0, "hostID": 0, "size": 1000 }]);
        let bundle = Bundle::busybox().shell("test -d /mnt && echo fine");
        let source = bundle.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::create_dir(bundle.rootfs().join("mnt")).unwrap();
        let bind = json!({ "destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", option] });
        let tmpfs = json!({ "destination": "/mnt", "type": "tmpfs", "source": "t", "options": [option] });
        let idmapped = json!({ "destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", option],
            "uidMappings": maps, "gidMappings": maps });
        let again = json!({ "destination": "/dev/shm", "type": "bind", "options": ["bind", "remount", "nosuid"] });
        let mount = match option.as_str() {
            "idmap" | "ridmap" => idmapped,
            "remount" => again,
            "tmpcopyup" | "copy-symlink" | "sync" | "async" | "dirsync" | "mand" | "nomand" | "silent" | "loud"
            | "lazytime" | "nolazytime" | "iversion" | "noiversion" => tmpfs,
            _ => bind,
        };
        fault(&option, &bundle.mount(mount))
    });
    all_fine(faults);
}

#[test]
fn every_word_of_seccomp_that_is_claimed_is_compiled_and_loaded() {
    let Some(claims) = claims() else { return };
    let with = |profile: Value| {
        Bundle::busybox().shell("mkdir /tmp/x 2> /dev/null; echo fine").edit(|config| {
            config["linux"]["seccomp"] = profile;
        })
    };
    let rule = |action: &str, op: &str| {
        // A call that the program doesn't make, since some actions end it.
        let args = json!([{ "index": 0, "value": 1, "valueTwo": 1, "op": op }]);
        json!([{ "names": ["acct"], "action": action, "args": args }])
    };
    let allow = "SCMP_ACT_ALLOW";
    // Notification needs an agent, and has tests of its own with one.
    let actions =
        words(&claims, "/linux/seccomp/actions").into_iter().filter(|action| action != "SCMP_ACT_NOTIFY");
    let actions = actions.map(|action| {
        let rules = rule(&action, "SCMP_CMP_EQ");
        fault(&action, &with(json!({ "defaultAction": allow, "syscalls": rules })))
    });
    let operators = words(&claims, "/linux/seccomp/operators").into_iter().map(|op| {
        let rules = rule("SCMP_ACT_ERRNO", &op);
        fault(&op, &with(json!({ "defaultAction": allow, "syscalls": rules })))
    });
    let archs = words(&claims, "/linux/seccomp/archs").into_iter().map(|arch| {
        let rules = rule("SCMP_ACT_ERRNO", "SCMP_CMP_EQ");
        fault(&arch, &with(json!({ "defaultAction": allow, "architectures": [arch], "syscalls": rules })))
    });
    let flags = words(&claims, "/linux/seccomp/supportedFlags").into_iter();
    // It is for filters that notify.
    let flags = flags.filter(|flag| flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV").map(|flag| {
        let rules = rule("SCMP_ACT_ERRNO", "SCMP_CMP_EQ");
        fault(&flag, &with(json!({ "defaultAction": allow, "flags": [flag], "syscalls": rules })))
    });
    all_fine(actions.chain(operators).chain(archs).chain(flags));
}

#[test]
fn every_hook_that_is_claimed_is_run() {
    let Some(claims) = claims() else { return };
    let points = words(&claims, "/hooks");
    let door = Door::new();
    let file = door.directory().join("hooks");
    let mut bundle = Bundle::busybox().args(["true"]);
    // Those of the container's own are run inside, and see its files.
    let inside = |point: &str| matches!(point, "createContainer" | "startContainer");
    fs::create_dir(bundle.rootfs().join("hooks")).unwrap();
    let mount =
        json!({ "destination": "/hooks", "type": "bind", "source": door.directory(), "options": ["bind"] });
    for point in &points {
        let own = point == "startContainer";
        let target = if own { "/hooks/hooks".to_owned() } else { file.display().to_string() };
        let line = format!("echo {point} >> {target}");
        bundle = bundle.edit(|config| {
            config["hooks"][point] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", line] }]);
        });
    }
    let bundle = bundle.mount(mount);
    assert_eq!(points.iter().filter(|point| inside(point)).count(), 2);
    door.ok(["run", "--bundle", dir(&bundle), &door.id("hooks")]);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().collect::<Vec<_>>(), points);
}
