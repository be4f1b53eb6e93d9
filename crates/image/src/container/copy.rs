//! `cp`: files between a container and the host. A path of the container is resolved inside its root, once, and only the
//! descriptor is used afterwards: no link of an image leads to the host.

use super::Container;
use crate::copy::Copier;
use crate::failure::Failure;
use crate::pack::{Form, Packer};
use crate::snapshot::Beside;
use crate::unpack;
use forgeone_cli::Call;
use forgeone_runtime::fs::{Links, Resolver};
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, OwnedFd};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Something that is to be copied or made: the directory that has it, and its name there.
struct Place {
    directory: OwnedFd,
    /// `None`: the directory itself.
    name: Option<OsString>,
}

/// `copy-out INSIDE OUTSIDE`; `-` is a tar archive on standard output.
pub(super) fn out(container: &Container, call: &Call) -> Result<(), Failure> {
    let (inside, outside) = (call.text(0)?, call.text(1)?);
    // Relative ones are the caller's: before anything is mounted.
    let host = fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let (root, _mounted) = container.look()?;
    let from = find(root.as_fd(), inside, &inside)?;
    if outside == "-" {
        return archive(&from, inside);
    }
    let outside = std::path::absolute(outside).map_err(Failure::new)?;
    // The host's links are its own.
    let outside = outside.to_str().ok_or_else(|| Failure::new("the path on the host is no UTF-8"))?;
    copy(from, host.as_fd(), outside, call)
}

/// `copy-in OUTSIDE INSIDE`; `-` is a tar archive on standard input.
pub(super) fn into(container: &Container, call: &Call) -> Result<(), Failure> {
    let (outside, inside) = (call.text(0)?, call.text(1)?);
    if outside == "-" {
        return unarchive(container, inside, call);
    }
    let absolute = std::path::absolute(outside).map_err(Failure::new)?;
    let host = fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let absolute = absolute.to_str().ok_or_else(|| Failure::new("the path on the host is no UTF-8"))?;
    let content = if outside.ends_with("/.") { "/." } else { "" };
    let from = find(host.as_fd(), &format!("{absolute}{content}"), &outside)?;
    let (root, _mounted) = container.enter()?;
    copy(from, root.as_fd(), inside, call)
}

/// What is at a path: a last link is itself what is meant, unless a directory is asked for.
fn find(root: BorrowedFd, path: &str, shown: &dyn std::fmt::Display) -> Result<Place, Failure> {
    let resolver = Resolver::default();
    let failed = |e: forgeone_sys::Error| Failure::new(format_args!("{shown}: {}", cause(&e)));
    let whole = path.trim_end_matches('/');
    if whole.is_empty() || path.ends_with("/.") || path.ends_with("/..") {
        let directory = resolver.open(root, &format!("/{path}/"), Links::Follow).map_err(failed)?;
        return Ok(Place { directory, name: None });
    }
    let (parent, name) = whole.rsplit_once('/').unwrap_or(("", whole));
    let directory = resolver.open(root, &format!("/{parent}/"), Links::Follow).map_err(failed)?;
    fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    if path.ends_with('/') {
        let directory = resolver.open(root, &format!("/{path}"), Links::Follow).map_err(failed)?;
        return Ok(Place { directory, name: None });
    }
    Ok(Place { directory, name: Some(name.into()) })
}

/// The kernel's answer alone: the path was said.
fn cause(e: &forgeone_sys::Error) -> String {
    forgeone_sys::describe(e.errno())
}

/// Copies to a path below `root`: into a directory that is there, or under that name.
fn copy(from: Place, root: BorrowedFd, to: &str, call: &Call) -> Result<(), Failure> {
    let resolver = Resolver::default();
    let failed = |e: forgeone_sys::Error| Failure::new(format_args!("{to}: {}", cause(&e)));
    // Whose copy it is decides whom it belongs to: the caller's, or the container's root's.
    let owner = (!call.flags.switch("archive")).then_some((0, 0));
    let mut copier = Copier::owned_by(owner);
    let there = resolver.find(root, &format!("/{to}"), Links::Follow).map_err(failed)?;
    let there = match there {
        Some(place) if is_directory(&place)? => Some(place),
        _ => None,
    };
    match (from.name, there) {
        // Its content, into what is there.
        (None, Some(target)) => {
            let target = fs::openat(&target, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            copier.content(from.directory.as_fd(), target.as_fd())
        }
        (Some(name), Some(target)) => copier.copy(from.directory.as_fd(), &name, target.as_fd(), &name),
        (name, None) => {
            let whole = to.trim_end_matches('/');
            let (parent, last) = whole.rsplit_once('/').unwrap_or(("", whole));
            if to.ends_with('/') || matches!(last, "" | "." | "..") {
                return Err(Failure::new(format_args!("{to}: there is no such directory")));
            }
            let parent = resolver.open(root, &format!("/{parent}/"), Links::Follow).map_err(failed)?;
            match name {
                Some(name) => copier.copy(from.directory.as_fd(), &name, parent.as_fd(), OsStr::new(last)),
                None => {
                    fs::mkdirat(&parent, last, 0o700)?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    let made = fs::openat(&parent, last, flags, Mode::empty())?;
                    copier.content(from.directory.as_fd(), made.as_fd())
                }
            }
        }
    }
}

fn is_directory(place: &OwnedFd) -> Result<bool, Failure> {
    Ok(FileType::from_raw_mode(fs::fstat(place)?.st_mode) == FileType::Directory)
}

fn archive(from: &Place, inside: &str) -> Result<(), Failure> {
    let mut packer = Packer::new(BufWriter::new(io::stdout().lock()), Form::Whole);
    match &from.name {
        Some(name) => packer.entry(from.directory.as_fd(), name, Path::new(name))?,
        None => packer.tree(from.directory.as_fd())?,
    }
    packer.finish()?.flush().map_err(|e| Failure::new(format_args!("{inside}: {e}")))
}

/// Unpacks an archive beside, as a layer is unpacked, and copies what came of it into a directory of the container.
fn unarchive(container: &Container, inside: &str, call: &Call) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format_args!("{}: {e}", container.directory.display()));
    let beside = Beside(container.directory.join("copy"));
    std::fs::create_dir(&beside.0).map_err(failed)?;
    let directory = fs::open(&beside.0, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    unpack::layer(io::stdin(), directory.as_fd())?;
    let (root, _mounted) = container.enter()?;
    let target = Resolver::default().open(root.as_fd(), &format!("/{inside}/"), Links::Follow);
    let target = target.map_err(|e| Failure::new(format_args!("{inside}: {}", cause(&e))))?;
    let owner = (!call.flags.switch("archive")).then_some((0, 0));
    let mut copier = Copier::owned_by(owner);
    for (name, _) in fs::read_dir(&directory)? {
        copier.copy(directory.as_fd(), &name, target.as_fd(), &name)?;
    }
    Ok(())
}
