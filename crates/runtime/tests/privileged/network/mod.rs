//! Networks of containers, in network namespaces of the test's own.

pub(crate) mod connect;
pub(crate) mod faults;
pub(crate) mod keeper;
pub(crate) mod lan;
pub(crate) mod names;
pub(crate) mod networks;
pub(crate) mod resolver;
pub(crate) mod user;
