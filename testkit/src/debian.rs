//! A root file system of Debian's smallest system, made by `debootstrap`.
//!
//! It is made once and kept in `FORGEONE_TEST_CACHE`, by default `/var/cache/forgeone-tests/<recipe>`, where
//! `<recipe>` changes with anything that changes the result. Invariants: a directory of that name is complete
//! (it is made beside and renamed), and never changes (each test gets a copy, by reference links where the
//! file system has them).

use crate::{privileged, skip};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SUITE: &str = "bookworm";

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
    let cache = std::env::var_os("FORGEONE_TEST_CACHE").unwrap_or("/var/cache/forgeone-tests".into());
    let cache = PathBuf::from(cache);
    fs::create_dir_all(&cache).unwrap_or_else(|e| panic!("mkdir {}: {e}", cache.display()));
    let system = cache.join(recipe());
    if system.exists() {
        return Some(system);
    }
    let lock = File::create(cache.join("lock")).expect("create the cache's lock");
    lock.lock().expect("lock the cache");
    if system.exists() {
        return Some(system);
    }
    match make(&cache.join("unfinished"), &system) {
        Ok(()) => Some(system),
        Err(failure) => {
            skip(format_args!("no Debian system: {failure}"));
            None
        }
    }
}

fn make(unfinished: &Path, system: &Path) -> Result<(), String> {
    if unfinished.exists() {
        fs::remove_dir_all(unfinished).map_err(|e| e.to_string())?;
    }
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
    fs::rename(unfinished, system).map_err(|e| format!("rename to {}: {e}", system.display()))
}

fn recipe() -> String {
    let mut hasher = DefaultHasher::new();
    (SUITE, EMPTIED, "minbase, emptied", std::env::consts::ARCH).hash(&mut hasher);
    format!("debian-{SUITE}-{:016x}", hasher.finish())
}

/// The mirror that this machine is configured for; without one debootstrap takes its own.
fn mirror() -> Option<String> {
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

/// Runs to the end; the failure is the program, its status and the last line that it said.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("run {program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(format!("{program}: {}: {}", output.status, said.lines().last().unwrap_or("it said nothing")))
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

    #[test]
    fn a_failure_says_the_last_line() {
        let failure = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).unwrap_err();
        assert_eq!(failure, "sh: exit status: 3: two");
    }
}
