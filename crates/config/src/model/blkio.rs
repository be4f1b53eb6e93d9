//! What a container may do with block devices.

use serde::{Deserialize, Serialize};

/// Weight and rates; absent means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BlkioConfig {
    /// Its weight beside others: 10 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u64>,
    /// Bytes read a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_read_bps: Option<Vec<DeviceRate>>,
    /// Bytes written a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_write_bps: Option<Vec<DeviceRate>>,
    /// Reads a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_read_iops: Option<Vec<DeviceRate>>,
    /// Writes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_write_iops: Option<Vec<DeviceRate>>,
}

/// A block device and how much of it a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceRate {
    /// Its path on the host.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}
