//! The runtime's own files and its socket.

use super::{Host, dir, path, picture};
use std::fs;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Temp, eventually, privileged};

/// CVE-2020-15257: whoever is not the container's owner can't start it.
#[test]
fn the_start_socket_is_its_owners_alone() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("socket"));
    let real = door.command(["create", "--bundle", dir(&bundle), &id]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(real.get_program()).args(real.get_args());
    let output = door.finish(command.stdin(Stdio::null()));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let socket = door.root().join(&id).join("start").metadata().unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o777, 0o600);
    for file in ["state.json", "config.json", "waits", "events"] {
        assert_eq!(door.root().join(&id).join(file).metadata().unwrap().mode() & 0o777, 0o600, "{file}");
    }
    // No abstract name, which a shared network namespace would show.
    let names = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!names.lines().any(|line| line.contains(" @") && line.contains(&id)), "{names}");
    let real = door.command(["start", &id]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(real.get_program()).args(real.get_args());
    assert_ne!(door.finish(command.stdin(Stdio::null())).code, 0);
    assert_eq!(door.status(&id), "created");
}

/// What stands where the runtime's files are to be written is not written to.
#[test]
fn links_in_place_of_the_runtimes_files_are_not_followed() {
    if !privileged::root() {
        return;
    }
    let (host, before) = Host::new();
    let door = Door::new();
    let secret = host.path().join("secret");
    // A pid file in a directory of everybody's: the name is replaced, the link not followed.
    let shared = Temp::new("shared");
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let pid_file = shared.path().join("pid");
    symlink(&secret, &pid_file).unwrap();
    let (bundle, id) = (Bundle::busybox().args(["true"]), door.id("pid"));
    door.ok(["create", "--pid-file", path(&pid_file), "--bundle", dir(&bundle), &id]);
    assert!(pid_file.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), door.state(&id)["pid"].to_string());
    // A container's directory that is a link.
    let id = door.id("link");
    symlink(host.path(), door.root().join(&id)).unwrap();
    for args in [&["create", "--bundle", dir(&bundle)][..], &["start"], &["state"], &["delete", "--force"]] {
        let output = door.run([args, &[&id]].concat());
        assert_ne!(output.code, 0, "{args:?}");
    }
    fs::remove_file(door.root().join(&id)).unwrap();
    assert_eq!(picture(host.path()), before);
}

/// Whoever connects and goes away again, or says anything else than the word, has not started it.
#[test]
fn a_connection_that_says_nothing_does_not_stop_the_start() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("silent"));
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    // It goes away again without a word.
    let directory = File::open(door.root().join(&id)).unwrap();
    let state = forgeone_sys::socket::connect_seqpacket(&directory, "start").unwrap();
    drop(state);
    assert_eq!(door.status(&id), "created");
    // Garbage isn't the word.
    let state = forgeone_sys::socket::connect_seqpacket(&directory, "start").unwrap();
    forgeone_sys::socket::send(&state, b"x", &[]).unwrap();
    drop(state);
    assert_eq!(door.status(&id), "created");
    door.ok(["start", &id]);
    eventually("it runs", || door.status(&id) == "running");
}
