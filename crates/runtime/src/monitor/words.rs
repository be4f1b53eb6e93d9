//! The words that a monitor's program is started with.

use crate::error::{Error, Kind, Result};
use crate::registry::Places;
use std::ffi::OsString;
use std::path::PathBuf;

/// What they say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Words {
    pub(super) places: Places,
    /// The container's.
    pub(super) directory: PathBuf,
    /// The descriptor by which a monitor tells the program that it becomes what it knows.
    pub(super) handed: Option<u32>,
}

impl Words {
    /// Behind the program's name.
    pub(super) fn to_words(&self) -> Vec<OsString> {
        let mut words = vec![OsString::from("monitor")];
        words.extend(self.places.to_words());
        words.push(self.directory.clone().into());
        words.extend(self.handed.map(|number| number.to_string().into()));
        words
    }

    /// Reads what [`Words::to_words`] gives, behind its first.
    pub(super) fn read(mut words: impl Iterator<Item = OsString>) -> Result<Self> {
        let wrong = || Error::new(Kind::Usage, "a monitor is started by forgeone, not by hand");
        let places = Places::from_words(&mut words).ok_or_else(wrong)?;
        let directory =
            words.next().map(PathBuf::from).filter(|path| path.is_absolute()).ok_or_else(wrong)?;
        let handed = match words.next() {
            Some(number) => Some(number.to_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)?),
            None => None,
        };
        Ok(Self { places, directory, handed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::nowhere;

    #[test]
    fn words_are_read_as_they_are_written() {
        let places = nowhere();
        for handed in [None, Some(7)] {
            let words = Words { places: places.clone(), directory: "/data/containers/1".into(), handed };
            assert_eq!(Words::read(words.to_words().into_iter().skip(1)), Ok(words));
        }
        assert!(Words::read(["x".into()].into_iter()).is_err());
    }
}
