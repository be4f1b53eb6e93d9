//! From a configuration and what its image says to a `config.json`: all decisions, on plain data, without side effects.
//!
//! What the configuration leaves open is the image's, and what both leave open is the default, which is the safe one: own
//! namespaces, few capabilities, no new privileges, a filter of system calls, nothing of the kernel to write to.
//! [`Found`] is all that the host and the container's files have to say to it.

pub(super) mod capabilities;
mod filter;
pub(super) mod mounts;
pub(super) mod namespaces;
mod process;
mod profile;
mod resources;
mod security;
#[cfg(test)]
mod tests;
pub(super) mod user;

pub(super) use profile::read as read_profile;
pub(super) use security::profile_file;

use super::found::Found;
use super::given::Given;
use super::image::ImageConfig;
use super::record::Record;
use crate::error::{Error, Kind, Result};
use crate::spec::{Root, Spec, VERSION};
use forgeone_config::ContainerConfig;
use user::User;

/// What a `config.json` is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    pub(super) record: &'a Record,
    pub(super) user: &'a User,
    pub(super) found: &'a Found,
    /// What networks gave it.
    pub(super) given: &'a Given,
}

impl<'a> Inputs<'a> {
    fn config(&self) -> &'a ContainerConfig {
        &self.record.config
    }

    fn image(&self) -> &'a ImageConfig {
        &self.record.image_config
    }

    fn privileged(&self) -> bool {
        self.config().privileged == Some(true)
    }

    /// The container's name for itself.
    fn hostname(&self) -> String {
        let network = self.config().network.as_ref();
        match network.and_then(|network| network.hostname.clone()) {
            Some(name) => name,
            None if namespaces::shares_host_network(self.config()) => self.found.hostname.clone(),
            None => super::short(&self.record.id).to_owned(),
        }
    }
}

/// Makes the `config.json`.
///
/// # Errors
/// What can't be had, by the field's name.
pub(super) fn make(inputs: &Inputs) -> Result<Spec> {
    let mut spec = Spec {
        version: VERSION.to_owned(),
        process: Some(process::make(inputs)?),
        root: Some(Root {
            path: "rootfs".to_owned(),
            readonly: inputs.config().read_only == Some(true),
            ..Root::default()
        }),
        mounts: mounts::make(inputs)?,
        annotations: inputs.config().annotations.clone().unwrap_or_default().into_iter().collect(),
        ..Spec::default()
    };
    let mut linux = namespaces::make(inputs)?;
    if namespaces::own_uts(inputs.config()) {
        spec.hostname = inputs.hostname();
        spec.domainname = inputs
            .config()
            .network
            .as_ref()
            .and_then(|network| network.domain_name.clone())
            .unwrap_or_default();
    }
    linux.resources = Some(resources::make(inputs)?);
    linux.devices = inputs.found.devices.iter().map(|device| device.node()).collect();
    linux.sysctl = inputs.config().sysctls.clone().unwrap_or_default().into_iter().collect();
    security::apply(inputs, &mut spec, &mut linux)?;
    spec.linux = Some(Box::new(linux));
    Ok(spec)
}

/// A configuration that can't be.
fn refuse(field: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{field}: {cause}"))
}
