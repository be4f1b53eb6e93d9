//! The last changes to a built root file system, before it is entered: the console, what can't be read, what can't be
//! written.

use super::devices;
use super::mounting::{Changes, Lookup, Place};
use super::options::Attributes;
use super::plan::Filesystem;
use super::resolve::{Links, Resolver};
use super::rootfs::{NoUmask, Rootfs, kind};
use crate::error::{During, Error as RuntimeError, Kind, Result as RuntimeResult};
use crate::faults;
use forgeone_sys::fs::{self, FileType, Mode, OFlags};
use forgeone_sys::mount::MountAttrFlags;
use forgeone_sys::{Errno, Error, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The device number of `/dev/null`.
const NULL: (u32, u32) = (1, 3);

const READONLY: Attributes =
    Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, clear: MountAttrFlags::empty() };

/// The root of the devpts at `/dev/pts` inside `root`, to open a terminal in.
///
/// # Errors
/// [`Kind::Config`] if there is none.
pub fn devpts(root: impl AsFd, resolver: &Resolver) -> RuntimeResult<OwnedFd> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    let missing = || RuntimeError::new(Kind::Config, "process.terminal: needs a devpts mounted at /dev/pts");
    let dir = match resolver.open(root, "/dev/pts", Links::Follow) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
        found => found?,
    };
    match fs::fstatfs(&dir)?.f_type as u64 == DEVPTS_SUPER_MAGIC {
        true => Ok(dir),
        false => Err(missing()),
    }
}

