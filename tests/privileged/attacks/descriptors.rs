//! What the runtime or its caller has open, seen from inside.

use super::{Host, capabilities, dir, path, run, start};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Temp, privileged, programs, repeatedly};

/// CVE-2024-21626: a working directory behind a descriptor that the runtime has open.
#[test]
fn a_working_directory_behind_a_descriptor_is_refused() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_running, id) = start(&door, Bundle::busybox());
    for number in 3..20 {
        for way in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
            let bundle = Bundle::busybox().args(["pwd"]).edit(|config| config["process"]["cwd"] = json!(way));
            let created = run(&door, &bundle);
            assert_ne!(created.code, 0, "{way}: {}", created.stdout);
            let entered = door.run(["exec", "--cwd", &way, &id, "pwd"]);
            // Some are of the container itself, its root for example.
            let inside = entered.stdout.trim();
            assert!(entered.code != 0 || inside.starts_with('/'), "{way}: {inside}");
            assert!(!Path::new(inside).starts_with(door.root()), "{way}: {inside}");
        }
    }
}

/// The same, with a directory of the host that the runtime's caller has left open, and with one that is passed on.
#[test]
fn a_descriptor_that_the_caller_leaked_does_not_come_into_the_container() {
    if !privileged::root() {
        return;
    }
    let (host, _) = Host::new();
    let door = Door::new();
    let line = "exec 7<\"$0\" 9<\"$0\"; exec \"$@\"";
    let leaking = |args: &[&str]| {
        let real = door.command(args.iter().copied());
        let mut command = Command::new("sh");
        command.args(["-c", line]).arg(host.path()).arg(real.get_program()).args(real.get_args());
        command.stdin(Stdio::null());
        door.finish(&mut command)
    };
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
}

/// A hook in the container is a program of the image.
#[test]
fn a_start_container_hook_sees_no_descriptor_of_the_callers() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox().writable().args(["cat", "/tmp/seen"]).edit(|config| {
        let script = "ls /proc/self/fd > /tmp/seen";
        config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    });
    let (host, _) = Host::new();
    let real = door.command(["run", "--bundle", dir(&bundle), &door.id("hook")]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 7<\"$0\"; exec \"$@\""]).arg(host.path());
    command.arg(real.get_program()).args(real.get_args()).stdin(Stdio::null());
    let output = door.finish(&mut command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(output.stdout, "0\n1\n2\n3\n", "3 is the list itself");
}

/// CVE-2016-9962: those who share its PID namespace can't look into an init that waits, and through it at the host.
#[test]
fn a_created_container_shows_nothing_of_the_host() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("waits"));
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].to_string();
    // As the host's root sees it: not dumpable, in its own root, with few descriptors.
    assert_eq!(fs::metadata(format!("/proc/{pid}/fd")).unwrap().uid(), 0);
    let root = fs::metadata(format!("/proc/{pid}/root/")).unwrap().ino();
    assert_eq!(root, fs::metadata(bundle.rootfs()).unwrap().ino());
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = fs::read_link(entry.path()).unwrap();
        // The rendezvous and the channel, the signals that end it, and the lock.
        let text = target.to_str().unwrap();
        let harmless = text.starts_with("socket:[")
            || text == "anon_inode:[signalfd]"
            || target.ends_with(format!("{id}/waits"));
        assert!(number < 3 || harmless, "descriptor {number}: {}", target.display());
        let meta = fs::metadata(entry.path()).unwrap();
        assert!(number < 3 || !meta.is_dir(), "descriptor {number}: {}", target.display());
    }
    let waits = fs::metadata(door.root().join(&id).join("waits")).unwrap();
    assert_eq!(waits.len(), 0);
    // As the container's root sees it, without CAP_SYS_PTRACE.
    for file in ["fd/*", "root/*", "cwd/*", "exe", "environ", "maps", "mem"] {
        let line = format!("for file in /proc/1/{file}; do readlink $file || cat $file; done 2>/dev/null");
        assert_eq!(door.run(["exec", &id, "sh", "-c", &line]).stdout, "", "{file}");
    }
    door.ok(["start", &id]);
    door.ok(["exec", &id, "ls", "/proc/1/fd"]);
}

/// With CAP_SYS_PTRACE as well: what `exec` brings into the container has nothing of the host at any moment.
#[test]
fn an_exec_that_is_watched_by_a_tracer_shows_nothing_of_the_host() {
    if !privileged::root() {
        return;
    }
    let mark = Temp::new("mark");
    let bundle =
        capabilities(Bundle::busybox().writable(), &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"])
            .args(["/attacker", "race", "/tmp/stop"])
            .edit(|config| {
                let variable = format!("FORGEONE_TEST_HOST_MARK={}", path(mark.path()));
                config["process"]["env"].as_array_mut().unwrap().push(json!(variable));
            });
    fs::copy(programs::attacker(), bundle.rootfs().join("attacker")).unwrap();
    let door = Door::new();
    let id = door.id("traced");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &door.id("x")]);
    let id = door.containers().into_iter().find(|other| *other != id).unwrap();
    repeatedly(200, |round| {
        let user = if round % 2 == 0 { "0" } else { "1000" };
        door.ok(["exec", "--user", user, &id, "true"]);
        !output.stdout_now().is_empty()
    });
    fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
    door.await_status(&id, "stopped");
    let seen: Value = serde_json::from_str(&output.stdout_now()).unwrap();
    assert!(seen["seen"].as_u64().unwrap() > 0, "{seen:#}");
    assert_eq!(seen["host"], json!([]), "{seen:#}");
}

/// A program that was executed is an ordinary one again: its own user may look at it, as ps and debuggers do.
#[test]
fn the_programs_own_user_may_look_at_it() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (_bundle, id) = start(&door, Bundle::busybox());
    let output = door.ok([
        "exec",
        &id,
        "sh",
        "-c",
        "readlink /proc/1/exe; cat /proc/1/environ | tr '\\0' '\\n' | head -1",
    ]);
    assert!(output.stdout.starts_with("/bin/busybox\nPATH="), "{}", output.stdout);
}
