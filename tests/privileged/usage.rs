//! `events`: what a container uses, and that it ran out of memory.

use crate::cgroup::{ONLY_V2, group, resources, v1, v2, view};
use crate::running::{Running, dir, read, runc};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use testkit::{Bundle, Door, eventually, privileged};

fn limited() -> Bundle {
    let bundle = resources(Bundle::busybox(), "memory", json!({ "limit": 33_554_432, "swap": 33_554_432 }));
    resources(bundle, "pids", json!({ "limit": 20 }))
}

/// `events` in the background, its output in a file.
fn follow(door: &Door, words: &[&str]) -> (Child, PathBuf) {
    let file = door.directory().join("followed");
    let mut command = door.command([&["events"], words].concat());
    (command.stdout(File::create(&file).unwrap()).spawn().unwrap(), file)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_numbers_are_those_of_the_containers_groups() {
    if !v1(&["memory", "pids", "cpuacct"]) {
        return;
    }
    let running = Running::of(limited());
    running.says("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let output = running.door.ok(["events", "--stats", &running.id]);
    assert!(
        output.stdout.starts_with(&format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{", running.id))
    );
    let data = &output.json()["data"];
    let memory = group(running.pid(), "memory");
    let number = |file: &str| read(memory.join(file)).parse::<u64>().unwrap();
    assert_eq!(data["memory"]["usage"]["limit"], 33_554_432);
    assert_eq!(data["memory"]["usage"]["max"], number("memory.max_usage_in_bytes"));
    assert_eq!(data["memory"]["raw"]["hierarchical_memory_limit"], 33_554_432);
    assert_eq!(data["pids"], json!({ "current": 1, "limit": 20 }));
    let cpu = &data["cpu"]["usage"];
    let usage = read(group(running.pid(), "cpuacct").join("cpuacct.usage")).parse::<u64>().unwrap();
    let total = cpu["total"].as_u64().unwrap();
    assert!(total > 1_000_000 && total <= usage, "{total} {usage}");
    let sum: u64 = cpu["percpu"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(sum, total);
    assert_eq!(data["network_interfaces"], Value::Null);
}

/// A value's fields and types; of lists the first entry. What is empty may be left out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let shapes = fields.iter().map(|(name, value)| (name.clone(), shape(value)));
            shapes.filter(|(_, shape)| *shape != json!({})).collect()
        }
        Value::Array(list) => json!([list.first().map(shape)]),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        other => other.clone(),
    }
}

#[test]
fn the_numbers_are_written_as_runc_writes_them() {
    if !v1(&["memory", "pids", "cpu", "cpuacct", "cpuset", "blkio"]) {
        return;
    }
    let Some(runc) = runc() else { return };
    let bundle = limited().args(["sleep", "1000"]);
    let of = |door: &Door| {
        let id = door.id("shape");
        door.ok(["create", "--bundle", dir(&bundle), &id]);
        door.ok(["start", &id]);
        let mut line = door.ok(["events", "--stats", &id]).json();
        door.ok(["delete", "--force", &id]);
        for path in ["cpu", "memory"] {
            // runc tells pressure on cgroup2 alone, and huge pages where v1 has them.
            line["data"][path].as_object_mut().unwrap().remove("psi");
        }
        for name in ["blkio", "hugetlb", "intel_rdt"] {
            // Block devices are left out as long as they weren't used.
            assert!(line["data"][name].take().is_object(), "{name}");
        }
        for entry in ["kernel", "kernelTCP", "usage", "swap"] {
            // What is 0 now and then is left out then.
            let entry = line["data"]["memory"][entry].as_object_mut().unwrap();
            assert!(entry.contains_key("limit") && entry.contains_key("failcnt"), "{entry:?}");
            entry.clear();
        }
        shape(&line)
    };
    assert_eq!(of(&Door::new()), of(&runc));
}

#[test]
fn pressure_and_huge_pages_come_from_cgroup2() {
    if !v2("hugetlb") {
        return;
    }
    let check = |door: &Door| {
        let bundle = Bundle::busybox().args(["sleep", "1000"]);
        let id = door.id("alone");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        let data = door.ok(["events", "--stats", &id]).json()["data"].clone();
        assert_eq!(data["hugetlb"]["2MB"], json!({ "failcnt": 0 }), "{data}");
        assert_eq!(data["pids"]["current"], 1);
        assert!(data["cpu"]["usage"]["total"].as_u64() > Some(0), "{data}");
        let has_pressure = Path::new("/proc/pressure/cpu").exists();
        for part in ["cpu", "memory", "blkio"] {
            assert_eq!(data[part]["psi"].is_object(), has_pressure, "{data}");
        }
        door.ok(["delete", "--force", &id]);
    };
    check(&Door::new());
    let (_script, door) = view(ONLY_V2);
    check(&door);
}

#[test]
fn lack_of_memory_is_told_and_the_end_ends_it() {
    if !v1(&["memory"]) {
        return;
    }
    let running = Running::of(limited());
    let (mut events, file) = follow(&running.door, &["--interval", "20ms", &running.id]);
    eventually("it looks", || !lines(&file).is_empty());
    let output = running.exec("dd if=/dev/zero of=/dev/null bs=64M count=1");
    assert_eq!(output.code, 137);
    let oom = json!({ "type": "oom", "id": running.id });
    eventually("it is told", || lines(&file).contains(&oom));
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains(&format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", running.id))
    );
    running.door.ok(["delete", "--force", &running.id]);
    assert!(events.wait().unwrap().success());
    // Removing the group is no lack of memory.
    assert_eq!(lines(&file).iter().filter(|line| **line == oom).count(), 1);
}

#[test]
fn an_end_for_lack_of_memory_is_told_as_both() {
    if !v1(&["memory"]) {
        return;
    }
    let bundle = limited().writable().shell(
        "while [ ! -e /tmp/go ]; do sleep 0.01; done; exec dd if=/dev/zero of=/dev/null bs=64M count=1",
    );
    let door = Door::new();
    let id = door.id("oom");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let (mut events, file) = follow(&door, &["--interval", "10ms", &id]);
    eventually("it looks", || !lines(&file).is_empty());
    fs::write(bundle.rootfs().join("tmp/go"), "").unwrap();
    assert!(events.wait().unwrap().success());
    let oom = json!({ "type": "oom", "id": id });
    assert_eq!(lines(&file).iter().filter(|line| **line == oom).count(), 1);
}

#[test]
fn who_stops_reading_ends_it() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let mut command = running.door.command(["events", "--interval", "1ms", &running.id]);
    let mut events = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(events.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"type\":\"stats\""), "{line}");
    assert!(events.wait().unwrap().success());
}

#[test]
fn who_does_not_live_has_no_numbers() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]);
    let door = Door::new();
    let id = door.id("ended");
    let refused = |words: &[&str], why: &str| {
        let output = door.run([&["events"], words, &[&id]].concat());
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{words:?}");
        assert!(output.stderr.contains(why), "{}", output.stderr);
    };
    refused(&["--stats"], "does not exist");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    door.await_status(&id, "stopped");
    for words in [&["--stats"][..], &[]] {
        refused(words, "is stopped, not running");
    }
    for interval in ["0s", "-1s", "5", "soon"] {
        refused(&["--interval", interval], "option --interval: ");
    }
}
