//! CVE-2020-15257: the socket by which a container is started is reached by others.

use super::{dir, everywhere};
use serde_json::json;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::process::Stdio;
use testkit::{Bundle, eventually, programs};

/// CVE-2020-15257: whoever is not the container's owner can't start it.
#[test]
fn the_start_socket_is_its_owners_alone() {
    everywhere(|door| {
        let door = door();
        let (bundle, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("socket"));
        let umask = ["sh", "-c", "umask 0; exec \"$@\"", "sh"];
        let output = door.finish(&mut door.through(umask, ["create", "--bundle", dir(&bundle), &id]));
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
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        assert_ne!(door.finish(&mut door.through(nobody, ["start", &id])).code, 0);
        assert_eq!(door.status(&id), "created");
        // Were its mode another one, who connects would still have to be the owner: nobody says the word, and is not heard.
        let socket = door.root().join(&id).join("start");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(programs::attacker(), door.directory().join("attacker")).unwrap();
        let knock = door.directory().join("attacker");
        let mut command = Command::new("setpriv");
        command.args(&nobody[1..]).arg(knock).arg("start").arg(&socket).stdin(Stdio::null());
        let knocked = door.finish(&mut command);
        assert_eq!(knocked.code, 0, "{}", knocked.stderr);
        // It was heard, or init had hung up already; either way it waited until nobody was there.
        assert_eq!(knocked.json()["answers"]["connect"], json!(["ok"]));
        assert_eq!(door.status(&id), "created");
    });
}

/// Whoever connects and goes away again, or says anything else than the word, has not started it.
#[test]
fn a_connection_that_says_nothing_does_not_stop_the_start() {
    everywhere(|door| {
        let door = door();
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
    });
}
