//! `linux.intelRdt`, by the files of resctrl, where there is one.

use crate::inside::{dir, refused, writable};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use testkit::{Door, privileged};

/// Where resctrl is mounted.
fn resctrl() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(" - resctrl "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

#[test]
fn without_resctrl_it_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    if resctrl().is_some() {
        return testkit::skip("is about a machine without resctrl");
    }
    for wanted in [json!({}), json!({ "closID": "gold" }), json!({ "enableMonitoring": true })] {
        let said = refused(&writable().edit(|config| config["linux"]["intelRdt"] = wanted));
        assert!(said.contains("linux.intelRdt: resctrl isn't mounted"), "{said}");
    }
    let wrong = writable().edit(|config| config["linux"]["intelRdt"] = json!({ "closID": "a/b" }));
    assert!(refused(&wrong).contains("linux.intelRdt.closID"));
}

#[test]
fn a_container_is_in_a_class_of_its_own_until_it_is_deleted() {
    if !privileged::root() {
        return;
    }
    let Some(root) = resctrl() else {
        return testkit::skip("needs a mounted resctrl, which needs a processor with Intel RDT or AMD QoS");
    };
    let schemata = fs::read_to_string(root.join("schemata")).unwrap();
    let line = schemata.lines().next().unwrap().trim().to_owned();
    let monitoring = root.join("mon_groups").exists();
    let bundle = writable().args(["sleep", "1000"]).edit(|config| {
        config["linux"]["intelRdt"] = json!({ "schemata": [line], "enableMonitoring": monitoring });
    });
    let door = Door::new();
    let id = door.id("rdt");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let pid = door.state(&id)["pid"].to_string();
    let class = root.join(&id);
    let has = |tasks: PathBuf| fs::read_to_string(tasks).unwrap().lines().any(|line| line == pid);
    assert!(has(class.join("tasks")));
    assert!(!monitoring || has(class.join("mon_groups").join(&id).join("tasks")));
    door.ok(["delete", "--force", &id]);
    assert!(!class.exists());
}
