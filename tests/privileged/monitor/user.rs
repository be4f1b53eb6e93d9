//! Monitors of another user than root: in a user namespace, with the ranges of /etc/subuid or without any.

use super::Made;
use forgeone_runtime::monitor::Client;
use forgeone_runtime::registry::Places;
use forgeone_sys::process::geteuid;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Bundle, Temp, names, privileged, programs};

const USER: u32 = 54_323;
/// The first of the user's range.
const RANGE: u32 = 720_000;

/// Names the user's home to this test's program when it runs as the user.
const HOME: &str = "FORGEONE_TEST_USERS_HOME";

/// Runs this test once more as a user, with these ranges; what it wrote.
fn as_user(test: &str, ranges: &str) {
    let home = Temp::new("user");
    let at = |name: &str| home.path().join(name);
    let tester = std::env::current_exe().unwrap();
    for (name, program) in [
        ("tester", tester),
        ("forgeone", programs::forgeone()),
        ("forgeone-standalone", programs::standalone()),
    ] {
        fs::copy(program, at(name)).unwrap();
    }
    fs::rename(Bundle::busybox().rootfs(), at("files")).unwrap_or_else(|e| panic!("{e}"));
    let file = |name: &str, text: &str| {
        fs::write(at(name), text).unwrap();
        format!("mount --bind {0}/{name} /etc/{name}", home.path().display())
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap() + &format!("tester:x:{USER}:{USER}::/:/bin/sh\n");
    let mounts = [file("passwd", &passwd), file("subuid", ranges), file("subgid", ranges)].join(" && ");
    let script = format!(
        "{mounts} && chown -R {USER}:{USER} {0} && exec setpriv --reuid {USER} --regid {USER} --clear-groups {0}/tester --exact {test}",
        home.path().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env(HOME, home.path()).current_dir("/");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A container in the user's home.
fn made(home: &Path, line: &str) -> Made {
    let id = names::unique("u");
    let dir = home.join("data/containers").join(&id);
    fs::create_dir_all(dir.join("rootfs")).unwrap();
    fs::create_dir_all(home.join("state")).unwrap();
    let places = Places {
        data_root: home.join("data"),
        state_root: home.join("state"),
        door: home.join("forgeone"),
        image_helper: PathBuf::from("/nowhere"),
        monitor: home.join("forgeone-standalone"),
    };
    let config = json!({
        "command": "sh", "args": ["-c", line], "stdin_open": true,
        "network": {"mode": "host"}, "healthcheck": {"test": ["true"], "interval": "20ms"},
    });
    let record = json!({
        "version": 1, "id": id, "name": id, "created": "2026-11-22T10:00:00.000000000Z",
        "image": null, "image_config": {}, "config": config,
        "rootfs": {"base": {"directory": home.join("files")}, "upper": null},
    });
    fs::write(dir.join("container.json"), record.to_string()).unwrap();
    Made { places, id, dir }
}

/// The whole life of a container, as the user.
fn live(home: &Path) {
    assert_eq!(geteuid(), USER);
    let made = made(home, "id -u; cat /proc/self/uid_map; echo here > /written; read x; echo got $x; exit 3");
    let mut client = made.client();
    let mut attached = client.attach(true, true).unwrap();
    client.start().unwrap();
    made.until("it is healthy", |status| status.health.as_ref().is_some_and(|health| !health.log.is_empty()));
    attached.send(b"word\n").unwrap();
    let exit = client.wait().unwrap();
    let text = made.stdout();
    assert_eq!(exit.status, Some(3), "{text} {:?}", made.events());
    assert!(text.starts_with("0\n") && text.ends_with("got word\n"), "{text}");
    let written = fs::metadata(home.join("files/written")).unwrap();
    assert_eq!(written.uid(), USER, "root inside is the user outside");
    drop((client, attached));
    made.await_rest();
    assert!(Client::connect(&made.dir).unwrap().is_none());
}

fn home() -> Option<PathBuf> {
    std::env::var_os(HOME).map(PathBuf::from)
}

fn can() -> bool {
    privileged::machine_root()
        && privileged::program("setpriv", "util-linux")
        && privileged::program("newuidmap", "uidmap")
}

#[test]
fn a_user_with_ranges_has_containers_with_a_monitor() {
    match home() {
        Some(home) => live(&home),
        None if can() => as_user(
            "monitor::user::a_user_with_ranges_has_containers_with_a_monitor",
            &format!("tester:{RANGE}:1000\n"),
        ),
        None => {}
    }
}

#[test]
fn a_user_without_ranges_has_containers_with_a_monitor() {
    match home() {
        Some(home) => live(&home),
        None if can() => as_user("monitor::user::a_user_without_ranges_has_containers_with_a_monitor", ""),
        None => {}
    }
}
