//! `container.json`: what a container is, written when it was made. Secrets are never in it.

use super::image::ImageConfig;
use super::rootfs::{Image, RootfsPlan};
use crate::error::{Error, Kind, Result};
use forgeone_config::ContainerConfig;
use forgeone_sys::fs;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// The file's name.
pub(super) const FILE: &str = "container.json";

/// The largest file of a container that is read, in bytes.
const FILE_MAX: usize = 16 << 20;

/// What a container is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format's.
    pub version: u32,
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made (RFC 3339, UTC).
    pub created: String,
    /// The image; nothing for directories, archives and disk images.
    pub image: Option<Image>,
    /// What the image says.
    pub image_config: ImageConfig,
    /// What was asked for.
    pub config: ContainerConfig,
    /// The root file system.
    pub rootfs: RootfsPlan,
    /// Volumes that were made for this container alone: they go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anonymous_volumes: Vec<AnonymousVolume>,
    /// Whether it is removed when it has ended.
    #[serde(default)]
    pub auto_remove: bool,
}

/// A volume without a name of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnonymousVolume {
    /// The volume's name: 64 hexadecimal digits.
    pub name: String,
    /// Where it is inside.
    pub path: String,
}

impl Record {
    /// Reads it from a container's directory; `None` if there is none, since creating didn't end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if it can't be read, or is of another version.
    pub(crate) fn read(dir: impl AsFd, id: &str) -> Result<Option<Self>> {
        let damaged = |cause: String| Error::new(Kind::Damaged, format!("container {id}: {FILE}: {cause}"));
        let bytes = match fs::read_regular_at(&dir, FILE, FILE_MAX) {
            Err(e) if e.errno() == forgeone_sys::Errno::NOENT => return Ok(None),
            read => read.map_err(|e| damaged(e.to_string()))?,
        };
        let record: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        match record.version {
            VERSION => Ok(Some(record)),
            version => Err(damaged(format!("version {version} is not known to this version of forgeone"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::registry::rootfs::Base;
    use serde_json::Value;

    /// A container of this configuration, called web, whose image says so much.
    pub(in crate::registry) fn record(mut config: Value, image: Value) -> Record {
        config["image"] = "web".into();
        Record {
            version: VERSION,
            id: "0123456789abcdef".repeat(4),
            name: "web".to_owned(),
            created: String::new(),
            image: None,
            image_config: ImageConfig::parse(Some(&image)).unwrap(),
            config: serde_json::from_value(config).unwrap(),
            rootfs: RootfsPlan {
                base: Base::Directory("/r".into()),
                upper: None,
                driver: Default::default(),
            },
            anonymous_volumes: Vec::new(),
            auto_remove: false,
        }
    }
}
