//! What is kept of a container: `state.json` version 1, and the events file.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use testkit::{Bundle, Door, eventually, privileged};

fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

fn record_file(door: &Door, id: &str) -> PathBuf {
    door.root().join(id).join("state.json")
}

fn record(door: &Door, id: &str) -> Value {
    serde_json::from_slice(&fs::read(record_file(door, id)).unwrap()).unwrap()
}

/// The events as they stand, each line an object. There are none in a file that was only just made.
fn events(door: &Door, id: &str) -> Vec<Value> {
    let text = fs::read_to_string(door.root().join(id).join("events")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines only: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// A copy of the events file that outlives the container: a hard link, since the file is only appended to.
fn keep_events(door: &Door, id: &str) -> PathBuf {
    let kept = door.directory().join(format!("{id}.events"));
    fs::hard_link(door.root().join(id).join("events"), &kept).unwrap();
    kept
}

fn kept(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_are_numbered_and_say_when_where_and_who() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("events");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    assert_eq!(names(&events(&door, &id)), ["created"]);
    door.ok(["start", &id]);
    door.ok(["pause", &id]);
    door.ok(["resume", &id]);
    door.ok(["exec", &id, "true"]);
    let all = events(&door, &id);
    assert_eq!(names(&all), ["created", "started", "paused", "resumed", "exec"]);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (record, init) = (record(&door, &id), door.state(&id)["pid"].clone());
    let mut before = String::new();
    for (i, event) in all.iter().enumerate() {
        assert_eq!(event["seq"], i + 1);
        assert_eq!(event["boot"], boot.trim());
        assert_eq!(event["cgroup"], record["cgroupId"]);
        assert!(event.get("status").is_none(), "{event}");
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == 30 && time.ends_with('Z') && *time >= *before, "{time} after {before}");
        before = time.to_owned();
        match event["event"].as_str() {
            Some("exec") => assert!(event["pid"].as_i64() > init.as_i64(), "{event}"),
            _ => assert_eq!(event["pid"], init),
        }
    }
    let file = keep_events(&door, &id);
    door.ok(["delete", "--force", &id]);
    let last = kept(&file).pop().unwrap();
    assert_eq!((&last["seq"], &last["event"], &last["status"]), (&json!(6), &json!("exited"), &Value::Null));
}

/// Who runs it in the foreground is its parent, and knows; the delete behind it adds nothing.
#[test]
fn the_exit_is_written_once_with_its_status_by_run() {
    if !privileged::root() {
        return;
    }
    let shell = "while [ ! -e /tmp/go ]; do sleep 0.01; done; exit 7";
    let bundle = Bundle::busybox().writable().shell(shell);
    let door = Door::new();
    for (keep, line, status) in [(false, "", 7), (true, "", 7), (false, "KILL", 137)] {
        let _ = fs::remove_file(bundle.rootfs().join("tmp/go"));
        let id = door.id("exit");
        let words = if keep { vec!["run", "--keep"] } else { vec!["run"] };
        let mut run = door.command([&words[..], &["--bundle", dir(&bundle), &id]].concat()).spawn().unwrap();
        eventually("it is started", || {
            door.root().join(&id).join("events").exists() && names(&events(&door, &id)).contains(&"started")
        });
        let file = keep_events(&door, &id);
        match line {
            "" => fs::write(bundle.rootfs().join("tmp/go"), "").unwrap(),
            signal => drop(door.ok(["kill", &id, signal])),
        }
        assert_eq!(run.wait().unwrap().code(), Some(status));
        if keep {
            assert_eq!(door.status(&id), "stopped");
            door.ok(["delete", &id]);
        }
        let all = kept(&file);
        assert_eq!(names(&all), ["created", "started", "exited"]);
        assert_eq!(all[2]["status"], status);
    }
}

#[test]
fn the_exit_of_a_container_that_nobody_waited_for_has_no_status() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]);
    let door = Door::new();
    let id = door.id("alone");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let file = keep_events(&door, &id);
    door.await_status(&id, "stopped");
    door.ok(["delete", &id]);
    let all = kept(&file);
    assert_eq!(names(&all), ["created", "started", "exited"]);
    assert_eq!(all[2].as_object().unwrap().get("status"), Some(&Value::Null));
}

#[test]
fn many_who_write_events_at_the_same_time_number_them_all() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("many");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let start = |_| door.command(["exec", &id, "true"]).spawn().unwrap();
    let children: Vec<_> = (0..8).map(start).collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    let numbers: Vec<_> = events(&door, &id).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
}

