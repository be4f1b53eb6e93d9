//! AppArmor's profiles of a container and of a program that is executed in it, on a kernel that has AppArmor enabled.

use crate::running::{Running, dir, read, refusal};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Temp, names, privileged, skip};

/// Whether AppArmor is enabled, and profiles can be loaded; otherwise the test is skipped.
fn enabled() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if !enabled.starts_with('Y') {
        skip("needs a kernel with AppArmor enabled");
        return false;
    }
    privileged::machine_root() && privileged::program("apparmor_parser", "apparmor")
}

/// A profile that is loaded as long as this lives.
struct Profile {
    name: String,
    file: Temp,
}

impl Profile {
    /// Allows everything but what `denied` says.
    fn load(denied: &str) -> Self {
        let profile = Self { name: names::unique("profile"), file: Temp::new("profile") };
        let flags = "flags=(attach_disconnected,mediate_deleted)";
        let all = "file, capability, network, mount, umount, pivot_root, signal, ptrace, unix, dbus,";
        let text = format!("profile {} {flags} {{ {all} {denied} }}\n", profile.name);
        fs::write(profile.path(), text).unwrap();
        profile.parser("--replace");
        profile
    }

    fn path(&self) -> std::path::PathBuf {
        self.file.path().join("profile")
    }

    fn parser(&self, action: &str) {
        let mut parser = Command::new(privileged::find_program("apparmor_parser").unwrap());
        parser.args([action, "--skip-cache", "--quiet"]).arg(self.path()).stdin(Stdio::null());
        assert!(parser.status().unwrap().success(), "{parser:?}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

fn confined(profile: &str) -> Bundle {
    Bundle::busybox().edit(|config| config["process"]["apparmorProfile"] = json!(profile))
}

const TELL: &str =
    "cat /proc/self/attr/current; cat /etc/passwd > /dev/null 2>&1 && echo reads || echo denied";

#[test]
fn a_container_and_what_is_executed_in_it_are_confined_by_the_profile() {
    if !enabled() {
        return;
    }
    let profile = Profile::load("deny /etc/passwd r,");
    let running = Running::of(confined(&profile.name));
    let label = format!("{} (enforce)", profile.name);
    assert_eq!(read(format!("/proc/{}/attr/current", running.pid())), label);
    assert_eq!(running.says(TELL), format!("{label}\ndenied"));
    // Another for one program; and one without any stays unconfined.
    let other = Profile::load("deny /etc/group r,");
    let output = running.door.run(["exec", "--apparmor", &other.name, &running.id, "sh", "-c", TELL]);
    assert_eq!(output.stdout, format!("{} (enforce)\nreads\n", other.name), "{}", output.stderr);
    assert_eq!(Running::of(Bundle::busybox()).says(TELL), "unconfined\nreads");
}

#[test]
fn a_profile_that_is_not_loaded_is_an_error_that_names_it() {
    if !enabled() {
        return;
    }
    let missing = names::unique("missing");
    let error = refusal(&confined(&missing));
    for word in ["process.apparmorProfile", &missing, "not loaded", "apparmor_parser"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let running = Running::of(Bundle::busybox());
    let output = running.door.run(["exec", "--apparmor", &missing, &running.id, "true"]);
    assert_eq!((output.code, output.stderr.lines().count()), (255, 1), "{}", output.stderr);
    assert!(output.stderr.contains(&missing) && output.stderr.contains("not loaded"), "{}", output.stderr);
}

/// A user's container too: the host's root isn't needed to take a profile on.
#[test]
fn a_profile_confines_in_a_user_namespace() {
    if !enabled() {
        return;
    }
    let profile = Profile::load("deny /etc/passwd r,");
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    let bundle = confined(&profile.name).shell(TELL).owned_by(100_000, 100_000);
    let bundle = bundle.namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
    });
    let door = Door::new();
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("user")]);
    assert_eq!(output.stdout, format!("{} (enforce)\ndenied\n", profile.name), "{}", output.stderr);
}

/// `features` says what the runtime has, whatever the machine has; here it can be tried.
#[test]
fn features_claims_apparmor_and_it_is_there() {
    if !enabled() {
        return;
    }
    let claims = Door::new().ok(["features"]).json();
    assert_eq!(claims["linux"]["apparmor"]["enabled"], true);
    assert!(Path::new("/sys/kernel/security/apparmor/profiles").exists());
}
