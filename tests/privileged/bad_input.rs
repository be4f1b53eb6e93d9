//! Broken and hostile input: one line that names the field or step, the object and the cause; runc's exit
//! status; and the machine is as it was.
//!
//! Each case is tried with `create` and with `run`. The door's leak detector watches over all of them; the state
//! root and the bundle are listed after each.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use testkit::{Bundle, Door, Output, privileged};

pub(crate) fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// Names in a directory, sorted.
pub(crate) fn listing(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is wrong with a refusal, which is one line, of this command, with these words in it, and status 1 as runc's.
pub(crate) fn fault(output: &Output, command: &str, words: &[&str]) -> Option<String> {
    let Output { code, stdout, stderr, .. } = output;
    let missing: Vec<_> = words.iter().filter(|word| !stderr.contains(**word)).collect();
    let fault = if (*code, stdout.as_str()) != (1, "") {
        format!("exit status {code}, output {stdout:?}")
    } else if !stderr.starts_with(&format!("forgeone: {command}: ")) || stderr.matches('\n').count() != 1 {
        "not one line of this command".to_owned()
    } else if stderr.len() > 600 {
        format!("{} bytes are no line for a reader", stderr.len())
    } else if !missing.is_empty() {
        format!("lacks {missing:?}")
    } else {
        return None;
    };
    Some(format!("{command} {words:?}: {fault}: {stderr:.600}"))
}

#[track_caller]
fn one_line(output: &Output, command: &str, words: &[&str]) {
    let fault = fault(output, command, words);
    assert!(fault.is_none(), "{}", fault.unwrap_or_default());
}

/// Tries a bundle with `create` and `run`; what is wrong with the answers, or was left of it.
fn faults(door: &Door, bundle: &Bundle, words: &[&str]) -> Vec<String> {
    let before = listing(bundle.path());
    let mut faults = Vec::new();
    for command in ["create", "run"] {
        let id = door.id("bad");
        let output = door.run([command, "--bundle", dir(bundle), &id]);
        faults.extend(fault(&output, command, words));
        if output.code != 0 && !listing(&door.root()).is_empty() {
            faults.push(format!("{command} {words:?} left {:?}", listing(&door.root())));
        }
        if listing(bundle.path()) != before {
            faults.push(format!("{command} {words:?} changed the bundle: {:?}", listing(bundle.path())));
        }
        door.run(["delete", "--force", &id]);
    }
    faults
}

#[track_caller]
fn refused(door: &Door, bundle: &Bundle, words: &[&str]) {
    let faults = faults(door, bundle, words);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A change of a good config, by a JSON pointer, and what the refusal has to say.
type Case<'a> = (&'a str, Value, &'a [&'a str]);

/// Sets what is at `pointer`; `null` removes it. Missing objects are made, `-` is a new element.
pub(crate) fn change(config: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let mut at = config;
    for key in parent.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    match (at, last) {
        (Value::Array(list), "-") => list.push(value),
        (Value::Array(list), index) => list[index.parse::<usize>().unwrap()] = value,
        (Value::Object(map), key) if value.is_null() => drop(map.remove(key)),
        (at, key) => at[key] = value,
    }
}

