//! How the image is got.

use serde::{Deserialize, Serialize};

/// When the image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// When it isn't there.
    #[default]
    Missing,
    /// Each time a container is made.
    Always,
    /// Never: it is there, or it is an error.
    Never,
}

impl PullPolicy {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}
