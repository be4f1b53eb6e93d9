//! Digests: the address of content by what it is.

use crate::Wrong;
use std::fmt;
use std::str::FromStr;

/// How a digest is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A digest as the OCI image specification writes it: `sha256:` and 64, or `sha512:` and 128, hexadecimal digits in lower
/// case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    text: String,
}

impl Digest {
    /// How it was computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole digest.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What follows the colon.
    pub fn hex(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, hex)| hex)
    }
}

impl FromStr for Digest {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let known = match text.split_once(':') {
            Some(("sha256", hex)) => Some((hex, 64, Algorithm::Sha256)),
            Some(("sha512", hex)) => Some((hex, 128, Algorithm::Sha512)),
            _ => None,
        };
        let hex = |hex: &str| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match known {
            Some((digits, length, algorithm)) if digits.len() == length && hex(digits) => {
                Ok(Self { algorithm, text: text.to_owned() })
            }
            _ => {
                let reason = "the digest isn't sha256: and 64, or sha512: and 128, of 0-9 and a-f";
                Err(Wrong::new(reason, "copy the whole digest"))
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(feature = "client")]
mod compute {
    use super::{Algorithm, Digest};
    use aws_lc_rs::digest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Computes a digest of what comes in pieces.
    pub struct Hasher {
        algorithm: Algorithm,
        context: digest::Context,
    }

    impl Hasher {
        /// Of nothing yet.
        pub fn new(algorithm: Algorithm) -> Self {
            let context = digest::Context::new(match algorithm {
                Algorithm::Sha256 => &digest::SHA256,
                Algorithm::Sha512 => &digest::SHA512,
            });
            Self { algorithm, context }
        }

        /// The next piece.
        pub fn update(&mut self, bytes: &[u8]) {
            self.context.update(bytes);
        }

        /// The digest of all pieces.
        pub fn finish(self) -> Digest {
            let mut text = match self.algorithm {
                Algorithm::Sha256 => "sha256:".to_owned(),
                Algorithm::Sha512 => "sha512:".to_owned(),
            };
            for byte in self.context.finish().as_ref() {
                text.push_str(&format!("{byte:02x}"));
            }
            Digest { algorithm: self.algorithm, text }
        }
    }

    impl std::fmt::Debug for Hasher {
        fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            write!(f, "Hasher({:?})", self.algorithm)
        }
    }

    impl Digest {
        /// The SHA-256 of some bytes.
        pub fn of(bytes: &[u8]) -> Self {
            Self::computed(Algorithm::Sha256, bytes)
        }

        /// The digest of some bytes by an algorithm.
        pub fn computed(algorithm: Algorithm, bytes: &[u8]) -> Self {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(bytes);
            hasher.finish()
        }
    }

    impl Serialize for Digest {
        fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
            out.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Digest {
        fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            String::deserialize(input)?.parse().map_err(D::Error::custom)
        }
    }
}

#[cfg(feature = "client")]
pub use compute::Hasher;

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        let abc = Digest::computed(Algorithm::Sha512, b"abc");
        assert!(abc.hex().starts_with("ddaf35a193617aba") && abc.hex().len() == 128, "{abc}");
        assert_eq!(abc.as_str().parse(), Ok(abc.clone()));
        assert!("sha256:12".parse::<Digest>().is_err() && "md5:12".parse::<Digest>().is_err());
        assert!(empty.to_uppercase().parse::<Digest>().is_err());
    }
}
