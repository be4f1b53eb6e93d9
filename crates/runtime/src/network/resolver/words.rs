//! The words that a resolver's program is started with.

use crate::error::{Error, Kind, Result};
use crate::registry::Places;
use std::ffi::OsString;

/// What they say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Words {
    pub(super) places: Places,
    /// The network's name.
    pub(super) network: String,
}

impl Words {
    /// Behind the program's name.
    pub(super) fn to_words(&self) -> Vec<OsString> {
        let places = self.places.to_words();
        std::iter::once("resolver".into()).chain(places).chain([self.network.clone().into()]).collect()
    }

    /// Reads what [`Words::to_words`] gives, behind its first.
    pub(super) fn read(mut words: impl Iterator<Item = OsString>) -> Result<Self> {
        let wrong = || Error::new(Kind::Usage, "a resolver is started by forgeone, not by hand");
        let places = Places::from_words(&mut words).ok_or_else(wrong)?;
        let network = words.next().and_then(|word| word.into_string().ok());
        let network =
            network.filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'));
        match (network, words.next()) {
            (Some(network), None) => Ok(Self { places, network }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::nowhere;

    #[test]
    fn words_are_read_as_they_are_written() {
        let places = nowhere();
        let words = |network: &str| Words { places: places.clone(), network: network.to_owned() };
        let read = |words: &Words| Words::read(words.to_words().into_iter().skip(1));
        assert_eq!(read(&words("net")), Ok(words("net")));
        for wrong in ["", ".", "..", "a/b"] {
            assert!(read(&words(wrong)).is_err(), "{wrong}");
        }
        assert!(Words::read(["net".into()].into_iter()).is_err());
    }
}