impl Rootfs<'_> {
    /// The root of the container's devpts, to open a terminal in.
    ///
    /// # Errors
    /// [`Kind::Config`] if there is none at `/dev/pts`.
    pub fn devpts(&self) -> RuntimeResult<OwnedFd> {
        devpts(&self.root, &self.mounting.resolver)
    }

    /// Mounts a terminal on `/dev/console`: `peer` is the end of a pty of this container's devpts that programs use.
    ///
    /// # Errors
    /// The kernel's answer, or that `/dev/console` is a link or a directory.
    pub fn console(&self, peer: BorrowedFd) -> RuntimeResult<()> {
        self.bind_console(peer).during(|| "/dev/console")
    }

    fn bind_console(&self, peer: BorrowedFd) -> Result<()> {
        let _umask = NoUmask::new();
        let place = self.place_node("/dev/console", 0o666)?;
        let tree = self.mounting.tree_of(peer, false)?;
        self.mounting.attach(tree, Changes::default(), &place).map(drop)
    }

    /// A place for a node to be bound on: a file that is made if there is none, and never a link or a directory.
    pub(super) fn place_node<'p>(&'p self, path: &'p str, mode: u32) -> Result<Place<'p>> {
        let (dir, name) = self.mounting.resolver.parent(&self.root, path)?;
        match fs::mknodat(&dir, name, FileType::RegularFile, mode, 0, 0) {
            Err(e) if e.errno() == Errno::EXIST => {}
            result => result?,
        }
        let links = if faults::without("console") { OFlags::empty() } else { OFlags::NOFOLLOW };
        let fd = fs::openat(&dir, name, OFlags::PATH | links, Mode::empty())?;
        match kind(&fd)? {
            FileType::Symlink | FileType::Directory if !faults::without("console") => {
                Err(Error::new(format!("{path:?} is a link or a directory"), Errno::EXIST))
            }
            _ => Ok(Place { fd, lookup: Lookup::Inside(self.root.as_fd(), path, Links::Follow) }),
        }
    }

    /// The container's `/dev/null`, open for reading and writing, and checked to be the device that it is called: for a
    /// program's standard streams.
    ///
    /// # Errors
    /// The kernel's answer, or that it is something else.
    pub fn null(&self) -> RuntimeResult<OwnedFd> {
        // By the descriptor's own name, which leads to nothing but what was checked.
        let found = self.find_null()?;
        let place = fs::fd_path(&found);
        let number = place.file_name().unwrap_or_default();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        Ok(fs::openat(self.mounting.procfs.descriptors()?, number, flags, Mode::empty())?)
    }

    /// As a mere place.
    fn find_null(&self) -> Result<OwnedFd> {
        let null = self.mounting.resolver.open(&self.root, "/dev/null", Links::Follow)?;
        let stat = fs::fstat(&null)?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        match is_device && devices::number(&stat) == NULL {
            true => Ok(null),
            false => Err(Error::new("the container's /dev/null is not the device 1:3", Errno::NODEV)),
        }
    }

    /// Makes read-only what is to be, and hides what is to be hidden. Nothing can be mounted into it afterwards.
    ///
    /// # Errors
    /// The kernel's answer, with the field that it is about.
    pub fn finish(&self) -> RuntimeResult<()> {
        if faults::without("read-only") {
            return Ok(());
        }
        for (index, mount) in self.late.take() {
            let changed = self.mounting.set_attributes(&mount, READONLY, false);
            changed.during(|| &self.plan.mounts[index])?;
        }
        for path in &self.plan.readonly_paths {
            self.make_readonly(path).during(|| format!("linux.readonlyPaths: {path:?}"))?;
        }
        let mut masks = Masks::default();
        for path in &self.plan.masked_paths {
            self.mask(path, &mut masks).during(|| format!("linux.maskedPaths: {path:?}"))?;
        }
        self.spend(masks.directory.into_iter().chain(masks.file));
        if self.plan.readonly {
            self.mounting.set_attributes(&self.root, READONLY, false).during(|| "root.readonly")?;
        }
        Ok(())
    }

    /// What is at a path of the container; `None` if there is nothing.
    fn open(&self, path: &str) -> Result<Option<OwnedFd>> {
        match self.mounting.resolver.find(&self.root, path, Links::Follow) {
            Err(e) if e.errno() == Errno::NOTDIR => Ok(None),
            result => result,
        }
    }

    fn place_at<'p>(&'p self, path: &'p str) -> Result<Option<Place<'p>>> {
        let lookup = Lookup::Inside(self.root.as_fd(), path, Links::Follow);
        Ok(self.open(path)?.map(|fd| Place { fd, lookup }))
    }

    fn make_readonly(&self, path: &str) -> Result<()> {
        let Some(place) = self.place_at(path)? else { return Ok(()) };
        let tree = self.mounting.tree_of(place.fd.as_fd(), true)?;
        let changes = Changes { attributes: READONLY, ..Changes::default() };
        self.spend([self.mounting.attach(tree, changes, &place)?, place.fd]);
        Ok(())
    }

    fn mask(&self, path: &str, masks: &mut Masks) -> Result<()> {
        let Some(place) = self.place_at(path)? else { return Ok(()) };
        let covers_directory = kind(&place.fd)? == FileType::Directory;
        let source = match (covers_directory, &masks.directory, &masks.file) {
            (true, Some(mask), _) | (false, _, Some(mask)) => mask,
            (true, None, _) => {
                masks.directory = Some(self.cover(&place)?);
                self.spend([place.fd]);
                return Ok(());
            }
            (false, _, None) => masks.file.insert(self.find_null()?),
        };
        let tree = self.mounting.tree_of(source.as_fd(), false)?;
        self.spend([self.mounting.attach(tree, Changes::default(), &place)?, place.fd]);
        Ok(())
    }

    /// Covers a directory with an empty one that nobody can write to; gives the mount.
    pub(super) fn cover(&self, place: &Place) -> Result<OwnedFd> {
        let mut empty = Filesystem {
            fstype: "tmpfs".to_owned(),
            source: "tmpfs".to_owned(),
            // Its own directory needs one inode; some kernels insist on two.
            data: vec!["nr_blocks=1".to_owned(), "nr_inodes=2".to_owned()],
            ..Filesystem::default()
        };
        empty.label(&self.plan.mount_label);
        self.mounting.filesystem(&empty, READONLY, true, place, &|_| Ok(()))
    }
}

/// What paths are masked with, made when first needed.
#[derive(Default)]
struct Masks {
    directory: Option<OwnedFd>,
    file: Option<OwnedFd>,
}
