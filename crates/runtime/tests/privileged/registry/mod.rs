//! The register: root file systems of containers.

pub(crate) mod rootfs;
