//! The root file system: planned as data, built through file descriptors.
mod options;
pub use options::*;
