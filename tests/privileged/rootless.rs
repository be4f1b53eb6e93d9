//! As an ordinary user: bundles by `spec --rootless`, the whole life of a container, ranges of ids by newuidmap.
//!
//! The user is in no database, but where ranges are: there `/etc/passwd`, `/etc/subuid` and `/etc/subgid` are others, in a
//! mount namespace of the command's own.

use crate::running::{dir, prepared_by};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use testkit::{Bundle, Door, Output, Temp, privileged, programs};

const USER: u32 = 54_321;
/// The first of the user's range.
const RANGE: u32 = 700_000;

/// What an ordinary user has: a copy of the door, which they may read, and a runtime directory.
struct User {
    door: Door,
    home: Temp,
}

impl User {
    /// `None`, with the skip noted, where nobody can be made an ordinary user.
    fn new() -> Option<Self> {
        if !privileged::root() || !privileged::program("setpriv", "util-linux") {
            return None;
        }
        let home = Temp::new("home");
        fs::copy(programs::forgeone(), home.path().join("forgeone")).unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        fs::set_permissions(home.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        chown(home.path().join("run"), Some(USER), Some(USER)).unwrap();
        chown(home.path(), Some(USER), Some(USER)).unwrap();
        Some(Self { door: Door::new(), home })
    }

    fn states(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.path().join("run/forgeone")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Output {
        let user = USER.to_string();
        let setpriv = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        self.finish(&setpriv, &args)
    }

    /// With ranges of ids, or with none, in the databases of newuidmap.
    fn run_with_ranges(&self, ranges: &str, args: &[&str]) -> Output {
        let file = |name: &str, text: &str| {
            fs::write(self.home.path().join(name), text).unwrap();
            format!("mount --bind {0}/{name} /etc/{name}", self.home.path().display())
        };
        let passwd =
            fs::read_to_string("/etc/passwd").unwrap() + &format!("tester:x:{USER}:{USER}::/:/bin/sh\n");
        let mounts = [file("passwd", &passwd), file("subuid", ranges), file("subgid", ranges)].join(" && ");
        let script = format!("{mounts} && exec setpriv --reuid {USER} --regid {USER} --clear-groups \"$@\"");
        self.finish(&["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"], args)
    }

    fn finish(&self, launcher: &[&str], args: &[&str]) -> Output {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(self.home.path().join("forgeone")).args(args);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("FORGEONE_TEST", testkit::names::process_prefix());
        command.env("XDG_RUNTIME_DIR", self.home.path().join("run")).stdin(std::process::Stdio::null());
        command.current_dir("/");
        self.door.finish(&mut command)
    }

    #[track_caller]
    fn ok<const N: usize>(&self, args: [&str; N]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// A bundle of the user's, with the config that `spec --rootless` makes for them.
    fn bundle(&self, line: &str) -> Bundle {
        let bundle = Bundle::busybox().owned_by(USER, USER);
        fs::remove_file(bundle.path().join("config.json")).unwrap();
        chown(bundle.path(), Some(USER), Some(USER)).unwrap();
        self.ok(["spec", "--rootless", "--bundle", dir(&bundle)]);
        let text = fs::read(bundle.path().join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", line]);
        bundle.edit(|old| *old = config)
    }
}

#[test]
fn a_bundle_made_for_them_runs() {
    let Some(user) = User::new() else { return };
    let bundle = user.bundle("id -u; cat /proc/self/uid_map; touch /nothing; echo $$");
    let id = user.door.id("mine");
    let output = user.run(["run", "--bundle", dir(&bundle), &id]);
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1", "1"], "{}", output.stderr);
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    assert_eq!(user.states(), [""; 0]);
}

#[test]
fn without_a_user_namespace_it_is_said_that_one_is_needed() {
    let Some(user) = User::new() else { return };
    let bundle = user.bundle("true").edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "user");
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
    });
    let output = user.run(["run", "--bundle", dir(&bundle), &user.door.id("none")]);
    let said = "forgeone: run: linux.namespaces: no \"user\": without root, or CAP_SYS_ADMIN, a container needs a user namespace, as 'spec --rootless' has it\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, said));
    assert_eq!(user.states(), [""; 0]);
}

#[test]
fn the_whole_life_of_a_container_is_theirs() {
    let Some(user) = User::new() else { return };
    let bundle = user.bundle("sleep 1000");
    let id = user.door.id("life");
    user.ok(["create", "--bundle", dir(&bundle), &id]);
    user.ok(["start", &id]);
    let state: Value = serde_json::from_str(&user.ok(["state", &id])).unwrap();
    assert_eq!((state["status"].as_str(), state["id"].as_str()), (Some("running"), Some(id.as_str())));
    let pid = state["pid"].to_string();
    assert_eq!(fs::metadata(format!("/proc/{pid}/exe")).map_or(0, |file| file.uid()), USER);

    let line = "id -u; cat /proc/1/comm; grep NoNewPrivs /proc/self/status";
    let said = user.ok(["exec", &id, "sh", "-c", line]);
    assert_eq!(said, "0\nsleep\nNoNewPrivs:\t1\n");
    assert_eq!(user.run(["exec", &id, "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(user.ok(["list", "-q"]), format!("{id}\n"));

    user.ok(["kill", &id, "KILL"]);
    testkit::eventually("it is stopped", || user.ok(["state", &id]).contains("\"stopped\""));
    user.ok(["delete", &id]);
    assert_eq!(user.states(), [""; 0]);
}

/// The container's root may be anybody of the range, and files get owners out of it.
#[test]
fn ranges_of_ids_are_mapped_by_newuidmap() {
    if !privileged::machine_root() {
        return;
    }
    let Some(user) = User::new().filter(|_| privileged::program("newuidmap", "uidmap")) else { return };
    let line = "cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/x && chown 33:34 /tmp/x && stat -c %u:%g /tmp/x";
    let bundle = user.bundle(line).writable().edit(|config| {
        let maps = json!([
            { "containerID": 0, "hostID": USER, "size": 1 },
            { "containerID": 1, "hostID": RANGE, "size": 1000 },
        ]);
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
        let owning = json!(["CAP_CHOWN"]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = owning.clone();
        }
    });
    let id = user.door.id("ranges");
    let ranges = format!("tester:{RANGE}:65536\n");
    let output = user.run_with_ranges(&ranges, &["run", "--bundle", dir(&bundle), &id]);
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    let map = ["0", "54321", "1", "1", "700000", "1000"];
    assert_eq!(words, [&map[..], &map[..], &["33:34"]].concat(), "{}", output.stderr);
    let made = fs::metadata(bundle.rootfs().join("tmp/x")).unwrap();
    assert_eq!((made.uid(), made.gid()), (RANGE + 32, RANGE + 33));
    assert_eq!(user.states(), [""; 0]);
}

#[test]
fn ranges_that_they_do_not_have_are_named_with_the_way_out() {
    let Some(user) = User::new().filter(|_| privileged::program("newuidmap", "uidmap")) else { return };
    let bundle = user.bundle("true").edit(|config| {
        config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": RANGE, "size": 1000 }]);
    });
    let id = user.door.id("none");
    let output = user.run_with_ranges("", &["create", "--bundle", dir(&bundle), &id]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.lines().count()), (1, "", 1));
    for word in ["newuidmap", "/etc/subuid", "uidmap"] {
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    assert_eq!(user.states(), [""; 0]);
}

#[test]
fn the_missing_package_of_newuidmap_is_named() {
    let Some(user) = User::new() else { return };
    let bundle = user.bundle("true").edit(|config| {
        config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": RANGE, "size": 1000 }]);
    });
    let id = user.door.id("none");
    let without = ["setpriv", "--reuid", &USER.to_string(), "--clear-groups", "env", "PATH=/nowhere"];
    let output = user.finish(&without, &["create", "--bundle", dir(&bundle), &id]);
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("newuidmap: No such file or directory"), "{}", output.stderr);
    assert!(output.stderr.contains("the package uidmap"), "{}", output.stderr);
    assert_eq!(user.states(), [""; 0]);
}

/// In a user namespace in which that is so: the machine's own setting is left alone.
#[test]
fn user_namespaces_that_are_switched_off_are_named() {
    if !privileged::machine_root() {
        return;
    }
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    let bundle = Bundle::busybox().args(["true"]).namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    let door = Door::new();
    let off = "exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' sh \"$@\"";
    let words = ["create", "--bundle", dir(&bundle), &door.id("off")];
    let output = door.finish(&mut prepared_by(off, &door, &words));
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("sysctl user.max_user_namespaces is 0"), "{}", output.stderr);
    assert!(door.containers().is_empty());
}

/// A setting of the machine's, put back whatever happens.
struct Setting(&'static str, String);

impl Setting {
    fn set(path: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, value).unwrap();
        Self(path, before)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(self.0, &self.1).unwrap();
    }
}

#[test]
fn machine_user_namespaces_that_are_for_root_alone_are_named_with_the_way_out() {
    let switch = "/proc/sys/kernel/unprivileged_userns_clone";
    let Some(user) = User::new().filter(|_| privileged::file(switch) && privileged::machine_root()) else {
        return;
    };
    let bundle = user.bundle("true");
    let id = user.door.id("off");
    let off = Setting::set(switch, "0");
    let output = user.run(["create", "--bundle", dir(&bundle), &id]);
    drop(off);
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("sysctl kernel.unprivileged_userns_clone=1"), "{}", output.stderr);
    assert_eq!(user.states(), [""; 0]);
}

/// A limit that can't be set is not left out in silence.
#[test]
fn a_limit_without_rights_over_cgroups_is_refused() {
    let Some(user) = User::new() else { return };
    let bundle = user.bundle("true").edit(|config| {
        config["linux"]["resources"] = json!({ "memory": { "limit": 1 << 26 } });
    });
    let id = user.door.id("limit");
    let output = user.run(["create", "--bundle", dir(&bundle), &id]);
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("linux.resources.memory.limit"), "{}", output.stderr);
    assert_eq!(user.states(), [""; 0]);
}

/// Root's containers aren't theirs, and what they may not do says so.
#[test]
fn containers_of_root_are_out_of_their_reach() {
    let Some(user) = User::new() else { return };
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let id = user.door.id("roots");
    user.door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let root = user.door.root();
    for command in ["state", "kill", "delete", "pause", "ps"] {
        let output = user.run(["--root", root.to_str().unwrap(), command, &id]);
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{command}: {}", output.stderr);
    }
    assert_eq!(user.door.status(&id), "running");
}
