//! What is kept on the disk: how much it takes, and what is done about what can't be read.

use crate::kit::Machine;
use serde_json::Value;
use std::fs;

#[test]
fn df_counts_images_and_says_what_can_be_reclaimed() {
    let Some(machine) = Machine::new() else { return };
    let df = || -> Vec<Value> {
        serde_json::from_str(&machine.ok(&["system", "df", "--format", "json"])).unwrap()
    };
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    assert_eq!((number(&df()[0], "Total"), number(&df()[0], "Reclaimable")), (0, 0));
    let archive = machine.archive();
    machine.ok(&["import", &archive, "base"]);
    machine.ok(&["tag", "base", "other"]);
    let images = df().remove(0);
    let large = 1 << 19;
    assert_eq!(
        (&images["Type"], number(&images, "Total"), number(&images, "Active")),
        (&"Images".into(), 1, 0)
    );
    assert!(number(&images, "Reclaimable") > large && number(&images, "Size") > large, "{images}");
    machine.ok(&["create", "--name", "web", "-v", "data:/data", "base", "true"]);
    machine.ok(&["volume", "create", "idle"]);
    let rows = df();
    let counts: Vec<_> = rows.iter().map(|row| (number(row, "Total"), number(row, "Active"))).collect();
    assert_eq!(counts, [(1, 1), (1, 0), (2, 1)]);
    assert_eq!(number(&rows[0], "Reclaimable"), 0, "a container is made of it");
    assert!(number(&rows[1], "Reclaimable") > 0, "the container doesn't run");
    let text = machine.ok(&["system", "df"]);
    assert!(text.starts_with("TYPE        TOTAL  ACTIVE  SIZE"), "{text}");
    assert!(text.contains("0B (0%)"), "{text}");
    assert_eq!(machine.ok(&["system", "df", "--format", "{{.Type}}"]), "Images\nContainers\nVolumes\n");
}

#[test]
fn a_container_whose_record_is_damaged_is_removed_by_force_alone() {
    let Some(machine) = Machine::new() else { return };
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    for name in ["web", "other"] {
        machine.ok(&machine.shell(rootfs, &["-d", "--name", name], "while :; do sleep 0.1; done"));
    }
    let id = machine.inspect("web")["Id"].as_str().unwrap().to_owned();
    let pid = machine.inspect("web")["State"]["Pid"].as_u64().unwrap();
    fs::write(machine.path("data/containers").join(&id).join("container.json"), "{").unwrap();
    let error = machine.fails(&["rm", &id], 1);
    assert!(error.contains("container.json: ") && error.contains(&id), "{error}");
    let removed = machine.run(&["rm", "--force", &id[..12], "other"]);
    assert_eq!((removed.code, removed.stdout), (0, format!("{}\nother\n", &id[..12])));
    let told = "; it was removed, and nothing else was known of it";
    assert!(removed.stderr.contains(told) && removed.stderr.lines().count() == 1, "{}", removed.stderr);
    testkit::eventually("its process is gone", || !fs::exists(format!("/proc/{pid}")).unwrap());
    assert_eq!(fs::read_dir(machine.path("data/containers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(machine.path("states")).unwrap().count(), 0);
    // Its name is free again.
    machine.ok(&["create", "--name", "web", "--rootfs", rootfs, "true"]);
}