#[track_caller]
fn refused_each(cases: &[Case]) {
    if !privileged::root() {
        return;
    }
    let mut bundle = Bundle::busybox().shell("echo started");
    let good = bundle.config().clone();
    let door = Door::new();
    let mut all = Vec::new();
    for (pointer, value, words) in cases {
        let mut config = good.clone();
        change(&mut config, pointer, value.clone());
        bundle = bundle.raw(serde_json::to_vec(&config).unwrap());
        all.extend(faults(&door, &bundle, words).iter().map(|fault| format!("{pointer} = {value}: {fault}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    bundle = bundle.raw(serde_json::to_vec(&good).unwrap());
    assert_eq!(door.ok(["run", "--bundle", dir(&bundle), &door.id("good")]).stdout, "started\n");
}

#[test]
fn a_version_that_is_unknown_or_none_is_refused() {
    refused_each(&[
        ("/ociVersion", json!("9.0.0"), &["ociVersion", "9.0.0"]),
        ("/ociVersion", json!("0.9.9"), &["ociVersion", "0.9.9"]),
        ("/ociVersion", json!("latest"), &["ociVersion", "latest", "such as 1.0.2"]),
        ("/ociVersion", json!(""), &["ociVersion", "missing"]),
        ("/ociVersion", json!(null), &["ociVersion", "missing"]),
        ("/ociVersion", json!(1.0), &["ociVersion", "invalid type"]),
    ]);
}

#[test]
fn wrong_types_are_named_by_their_field() {
    refused_each(&[
        ("/process", json!([]), &["config.json: process", "an object"]),
        ("/process/args", json!("sh"), &["process.args", "invalid type: string \"sh\""]),
        ("/process/args", json!([1]), &["process.args[0]", "integer `1`"]),
        ("/process/user/uid", json!("root"), &["process.user.uid", "\"root\""]),
        ("/process/user/uid", json!(-1), &["process.user.uid", "-1"]),
        ("/process/user/uid", json!(4294967296_u64), &["process.user.uid", "4294967296"]),
        ("/process/user/uid", json!(1.5), &["process.user.uid", "1.5"]),
        ("/process/terminal", json!("yes"), &["process.terminal", "\"yes\""]),
        ("/process/rlimits", json!({}), &["process.rlimits", "map"]),
        ("/root", json!("rootfs"), &["root", "an object"]),
        ("/mounts", json!({}), &["mounts", "map"]),
        ("/mounts/0/options", json!("ro"), &["mounts[0].options", "\"ro\""]),
        ("/linux", json!([]), &["linux", "an object"]),
        ("/linux/namespaces", json!("all"), &["linux.namespaces", "\"all\""]),
        ("/linux/resources/memory", json!({"limit": "1G"}), &["linux.resources.memory.limit", "\"1G\""]),
        ("/linux/resources/pids", json!({"limit": []}), &["linux.resources.pids.limit"]),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": 1}), &["linux.sysctl", "net.ipv4.ip_forward"]),
        ("/annotations", json!({"a": 1}), &["annotations.a", "integer `1`"]),
        ("/hooks", json!({"prestart": [{"path": 1}]}), &["hooks.prestart[0].path"]),
    ]);
}

#[test]
fn a_missing_or_misplaced_root_is_refused() {
    refused_each(&[
        ("/root", json!(null), &["root"]),
        ("/root/path", json!(""), &["root.path"]),
        ("/root/path", json!("nowhere"), &["root.path: /", "/nowhere: No such file", "root file system"]),
        ("/root/path", json!("config.json"), &["root", "config.json"]),
        ("/root/path", json!("root\u{0}fs"), &["root.path", "NUL"]),
    ]);
}

#[test]
fn a_relative_path_where_an_absolute_one_is_due_is_refused() {
    refused_each(&[
        ("/process/cwd", json!("tmp"), &["process.cwd", "\"tmp\""]),
        ("/process/cwd", json!(""), &["process.cwd"]),
        ("/process/cwd", json!(null), &["process.cwd"]),
        (
            "/hooks",
            json!({"createRuntime": [{"path": "bin/true"}]}),
            &["hooks.createRuntime[0].path", "bin/true"],
        ),
        (
            "/linux/devices",
            json!([{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]),
            &["linux.devices[0]", "dev/x"],
        ),
        ("/linux/maskedPaths/0", json!("proc/acpi"), &["linux.maskedPaths[0]", "proc/acpi"]),
        ("/linux/readonlyPaths/0", json!("proc/bus"), &["linux.readonlyPaths[0]", "proc/bus"]),
    ]);
}

#[test]
fn paths_that_lead_out_are_refused() {
    let mount = json!({"destination": "/../x", "type": "tmpfs", "source": "t"});
    refused_each(&[
        ("/mounts/-", mount, &["mounts[7].destination", "/../x"]),
        (
            "/linux/devices",
            json!([{"path": "/dev/../x", "type": "c"}]),
            &["linux.devices[0].path", "/dev/../x"],
        ),
        ("/linux/maskedPaths/0", json!("/proc/../x"), &["linux.maskedPaths[0]", "/proc/../x"]),
        ("/linux/readonlyPaths/0", json!("/proc/../x"), &["linux.readonlyPaths[0]", "/proc/../x"]),
        (
            "/linux/sysctl",
            json!({"net/../kernel/hostname": "x"}),
            &["linux.sysctl", "net/../kernel/hostname"],
        ),
        ("/linux/sysctl", json!({"net.....kernel": "x"}), &["linux.sysctl", "net.....kernel"]),
    ]);
}

/// As runc has it: a cgroup path and a working directory can't leave their root, whatever they say.
#[test]
fn dot_dot_ends_at_the_root() {
    if !privileged::machine_root() || !privileged::cgroupfs_driver() {
        return;
    }
    let door = Door::new();
    let id = door.id("dots");
    let bundle = Bundle::busybox().shell("pwd; cat /proc/self/cgroup").edit(|config| {
        config["process"]["cwd"] = json!("/../../tmp/../tmp");
        config["linux"]["cgroupsPath"] = json!(format!("../../a/../{id}"));
    });
    let output = door.ok(["run", "--bundle", dir(&bundle), &id]);
    let (cwd, groups) = output.stdout.split_once('\n').unwrap();
    assert_eq!(cwd, "/tmp");
    assert!(groups.lines().all(|line| !line.contains("..")), "{groups}");
    assert!(groups.lines().any(|line| line.ends_with(&format!(":/{id}"))), "{groups}");
    drop(door);
}

#[test]
fn a_terminal_that_nobody_takes_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().edit(|config| config["process"]["terminal"] = json!(true));
    let door = Door::new();
    for command in [&["create"][..], &["run", "--detach"]] {
        let id = door.id("terminal");
        let output = door.run([command, &["--bundle", dir(&bundle), &id]].concat());
        one_line(&output, command[0], &["process.terminal", "--console-socket"]);
    }
    let nobody = door.directory().join("nobody");
    let id = door.id("terminal");
    let output =
        door.run(["create", "--bundle", dir(&bundle), "--console-socket", nobody.to_str().unwrap(), &id]);
    one_line(&output, "create", &["--console-socket", "nobody"]);
    assert!(listing(&door.root()).is_empty());
}

/// As runc has it.
#[test]
fn a_seccomp_profile_that_says_nothing_is_none() {
    if !privileged::root() {
        return;
    }
    let shell = "grep -e ^Seccomp: -e ^CapEff: /proc/self/status";
    let bundle = Bundle::busybox().shell(shell).edit(|config| {
        config["process"]["noNewPrivileges"] = json!(false);
        config["linux"]["seccomp"] = json!({});
    });
    let door = Door::new();
    let output = door.ok(["run", "--bundle", dir(&bundle), &door.id("nothing")]);
    assert_eq!(output.stdout, "CapEff:\t0000000020000420\nSeccomp:\t0\n");
}

#[test]
fn a_cwd_outside_of_the_root_is_refused_or_inside() {
    refused_each(&[
        ("/process/cwd", json!("/proc/self/fd/3"), &["process.cwd"]),
        ("/process/cwd", json!("/proc/self/fd/7/.."), &["process.cwd"]),
        ("/process/cwd", json!("/etc/passwd"), &["process.cwd", "/etc/passwd"]),
        ("/process/cwd", json!("/tm\u{0}p"), &["process.cwd", "NUL"]),
    ]);
}

#[test]
fn programs_and_environment_that_can_not_be_are_refused() {
    refused_each(&[
        ("/process", json!(null), &["process", "missing"]),
        ("/process/args", json!([]), &["process.args"]),
        ("/process/args", json!(null), &["process.args"]),
        ("/process/args", json!([""]), &["process.args"]),
        ("/process/args", json!(["sh\u{0}"]), &["process.args[0]", "NUL"]),
        ("/process/env", json!(["A=\u{0}"]), &["process.env[0]", "NUL"]),
        ("/process/user/uid", json!(4294967295_u32), &["process.user.uid", "4294967295"]),
        ("/process/user/additionalGids", json!([4294967295_u32]), &["process.user.additionalGids"]),
        ("/process/oomScoreAdj", json!(1001), &["process.oomScoreAdj", "1001"]),
        ("/process/rlimits/0/type", json!("RLIMIT_BOGUS"), &["process.rlimits[0]", "RLIMIT_BOGUS"]),
        ("/process/rlimits/0/soft", json!(2048), &["process.rlimits[0]", "2048", "1024"]),
        (
            "/process/rlimits/-",
            json!({"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9}),
            &["process.rlimits[1]", "twice"],
        ),
        ("/process/apparmorProfile", json!("no-such-profile"), &["apparmor"]),
        ("/hostname", json!("h".repeat(65)), &["hostname"]),
    ]);
}

#[test]
fn unknown_words_of_the_specification_are_refused() {
    let bogus = |action: &str| json!({"defaultAction": action});
    refused_each(&[
        ("/linux/seccomp", bogus("SCMP_ACT_BOGUS"), &["linux.seccomp.defaultAction", "SCMP_ACT_BOGUS"]),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "DENY"}]}),
            &["linux.seccomp.syscalls[0].action", "DENY"],
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_MAYBE"}]}]}),
            &["linux.seccomp.syscalls[0].args[0]", "SCMP_CMP_MAYBE"],
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}),
            &["linux.seccomp.syscalls[0].args[0]", "6"],
        ),
        ("/linux/namespaces/-", json!({"type": "bogus"}), &["linux.namespaces", "bogus"]),
        ("/linux/namespaces/-", json!({"type": "pid"}), &["linux.namespaces", "pid"]),
        ("/linux/namespaces/-", json!({}), &["linux.namespaces"]),
        ("/linux/namespaces/1/path", json!("/nowhere"), &["linux.namespaces", "/nowhere"]),
        ("/linux/namespaces/1/path", json!("/etc/passwd"), &["linux.namespaces", "/etc/passwd"]),
        ("/linux/namespaces/1/path", json!("/proc/self/ns/mnt"), &["linux.namespaces", "/proc/self/ns/mnt"]),
        ("/linux/namespaces", json!([{"type": "pid"}]), &["linux.namespaces"]),
        ("/linux/rootfsPropagation", json!("sideways"), &["linux.rootfsPropagation", "sideways"]),
        ("/linux/personality", json!({"domain": "BSD"}), &["linux.personality.domain", "BSD"]),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), &["linux.sysctl", "vm.swappiness"]),
        ("/linux/sysctl", json!({"net.no.such": "1"}), &["linux.sysctl", "net.no.such"]),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "z"}]), &["linux.devices[0]", "z"]),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 1}]), &["linux.uidMappings"]),
    ]);
}

