//! cgroups on the machine as it is (hybrid), and as seen with v1 or cgroup2 alone.

pub(crate) mod create;
pub(crate) mod entry;
pub(crate) mod members;
pub(crate) mod rights;
mod support;
pub(crate) mod v1_alone;
pub(crate) mod v2_alone;
