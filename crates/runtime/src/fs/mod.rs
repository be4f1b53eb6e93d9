//! The root file system: planned as data, built through file descriptors.
//!
//! ```text
//! plan ──► prepare ──► clone ──► build ──► hooks ──► console ──► finish ──► enter
//! data     runtime               init, in the new mount namespace ……………………………………
//! ```
//!
//! - [`plan()`] decides everything that can be decided from `config.json`; it touches nothing.
//! - [`prepare()`] opens what only the runtime can, before there is a container.
//! - [`build()`] makes the mounts, devices and links; [`Rootfs`] then gets its last changes and is entered.
//!
//! After the root file system was opened, only descriptors are used: a path of the container is resolved once
//! ([`Resolver`]), inside the root, and what it led to is held until the mount is on it.

mod cgroupfs;
mod copyup;
mod devices;
mod enter;
mod finish;
mod idmap;
mod mounting;
mod options;
mod plan;
mod prepare;
mod procfs;
mod resolve;
mod rootfs;
mod sysctl;
pub mod users;

pub use cgroupfs::{CgroupHierarchy, CgroupView};
pub use copyup::copy as copy_tree;
pub use devices::DevicePlan;
pub use enter::Entered;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use enter::fuzz_mounts;
pub use finish::devpts;
pub use options::{Attributes, MountOptions, Propagation, known_options, parse};
pub use plan::{
    Filesystem, Idmap, MountKind, MountPlan, Options, RootfsPlan, Superblock, Symlink, Users, plan,
};
pub use prepare::{Prepared, prepare};
pub use procfs::Procfs;
pub use resolve::{Links, Make, Resolver};
pub use rootfs::{Rootfs, build};
pub use sysctl::apply_sysctls;

/// A path of the container, cleaned.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz_path(path: &str) -> crate::error::Result<String> {
    plan::clean_inside(&"path", path)
}
