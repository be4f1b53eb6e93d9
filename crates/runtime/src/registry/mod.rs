//! The register of containers on this machine: what they are made of, and where that is kept.
//!
//! ```text
//!  image or path ─► ContainerConfig ─► create_container ─► containers/<id>/
//!                                                            │ start: the monitor mounts the root file system,
//!                                                            ▼ then asks `prepare` for config.json
//!                                                          the door
//! ```

mod connect;
mod container;
mod create;
mod creation;
mod found;
mod given;
mod image;
mod init;
mod names;
mod network;
mod places;
mod prepare;
mod record;
mod register;
mod remove;
pub mod rootfs;
mod spec;
mod tree;
mod usage;
mod volumes;
mod words;

pub use container::{Container, Removal};
pub use creation::{Creation, SourceKind};
pub use given::Given;
pub use image::{Healthcheck, ImageConfig, Nothing};
pub use init::init;
pub use names::{SHORT, new_id, short};
pub(crate) use network::Wanted;
pub use places::Places;
#[cfg(test)]
pub(crate) use places::tests::nowhere;
pub use record::{AnonymousVolume, Record};
pub use register::Register;
pub(crate) use register::replace;
pub use spec::user::{User, resolve as resolve_user};
pub use usage::disk_usage;
pub use volumes::{Volume, Volumes};

use crate::error::Result;
use forgeone_config::ContainerConfig;

/// Makes a container from an image, and registers it; it is started by its id.
///
/// `image_path` is an image's name, a path or a word such as `oci:PATH`, and beats `config.image`. In this order:
///
/// 1. an id is generated, unless `container_id` is one;
/// 2. the container's DNA is made from the configuration, the image's digest and 256 random bits;
/// 3. its contract is made from what the configuration says about trust;
/// 4. its file system is made: layers and what is to be above them;
/// 5. it is registered, with its name;
/// 6. its life begins: it is `created`;
/// 7. its metrics have a place: the cgroup that is named after its id;
/// 8. labels, annotations and volumes are applied;
/// 9. the id is given back.
///
/// # Errors
/// A configuration that isn't valid, or asks for what can't be checked or isn't built (issuers, an entropy, engines),
/// before anything was made. If a later step fails nothing stays.
pub fn create_container(
    image_path: &str,
    container_id: Option<&str>,
    config: Option<&ContainerConfig>,
) -> Result<String> {
    let register = Register::open(Places::of_machine()?)?;
    let container = register.create(image_path, container_id, config, &Creation::default())?;
    Ok(container.id().to_owned())
}
