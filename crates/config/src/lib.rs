//! `forgeone-config`: what a container is asked to be.
//!
//! [`ContainerConfig`] is made by its [builder](ContainerConfig::builder) or loaded from a file (JSON, YAML, TOML) or
//! the environment, merged with others, validated and saved. The crate touches nothing but the files that it is given
//! the names of (and reads how much memory the machine has), and starts nothing.
//!
//! ```
//! use forgeone_config::{ContainerConfig, ResourceLimits};
//! use std::collections::HashMap;
//!
//! let mut config = ContainerConfig::builder()
//!     .image("my-image")
//!     .name("my-container")
//!     .command("/bin/sh")
//!     .args(vec!["-c", "echo hello"])
//!     .working_dir("/app")
//!     .build();
//!
//! // Add environment variables
//! let mut env = HashMap::new();
//! env.insert("DEBUG".to_string(), "true".to_string());
//! config.env = Some(env);
//!
//! // Add resource limits
//! config.resource_limits = Some(ResourceLimits {
//!     cpu_cores: Some(2.0),
//!     memory_bytes: Some(1024 * 1024 * 512),
//!     disk_bytes: Some(1024 * 1024 * 1024 * 10),
//!     network_bps: Some(1024 * 1024 * 10),
//! });
//! ```
//!
//! # Features
//! All on by default; JSON is always there.
//!
//! | feature | what it brings |
//! |---|---|
//! | `yaml`, `toml` | files in these formats |
//! | `audit` | [`audit`]: a log of who changed what |
//! | `encryption` | [`encryption`]: files and values that are encrypted |
//! | `rules` | [`rules`]: users' own rules, in CEL |
//! | `templates` | [`render_template`]: configurations with names that get their values later |
//! | `convert` | [`import_configs`], [`export_configs`]: `docker run`, Compose, Kubernetes, OCI |
//! | `registry` | [`load_config_from_registry`], [`save_config_to_registry`]: configurations as OCI artifacts |
//! | `remote` | [`load_config`]: from a file or a URL, of web servers, registries, Vault, Kubernetes |
//! | `schema` | [`config_schema`]: the JSON Schema of files |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "convert")]
mod convert;
mod diff;
mod document;
#[cfg(feature = "encryption")]
pub mod encryption;
pub mod environment;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod loader;
mod merge;
mod migrate;
mod model;
#[cfg(feature = "rules")]
pub mod rules;
pub mod saver;
#[cfg(feature = "schema")]
mod schema;
mod sealed;
mod suggest;
pub mod validator;
mod version;

#[cfg(feature = "convert")]
pub use convert::{
    export_configs, import_configs, read_env_file, split_words, Dialect, Lost, RunOptions, Variables,
};
pub use diff::{diff_configs, json_patch, Change};
pub use document::{Document, Format};
pub use error::{Error, Kind, Place, Result};
#[cfg(feature = "remote")]
pub use loader::{load_config, source_name};
pub use loader::{load_config_from_env, load_config_from_file, load_config_from_variables, parse_config};
#[cfg(feature = "registry")]
pub use loader::{load_config_from_registry, pull_config, ARTIFACT_TYPE};
#[cfg(feature = "templates")]
pub use loader::{load_config_from_template, load_values_from_file, render_template};
pub use loader::{load_document_from_file, read_bytes_from_file, read_text_from_file};
#[cfg(all(feature = "encryption", feature = "remote"))]
pub use loader::{load_encrypted_config, load_encrypted_document};
#[cfg(feature = "encryption")]
pub use loader::{load_encrypted_config_from_file, load_encrypted_document_from_file, parse_config_beside};
pub use merge::merge_configs;
pub use migrate::{migrate_text, Migration};
pub use model::{
    BlkioConfig, Connection, ContainerConfig, ContainerConfigBuilder, Device, DeviceRate, ExecMode,
    HealthCheck, Logging, Mount, MountType, NetworkConfig, NetworkMode, Period, PortMapping, PortProtocol,
    PullPolicy, ResourceLimits, RestartPolicy, Secret, Ulimit, Volume, DEFAULT_NETWORK,
};
pub use saver::{
    config_to_string, config_to_variables, save_config_to_env, save_config_to_file, save_text_to_file,
};
#[cfg(feature = "registry")]
pub use saver::{push_config, save_config_to_registry};
#[cfg(feature = "schema")]
pub use schema::config_schema;
#[cfg(feature = "encryption")]
pub use sealed::Decrypted;
pub use suggest::closest;
pub use validator::{
    check_config, check_config_on, strict, validate_config, validate_image_format, validate_minimum_entropy,
    validate_mounts, validate_network_config, validate_resource_limits, validate_volumes, Finding, Host,
    Severity,
};
pub use version::VERSION;
