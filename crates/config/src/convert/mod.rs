//! From and to what others start containers with: `docker run` command lines, Compose files, Kubernetes' Pods, and OCI's
//! `config.json`.
//!
//! What has no counterpart on the other side is never dropped unseen: each such value is a [`Lost`].

mod compose;
mod docker_run;
mod env_file;
mod kubernetes;
mod oci;
mod part;
mod units;
mod variables;

use crate::document::{write, Document};
use crate::{ContainerConfig, Error, Format, Kind, Result};
pub use docker_run::RunOptions;
use part::Losses;
use serde_json::Value;
use std::fmt;
pub use variables::Variables;

/// The words of a command line as a shell splits it, without filling in anything.
///
/// # Errors
/// A quote that isn't closed; what only a shell can do.
pub fn split_words(line: &str) -> std::result::Result<Vec<String>, String> {
    units::split(line)
}

/// The variables of a file with a `NAME=value` a line, in order, as Compose reads `.env`.
///
/// # Errors
/// What is wrong, with its line.
pub fn read_env_file(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let wrong = |(line, reason)| format!("line {line}: {reason}");
    let entries = env_file::entries(text).map_err(wrong)?;
    Ok(entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
}

/// What others write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A `docker run` (or `podman run`) command line.
    DockerRun,
    /// A file of the Compose specification.
    Compose,
    /// A Pod of Kubernetes, v1.
    Kubernetes,
    /// `config.json` of the OCI runtime specification.
    Oci,
}

impl Dialect {
    /// By its name: `docker-run`, `compose`, `kubernetes`, `oci`.
    ///
    /// # Errors
    /// Another name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "docker-run" => Self::DockerRun,
            "compose" => Self::Compose,
            "kubernetes" => Self::Kubernetes,
            "oci" => Self::Oci,
            _ => {
                let hint = crate::suggest::hint(name, ["docker-run", "compose", "kubernetes", "oci"]);
                let message = format!("{name:?} is none of docker-run, compose, kubernetes and oci{hint}");
                return Err(Error::new(Kind::Unsupported, message));
            }
        })
    }
}

/// A value that wasn't carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where it stands in what was read.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Makes configurations of what others write: one, or one for each service of a Compose file and each container of a Pod.
///
/// ```
/// use forgeone_config::{import_configs, Dialect, Variables};
/// let line = "docker run -m 1g --sig-proxy nginx";
/// let (configs, lost) = import_configs(line, Dialect::DockerRun, &Variables::default())?;
/// assert_eq!(configs[0].image, "nginx");
/// assert_eq!(configs[0].resource_limits.as_ref().and_then(|limits| limits.memory_bytes), Some(1 << 30));
/// assert_eq!(lost[0].path, "--sig-proxy");
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// Variables are a Compose file's, `${TAG}`; nothing else is taken from them. One that isn't set is nothing, and is told
/// with what was lost.
///
/// # Errors
/// A text that isn't well-formed, or isn't what it is said to be; a variable that has to be set, `${TAG:?}`, and isn't.
pub fn import_configs(
    text: &str,
    from: Dialect,
    variables: &Variables,
) -> Result<(Vec<ContainerConfig>, Vec<Lost>)> {
    let losses = Losses::default();
    let configs = match from {
        Dialect::DockerRun => docker_run::import(text, &losses)?,
        Dialect::Compose => compose::import(merged(text)?, variables, &losses)?,
        Dialect::Kubernetes => kubernetes::import(merged(text)?, &losses)?,
        Dialect::Oci => vec![oci::import(Document::parse(text, Format::Json)?.decode()?, &losses)?],
    };
    Ok((configs, losses.all()))
}

/// Writes configurations as others do: several into a Compose file, otherwise one.
///
/// # Errors
/// Several where one is possible, or none; services of the same name; a configuration without an image.
pub fn export_configs(configs: &[ContainerConfig], to: Dialect) -> Result<(String, Vec<Lost>)> {
    let losses = Losses::default();
    let wrong = |message: &str| Error::new(Kind::Unsupported, message);
    let text = match (to, configs) {
        (_, []) => return Err(wrong("there is no configuration to write")),
        (Dialect::Compose, configs) => write(&compose::export(configs, &losses)?, Format::Yaml)?,
        (Dialect::DockerRun, [config]) => docker_run::export(config, &losses)?,
        (Dialect::Kubernetes, [config]) => write(&kubernetes::export(config, &losses)?, Format::Yaml)?,
        (Dialect::Oci, [config]) => write(&oci::export(config, &losses), Format::Json)?,
        _ => return Err(wrong("several configurations go into a Compose file alone; write them one by one")),
    };
    Ok((text, losses.all()))
}

/// The tree of a YAML text; Compose and kubectl merge what `<<` names.
fn merged(text: &str) -> Result<Value> {
    Document::parse_merging(text).and_then(|document| document.decode())
}
