//! The root file system: planned as data, built through file descriptors.

mod options;
mod procfs;
mod resolve;
mod sysctl;
pub mod users;
pub use options::*;
pub use procfs::Procfs;
pub use resolve::{Links, Make, Resolver};
pub use sysctl::apply_sysctls;
