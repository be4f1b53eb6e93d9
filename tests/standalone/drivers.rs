//! Storage drivers: whichever has a container's files, the commands do the same with them.

use crate::kit::Machine;
use crate::mounted::{Mounted, sh};
use serde_json::Value;
use std::fs;
use testkit::privileged;

/// What a container does with its files.
const WORK: &str = "cat /etc/a; echo new >/etc/a; rm -r /gone; mkdir /made; echo one >/made/one; ln /made/one /made/two; \
    rm /etc/b; rm -r /replaced; mkdir /replaced; echo x >/replaced/x; chmod 4711 /etc/mode; ln -s /etc/a /made/link";

/// What has come of it.
const DIFF: [&str; 12] = [
    "C /etc",
    "C /etc/a",
    "D /etc/b",
    "C /etc/mode",
    "D /gone",
    "A /made",
    "A /made/link",
    "A /made/one",
    "A /made/two",
    "C /replaced",
    "A /replaced/x",
    "D /replaced/old",
];

/// An image with a second layer, which takes away what the first has.
fn image(machine: &Machine) {
    let root = machine.path("root");
    let script = format!(
        "cp -a {} root; mkdir -p root/etc root/gone/deep root/replaced; echo a >root/etc/a; echo b >root/etc/b
        : >root/gone/deep/x; : >root/replaced/old; : >root/etc/mode; echo under >root/under; tar -C root -cf root.tar .",
        machine.rootfs().display()
    );
    let (done, said) = sh(&machine.path(""), &script);
    assert!(done, "{said}");
    machine.ok(&["import", machine.path("root.tar").to_str().unwrap(), "first"]);
    machine.ok(&["run", "--name", "maker", "first", "/bin/sh", "-c", "rm /under; echo over >/over"]);
    machine.ok(&["commit", "maker", "base"]);
    machine.ok(&["rm", "maker"]);
    fs::remove_dir_all(root).unwrap();
}

/// The lines of `diff`, without the files that every container gets.
fn diff(machine: &Machine, name: &str) -> Vec<String> {
    let own = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys"];
    let shown = machine.ok(&["diff", name]);
    let mut lines: Vec<_> = shown
        .lines()
        .filter(|line| !own.iter().any(|own| line[2..].starts_with(own)))
        .map(str::to_owned)
        .collect();
    lines.sort_by(|a, b| a[2..].cmp(&b[2..]));
    lines
}

fn works_with(machine: &Machine, driver: &str) {
    image(machine);
    let run = ["run", "--name", "web", "--storage-driver", driver, "base", "/bin/sh", "-c", WORK];
    assert_eq!(machine.ok(&run), "a\n");
    assert_eq!(machine.inspect("web")["Rootfs"]["driver"], driver);
    let mut expected = DIFF.map(str::to_owned).to_vec();
    expected.sort_by(|a, b| a[2..].cmp(&b[2..]));
    assert_eq!(diff(machine, "web"), expected);

    // What it has becomes an image, and a container of that has the same.
    machine.ok(&["commit", "web", "next"]);
    let look = "cat /etc/a /made/two /made/link /replaced/*; ls -d /gone /under /etc/b; stat -c '%a %h' /etc/mode /made/one";
    let output = machine.run(&["run", "--rm", "--storage-driver", driver, "next", "/bin/sh", "-c", look]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.lines().count()),
        ("new\none\nnew\nx\n4711 1\n644 2\n", 3),
        "{output:?}"
    );

    // Files come in and out.
    machine.ok(&["cp", "web:/made/one", "out"]);
    assert_eq!(fs::read_to_string(machine.path("here/out")).unwrap(), "one\n");
    machine.ok(&["cp", "out", "web:/made/in"]);
    machine.ok(&["export", "web", "-o", "web.tar"]);
    let (_, listed) = sh(&machine.path("here"), "tar -tf web.tar");
    let has = |name: &str| listed.lines().any(|line| line == name);
    assert!(has("made/in") && has("over") && !has("under") && !has("etc/b"), "{listed}");

    snapshots(machine);
    machine.ok(&["rm", "web"]);
    let left: Vec<_> = fs::read_dir(machine.path("data/containers")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    machine.ok(&["image", "prune", "--all", "--force"]);
    for directory in ["trees", "layers", "blobs/sha256", "tmp"] {
        let path = machine.path("data/images").join(directory);
        assert_eq!(fs::read_dir(path).map_or(0, Iterator::count), 0, "{directory}");
    }
}

