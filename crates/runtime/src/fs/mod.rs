//! The root file system: planned as data, built through file descriptors.

mod options;
mod resolve;
pub use options::*;
pub use resolve::{Links, Make, Resolver};
