//! The register: containers, and their root file systems.

pub(crate) mod containers;
mod house;
pub(crate) mod rootfs;
