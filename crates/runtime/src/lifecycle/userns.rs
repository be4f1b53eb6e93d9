//! What on this machine keeps a caller from making user namespaces: the kernel's own answer names no reason.

use crate::error::{Error, Kind};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process;

/// Settings below `/proc/sys`: who is concerned, the value that is in the way, what it means, and the way out.
///
/// Sources: namespaces(7); Debian's and Ubuntu's kernels; Ubuntu's AppArmor.
const SWITCHES: [(Concerns, &str, &[u8], &str); 3] = [
    (
        Concerns::All,
        "user/max_user_namespaces",
        b"0\n",
        "user namespaces are switched off: sysctl user.max_user_namespaces is 0",
    ),
    (
        Concerns::Users,
        "kernel/unprivileged_userns_clone",
        b"0\n",
        "user namespaces are for root alone: sysctl kernel.unprivileged_userns_clone=1 gives them to others",
    ),
    (
        Concerns::Users,
        "kernel/apparmor_restrict_unprivileged_userns",
        b"1\n",
        "AppArmor restricts user namespaces: a profile with userns, or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Concerns {
    All,
    Users,
}

/// An error of a container that gets a user namespace of its own, with the reason behind it where a setting is one.
///
/// Other errors are given back as they are.
pub fn explain(error: Error) -> Error {
    if !matches!(error.kind(), Kind::System | Kind::Permission) {
        return error;
    }
    let set = |path: &str, value: &[u8]| {
        let file = fs::open(format!("/proc/sys/{path}"), OFlags::RDONLY, Mode::empty());
        file.and_then(|file| fs::read_to_end(&file, 16)).is_ok_and(|text| text == value)
    };
    let user = process::geteuid() != 0;
    let mut switches = SWITCHES.iter().filter(|(concerns, ..)| user || *concerns == Concerns::All);
    match switches.find(|(_, path, value, _)| set(path, value)) {
        Some((.., reason)) => Error::new(error.kind(), format!("{error} ({reason})")),
        None => error,
    }
}
