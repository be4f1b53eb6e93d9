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
    // To start it was all right: that the program ended at once is seen by who looks.
    said(start);
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

/// Nothing is killed or removed by guess; the message says what can be done.
#[test]
fn a_record_that_can_not_be_read_is_kept_and_the_way_out_is_told() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("foreign");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let place = door.root().join(&id);
    let file = place.join("state.json");
    let whole = fs::read_to_string(&file).unwrap();
    for other in [whole.replacen("\"version\":1", "\"version\":2", 1), whole[..100].to_owned()] {
        fs::write(&file, other).unwrap();
        for words in [&["delete", "--force"][..], &["delete"]] {
            let output = door.run([words, &[&id]].concat());
            assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
            let way_out = format!(
                "delete it with the version that wrote it; or end what is left of it, which its cgroup shows (linux.cgroupsPath in {0}/config.json), and remove {0}",
                place.display()
            );
            assert!(output.stderr.contains(&way_out), "{}", output.stderr);
        }
        assert!(place.join("config.json").exists());
    }
    fs::write(&file, whole).unwrap();
    door.ok(["start", &id]);
}
