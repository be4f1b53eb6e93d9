//! Labels of security modules: whether this machine has the module that a label is for.

use crate::error::{Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};

/// Checks that labels that were asked for (not empty) can be had.
///
/// # Errors
/// [`Kind::Unsupported`], naming the field and the module that is missing.
pub fn check(apparmor_profile: &str, selinux_label: &str) -> Result<()> {
    let labels: [(_, _, _, fn() -> bool); 2] = [
        ("apparmorProfile", apparmor_profile, "AppArmor", has_apparmor),
        ("selinuxLabel", selinux_label, "SELinux", has_selinux),
    ];
    match labels.iter().find(|(_, label, _, has)| !label.is_empty() && !has()) {
        Some((field, label, module, _)) => {
            let message = format!("process.{field} \"{label}\": {module} is not enabled on this machine");
            Err(Error::new(Kind::Unsupported, message))
        }
        None => Ok(()),
    }
}

/// The module's parameter, `Y` or `N`; the file is there where the module was built.
fn has_apparmor() -> bool {
    let file = fs::open("/sys/module/apparmor/parameters/enabled", OFlags::RDONLY, Mode::empty());
    file.and_then(|file| fs::read_to_end(&file, 16)).is_ok_and(|text| text.starts_with(b"Y"))
}

/// selinuxfs, which is mounted where the module is enabled.
fn has_selinux() -> bool {
    fs::statat(fs::CWD, "/sys/fs/selinux/enforce", AtFlags::empty()).is_ok()
}
