//! `dna`: who a container is. Plain data; making and checking it is the contract's and attestation's work.

use forgeone_config::ResourceLimits;

/// A container's identity and fingerprint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerDNA {
    /// The container's id.
    pub id: String,
    /// The fingerprint of what it was made from, `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// Who signed that.
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
