//! `delete` when something is in its way: who works on the container, who is left of it, what isn't known of it.

use crate::running::{dir, read};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use testkit::{Bundle, Door, eventually, privileged};

/// A bundle with a hook that says it is there and then hangs; the file that it writes.
fn hanging(door: &Door, point: &str) -> (Bundle, PathBuf) {
    let file = door.directory().join("hook");
    let bundle = Bundle::busybox().writable().args(["sleep", "1000"]);
    // A hook at this point sees the container's files.
    let there = if point == "startContainer" { "/tmp/hook".into() } else { file.display().to_string() };
    let line = format!("echo $$ > {there}; exec sleep 1000");
    let bundle = bundle.edit(|config| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", line], "env": ["PATH=/usr/bin:/bin"] });
        config["hooks"] = json!({ point: [hook] });
    });
    let file = if point == "startContainer" { bundle.rootfs().join("tmp/hook") } else { file };
    (bundle, file)
}

fn spawn(door: &Door, words: &[&str]) -> Child {
    let mut command = door.command(words);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_start_that_hangs_in_the_container_gives_way_to_force() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, hook) = hanging(&door, "startContainer");
    let id = door.id("hangs");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let start = spawn(&door, &["start", &id]);
    eventually("the hook runs", || hook.exists());
    door.ok(["delete", "--force", &id]);
    let (code, stderr) = said(start);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("hooks.startContainer: init was killed while they ran"), "{stderr}");
    assert!(door.containers().is_empty());
    drop((door, bundle));
}

#[test]
fn a_create_that_hangs_in_the_container_gives_way_to_force() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, hook) = hanging(&door, "createContainer");
    let id = door.id("hangs");
    let create = spawn(&door, &["create", "--bundle", dir(&bundle), &id]);
    eventually("the hook runs", || hook.exists());
    assert_eq!(door.status(&id), "creating");
    door.ok(["delete", "--force", &id]);
    let (code, stderr) = said(create);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(door.containers().is_empty());
    drop((door, bundle));
}

/// A hook on the host is not ours to end; who waits for it is named, and once it has ended nothing is left.
#[test]
fn who_waits_for_a_hook_on_the_host_is_named() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, hook) = hanging(&door, "poststart");
    let id = door.id("waits");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let start = spawn(&door, &["start", &id]);
    eventually("the hook runs", || hook.exists() && !read(&hook).is_empty());
    let output = door.run(["delete", "--force", &id]);
    assert_eq!(output.code, 1);
    let holder = format!("container \"{id}\" is killed, but process {} (", start.id());
    assert!(output.stderr.contains(&holder), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("start {id}) still works on it")), "{}", output.stderr);
    door.await_status(&id, "stopped");
    let pid: i32 = read(&hook).parse().unwrap();
    forgeone_sys::process::kill(pid, 9).unwrap();
    assert_eq!(said(start).0, Some(1));
    door.ok(["delete", "--force", &id]);
    assert!(door.containers().is_empty());
    drop((door, bundle));
}

#[test]
fn a_container_whose_init_was_killed_while_it_was_made_leaves_nothing() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    // The state on standard input says who init is.
    let line = "kill -9 $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')";
    let bundle = Bundle::busybox().args(["sleep", "1000"]).edit(|config| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", line], "env": ["PATH=/usr/bin:/bin"] });
        config["hooks"] = json!({ "createRuntime": [hook] });
    });
    let id = door.id("killed");
    let output = door.run(["create", "--bundle", dir(&bundle), &id]);
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("init ended early (killed"), "{}", output.stderr);
    assert!(door.containers().is_empty());
    drop((door, bundle));
}

#[test]
fn a_created_container_whose_init_was_killed_is_stopped_and_can_be_deleted() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("killed");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    forgeone_sys::process::kill(door.state(&id)["pid"].as_i64().unwrap() as i32, 9).unwrap();
    door.await_status(&id, "stopped");
    assert!(door.run(["start", &id]).stderr.contains("is stopped, only a created one can be started"));
    door.ok(["delete", &id]);
    assert!(door.containers().is_empty());
}

/// Without `--force` nothing is removed by guess; with it, what the path of its groups shows.
#[test]
fn a_container_whose_record_can_not_be_read_is_taken_away_by_force() {
    if !privileged::machine_root() {
        return;
    }
    let door = Door::new();
    let named = door.id("named");
    let asked = format!("/forgeone-{named}/inner");
    for (cgroup, cut) in [(None, false), (None, true), (Some(&asked), true)] {
        let bundle = Bundle::busybox().args(["sleep", "1000"]).edit(|config| {
            if let Some(path) = cgroup {
                config["linux"]["cgroupsPath"] = json!(path);
            }
        });
        let id = door.id("damaged");
        door.ok(["create", "--bundle", dir(&bundle), &id]);
        let pid = door.state(&id)["pid"].as_i64().unwrap();
        let place = door.root().join(&id);
        let file = place.join("state.json");
        let whole = fs::read_to_string(&file).unwrap();
        let other =
            if cut { whole[..100].to_owned() } else { whole.replacen("\"version\":1", "\"version\":2", 1) };
        fs::write(&file, other).unwrap();
        for command in ["delete", "state", "start"] {
            let output = door.run([command, &id]);
            assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
            assert!(output.stderr.contains(file.to_str().unwrap()), "{}", output.stderr);
            assert!(output.stderr.contains("'forgeone delete --force'"), "{}", output.stderr);
            assert!(output.stderr.len() < 300, "{}", output.stderr);
        }
        assert!(place.join("config.json").exists());
        let output = door.ok(["delete", "--force", &id]);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.contains("no poststop hook was run"), "{}", output.stderr);
        assert!(!std::path::Path::new(&format!("/proc/{pid}/root/bin")).exists(), "{pid} lives");
        assert!(door.containers().is_empty());
        // The level above isn't known to be its own.
        if let Some(path) = cgroup {
            remove_level(path.strip_suffix("/inner").unwrap());
        }
    }
}

/// Removes an empty group from every hierarchy.
fn remove_level(group: &str) {
    for line in read("/proc/self/mountinfo").lines() {
        let (left, right) = line.split_once(" - ").unwrap();
        if right.starts_with("cgroup") {
            let path = format!("{}{group}", left.split(' ').nth(4).unwrap());
            if std::path::Path::new(&path).exists() {
                fs::remove_dir(path).unwrap();
            }
        }
    }
}

/// A create that is killed: what it had begun is deleted like any other container, without a word.
#[test]
fn a_container_whose_create_was_killed_is_deleted_without_force() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    for force in [false, true] {
        let (bundle, hook) = hanging(&door, "createContainer");
        let id = door.id("killed");
        let mut create = spawn(&door, &["create", "--bundle", dir(&bundle), &id]);
        eventually("the hook runs", || hook.exists() && !read(&hook).is_empty());
        create.kill().unwrap();
        create.wait().unwrap();
        door.await_status(&id, "stopped");
        let refused = door.run(["run", "--bundle", dir(&bundle), &id]);
        assert!(refused.stderr.contains("free this one with 'forgeone delete'"), "{}", refused.stderr);
        let output = if force { door.ok(["delete", "--force", &id]) } else { door.ok(["delete", &id]) };
        assert_eq!(output.stderr, "");
        assert!(door.containers().is_empty());
        fs::remove_file(hook).unwrap();
        let good = Bundle::busybox().shell("echo again");
        assert_eq!(door.ok(["run", "--bundle", dir(&good), &id]).stdout, "again\n");
    }
}
