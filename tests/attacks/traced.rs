//! CVE-2016-9962: a process of the runtime's that joins is traced, and its descriptors are opened.

use super::{capabilities, dir, everywhere, path, start};
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use testkit::{Bundle, Temp, programs, repeatedly};

/// CVE-2016-9962: those who share its PID namespace can't look into an init that waits, and through it at the host.
#[test]
fn a_created_container_shows_nothing_of_the_host() {
    everywhere(|door| {
        let door = door();
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
            let line =
                format!("for file in /proc/1/{file}; do readlink $file || cat $file; done 2>/dev/null");
            assert_eq!(door.run(["exec", &id, "sh", "-c", &line]).stdout, "", "{file}");
        }
        door.ok(["start", &id]);
        door.ok(["exec", &id, "ls", "/proc/1/fd"]);
    });
}

/// With CAP_SYS_PTRACE as well: what `exec` brings into the container has nothing of the host at any moment.
#[test]
fn an_exec_that_is_watched_by_a_tracer_shows_nothing_of_the_host() {
    everywhere(|door| {
        let mark = Temp::new("mark");
        let bundle = capabilities(
            Bundle::busybox().writable(),
            &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"],
        )
        .args(["/attacker", "race", "/tmp/stop"])
        .edit(|config| {
            let variable = format!("FORGEONE_TEST_HOST_MARK={}", path(mark.path()));
            config["process"]["env"].as_array_mut().unwrap().push(json!(variable));
        });
        fs::copy(programs::attacker(), bundle.rootfs().join("attacker")).unwrap();
        let door = door();
        let id = door.id("traced");
        let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        repeatedly(100, |round| {
            let user = if round % 2 == 0 { "0" } else { "1000" };
            door.ok(["exec", "--user", user, &id, "true"]);
            !output.stdout_now().is_empty()
        });
        fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
        door.await_status(&id, "stopped");
        let seen: Value = serde_json::from_str(&output.stdout_now()).unwrap();
        assert!(seen["seen"].as_u64().unwrap() > 0, "nothing was ever seen: {seen:#}");
        assert_eq!(seen["host"], json!([]), "{seen:#}");
    });
}

/// A program that was executed is an ordinary one again: its own user may look at it, as ps and debuggers do.
#[test]
fn the_programs_own_user_may_look_at_it() {
    everywhere(|door| {
        let door = door();
        let (_bundle, id) = start(&door, Bundle::busybox());
        let output = door.ok([
            "exec",
            &id,
            "sh",
            "-c",
            "readlink /proc/1/exe; cat /proc/1/environ | tr '\\0' '\\n' | head -1",
        ]);
        assert!(output.stdout.starts_with("/bin/busybox\nPATH="), "{}", output.stdout);
    });
}
