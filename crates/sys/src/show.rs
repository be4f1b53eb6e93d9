//! Arguments of system calls as strace shows them; used when a call has failed, never before.

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A descriptor: `</the/path>`, `AT_FDCWD`, or `<fd 7>` where the path can't be read.
pub(crate) struct Fd<'a>(pub(crate) BorrowedFd<'a>);

/// [`Fd`] of anything that has one.
pub(crate) fn fd(fd: &impl AsFd) -> Fd<'_> {
    Fd(fd.as_fd())
}

impl fmt::Display for Fd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let number = self.0.as_raw_fd();
        if number == libc::AT_FDCWD {
            return f.write_str("AT_FDCWD");
        }
        match rustix::fs::readlink(format!("/proc/self/fd/{number}"), Vec::new()) {
            Ok(path) => write!(f, "<{}>", path.to_string_lossy()),
            Err(_) => write!(f, "<fd {number}>"),
        }
    }
}

/// A C string in double quotes, control characters escaped.
pub(crate) struct Text<'a>(pub(crate) &'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.0.to_bytes()))
    }
}

/// Names of set flags, `prefix` before each, joined by `|`; bits without a name in hexadecimal, none as `0`.
fn names(prefix: &str, named: impl Iterator<Item = &'static str>, rest: u64) -> String {
    let mut parts: Vec<String> = named.map(|name| format!("{prefix}{name}")).collect();
    if rest != 0 {
        parts.push(format!("{rest:#x}"));
    }
    if parts.is_empty() { "0".into() } else { parts.join("|") }
}

/// Flags of one of rustix's types by name.
pub(crate) trait Flags {
    /// As strace writes them.
    fn show(&self) -> String;
}

macro_rules! flags {
    ($($kind:ty: $prefix:literal;)*) => { $(
        impl Flags for $kind {
            fn show(&self) -> String {
                let mut iter = self.iter_names();
                let found: Vec<&'static str> = iter.by_ref().map(|(name, _)| name).collect();
                names($prefix, found.into_iter(), iter.remaining().bits().into())
            }
        }
    )* };
}

flags! {
    ResolveFlags: "RESOLVE_";
    MountAttrFlags: "";
    OpenTreeFlags: "";
    MoveMountFlags: "";
    MountFlags: "MS_";
    MountPropagationFlags: "MS_";
}

impl Flags for AtFlags {
    fn show(&self) -> String {
        let mut iter = self.iter_names();
        let found: Vec<&'static str> = iter.by_ref().map(|(name, _)| name).collect();
        names("AT_", found.into_iter(), iter.remaining().bits().into())
    }
}

impl Flags for UnmountFlags {
    fn show(&self) -> String {
        let mut iter = self.iter_names();
        let found: Vec<String> = iter
            .by_ref()
            .map(
                |(name, _)| if name == "NOFOLLOW" { "UMOUNT_NOFOLLOW".into() } else { format!("MNT_{name}") },
            )
            .collect();
        if found.is_empty() {
            names("", std::iter::empty(), iter.remaining().bits().into())
        } else {
            found.join("|")
        }
    }
}

impl Flags for OFlags {
    fn show(&self) -> String {
        let access = match *self & Self::ACCMODE {
            Self::WRONLY => "O_WRONLY",
            Self::RDWR => "O_RDWR",
            _ => "O_RDONLY",
        };
        let rest = *self - Self::ACCMODE;
        if rest.contains(Self::PATH) { rest.names() } else { format!("{access}|{}", rest.names()) }
    }
}

/// The part of [`OFlags`] that is not the access mode.
trait OpenNames {
    fn names(&self) -> String;
}

impl OpenNames for OFlags {
    fn names(&self) -> String {
        let mut iter = self.iter_names();
        let found: Vec<&'static str> = iter.by_ref().map(|(name, _)| name).collect();
        names("O_", found.into_iter(), iter.remaining().bits().into())
    }
}

/// Permission bits in octal.
pub(crate) fn mode(mode: Mode) -> String {
    format!("{:#05o}", mode.bits()).replacen("0o", "0", 1)
}
