//! The firewall: real packets between namespaces, and what nft(8) lists.

pub(crate) mod isolation;
pub(crate) mod policies;
pub(crate) mod ports;
mod stage;
pub(crate) mod table;
