//! Arguments of system calls as strace shows them; used when a call has failed, never before.

use rustix::fs::{AtFlags, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, SealFlags};
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
            Ok(path) => write!(f, "<{}>", escaped(path.to_bytes())),
            Err(_) => write!(f, "<fd {number}>"),
        }
    }
}

/// Bytes as text of one line: control characters and what is not UTF-8 are escaped.
fn escaped(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// A C string in double quotes, control characters escaped.
pub(crate) struct Text<'a>(pub(crate) &'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&data(self.0.to_bytes()))
    }
}

/// How many bytes of a long string are shown; paths are no longer than this.
const TEXT_MAX: usize = 4096;

/// Bytes in double quotes, cut off (`...`) where they are too many to be read.
pub(crate) fn data(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(TEXT_MAX)];
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}

/// Flags by name.
pub(crate) trait Flags {
    /// As strace writes them: joined by `|`, bits without a name in hexadecimal, none as `0`.
    fn show(&self) -> String;
}

macro_rules! flags {
    ($($kind:ty, $name:expr;)*) => { $(
        impl Flags for $kind {
            fn show(&self) -> String {
                let mut iter = self.iter_names();
                let mut parts: Vec<String> = iter.by_ref().map(|(name, _)| $name(name)).collect();
                let rest = iter.remaining().bits();
                if rest != 0 {
                    parts.push(format!("{rest:#x}"));
                }
                if parts.is_empty() { "0".into() } else { parts.join("|") }
            }
        }
    )* };
}

flags! {
    AtFlags, at_name;
    MemfdFlags, |name| format!("MFD_{name}");
    MountAttrFlags, str::to_owned;
    MountFlags, |name| format!("MS_{name}");
    MountPropagationFlags, |name| format!("MS_{name}").replace("DOWNSTREAM", "SLAVE");
    MoveMountFlags, str::to_owned;
    OpenTreeFlags, str::to_owned;
    ResolveFlags, |name| format!("RESOLVE_{name}");
    SealFlags, |name| format!("F_SEAL_{name}");
    UnmountFlags, |name| format!("{}{name}", if name == "NOFOLLOW" { "UMOUNT_" } else { "MNT_" });
}

/// `EACCESS` has the number of `REMOVEDIR`, which is the one that is meant by the calls of this crate.
fn at_name(name: &str) -> String {
    format!("AT_{}", if name == "EACCESS" { "REMOVEDIR" } else { name })
}

impl Flags for OFlags {
    fn show(&self) -> String {
        let access = match *self & Self::ACCMODE {
            Self::WRONLY => Some("O_WRONLY"),
            Self::RDWR => Some("O_RDWR"),
            _ if self.contains(Self::PATH) => None,
            _ => Some("O_RDONLY"),
        };
        let rest = *self - Self::ACCMODE;
        let mut iter = rest.iter_names();
        let mut parts: Vec<String> = access.into_iter().map(str::to_owned).collect();
        parts.extend(iter.by_ref().map(|(name, _)| format!("O_{name}").replace("CREATE", "CREAT")));
        if !iter.remaining().is_empty() {
            parts.push(format!("{:#x}", iter.remaining().bits()));
        }
        parts.join("|")
    }
}

/// Permission bits in octal.
pub(crate) fn mode(mode: Mode) -> String {
    format!("0{:03o}", mode.bits())
}

/// The type of a file.
pub(crate) fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "S_IFREG",
        FileType::Directory => "S_IFDIR",
        FileType::Symlink => "S_IFLNK",
        FileType::Fifo => "S_IFIFO",
        FileType::Socket => "S_IFSOCK",
        FileType::CharacterDevice => "S_IFCHR",
        FileType::BlockDevice => "S_IFBLK",
        FileType::Unknown => "0",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_names_of_the_headers() {
        assert_eq!(OFlags::empty().show(), "O_RDONLY");
        assert_eq!((OFlags::PATH | OFlags::NOFOLLOW).show(), "O_NOFOLLOW|O_PATH");
        assert_eq!((OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).show(), "O_RDWR|O_CREAT|O_EXCL");
        assert_eq!(OFlags::from_bits_retain(0x8000_0001).show(), "O_WRONLY|0x80000000");
        assert_eq!(AtFlags::REMOVEDIR.show(), "AT_REMOVEDIR");
        assert_eq!(AtFlags::empty().show(), "0");
        assert_eq!(
            (ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).show(),
            "RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT"
        );
        assert_eq!(
            (MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).show(),
            "MS_SLAVE|MS_REC"
        );
        assert_eq!((UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).show(), "MNT_DETACH|UMOUNT_NOFOLLOW");
        assert_eq!(MountAttrFlags::MOUNT_ATTR_RDONLY.show(), "MOUNT_ATTR_RDONLY");
    }

    #[test]
    fn descriptors_are_shown_by_path_on_one_line() {
        assert_eq!(fd(&crate::fs::CWD).to_string(), "AT_FDCWD");
        let directory = std::env::temp_dir().join(format!("forgeone sys\n'{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let opened = std::fs::File::open(&directory).unwrap();
        let shown = fd(&opened).to_string();
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(shown, format!("</tmp/forgeone sys\\n'{}>", std::process::id()));
    }

    #[test]
    fn strings_and_modes_are_shown_as_strace_does() {
        assert_eq!(Text(c"a\tb\"c").to_string(), r#""a\tb\"c""#);
        assert_eq!(data(&[b'x'; 5000]).len(), 4096 + 5);
        assert_eq!(mode(Mode::from_raw_mode(0o644)), "0644");
        assert_eq!(mode(Mode::from_raw_mode(0o4755)), "04755");
        assert_eq!(mode(Mode::empty()), "0000");
    }
}
