//! How a container is made, as far as that is no part of its configuration.

/// See [`Register::create`](super::Register::create).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// What the image's word means; found out where absent.
    pub source: Option<SourceKind>,
    /// `overlay`, `btrfs` or `vfs`; found out where absent.
    pub storage_driver: Option<String>,
    /// Whether the container's environment begins with the caller's.
    pub host_environment: bool,
    /// Whether the container is removed when it has ended.
    pub auto_remove: bool,
}

/// What the image's word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A reference, `oci:`, `oci-archive:` or `docker-archive:`.
    Image,
    /// A directory that is the root file system.
    Directory,
    /// A tar of a root file system.
    Archive,
    /// A disk image.
    Disk,
}

impl SourceKind {
    /// As `forgeone-image rootfs --type` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Directory => "directory",
            Self::Archive => "archive",
            Self::Disk => "disk",
        }
    }
}
