//! `forgeone-trust`: decisions about what may run. No containers in here, only requests and answers.
//!
//! [`admit`] is asked before anything is touched: at create, start, exec, update and restore. So far every
//! request is admitted that asks for nothing that isn't enforced yet; one that names issuers or an entropy is
//! refused, because to ignore it would be to claim a check that didn't happen.
#![forbid(unsafe_code)]

mod contract;
mod dna;

pub use contract::ZTAContract;
pub use dna::{ContainerDNA, fingerprint};

use forgeone_config::{ExecMode, ResourceLimits};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::BorrowedFd;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A container is made.
    Create,
    /// Its program is started.
    Start,
    /// Another program is started in it.
    Exec,
    /// Its limits are changed.
    Update,
    /// It is made from a checkpoint.
    Restore,
}

/// What it is about to be done with.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// An image, by the digest of its manifest (`sha256:…`).
    Image {
        /// The digest.
        digest: &'a str,
    },
    /// An OCI bundle.
    Bundle {
        /// `config.json` as it was read; a policy that needs its hash makes it from these bytes.
        config: &'a [u8],
        /// The root file system's directory, where the operation opens it (create and restore do).
        rootfs: Option<BorrowedFd<'a>>,
    },
    /// A WASM module, by digest.
    Module {
        /// The digest.
        digest: &'a str,
    },
    /// A checkpoint, by digest.
    Checkpoint {
        /// The digest.
        digest: &'a str,
    },
}

/// Everything a decision may depend on.
#[derive(Clone, Debug)]
pub struct AdmissionRequest<'a> {
    /// What is about to be done.
    pub operation: Operation,
    /// The container's id.
    pub id: &'a str,
    /// With what.
    pub subject: Subject<'a>,
    /// What will execute it.
    pub exec_mode: ExecMode,
    /// The program and its arguments; empty where none is started.
    pub args: &'a [String],
    /// The container's annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// Whose signatures are asked for.
    pub trusted_issuers: &'a [String],
    /// The least entropy that is asked for, in bits.
    pub minimum_entropy: Option<f64>,
}

/// A yes, with what it takes away. Everything in it only ever tightens the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// The root file system is to be read-only.
    pub readonly_root: bool,
    /// no_new_privs is to be set.
    pub no_new_privileges: bool,
    /// Capabilities to take out of all five sets (`CAP_…`).
    pub drop_capabilities: Vec<String>,
    /// Limits that may not be exceeded.
    pub limits: ResourceLimits,
}

/// A no, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

/// Decides whether `request` may go on.
///
/// # Errors
/// A [`Refusal`] for requests that name issuers or an entropy: neither is enforced by this version.
pub fn admit(request: &AdmissionRequest) -> Result<Admission, Refusal> {
    if !request.trusted_issuers.is_empty() {
        let issuers = request.trusted_issuers.join(", ");
        return Err(Refusal {
            reason: format!("trusted issuers ({issuers}) can't be checked by this version"),
        });
    }
    if let Some(bits) = request.minimum_entropy {
        return Err(Refusal {
            reason: format!("a minimum entropy ({bits} bits) can't be checked by this version"),
        });
    }
    Ok(Admission::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(issuers: &'a [String], annotations: &'a BTreeMap<String, String>) -> AdmissionRequest<'a> {
        AdmissionRequest {
            operation: Operation::Create,
            id: "web",
            subject: Subject::Bundle { config: b"{}", rootfs: None },
            exec_mode: ExecMode::Native,
            args: &[],
            annotations,
            trusted_issuers: issuers,
            minimum_entropy: None,
        }
    }

    #[test]
    fn a_plain_bundle_is_admitted_unchanged() {
        assert_eq!(admit(&request(&[], &BTreeMap::new())), Ok(Admission::default()));
    }

    #[test]
    fn what_is_not_enforced_is_refused_and_never_ignored() {
        let (issuers, annotations) = (["acme".to_owned()], BTreeMap::new());
        assert!(admit(&request(&issuers, &annotations)).is_err());
        let entropy = AdmissionRequest { minimum_entropy: Some(128.0), ..request(&[], &annotations) };
        assert!(admit(&entropy).is_err());
    }

    /// As the first request writes them: by literals of all fields.
    #[test]
    fn identity_and_contract_have_exactly_their_fields() {
        let dna = ContainerDNA {
            id: "web".to_owned(),
            hash: format!("sha256:{}", "0".repeat(64)),
            signer: "acme".to_owned(),
            resource_limits: ResourceLimits { cpu_cores: Some(2.0), ..ResourceLimits::default() },
            trust_label: "internal".to_owned(),
            runtime_entropy: "00".repeat(16),
            created_at: 1_700_000_000,
            identity: None,
        };
        let contract = ZTAContract {
            runtime_policy_id: "default".to_owned(),
            trusted_issuers: vec![dna.signer.clone()],
            minimum_entropy: 128.0,
            exec_mode: ExecMode::Native,
        };
        assert_eq!((dna.clone(), contract.clone()), (dna, contract));
    }
}
