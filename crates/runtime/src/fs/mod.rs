//! The root file system: planned as data, built through file descriptors.
