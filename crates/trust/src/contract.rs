//! `contract`: what a container must show before it starts. Plain data so far: [`admit`](crate::admit) refuses whoever
//! names issuers or an entropy, until both are checked.

use forgeone_config::ExecMode;
use serde::{Deserialize, Serialize};

/// What is asked of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZTAContract {
    /// The policy that it is held to.
    pub runtime_policy_id: String,
    /// Whose signatures are trusted; nobody's if empty.
    pub trusted_issuers: Vec<String>,
    /// The least entropy of its identity, in bits from 0 to 512.
    pub minimum_entropy: f64,
    /// What executes it.
    pub exec_mode: ExecMode,
}
