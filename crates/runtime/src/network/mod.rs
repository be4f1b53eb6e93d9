//! The container's network: interfaces of the host that are given to it.

mod devices;

pub use devices::{DevicePlan, Moved, move_in, plan};
