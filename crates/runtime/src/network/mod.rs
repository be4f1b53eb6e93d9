//! The container's network: interfaces of the host that are given to it, and networks that containers share.

mod addresses;
mod asked;
mod bridge;
mod connect;
mod devices;
pub mod firewall;
mod host;
mod inside;
mod link;
mod model;
mod namespace;
mod networks;
pub mod policy;
mod pools;
mod rate;
pub mod resolver;
mod store;
pub mod user;

pub use asked::Asked;
pub(crate) use devices::is_interface_name;
pub use devices::{DevicePlan, Moved, move_in, plan};
pub use model::{Attachment, Driver, Endpoint, Mac, Network, Populated, Port, Protocol, Subnet, Vlan};
pub use namespace::{Counters, new_namespace, statistics};
pub use networks::Networks;
