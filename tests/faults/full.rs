//! No room: on the disk of the state, and in a memory cgroup, of the runtime or of the container.

use super::whole::{Place, dir, rich};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Door, Leaks, figure, names, privileged};

/// A file system in memory, of so many inodes or bytes.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, options: &str) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success());
        Self(path)
    }

    fn resize(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(done.unwrap().success(), "{options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.unwrap().success() || std::thread::panicking());
    }
}

/// What fails for want of room says so in a line, and leaves what can be deleted on the full disk.
#[test]
fn a_full_disk_of_the_state_leaves_what_can_be_deleted() {
    if !privileged::root() {
        return;
    }
    let bundle = rich();
    let door = Door::new();
    let leaks = Leaks::before();
    let disk = Disk::mount(door.root(), "size=1m");
    let (mut refused, mut made) = (0, 0);
    // Of inodes: its own, the container's directory, and each file in it. Of pages: state.json, config.json, events.
    let inodes = (2..11).map(|count| format!("size=1m,nr_inodes={count}"));
    let pages = (1..9).map(|count| format!("size={},nr_inodes=100", count * 4096));
    for options in inodes.chain(pages) {
        let id = door.id("full");
        disk.resize(&options);
        for args in
            [vec!["create", "--bundle", dir(&bundle), &id], vec!["start", &id], vec!["exec", &id, "true"]]
        {
            let output = door.run(&args);
            match output.code {
                0 => made += 1,
                _ => {
                    refused += 1;
                    assert_eq!(output.stderr.lines().count(), 1, "{options}: {args:?}: {}", output.stderr);
                }
            }
        }
        let paused = door.run(["update", "--pids-limit", "50", &id]);
        refused += usize::from(paused.code != 0);
        if let Ok(text) = fs::read(door.root().join(&id).join("state.json")) {
            assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok(), "{options}");
        }
        let deleted = door.run(["delete", "--force", &id]);
        assert_eq!(deleted.code, 0, "{options}: {}", deleted.stderr);
        assert!(door.containers().is_empty(), "{options}");
        disk.resize("size=1m,nr_inodes=100");
        let again = door.run(["run", "--detach", "--bundle", dir(&bundle), &id]);
        assert_eq!(again.code, 0, "{options}: {}", again.stderr);
        door.ok(["delete", "--force", &id]);
    }
    assert!(refused > 0 && made > 0, "{refused} refused, {made} made");
    drop(disk);
    leaks.assert_none();
    figure(format_args!("17 sizes of disks: {refused} commands refused, {made} done, all could be deleted"));
}

/// The container's own limit, from what init can't begin with to what is enough.
#[test]
fn a_container_without_memory_leaves_what_can_be_deleted() {
    if !privileged::root() {
        return;
    }
    let place = Place::new(rich());
    let (mut refused, mut made) = (0, 0);
    for pages in [1, 8, 16, 32, 48, 64, 96, 128, 192, 256, 512, 1024] {
        let limited =
            rich().edit(|config| config["linux"]["resources"]["memory"] = json!({ "limit": pages * 4096 }));
        let id = place.door.id("memory");
        for args in
            [vec!["create", "--bundle", dir(&limited), &id], vec!["start", &id], vec!["exec", &id, "true"]]
        {
            let output = place.door.run(&args);
            refused += usize::from(output.code != 0);
            made += usize::from(output.code == 0);
            assert!(output.code == 0 || !output.stderr.is_empty(), "{pages} pages: {args:?}: not a word");
        }
        place.assert_whole(&id, &format!("{pages} pages"));
    }
    place.assert_neighbour_works();
    assert!(refused > 0 && made > 0, "{refused} refused, {made} made");
    figure(format_args!("12 limits: {refused} commands refused, {made} done, all could be deleted"));
}

/// A memory cgroup, on v1 or cgroup2.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let v1 = own.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path.to_owned());
        let parent = match v1 {
            Some(path) => Path::new("/sys/fs/cgroup/memory").join(path.trim_start_matches('/')),
            None => PathBuf::from("/sys/fs/cgroup"),
        };
        let path = parent.join(names::unique("starved"));
        fs::create_dir(&path).ok()?;
        let group = Self(path);
        group.limit_file().exists().then_some(group)
    }

    fn limit_file(&self) -> PathBuf {
        let v1 = self.0.join("memory.limit_in_bytes");
        if v1.exists() { v1 } else { self.0.join("memory.max") }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

/// The runtime's own limit: the kernel kills it wherever it asks for a page too many.
#[test]
fn a_runtime_without_memory_leaves_what_can_be_deleted() {
    if !privileged::root() {
        return;
    }
    let Some(group) = Group::new() else { return testkit::skip("needs a memory cgroup") };
    let place = Place::new(rich());
    let enter = "echo $$ > \"$0\" && exec \"$@\"";
    let procs = group.0.join("cgroup.procs");
    let (mut refused, mut made) = (0, 0);
    // The last ones are enough anywhere.
    for kilobytes in (80..720).step_by(40).chain([4096, 16384]) {
        let bytes = (kilobytes * 1024).to_string();
        let id = place.door.id("starved");
        let cases = [
            vec!["create", "--bundle", dir(&place.bundle), &id],
            vec!["start", &id],
            vec!["exec", &id, "true"],
            vec!["delete", "--force", &id],
        ];
        for args in cases {
            fs::write(group.limit_file(), &bytes).unwrap();
            let wrapper = ["sh", "-c", enter, procs.to_str().unwrap()];
            let output = place.door.finish(&mut place.door.through(wrapper, &args));
            refused += usize::from(output.code != 0);
            made += usize::from(output.code == 0);
        }
        place.assert_whole(&id, &format!("{kilobytes} kB"));
    }
    place.assert_neighbour_works();
    assert!(refused > 0 && made > 0, "{refused} refused, {made} made");
    figure(format_args!("18 limits: {refused} commands killed, {made} done, all could be deleted"));
}