#[test]
fn mounts_that_can_not_be_made_are_named() {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    refused_each(&[
        ("/mounts/-", mount("/mnt", "nosuchfs", "x", &[]), &["mounts[7]", "nosuchfs"]),
        ("/mounts/-", mount("/mnt", "bind", "/nowhere", &["bind"]), &["mounts[7]", "/nowhere"]),
        ("/mounts/-", mount("/mnt", "tmpfs", "t", &["size=lots"]), &["mounts[7]", "size"]),
        ("/mounts/-", mount("", "tmpfs", "t", &[]), &["mounts[7].destination"]),
        ("/mounts/-", mount("/m\u{0}nt", "tmpfs", "t", &[]), &["mounts[7].destination", "NUL"]),
        ("/mounts/-", mount("/", "tmpfs", "t", &[]), &["mounts[7]"]),
        ("/mounts/-", mount("/proc", "tmpfs", "t", &[]), &["mounts[7]", "/proc"]),
        ("/mounts/-", mount("/etc/passwd", "tmpfs", "t", &[]), &["mounts[7]", "/etc/passwd"]),
    ]);
}

#[test]
fn limits_that_the_kernel_does_not_take_are_named() {
    if !privileged::file("/sys/fs/cgroup/cpuset") {
        return;
    }
    refused_each(&[
        ("/linux/resources/cpu", json!({"cpus": "900-901"}), &["cpu", "900-901"]),
        ("/linux/resources/cpu", json!({"cpus": "all"}), &["cpu", "all"]),
        ("/linux/resources/cpu", json!({"quota": 1}), &["cpu", "quota"]),
        ("/linux/resources/memory", json!({"limit": 1}), &["linux.resources.memory", "too low"]),
        (
            "/linux/resources/hugepageLimits",
            json!([{"pageSize": "3KB", "limit": 0}]),
            &["hugepageLimits", "3KB"],
        ),
        (
            "/linux/resources/devices/-",
            json!({"allow": true, "access": "q"}),
            &["linux.resources.devices[1]", "q"],
        ),
        ("/linux/resources/unified", json!({"../x": "1"}), &["linux.resources.unified", "../x"]),
    ]);
}

