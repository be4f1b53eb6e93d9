//! The runtime's own files: what stands in their place isn't written to.

use super::{Host, dir, everywhere, path, picture};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
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
