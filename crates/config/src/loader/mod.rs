//! Where configurations come from: files, texts and the environment. What is loaded isn't validated yet.
//!
//! With the feature `remote`, [`load_config`] takes a URL as well as a file's name, see docs/config.md, "From elsewhere".
//! What is named `from_file` reads files alone, and asks no other machine.
//!
//! A file may stand on others: `extends: base.yaml`, or a list of names, which count from the file's own directory and
//! don't leave it. Each is loaded as it would be alone and merged with the ones before it as [`merge_configs`] does,
//! the file itself last. At most 8 files stand on one another, and 64 come together; a circle is refused.
//!
//! [`merge_configs`]: crate::merge_configs

mod base;
mod environment;
mod file;
#[cfg(feature = "registry")]
pub(crate) mod registry;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "remote")]
mod source;
#[cfg(feature = "templates")]
mod template;

pub use environment::{load_config_from_env, load_config_from_variables};
pub use file::{
    load_config_from_file, load_document_from_file, parse_config, read_bytes_from_file, read_text_from_file,
};
#[cfg(feature = "encryption")]
pub use file::{load_encrypted_config_from_file, load_encrypted_document_from_file, parse_config_beside};
#[cfg(feature = "registry")]
pub use registry::{load_config_from_registry, pull_config, ARTIFACT_TYPE};
#[cfg(feature = "remote")]
pub use source::{load_config, source_name};
#[cfg(all(feature = "encryption", feature = "remote"))]
pub use source::{load_encrypted_config, load_encrypted_document};
#[cfg(feature = "templates")]
pub use template::{load_config_from_template, load_values_from_file, render_template};
