//! The container's network: interfaces of the host that are given to it, and networks that containers share.

mod devices;
mod model;
mod namespace;
pub mod policy;

pub use devices::{DevicePlan, Moved, move_in, plan};
pub use model::{Attachment, Driver, Endpoint, Mac, Network, Populated, Port, Protocol, Subnet, Vlan};
pub use namespace::{Counters, new_namespace, statistics};
