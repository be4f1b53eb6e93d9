//! The register of containers on this machine: what they are made of, and where that is kept.

pub mod rootfs;
