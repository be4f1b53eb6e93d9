//! What is wrong with a configuration: all of it at once, each with where, what, why and the way out.

mod host;
mod image;
mod limits;
mod mounts;
mod names;
mod network;
mod options;
mod process;
mod report;

pub use limits::Host;
pub use report::{strict, Finding, Severity};

use crate::{ContainerConfig, Error, Mount, NetworkConfig, ResourceLimits, Result, Volume};
use report::Report;

/// Everything that can be said about a configuration, in the order of its fields. What is absent is fine, but for the
/// image (an error) and the four limits (warnings). Limits are compared with this machine's CPUs and memory.
pub fn check_config(config: &ContainerConfig) -> Vec<Finding> {
    check_config_on(config, &Host::here())
}

/// As [`check_config`], for another machine.
pub fn check_config_on(config: &ContainerConfig, host: &Host) -> Vec<Finding> {
    let mut report = Report::default();
    image::check(&config.image, &mut report);
    process::check(config, &mut report);
    report.within("resource_limits", |report| {
        limits::check(config.resource_limits.as_ref().unwrap_or(&ResourceLimits::default()), host, report);
    });
    limits::entropy(config.minimum_entropy, &mut report);
    mounts::check(config, &mut report);
    if let Some(network) = &config.network {
        report.within("network", |report| network::check(network, report));
    }
    options::check(config, &mut report);
    host::check(config, &mut report);
    report.findings()
}

/// Refuses a configuration that has errors; the error tells of warnings, too.
///
/// ```
/// use forgeone_config::{validate_config, ContainerConfig};
/// let error = validate_config(&ContainerConfig::builder().image("Nginx").build()).unwrap_err();
/// let finding = &error.findings()[0];
/// assert_eq!((finding.path.as_str(), finding.code), ("image", "image.format"));
/// ```
///
/// # Errors
/// [`Error::findings`] has all that was found, if there is an error among it.
pub fn validate_config(config: &ContainerConfig) -> Result<()> {
    answer(check_config(config))
}

/// Refuses what is no image: neither a reference by the grammar of the OCI distribution specification (1.1, "pulling
/// manifests"), nor a path, nor `oci:`, `oci-archive:`, `docker-archive:` or `forgepkg:` and a path.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_image_format(image: &str) -> Result<()> {
    part(|report| image::check(image, report))
}

/// Refuses limits that nothing could run in; what is missing or more than this machine has is a warning.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_resource_limits(limits: &ResourceLimits) -> Result<()> {
    part(|report| limits::check(limits, &Host::here(), report))
}

/// Refuses what is no number of bits from 0 to 512; less than 128 is a warning.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_minimum_entropy(entropy: f64) -> Result<()> {
    part(|report| limits::entropy(Some(entropy), report))
}

/// Refuses mounts whose destination isn't an absolute path without detours, is there twice, or is one of the kernel's
/// directories; and sources that don't fit the type.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_mounts(mounts: &[Mount]) -> Result<()> {
    let config = ContainerConfig { mounts: Some(mounts.to_vec()), ..ContainerConfig::default() };
    part(|report| mounts::check(&config, report))
}

/// Refuses volumes without a proper name, and paths as [`validate_mounts`] does.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_volumes(volumes: &[Volume]) -> Result<()> {
    let config = ContainerConfig { volumes: Some(volumes.to_vec()), ..ContainerConfig::default() };
    part(|report| mounts::check(&config, report))
}

/// Refuses addresses that are none, a gateway outside of the address's network, ports in each other's way, names that
/// DNS doesn't allow, and what the mode can't have.
///
/// # Errors
/// As [`validate_config`].
pub fn validate_network_config(network: &NetworkConfig) -> Result<()> {
    part(|report| network::check(network, report))
}

fn part(check: impl FnOnce(&mut Report)) -> Result<()> {
    let mut report = Report::default();
    check(&mut report);
    answer(report.findings())
}

fn answer(findings: Vec<Finding>) -> Result<()> {
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::invalid(findings));
    }
    Ok(())
}