#[test]
fn the_state_file_says_all_that_another_program_needs() {
    if !privileged::root() {
        return;
    }
    let hostile = "/mnt/]:x m0";
    let bundle = Bundle::busybox().writable().args(["sleep", "1000"]).edit(|config| {
        config["annotations"] = json!({"io.kubernetes.cri.sandbox-id": "pod7", "b": "c"});
    });
    let bundle = bundle.mount(json!({"destination": hostile, "type": "tmpfs", "source": "t"}));
    let door = Door::new();
    let id = door.id("state");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let record = record(&door, &id);
    let pid = record["pid"].as_i64().unwrap();
    for (key, value) in [
        ("version", json!(1)),
        ("id", json!(id)),
        ("ociVersion", json!("1.0.2")),
        ("bundle", json!(bundle.path())),
        ("rootfs", json!(bundle.rootfs())),
        ("complete", json!(true)),
        ("engine", json!("native")),
        ("group", json!("pod7")),
        ("owner", json!(0)),
        ("pid", door.state(&id)["pid"].clone()),
        ("annotations", json!({"io.kubernetes.cri.sandbox-id": "pod7", "b": "c"})),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(record["bootId"], boot.trim());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().to_owned();
    assert_eq!(record["startTime"].to_string(), start);
    assert_eq!(record["created"], door.state(&id)["created"]);

    let stdio: Vec<_> = record["stdio"].as_array().unwrap().iter().map(|fd| fd.as_str().unwrap()).collect();
    assert_eq!((stdio.len(), stdio[0]), (3, "/dev/null"));
    assert!(stdio[1].ends_with(".out") && stdio[2].ends_with(".err"), "{stdio:?}");

    let mounts = record["mounts"].as_array().unwrap();
    let keys: BTreeSet<_> = mounts.iter().map(|mount| mount["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), bundle.config()["mounts"].as_array().unwrap().len());
    assert!(keys.iter().all(|key| key.bytes().all(|b| b.is_ascii_alphanumeric())), "{keys:?}");
    assert!(mounts.iter().any(|mount| mount["destination"] == hostile));

    let namespaces = record["namespaces"].as_object().unwrap();
    assert_eq!(namespaces.keys().collect::<Vec<_>>(), ["ipc", "mnt", "net", "pid", "uts"]);
    door.ok(["start", &id]);
    for (name, inode) in namespaces {
        let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{name}:[{inode}]"));
    }
    let v1 = record["cgroup"]["v1"].as_object().into_iter().flatten().map(|(_, path)| path);
    let groups: Vec<_> = v1.chain(record["cgroup"].get("v2")).map(|path| path.as_str().unwrap()).collect();
    assert!(!groups.is_empty());
    for group in &groups {
        let members = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap();
        assert!(members.lines().any(|line| line == pid.to_string()), "{group}: {members}");
    }
    if let Some(unified) = record["cgroup"]["v2"].as_str() {
        assert_eq!(record["cgroupId"], fs::metadata(unified).unwrap().ino());
    }
    assert_eq!(fs::metadata(record_file(&door, &id)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(door.root().join(&id)).unwrap().permissions().mode() & 0o777, 0o711);
}

/// A reader never sees half of it: each state.json is a new file.
#[test]
fn the_state_file_is_replaced_whole() {
    if !privileged::root() {
        return;
    }
    let hook = "#!/bin/sh\ncp \"$(dirname \"$0\")\"/root/*/state.json \"$(dirname \"$0\")/early.json\"\n\
        ls -i \"$(dirname \"$0\")\"/root/*/state.json | cut -d' ' -f1 > \"$(dirname \"$0\")/inode\"\n";
    let door = Door::new();
    let script = door.directory().join("hook");
    fs::write(&script, hook).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let bundle = Bundle::busybox().args(["sleep", "1000"]).edit(|config| {
        config["hooks"] = json!({"createRuntime": [{"path": script, "env": ["PATH=/usr/bin:/bin"]}]});
    });
    let id = door.id("whole");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let early: Value =
        serde_json::from_slice(&fs::read(door.directory().join("early.json")).unwrap()).unwrap();
    assert_eq!((&early["version"], &early["id"], &early["complete"]), (&json!(1), &json!(id), &json!(false)));
    let inode: u64 = fs::read_to_string(door.directory().join("inode")).unwrap().trim().parse().unwrap();
    assert_ne!(fs::metadata(record_file(&door, &id)).unwrap().ino(), inode);
    let names: Vec<_> =
        fs::read_dir(door.root().join(&id)).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_str().unwrap().starts_with('.')), "{names:?}");
    door.ok(["delete", &id]);
    drop((door, bundle));
}

#[test]
fn a_state_file_of_another_version_or_none_at_all_is_named() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let (id, good) = (door.id("version"), door.id("good"));
    for id in [&id, &good] {
        door.ok(["create", "--bundle", dir(&bundle), id]);
    }
    let file = record_file(&door, &id);
    let whole = fs::read(&file).unwrap();
    let with = |key: &str, value: Value| {
        let mut record: Value = serde_json::from_slice(&whole).unwrap();
        record[key] = value;
        serde_json::to_vec(&record).unwrap()
    };
    let cases: [(Vec<u8>, &str); 7] = [
        (with("version", json!(2)), "version 2"),
        (with("version", json!(0)), "version 0"),
        (with("version", json!("1")), "version"),
        (with("pid", json!("x")), "pid"),
        (b"{}".to_vec(), "version 0"),
        (b"".to_vec(), "EOF"),
        (whole[..whole.len() / 2].to_vec(), "EOF"),
    ];
    for (bytes, word) in cases {
        fs::write(&file, bytes).unwrap();
        for command in ["state", "start", "kill", "pause", "delete", "ps"] {
            let output = door.run([command, &id]);
            assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{command}: {}", output.stderr);
            let named = output.stderr.contains(file.to_str().unwrap()) && output.stderr.contains(word);
            assert!(named, "{command} {word}: {}", output.stderr);
        }
        // The others are listed all the same.
        let output = door.run(["list", "--quiet"]);
        assert_eq!((output.code, output.stdout.trim()), (0, good.as_str()), "{}", output.stderr);
        assert!(output.stderr.contains(file.to_str().unwrap()), "{}", output.stderr);
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(door.status(&id), "created");
}

/// Fields of a later version's making are kept out of the way.
#[test]
fn unknown_fields_of_the_state_file_do_no_harm() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("fields");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let mut record = record(&door, &id);
    record["later"] = json!({"a": [1]});
    fs::write(record_file(&door, &id), record.to_string()).unwrap();
    door.ok(["start", &id]);
    assert_eq!(door.status(&id), "running");
    door.ok(["delete", "--force", &id]);
}
