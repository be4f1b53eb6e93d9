//! A root file system of Debian's smallest system, made by `debootstrap`.
//!
//! It is made once and kept (see [`cache`]) under a name that changes with anything that changes the result. Each
//! test gets a copy, by reference links where the file system has them.

use crate::cache::{self, run};
use crate::{privileged, skip};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const SUITE: &str = "bookworm";

/// Directories that are emptied: no test reads what they hold, and it is half of the system.
const EMPTIED: &[&str] =
    &["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists"];

/// Copies the system to `rootfs`, an empty directory. `None`, with the skip noted, where it can't be made.
pub(crate) fn copy_to(rootfs: &Path) -> Option<()> {
    if !privileged::root() || !privileged::program("debootstrap", "debootstrap") {
        return None;
    }
    let system = cached()?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--reflink=auto", "--no-target-directory"]).arg(system).arg(rootfs);
    run(&mut copy).expect("copy the Debian system");
    Some(())
}

fn cached() -> Option<PathBuf> {
    let system = cache::kept(&recipe(), make);
    system.map_err(|failure| skip(format_args!("no Debian system: {failure}"))).ok()
}

fn make(unfinished: &Path) -> Result<(), String> {
    // debootstrap mounts proc and sys below its target: a mount namespace of its own takes them away again.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase", SUITE]);
    run(command.arg(unfinished).args(mirror()))?;
    for path in EMPTIED {
        let path = unfinished.join(path);
        if path.exists() {
            let emptied = fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path));
            emptied.map_err(|e| format!("empty {}: {e}", path.display()))?;
        }
    }
    Ok(())
}

fn recipe() -> String {
    let mut hasher = DefaultHasher::new();
    (SUITE, EMPTIED, "minbase, emptied", std::env::consts::ARCH).hash(&mut hasher);
    format!("debian-{SUITE}-{:016x}", hasher.finish())
}

/// The mirror that this machine is configured for; without one debootstrap takes its own.
pub(crate) fn mirror() -> Option<String> {
    let directory = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut files: Vec<_> = directory.map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.flat_map(|text| uris(&text)).find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
}

/// URIs of both formats of sources.list(5): `deb [options] URI suite` and `URIs: URI …`.
fn uris(text: &str) -> Vec<String> {
    let sources = text.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let words = sources.flat_map(str::split_whitespace);
    words
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_formats_of_sources() {
        assert_eq!(
            uris("# deb http://no\ndeb [arch=amd64] http://a/debian bookworm main"),
            ["http://a/debian"]
        );
        assert_eq!(uris("Types: deb\nURIs: https://b/debian/\nSuites: x"), ["https://b/debian/"]);
        assert!(mirror().is_none_or(|mirror| mirror.contains("/debian")));
    }
}