/// The specification says to warn, and runc does: it still runs.
#[test]
fn an_unknown_capability_is_a_warning() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().shell("echo started").edit(|config| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_BOGUS"]);
    });
    let door = Door::new();
    let output = door.ok(["run", "--bundle", dir(&bundle), &door.id("cap")]);
    assert_eq!(output.stdout, "started\n");
    assert!(
        output.stderr.contains("level=warning") && output.stderr.contains("CAP_BOGUS"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_very_long_value_leaves_the_cause_to_be_read() {
    let long = "x".repeat(100_000);
    let below = format!("/{long}");
    refused_each(&[
        ("/ociVersion", json!(long), &["ociVersion: \"xxx", "xxx\" is not a version"]),
        ("/process/cwd", json!(long), &["process.cwd: \"xxx", "xxx\" must be an absolute path"]),
        ("/process/args/0", json!(below), &["exec: \"/xxx", "xxx\": ENAMETOOLONG (File name too long)"]),
        ("/hostname", json!(long), &["hostname: sethostname(\"xxx", "xxx\"): EINVAL (Invalid argument)"]),
        ("/linux/maskedPaths/-", json!(below), &["linux.maskedPaths: \"/xxx", "ENAMETOOLONG"]),
        ("/linux/sysctl", json!({ format!("net.{long}"): "1" }), &["linux.sysctl[\"net.xxx", "ENAMETOOLONG"]),
    ]);
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    if !privileged::root() {
        return;
    }
    let mut bundle = Bundle::busybox();
    let door = Door::new();
    let garbage: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = |open: &str| format!("{{\"x\": {}", open.repeat(200_000)).into_bytes();
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("empty", vec![], &["EOF"]),
        ("null", b"null".to_vec(), &["null"]),
        ("a list", b"[]".to_vec(), &["an object"]),
        ("an empty object", b"{}".to_vec(), &["ociVersion", "missing"]),
        ("half", br#"{"ociVersion": "1.0.2", "process": {"#.to_vec(), &["EOF", "line 1"]),
        ("more behind it", b"{} {}".to_vec(), &["trailing", "line 1"]),
        ("garbage", garbage, &["line 1"]),
        ("zeros", vec![0; 4096], &["line 1"]),
        ("UTF-16", utf16, &["line 1"]),
        ("bad UTF-8", b"{\"hostname\": \"\xff\xfe\"}".to_vec(), &["line 1"]),
        ("deep lists", deep("["), &["recursion"]),
        ("deep objects", deep("{\"x\":"), &["recursion"]),
        ("a long number", [b"{\"x\": ".to_vec(), b"9".repeat(1 << 20), b"}".to_vec()].concat(), &[]),
    ];
    let mut all = Vec::new();
    for (name, bytes, words) in cases {
        bundle = bundle.raw(bytes);
        all.extend(faults(&door, &bundle, words).iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_hundred_megabytes_of_json_are_refused_unread() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let whole = [b"{\"x\": \"".to_vec(), vec![b'a'; 100 << 20], b"\"}".to_vec()].concat();
    let bundle = Bundle::busybox().raw(whole);
    refused(&door, &bundle, &["config.json", "16"]);
    fs::File::options()
        .write(true)
        .open(bundle.path().join("config.json"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    refused(&door, &bundle, &["config.json", "16"]);
}

#[test]
fn a_config_that_is_no_file_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let door = Door::new();
    let file = bundle.path().join("config.json");
    let replace = |make: &dyn Fn(&Path)| {
        if file.is_dir() {
            fs::remove_dir(&file).unwrap()
        } else {
            fs::remove_file(&file).unwrap()
        }
        make(&file);
    };
    replace(&|_| {});
    refused(&door, &bundle, &["config.json: No such file", "--bundle", "'forgeone spec'"]);
    fs::write(&file, "").unwrap();
    replace(&|file| fs::create_dir(file).unwrap());
    refused(&door, &bundle, &["config.json", "directory"]);
    replace(&|file| {
        let made = std::process::Command::new("mkfifo").arg(file).status().unwrap();
        assert!(made.success());
    });
    refused(&door, &bundle, &["config.json"]);
    replace(&|file| symlink("config.json", file).unwrap());
    refused(&door, &bundle, &["config.json", "ELOOP"]);
    replace(&|file| symlink("/dev/zero", file).unwrap());
    refused(&door, &bundle, &["config.json"]);
}

#[test]
fn a_bundle_that_is_none_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let door = Door::new();
    for (path, word) in
        [("nowhere", "No such file"), ("config.json", "Not a directory"), ("rootfs", "config.json")]
    {
        let path = bundle.path().join(path);
        for command in ["create", "run"] {
            let output = door.run([command, "--bundle", path.to_str().unwrap(), &door.id("none")]);
            one_line(&output, command, &[path.to_str().unwrap(), word]);
        }
    }
    assert!(listing(&door.root()).is_empty());
}

/// Whatever fails in the system is told once, by its name, and the command's own name too.
#[test]
fn messages_say_nothing_twice() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("twice");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    for words in [
        &["run", "--bundle", "/nowhere", "x"][..],
        &["update", "--resources", "/nowhere", &id],
        &["exec", "--process", "/nowhere", &id],
        &["spec", "--bundle", "/nowhere"],
        &["--log", "/nowhere/x", "list"],
    ] {
        let output = door.run(words);
        assert!(output.stderr.contains("/nowhere"), "{words:?}: {}", output.stderr);
        assert!(output.stderr.contains("No such file or directory"), "{words:?}: {}", output.stderr);
        assert!(!output.stderr.contains("os error"), "{words:?}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{words:?}: {}", output.stderr);
    }
    let output = door.run(["exec", &id, "nosuch"]);
    assert_eq!(output.stderr, "forgeone: exec: \"nosuch\": executable file not found in $PATH\n");
}

#[test]
fn a_state_root_that_is_none_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let door = Door::new();
    let place = |name: &str| door.directory().join(name).to_str().unwrap().to_owned();
    let (link, file) = (place("link"), place("file"));
    symlink(door.directory(), &link).unwrap();
    fs::write(&file, "").unwrap();
    for (root, word) in [
        (link.as_str(), "is a symbolic link; name the directory itself"),
        (file.as_str(), "is not a directory"),
        ("", "option --root is empty"),
    ] {
        for command in [&["list"][..], &["create", "--bundle", dir(&bundle), "x"]] {
            let output = door.run([&["--root", root], command].concat());
            one_line(&output, command[0], &[root, word]);
        }
    }
}

#[test]
fn ids_that_are_paths_or_no_names_are_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let door = Door::new();
    let long = "x".repeat(2000);
    for id in ["", ".", "..", "a/b", "../x", "/etc", "a b", "ü", "a\nb", "-x/", &long] {
        for command in ["create", "run", "state", "start", "kill", "delete", "exec", "pause", "resume", "ps"]
        {
            let arguments: &[&str] = match command {
                "create" | "run" => &["--bundle", dir(&bundle), "--", id],
                "exec" => &["--", id, "true"],
                _ => &["--", id],
            };
            let output = door.run([&[command], arguments].concat());
            let status = if command == "exec" { 255 } else { 1 };
            assert_eq!(output.code, status, "{command} {id:.20}: {}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
            assert!(output.stderr.contains("container id"), "{command} {id:.20}: {}", output.stderr);
        }
    }
    assert!(listing(&door.root()).is_empty());
}

#[test]
fn an_id_in_use_is_refused_and_its_container_unharmed() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("used");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let before = door.state(&id);
    for command in ["create", "run"] {
        one_line(&door.run([command, "--bundle", dir(&bundle), &id]), command, &[&id, "exists"]);
        assert_eq!(door.state(&id), before);
    }
    door.ok(["start", &id]);
    assert_eq!(door.status(&id), "running");
    door.ok(["delete", "--force", &id]);
    door.ok(["create", "--bundle", dir(&bundle), &id]);
}

#[test]
fn a_program_that_can_not_be_executed_is_named() {
    if !privileged::root() {
        return;
    }
    let mut bundle = Bundle::busybox().file("/bin/plain", "text").file("/sub/x", "");
    symlink("nowhere", bundle.rootfs().join("bin/dangling")).unwrap();
    symlink("loop", bundle.rootfs().join("bin/loop")).unwrap();
    let door = Door::new();
    let cases: &[(&str, &[&str])] = &[
        ("nosuch", &["\"nosuch\"", "executable file not found in $PATH"]),
        ("/nosuch", &["\"/nosuch\"", "no such file or directory"]),
        ("/bin/sh/x", &["\"/bin/sh/x\"", "no such file or directory"]),
        ("/bin/dangling", &["\"/bin/dangling\"", "no such file or directory"]),
        ("/bin/loop", &["\"/bin/loop\": ELOOP (Too many levels of symbolic links)"]),
        ("loop", &["exec: \"loop\": ELOOP (Too many levels of symbolic links)"]),
        ("dangling", &["\"dangling\"", "executable file not found in $PATH"]),
        ("/bin/plain", &["\"/bin/plain\"", "permission denied"]),
        ("plain", &["\"plain\"", "permission denied"]),
        // Podman and Docker make 126 of these words.
        ("/sub", &["\"/sub\"", "is a directory", "permission denied"]),
        ("/dev/null", &["\"/dev/null\"", "permission denied"]),
    ];
    let mut all = Vec::new();
    for (program, words) in cases {
        bundle = bundle.args([program]);
        all.extend(faults(&door, &bundle, words));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// These are found out by execve(2) alone: create can't know, start does, as with runc.
#[test]
fn a_program_that_the_kernel_refuses_is_named_by_start() {
    if !privileged::root() {
        return;
    }
    let mut foreign = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xf3, 0, 1];
    foreign.resize(4096, 0);
    let mut bundle = Bundle::busybox();
    for (name, bytes) in [("foreign", &foreign[..]), ("empty", b""), ("script", b"#!/no/such/shell\n")] {
        let file = bundle.rootfs().join("bin").join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let door = Door::new();
    let cases = [
        ("foreign", "Exec format error"),
        ("empty", "Exec format error"),
        ("script", "No such file or directory"),
    ];
    for (program, word) in cases {
        bundle = bundle.args([program]);
        let id = door.id(program);
        let output = door.run(["run", "--bundle", dir(&bundle), &id]);
        one_line(&output, "run", &[program, word]);
        assert!(listing(&door.root()).is_empty());

        door.ok(["create", "--bundle", dir(&bundle), &id]);
        let output = door.run(["start", &id]);
        one_line(&output, "start", &[program, word]);
        door.await_status(&id, "stopped");
        door.ok(["delete", &id]);
    }
}
