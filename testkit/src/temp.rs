//! A temporary directory that goes away with its value.
//!
//! Invariant: removing never crosses a mount. If something is still mounted below, the directory stays and
//! the test fails, since emptying it would empty what is mounted there.

use crate::names;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of mode 0755 in `TMPDIR` (or `/tmp`), removed on drop.
#[derive(Debug)]
pub struct Temp {
    path: PathBuf,
}

impl Temp {
    /// A new, empty one; `tag` becomes part of its name.
    pub fn new(tag: &str) -> Self {
        loop {
            let path = std::env::temp_dir().join(names::unique(tag));
            match fs::create_dir(&path) {
                Ok(()) => return Self { path },
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => panic!("mkdir {}: {e}", path.display()),
            }
        }
    }

    /// Where it is; absolute if `TMPDIR` is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let mounted = mounts_below(&self.path);
        let failure = if mounted.is_empty() {
            fs::remove_dir_all(&self.path).err().map(|e| e.to_string())
        } else {
            Some(format!("still mounted: {}", mounted.join(", ")))
        };
        if let Some(failure) = failure {
            let message = format!("remove {}: {failure}", self.path.display());
            if std::thread::panicking() { eprintln!("{message}") } else { panic!("{message}") }
        }
    }
}

/// Mount points of this mount namespace at or below `path`.
pub fn mounts_below(path: &Path) -> Vec<String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(unescape).filter(|point| Path::new(point).starts_with(path)).collect()
}

/// A field of mountinfo in plain text: `\040` and its like stand for blanks, tabs, newlines and backslashes.
pub fn unescape(field: &str) -> String {
    let mut rest = field.as_bytes();
    let mut plain = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        match after.first_chunk::<3>().filter(|_| byte == b'\\').and_then(octal) {
            Some(code) => (plain.push(code), rest = &after[3..]),
            None => (plain.push(byte), rest = after),
        };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_goes_away_with_all_in_it() {
        let temp = Temp::new("temp");
        let path = temp.path().to_owned();
        fs::create_dir(path.join("inner")).unwrap();
        fs::write(path.join("inner/file"), "x").unwrap();
        drop(temp);
        assert!(!path.exists());
    }

    #[test]
    fn octal_escapes_of_mountinfo_are_read() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape(r"/a\9"), r"/a\9");
        assert_eq!(unescape("/ä"), "/ä");
    }

    #[test]
    fn the_root_is_a_mount_below_itself() {
        assert!(mounts_below(Path::new("/")).contains(&"/".to_owned()));
        assert!(mounts_below(Path::new("/proc/self/nowhere")).is_empty());
    }
}
