//! The root file system: with the newest calls, with those of Linux 5.2 and later answering ENOSYS or EPERM, and
//! without mount_setattr alone.

pub(crate) mod attacks;
pub(crate) mod cgroups;
pub(crate) mod kernel;
pub(crate) mod mounts;
pub(crate) mod roots;
pub(crate) mod support;
pub(crate) mod users;
