//! The files of a group and the forms that numbers have in them.

use crate::numbers::numbers;
use forgeone_sys::fs::{self, CWD, FileType, Mode, OFlags};
use forgeone_sys::{Errno, OwnedFd, Result};

/// The largest file that is read: `memory.stat` and `io.stat` have some kilobytes.
const MAX: usize = 4 << 20;

/// The directory of a group.
pub(super) struct Files(OwnedFd);

impl Files {
    /// Opens the group at `path`.
    pub(super) fn open(path: &str) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// A file's text; empty where the kernel has no such file, or nothing to say in it.
    pub(super) fn text(&self, file: &str) -> Result<String> {
        match fs::read_file_at(&self.0, file, MAX) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::OPNOTSUPP) => Ok(String::new()),
            text => Ok(String::from_utf8_lossy(&text?).into_owned()),
        }
    }

    /// A file with one number; `None` where there is no such file.
    pub(super) fn number(&self, file: &str) -> Result<Option<u64>> {
        Ok(number(&self.text(file)?))
    }

    /// The same, 0 where there is no such file.
    pub(super) fn count(&self, file: &str) -> Result<u64> {
        Ok(self.number(file)?.unwrap_or(0))
    }

    /// The names of the directories in it, sorted.
    pub(super) fn directories(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.0)?.into_iter();
        let directories = entries.filter(|(_, kind)| *kind == FileType::Directory);
        let mut names: Vec<_> = directories.filter_map(|(name, _)| name.into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Sizes of huge pages for which the group has a file `hugetlb.SIZE` and `suffix`.
    pub(super) fn page_sizes(&self, suffix: &str) -> Result<Vec<String>> {
        let size = |name: std::ffi::OsString| {
            let size = name.to_str()?.strip_prefix("hugetlb.")?.strip_suffix(suffix)?.to_owned();
            (!size.contains('.')).then_some(size)
        };
        Ok(fs::read_dir(&self.0)?.into_iter().filter_map(|(name, _)| size(name)).collect())
    }
}

/// `max` is the largest number.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        digits => digits.parse().ok(),
    }
}

/// Lines of a name and a number.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name, number(value)?)))
}

/// A number by its name.
pub(super) fn value(text: &str, name: &str) -> u64 {
    pairs(text).find(|(key, _)| *key == name).map_or(0, |(_, value)| value)
}

/// `0-2,7` as numbers.
pub(super) fn list(text: &str) -> Vec<u16> {
    let numbers = numbers(text.trim(), 1 << 16).unwrap_or_default();
    numbers.into_iter().map(|number| number as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form() {
        assert_eq!(number("17\n"), Some(17));
        assert_eq!(number("max\n"), Some(u64::MAX));
        assert_eq!(number(""), None);
        let text = "nr_periods 3\nthrottled_time 40\nodd\nlow max\n";
        assert_eq!((value(text, "throttled_time"), value(text, "low"), value(text, "x")), (40, u64::MAX, 0));
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list("\n"), [] as [u16; 0]);
    }
}
