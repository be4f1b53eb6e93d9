//! A tree becomes a tar archive: the counterpart of unpacking, with everything that unpacking keeps.
//!
//! Entries come in the order of their names, so that the same tree gives the same archive. Attributes that plain tar has no
//! place for (pax: nanoseconds, extended attributes) stand before their entry.

use crate::copy::is_overlayfs_own;
use crate::failure::Failure;
use forgeone_sys::fs::{self, FileType, Mode, OFlags, Stat};
use forgeone_sys::{AsFd, BorrowedFd, OwnedFd};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// What kind of a tree it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All there is.
    Whole,
    /// An overlay's upper directory: whiteouts and opaque directories become those of an image's layer.
    Changes,
}

/// Writes an archive.
pub(crate) struct Packer<W: Write> {
    builder: Builder<W>,
    form: Form,
    /// Files with several names, by device and inode: the first one's name.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    pub(crate) fn new(to: W, form: Form) -> Self {
        Self { builder: Builder::new(to), form, links: HashMap::new() }
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> Result<W, Failure> {
        self.builder.into_inner().map_err(written)
    }

    /// A directory as the root of the archive, and all in it.
    pub(crate) fn tree(&mut self, root: BorrowedFd) -> Result<(), Failure> {
        let directory = fs::openat(root, ".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        self.place(&directory, Path::new("./"))
    }

    /// Something in a directory, under a name of its own.
    pub(crate) fn entry(&mut self, directory: BorrowedFd, name: &OsStr, path: &Path) -> Result<(), Failure> {
        let place = fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        self.place(&place, path)
    }

    fn place(&mut self, place: &OwnedFd, path: &Path) -> Result<(), Failure> {
        self.one(place, path).map_err(|failure| match failure.to_string().starts_with("pack ") {
            true => failure,
            false => failure.during(format_args!("pack {}", path.display())),
        })
    }

    fn one(&mut self, place: &OwnedFd, path: &Path) -> Result<(), Failure> {
        let stat = fs::fstat(place)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.form == Form::Changes && is_whiteout(&stat) {
            return self.empty(&path.with_file_name(whiteout(path)));
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let mut header = header(&stat, EntryType::Link, 0);
                return self.builder.append_link(&mut header, path, first).map_err(written);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        match kind {
            FileType::Directory => self.directory(place, &stat, path),
            FileType::RegularFile => {
                self.extended(place, &stat)?;
                // Through the place that was looked at: nobody can have put something else there meanwhile.
                let file = fs::open(fs::fd_path(place), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
                let size = stat.st_size as u64;
                // A file that is written to meanwhile has the size that its header says.
                let content = File::from(file).chain(io::repeat(0)).take(size);
                let mut header = header(&stat, EntryType::Regular, size);
                self.builder.append_data(&mut header, path, content).map_err(written)
            }
            FileType::Symlink => {
                self.time(&stat)?;
                let target = fs::readlinkat(place, "")?;
                let mut header = header(&stat, EntryType::Symlink, 0);
                self.builder.append_link(&mut header, path, target).map_err(written)
            }
            // Nobody listens at it any more.
            FileType::Socket => Ok(()),
            kind => {
                self.extended(place, &stat)?;
                let mut header = header(
                    &stat,
                    match kind {
                        FileType::Fifo => EntryType::Fifo,
                        FileType::BlockDevice => EntryType::Block,
                        _ => EntryType::Char,
                    },
                    0,
                );
                let set = |major, minor, header: &mut Header| {
                    header.set_device_major(major).and_then(|()| header.set_device_minor(minor))
                };
                set(fs::major(stat.st_rdev), fs::minor(stat.st_rdev), &mut header).map_err(written)?;
                self.builder.append_data(&mut header, path, io::empty()).map_err(written)
            }
        }
    }

    fn directory(&mut self, place: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), Failure> {
        self.extended(place, stat)?;
        let mut head = header(stat, EntryType::Directory, 0);
        self.builder.append_data(&mut head, path.join(""), io::empty()).map_err(written)?;
        if self.form == Form::Changes && is_opaque(place)? {
            self.empty(&path.join(".wh..wh..opq"))?;
        }
        let mut names = fs::read_dir(place)?;
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, _) in names {
            self.entry(place.as_fd(), &name, &path.join(&name))?;
        }
        Ok(())
    }

    /// A file that says something by its name.
    fn empty(&mut self, path: &Path) -> Result<(), Failure> {
        let mut header = Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.builder.append_data(&mut header, path, io::empty()).map_err(written)
    }

    /// What stands before an entry: its time and its extended attributes.
    fn extended(&mut self, place: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
        let mut attributes = Vec::new();
        for name in fs::listxattr(fs::fd_path(place))? {
            if !is_overlayfs_own(&name) {
                let value = fs::getxattr(fs::fd_path(place), &name)?;
                attributes.push((format!("SCHILY.xattr.{}", name.to_string_lossy()), value));
            }
        }
        attributes.sort();
        self.pax(stat, &attributes)
    }

    fn time(&mut self, stat: &Stat) -> Result<(), Failure> {
        self.pax(stat, &[])
    }

    fn pax(&mut self, stat: &Stat, attributes: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        let time = match (stat.st_mtime, stat.st_mtime_nsec) {
            (0.., 0) => None,
            (seconds, nanoseconds) => Some(format!("{seconds}.{nanoseconds:09}")),
        };
        let time = time.iter().map(|time| ("mtime", time.as_bytes()));
        let all = time.chain(attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        self.builder.append_pax_extensions(all).map_err(written)
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(stat.st_mtime.max(0) as u64);
    header
}

fn whiteout(path: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from(".wh.");
    name.push(path.file_name().unwrap_or_default());
    name
}

/// Whether it is overlayfs' mark of what was removed.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory hides all that is below.
pub(crate) fn is_opaque(place: &OwnedFd) -> Result<bool, Failure> {
    let names = fs::listxattr(fs::fd_path(place))?;
    let opaque = names.iter().find(|name| name.to_bytes().ends_with(b".overlay.opaque"));
    Ok(match opaque.filter(|name| is_overlayfs_own(name)) {
        Some(name) => OsStr::from_bytes(&fs::getxattr(fs::fd_path(place), name)?) == "y",
        None => false,
    })
}

fn written(e: io::Error) -> Failure {
    Failure::new(e)
}
