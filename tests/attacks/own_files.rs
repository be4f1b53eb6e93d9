//! The runtime's own files: what stands in their place isn't written to.

use super::{Host, dir, everywhere, path, picture};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::{chown, symlink};
use testkit::{Bundle, Temp};

/// What stands where the runtime's files are to be written is not written to.
#[test]
fn links_in_place_of_the_runtimes_files_are_not_followed() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
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
        for args in
            [&["create", "--bundle", dir(&bundle)][..], &["start"], &["state"], &["delete", "--force"]]
        {
            let output = door.run([args, &[&id]].concat());
            assert_ne!(output.code, 0, "{args:?}");
        }
        fs::remove_file(door.root().join(&id)).unwrap();
        assert_eq!(picture(host.path()), before);
    });
}

/// What another user says of a container isn't believed, where the state root is theirs: its hooks would be ours.
#[test]
fn a_state_that_belongs_to_another_user_is_refused() {
    everywhere(|door| {
        let (host, before) = Host::new();
        let door = door();
        let hook = json!({ "path": "/bin/touch", "args": ["touch", host.path().join("touched")] });
        let bundle =
            Bundle::busybox().args(["true"]).edit(|config| config["hooks"] = json!({ "poststop": [hook] }));
        let id = door.id("theirs");
        door.ok(["run", "--keep", "--bundle", dir(&bundle), &id]);
        let state = door.root().join(&id);
        chown(&state, Some(54_321), Some(54_321)).unwrap();
        for args in [&["state"][..], &["start"], &["kill"], &["delete"], &["delete", "--force"]] {
            let output = door.run([args, &[&id]].concat());
            assert!(output.code != 0 && output.stderr.contains("user 54321"), "{args:?}: {}", output.stderr);
        }
        assert_eq!(picture(host.path()), before);
        // So that it can be deleted, hooks and all.
        chown(&state, Some(0), Some(0)).unwrap();
    });
}
