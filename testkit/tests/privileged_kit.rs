//! The kit itself, tried with Debian's `runc`: a bundle runs, the probe speaks, nothing stays behind.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use testkit::{Bundle, Door, Leaks, privileged, probe};

fn runc() -> Option<Door> {
    let here = privileged::root() && privileged::program("runc", "runc");
    here.then(|| Door::of(privileged::find_program("runc").unwrap()))
}

#[test]
fn a_busybox_bundle_runs_in_the_foreground() {
    let Some(door) = runc() else { return };
    let bundle = Bundle::busybox().shell("echo out; id -u; exit 3");
    let output = door.run(["run", "--bundle", bundle.path().to_str().unwrap(), &door.id("busybox")]);
    assert_eq!((output.code, &*output.stdout), (3, "out\n0\n"), "{}", output.stderr);
}

#[test]
fn a_debian_bundle_runs() {
    let Some(door) = runc() else { return };
    let Some(bundle) = Bundle::debian() else { return };
    let bundle = bundle.shell("cat /etc/debian_version; apt-get --version | head -n 1");
    let output = door.run(["run", "--bundle", bundle.path().to_str().unwrap(), &door.id("debian")]);
    assert!(output.stdout.starts_with("12.") && output.stdout.contains("apt 2."), "{output:?}");
}

#[test]
fn a_detached_container_is_a_leak_until_it_is_deleted() {
    let Some(door) = runc() else { return };
    let bundle = Bundle::busybox().shell("echo started; exec sleep 600");
    let leaks = Leaks::before();
    let id = door.id("detached");
    let run = door.ok(["run", "--detach", "--bundle", bundle.path().to_str().unwrap(), &id]);
    testkit::eventually("the container speaks", || run.stdout_now() == "started\n");
    assert_eq!((door.status(&id), door.containers()), ("running".to_owned(), vec![id.clone()]));
    let left = leaks.found();
    let process = format!("process {} started ", door.state(&id)["pid"]);
    assert!(left.iter().any(|line| line.starts_with(&process)), "{process} {left:?}");
    assert!(left.iter().any(|line| line.starts_with("cgroup ") && line.contains(&id)), "{left:?}");
    door.ok(["delete", "--force", &id]);
    leaks.assert_none();
}

#[test]
fn the_probe_tells_what_the_config_asked_for() {
    let Some(door) = runc() else { return };
    let bundle = Bundle::probe().args([testkit::bundle::PROBE, "sysctl:kernel.hostname", "stat:/probe"]);
    let output = door.ok(["run", "--bundle", bundle.path().to_str().unwrap(), &door.id("probe")]);
    let seen = probe::relative_to(&probe::host(), output.json());
    assert_eq!(seen["process"]["pid"], 1);
    assert_eq!(seen["hostname"], "bundle");
    assert_eq!(seen["asked"]["sysctl:kernel.hostname"], "bundle");
    assert_eq!(seen["asked"]["stat:/probe"]["type"], "file");
    assert_eq!(seen["credentials"]["CapEff"], "0000000020000420");
    assert_eq!(seen["limits"]["Max open files"]["hard"], "1024");
    assert_eq!((&seen["namespaces"]["pid"], &seen["namespaces"]["user"]), (&"new".into(), &"same".into()));
    assert_eq!(seen["dev"]["/dev/null"]["device"], "1:3");
}
