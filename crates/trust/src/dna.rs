//! `dna`: who a container is. Plain data; making and checking it is the contract's and attestation's work.

use forgeone_config::ResourceLimits;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A container's identity and fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerDNA {
    /// The container's id.
    pub id: String,
    /// The fingerprint of what it was made from, `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// Who signed that; nobody if empty.
    pub signer: String,
    /// What it may use.
    pub resource_limits: ResourceLimits,
    /// How far it is trusted: a word of the policy's.
    pub trust_label: String,
    /// Random bits that make it unlike any other, hexadecimal: four bits a digit.
    pub runtime_entropy: String,
    /// When it was made, in seconds since 1970 (UTC).
    pub created_at: u64,
    /// The name that it shows to others (a SPIFFE ID), if it has one.
    pub identity: Option<String>,
}

/// The fingerprint of parts in their order, `sha256:` and 64 hexadecimal digits. Each part counts with its length: what
/// ends one and begins the next is never taken for the same.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("sha256:{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_tells_parts_apart() {
        let of = |parts: &[&str]| fingerprint(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&[]), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["ab", ""]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }
}