/// A container is brought back to what it was.
fn snapshots(machine: &Machine) {
    let before = diff(machine, "web");
    assert_eq!(machine.ok(&["snapshot", "create", "web", "one"]), "one\n");
    machine.ok(&["cp", "out", "web:/etc/a"]);
    machine.ok(&["snapshot", "create", "web", "two"]);
    let changed = diff(machine, "web");
    assert_eq!(changed, before, "the same files, other content");
    let listed: Value =
        serde_json::from_str(&machine.ok(&["snapshot", "ls", "web", "--format", "json"])).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(listed[0]["Size"].as_u64().unwrap() > 0, "{listed}");

    let content = || {
        machine.ok(&["cp", "web:/etc/a", "content"]);
        fs::read_to_string(machine.path("here/content")).unwrap()
    };
    assert_eq!(content(), "one\n");
    assert_eq!(machine.ok(&["snapshot", "restore", "web", "one"]), "one\n");
    assert_eq!((content(), diff(machine, "web")), ("new\n".to_owned(), before.clone()));
    assert_eq!(machine.ok(&["snapshot", "restore", "web", "two"]), "two\n");
    assert_eq!(content(), "one\n");

    let error = machine.fails(&["snapshot", "create", "web", "two"], 1);
    assert!(error.contains("\"two\" is there already"), "{error}");
    let error = machine.fails(&["snapshot", "restore", "web", "tow"], 1);
    assert!(error.ends_with("snapshot \"tow\" does not exist; did you mean \"two\"?"), "{error}");
    let error = machine.fails(&["snapshot", "create", "web", "../two"], 1);
    assert!(error.contains("name \"../two\": letters, digits"), "{error}");
    assert_eq!(machine.ok(&["snapshot", "rm", "web", "one", "two"]), "one\ntwo\n");
    assert_eq!(machine.ok(&["snapshot", "ls", "-q", "web"]), "");
}

#[test]
fn overlay_has_a_containers_files() {
    let Some(machine) = Machine::new() else { return };
    works_with(&machine, "overlay");
}

#[test]
fn vfs_has_a_containers_files() {
    let Some(machine) = Machine::new() else { return };
    works_with(&machine, "vfs");
}

#[test]
fn btrfs_has_a_containers_files() {
    let Some(machine) = Machine::new() else { return };
    let Some(_mounted) = Mounted::new(&machine, "mkfs.btrfs -q", "btrfs-progs", "") else { return };
    works_with(&machine, "btrfs");
}

#[test]
fn vfs_shares_contents_where_the_file_system_can() {
    let Some(machine) = Machine::new() else { return };
    let Some(_mounted) = Mounted::new(&machine, "mkfs.btrfs -q", "btrfs-progs", "") else { return };
    works_with(&machine, "vfs");
}

#[test]
fn a_container_that_runs_is_paused_for_a_snapshot_and_not_restored() {
    let Some(machine) = Machine::new() else { return };
    let archive = machine.archive();
    let line = "i=0; while :; do i=$((i+1)); echo $i >/first; echo $i >/second; done";
    machine.ok(&machine.shell(&archive, &["-d", "--name", "web"], line));
    testkit::eventually("it has written", || {
        machine.run(&["exec", "web", "cat", "/second"]).stdout.len() > 1
    });
    machine.ok(&["snapshot", "create", "web", "live"]);
    assert_eq!(machine.inspect("web")["State"]["Status"], "running");
    let error = machine.fails(&["snapshot", "restore", "web", "live"], 1);
    assert!(error.ends_with("stop it first"), "{error}");
    machine.ok(&["stop", "-t", "0", "web"]);
    machine.ok(&["snapshot", "restore", "web", "live"]);
    let number = |name: &str| -> u64 {
        machine.ok(&["cp", &format!("web:/{name}"), name]);
        let text = fs::read_to_string(machine.path("here").join(name)).unwrap();
        // It may have been paused between making a file empty and writing to it.
        text.trim().parse().unwrap_or(0)
    };
    let (first, second) = (number("first"), number("second"));
    assert!(first == 0 || second == 0 || first - second <= 1, "{first}, {second}");
    // It starts with what it had then.
    machine.ok(&["start", "web"]);
    machine.ok(&["rm", "-f", "web"]);
}

