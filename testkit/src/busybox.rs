//! A root file system of Debian's `busybox-static`: one real program under 270 names.

use crate::privileged;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Directories of the root, with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nuser:x:1000:\nextra:x:2000:user\n";

/// Fills `rootfs`, an empty directory.
pub(crate) fn unpack(rootfs: &Path) {
    let busybox = privileged::find_program("busybox").filter(|file| is_static(file));
    let busybox =
        busybox.expect("a static busybox (Debian package busybox-static; `make test` as root installs it)");
    for (name, mode) in DIRECTORIES {
        let directory = rootfs.join(name);
        fs::create_dir(&directory).expect("mkdir in the root");
        fs::set_permissions(directory, fs::Permissions::from_mode(*mode)).expect("chmod in the root");
    }
    fs::copy(&busybox, rootfs.join("bin/busybox")).expect("copy busybox");
    for applet in applets(&busybox) {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("symlink an applet");
    }
    fs::write(rootfs.join("etc/passwd"), PASSWD).expect("write passwd");
    fs::write(rootfs.join("etc/group"), GROUP).expect("write group");
}

fn is_static(file: &Path) -> bool {
    crate::Elf::read(file).is_ok_and(|elf| elf.interpreter().is_none())
}

fn applets(busybox: &Path) -> Vec<String> {
    let listed =
        Command::new(busybox).arg("--list").stdin(Stdio::null()).output().expect("run busybox --list");
    let text = String::from_utf8(listed.stdout).expect("names of applets");
    text.lines().filter(|applet| *applet != "busybox").map(str::to_owned).collect()
}
