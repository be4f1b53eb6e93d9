//! How much room files take.

use forgeone_sys::fs::{self, Mode, OFlags};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is on the disk below directories, in bytes: a file with several names once, what is mounted there not at all, nor what
/// the caller mayn't read.
pub fn disk_usage<P: AsRef<Path>>(roots: impl IntoIterator<Item = P>) -> u64 {
    let (mut sum, mut seen) = (0, BTreeSet::new());
    let mut open: Vec<(PathBuf, Option<u64>)> =
        roots.into_iter().map(|root| (root.as_ref().to_owned(), None)).collect();
    while let Some((path, above)) = open.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let further = metadata.nlink() > 1 && !metadata.is_dir();
        if further && !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        if !metadata.is_dir() {
            sum += metadata.blocks() * 512;
            continue;
        }
        // Not by devices: each subvolume of btrfs has one of its own.
        let place = fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
        let Ok(mount) = place.and_then(fs::mount_id) else { continue };
        if above.is_none_or(|above| above == mount) {
            sum += metadata.blocks() * 512;
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| (entry.path(), Some(mount))));
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_several_names_takes_room_once() {
        let temp = testkit::Temp::new("usage");
        let directory = temp.path().join("a/b");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("one"), vec![1; 1 << 20]).unwrap();
        let one = disk_usage([temp.path()]);
        assert!(one >= 1 << 20, "{one}");
        std::fs::hard_link(directory.join("one"), directory.join("two")).unwrap();
        std::os::unix::fs::symlink("/proc", directory.join("three")).unwrap();
        assert_eq!(disk_usage([temp.path()]), one);
        assert_eq!(disk_usage([&directory, &directory.join("no such")]), disk_usage([&directory]));
    }
}