#[test]
fn a_limited_container_has_snapshots_when_it_does_not_run() {
    let Some(machine) = Machine::new() else { return };
    if !privileged::program("mkfs.ext4", "e2fsprogs") {
        return;
    }
    let archive = machine.archive();
    let line = "echo one >/file; while :; do sleep 0.1; done";
    machine.ok(&machine.shell(&archive, &["-d", "--name", "web", "--disk", "64m"], line));
    testkit::eventually("it has written", || machine.run(&["exec", "web", "cat", "/file"]).stdout == "one\n");
    let running = machine.run(&["snapshot", "create", "web", "live"]);
    if running.code != 0 {
        assert!(
            running.stderr.contains("file system in a file (disk_bytes)")
                && running.stderr.lines().count() == 1,
            "{running:?}"
        );
    }
    assert_eq!(machine.inspect("web")["State"]["Status"], "running");
    machine.ok(&["stop", "-t", "0", "web"]);
    machine.ok(&["snapshot", "create", "web", "still"]);
    fs::write(machine.path("here/file"), "two\n").unwrap();
    machine.ok(&["cp", "file", "web:/file"]);
    machine.ok(&["snapshot", "restore", "web", "still"]);
    machine.ok(&["cp", "web:/file", "back"]);
    assert_eq!(fs::read_to_string(machine.path("here/back")).unwrap(), "one\n");
    // What is used in place has none.
    let rootfs = machine.rootfs();
    machine.ok(&["create", "--name", "place", "--rootfs", rootfs.to_str().unwrap(), "true"]);
    let error = machine.fails(&["snapshot", "create", "place", "one"], 1);
    assert!(error.contains("isn't kept apart from what it began with"), "{error}");
}

#[test]
fn a_driver_that_can_not_be_had_is_refused_and_another_chosen() {
    let Some(machine) = Machine::new() else { return };
    let archive = machine.archive();
    let create = |driver: &str| {
        machine.fails(&["create", "--storage-driver", driver, "--rootfs", &archive, "true"], 125)
    };
    let error = create("btrfs");
    assert!(
        error.ends_with("storage driver btrfs: the data root isn't on btrfs; vfs works on every file system"),
        "{error}"
    );
    assert!(create("zfs").ends_with("option --storage-driver is overlay, btrfs or vfs, not \"zfs\""));
    let rootfs = machine.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    let error = machine.fails(&["create", "--storage-driver", "vfs", "--rootfs", rootfs, "true"], 125);
    assert!(error.contains("is used as it is, without the storage driver vfs"), "{error}");
    let error = machine
        .fails(&["create", "--storage-driver", "vfs", "--disk", "64m", "--rootfs", &archive, "true"], 125);
    assert!(error.contains("disk_bytes: the storage driver vfs has no limit"), "{error}");
    assert_eq!(machine.ok(&["ps", "-aq"]), "");

    // An overlay can't be above what is an overlay itself, so that there is a copy.
    let script = "mkdir below above work data; mount -t overlay overlay -o lowerdir=below,upperdir=above,workdir=work data";
    let Some(_mounted) = Mounted::on(&machine, &format!("rm -rf data; {script}")) else { return };
    let made = machine.run(&["run", "--name", "web", "--rootfs", &archive, "/bin/sh", "-c", "echo x >/made"]);
    let probed = machine.run(&["create", "--storage-driver", "overlay", "--rootfs", &archive, "true"]);
    assert_eq!(made.code, 0, "{made:?}");
    let driver = machine.inspect("web")["Rootfs"]["driver"].as_str().unwrap().to_owned();
    match probed.code {
        // This kernel stacks them.
        0 => assert_eq!(driver, "overlay"),
        _ => assert_eq!(driver, "vfs", "{probed:?}"),
    }
    assert!(diff(&machine, "web").contains(&"A /made".to_owned()));
}
