//! What a test needs of the machine. Each question notes the skip, with the reason, where the answer is no.
//!
//! ```no_run
//! if !testkit::privileged::root() {
//!     return;
//! }
//! ```

use crate::skip;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether the test runs as root (effective user id 0 in this user namespace).
pub fn root() -> bool {
    let yes = effective_uid() == 0;
    if !yes {
        skip("needs root");
    }
    yes
}

/// Whether a program is installed; `package` is the Debian package that has it.
pub fn program(name: &str, package: &str) -> bool {
    let yes = find_program(name).is_some();
    if !yes {
        skip(format_args!("needs {name} (Debian package {package})"));
    }
    yes
}

/// Whether the effective capabilities hold this one, by name and number (capability.h).
pub fn capability(name: &str, number: u32) -> bool {
    let mask = status_field("CapEff").and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or(0);
    let yes = mask >> number & 1 == 1;
    if !yes {
        skip(format_args!("needs {name}"));
    }
    yes
}

/// Whether a file or directory of the kernel is there, `/sys/fs/cgroup/memory` for example.
pub fn file(path: impl AsRef<Path>) -> bool {
    let yes = path.as_ref().exists();
    if !yes {
        skip(format_args!("needs {}", path.as_ref().display()));
    }
    yes
}

/// The variable by which the guest tells in which of its variants the tests run ([`crate::guest::Variant`]).
pub const VARIANT: &str = "FORGEONE_GUEST";

/// Whether all containers of this run are systemd's.
pub fn systemd_driver() -> bool {
    std::env::var(VARIANT).is_ok_and(|variant| variant == "systemd")
}

/// Whether systemd runs this machine.
pub fn systemd() -> bool {
    let yes = Path::new("/run/systemd/system").is_dir();
    if !yes {
        skip("needs a machine that runs systemd");
    }
    yes
}

/// Whether the door makes cgroups itself, where the config says.
pub fn cgroupfs_driver() -> bool {
    let yes = !systemd_driver();
    if !yes {
        skip("is about the cgroupfs driver");
    }
    yes
}

/// Whether root is the machine's, not a user's in a namespace; notes nothing.
pub fn is_machine_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether root is the machine's, not a user's in a namespace.
pub fn machine_root() -> bool {
    let yes = is_machine_root();
    if !yes {
        skip("needs root of the machine");
    }
    yes && root()
}

/// Effective user id of this process.
pub fn effective_uid() -> u32 {
    let uids = status_field("Uid").expect("Uid in /proc/self/status");
    uids.split_whitespace().nth(1).and_then(|uid| uid.parse().ok()).expect("an effective user id")
}

/// Where a program is: in `PATH`, or in the `sbin` directories that an ordinary user's `PATH` lacks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn status_field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_usual_places() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-at-all").is_none());
    }

    #[test]
    fn the_effective_user_is_the_owner_of_new_files() {
        use std::os::unix::fs::MetadataExt;
        let temp = crate::Temp::new("uid");
        assert_eq!(fs::metadata(temp.path()).unwrap().uid(), effective_uid());
    }
}
