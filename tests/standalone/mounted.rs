//! A file system of its own for what is kept.

use crate::kit::Machine;
use std::path::Path;
use std::process::Command;
use testkit::privileged;

/// See the module. It goes before the machine looks what is left.
pub(crate) struct Mounted<'m>(&'m Machine);

impl<'m> Mounted<'m> {
    /// `None`, with the reason told, where there is no such program, or this kernel can't mount what it makes.
    pub(crate) fn new(machine: &'m Machine, mkfs: &str, package: &str, options: &str) -> Option<Self> {
        let program = mkfs.split(' ').next().unwrap_or_default();
        if !privileged::program(program, package) {
            return None;
        }
        let made =
            sh(&machine.path(""), &format!("truncate -s 400M disk; {mkfs} disk >/dev/null; mkdir data"));
        assert!(made.0, "{}", made.1);
        Self::on(machine, &format!("mount -o loop{options} disk data"))
    }

    /// What a command mounts.
    pub(crate) fn on(machine: &'m Machine, mount: &str) -> Option<Self> {
        match sh(&machine.path(""), mount) {
            (true, _) => Some(Self(machine)),
            (false, said) => {
                testkit::skip(format!("{mount}: {}", said.lines().next().unwrap_or_default()));
                None
            }
        }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        self.0.run(&["rm", "--all", "--force"]);
        let (done, said) = sh(&self.0.path(""), "umount data");
        assert!(done || std::thread::panicking(), "{said}");
    }
}

/// Whether a script succeeds, and what it says.
pub(crate) fn sh(here: &Path, script: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-euc", script]).current_dir(here).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
