//! The runtime's own binary can't be written from inside (CVE-2019-5736).
//!
//! A process inside can reach the file that it was executed from, through `/proc/PID/exe`. So before any
//! namespace call the door executes itself again from a place where nobody can write:
//!
//! - a detached read-only mount of the binary alone, whose only descriptor is closed by that very exec (with the
//!   tree still open, even a mapped root could clear read-only again), or
//! - where mounting isn't allowed or this kernel can't: a sealed copy in memory.
//!
//! It is skipped where the binary can't be written anyway: on a read-only file system, and for an ordinary
//! user whom the file doesn't belong to, since no user namespace of theirs can map its owner.

use crate::error::{During, Error, Result};
use crate::faults;
use forgeone_sys::fs::{self, AtFlags, FileType, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags, OpenTreeFlags};
use forgeone_sys::process;
use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

const SELF: &str = "/proc/self/exe";

/// Comes back only in a process that was executed from a protected place.
///
/// Nothing that belongs to the caller survives the exec but what exec keeps: arguments, environment,
/// descriptors without CLOEXEC. Call it first.
pub fn protect() -> Result<()> {
    if is_protected()? || faults::without("own-binary") {
        return Ok(());
    }
    let args = strings(forgeone_sys::entry::args().into_iter());
    let env = strings(std::env::vars_os().map(|(mut key, value)| {
        key.push("=");
        key.push(value);
        key
    }));
    let file = match read_only_mount() {
        Ok(file) => file,
        Err(_) => sealed_copy().during(|| "protect the runtime's binary")?,
    };
    let failed = process::execveat(&file, c"", &args, &env, AtFlags::EMPTY_PATH);
    Err(Error::from(failed).during("execute the runtime from its protected place"))
}

fn strings(values: impl Iterator<Item = OsString>) -> Vec<CString> {
    values.filter_map(|value| CString::new(value.into_vec()).ok()).collect()
}

fn is_protected() -> Result<bool> {
    let place = fs::statfs(SELF)?;
    Ok(place.is_read_only || (place.is_tmpfs && is_sealed()?) || is_out_of_reach()?)
}

/// Whether this is a sealed copy in memory, which is on a tmpfs of the kernel's own.
fn is_sealed() -> Result<bool> {
    match fs::open(SELF, OFlags::RDONLY, Mode::empty()) {
        Ok(file) => Ok(fs::is_sealed(&file)),
        // An execute-only binary: not a copy of ours.
        Err(_) => Ok(false),
    }
}

/// Whether neither the caller nor anyone in a user namespace of the caller's could write the file.
fn is_out_of_reach() -> Result<bool> {
    let uid = process::geteuid();
    if uid == 0 {
        return Ok(false);
    }
    let stat = fs::statat(fs::CWD, SELF, AtFlags::empty())?;
    let others = Mode::WGRP | Mode::WOTH;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(stat.st_uid != uid && regular && !Mode::from_raw_mode(stat.st_mode).intersects(others))
}

fn read_only_mount() -> forgeone_sys::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = mount::open_tree(fs::CWD, SELF, flags)?;
    mount::mount_setattr(
        &tree,
        "",
        false,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
        MountAttrFlags::empty(),
        None,
        None,
    )?;
    Ok(tree)
}

fn sealed_copy() -> forgeone_sys::Result<OwnedFd> {
    let source = fs::open(SELF, OFlags::RDONLY, Mode::empty())?;
    let length = fs::fstat(&source)?.st_size as u64;
    let copy = fs::memfd_create("forgeone", true)?;
    fs::copy_file(&source, &copy, length)?;
    fs::memfd_seal(&copy)?;
    Ok(copy)
}
