//! Files, directories and descriptors.
//!
//! Nothing here resolves a path in a hostile tree but [`openat2`]; the other `*at` calls are for a single
//! component beneath a directory that was opened that way, or for trees that nobody else writes to.

mod content;
mod descriptor;
mod place;

pub use content::{
    copy_file, ficlone, ftruncate, next_data, pread, pwrite_once, read, read_dir, read_file_at, read_regular,
    read_regular_at, read_to_end, read_up_to, rewind, splice_to_file, write, write_all, write_file_at,
    write_once,
};
pub use descriptor::{
    cloexec, dup, dup2_stdio, fd_path, flock_exclusive, flock_shared, is_sealed, memfd_create, memfd_seal,
    pipe, set_cloexec, set_nonblocking, take_fd, try_flock, try_flock_shared,
};
pub use place::{Place, is_cgroup2, is_mount_root, is_nsfs, is_procfs, is_tmpfs, mount_id, statfs};
pub use rustix::stdio::{stderr, stdin, stdout};

use crate::error::{Errno, Fail, Result, retry, with_c_str};
use crate::show::{self, Flags, Text};
use rustix::path::Arg;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

pub use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatFs, Timespec, Timestamps, major, makedev, minor,
};

/// The current directory, as the directory argument of an `*at` call (`AT_FDCWD`).
pub const CWD: BorrowedFd<'static> = rustix::fs::CWD;

/// How often `openat2` is tried again when a rename or mount elsewhere raced with it (`EAGAIN`); a bound, so
/// that an attacker who renames without end gets an error and not a runtime that hangs.
const OPENAT2_TRIES: u32 = 128;

/// `openat2(2)` (Linux 5.6). `mode` counts only when a file is made.
pub fn openat2(
    dir: impl AsFd,
    path: impl Arg,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    with_c_str("openat2", path, |path| {
        let opened = try_openat2(&dir, path, flags, mode, resolve);
        opened.fail(|| show_openat2(&dir, path, flags, mode, resolve))
    })
}

/// The same for what may be missing: `None` for `ENOENT`, without the call that the text of an error takes.
pub fn openat2_if_there(
    dir: impl AsFd,
    path: impl Arg,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<Option<OwnedFd>> {
    with_c_str("openat2", path, |path| match try_openat2(&dir, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT) => Ok(None),
        opened => opened.map(Some).fail(|| show_openat2(&dir, path, flags, Mode::empty(), resolve)),
    })
}

fn try_openat2(
    dir: &impl AsFd,
    path: &CStr,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> std::result::Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if tries < OPENAT2_TRIES => tries += 1,
            result => return result,
        }
    }
}

fn show_openat2(dir: &impl AsFd, path: &CStr, flags: OFlags, mode: Mode, resolve: ResolveFlags) -> String {
    let (dir, path) = (show::fd(dir), Text(path));
    format!("openat2({dir}, {path}, {}, {}, {})", flags.show(), show::mode(mode), resolve.show())
}

/// `openat(2)`.
pub fn openat(dir: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    with_c_str("openat", path, |path| {
        retry(|| rustix::fs::openat(&dir, path, flags | OFlags::CLOEXEC, mode)).fail(|| {
            let (dir, path) = (show::fd(&dir), Text(path));
            match flags.intersects(OFlags::CREATE | OFlags::TMPFILE) {
                true => format!("openat({dir}, {path}, {}, {})", flags.show(), show::mode(mode)),
                false => format!("openat({dir}, {path}, {})", flags.show()),
            }
        })
    })
}

/// `open(2)`: [`openat`] from the current directory.
pub fn open(path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

/// `mkdirat(2)`; the umask applies to `mode`.
pub fn mkdirat(dir: impl AsFd, path: impl Arg, mode: u32) -> Result<()> {
    with_c_str("mkdirat", path, |path| {
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::mkdirat(&dir, path, mode)
            .fail(|| format!("mkdirat({}, {}, {})", show::fd(&dir), Text(path), show::mode(mode)))
    })
}

/// `mknodat(2)`; the umask applies to `mode`, and `major` and `minor` count only for devices.
pub fn mknodat(
    dir: impl AsFd,
    path: impl Arg,
    kind: FileType,
    mode: u32,
    major: u32,
    minor: u32,
) -> Result<()> {
    with_c_str("mknodat", path, |path| {
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::mknodat(&dir, path, kind, mode, makedev(major, minor)).fail(|| {
            let (dir, path, mode) = (show::fd(&dir), Text(path), show::mode(mode));
            format!("mknodat({dir}, {path}, {}|{mode}, makedev({major}, {minor}))", show::kind(kind))
        })
    })
}

/// `symlinkat(2)`: makes `path` in `dir` a symbolic link to `target`.
pub fn symlinkat(target: impl Arg, dir: impl AsFd, path: impl Arg) -> Result<()> {
    with_c_str("symlinkat", target, |target| {
        with_c_str("symlinkat", path, |path| {
            rustix::fs::symlinkat(target, &dir, path)
                .fail(|| format!("symlinkat({}, {}, {})", Text(target), show::fd(&dir), Text(path)))
        })
    })
}

/// `readlinkat(2)`; an empty path reads the link that `dir` itself is (opened with `O_PATH|O_NOFOLLOW`).
pub fn readlinkat(dir: impl AsFd, path: impl Arg) -> Result<PathBuf> {
    with_c_str("readlinkat", path, |path| {
        rustix::fs::readlinkat(&dir, path, Vec::new())
            .map(|target| PathBuf::from(OsString::from_vec(target.into_bytes())))
            .fail(|| format!("readlinkat({}, {})", show::fd(&dir), Text(path)))
    })
}

/// `unlinkat(2)`; `AtFlags::REMOVEDIR` for a directory.
pub fn unlinkat(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<()> {
    with_c_str("unlinkat", path, |path| {
        rustix::fs::unlinkat(&dir, path, flags)
            .fail(|| format!("unlinkat({}, {}, {})", show::fd(&dir), Text(path), flags.show()))
    })
}

/// `renameat(2)`: replaces `to` if it exists.
pub fn renameat(from_dir: impl AsFd, from: impl Arg, to_dir: impl AsFd, to: impl Arg) -> Result<()> {
    with_c_str("renameat", from, |from| {
        with_c_str("renameat", to, |to| {
            rustix::fs::renameat(&from_dir, from, &to_dir, to).fail(|| {
                let (from_dir, to_dir) = (show::fd(&from_dir), show::fd(&to_dir));
                format!("renameat({from_dir}, {}, {to_dir}, {})", Text(from), Text(to))
            })
        })
    })
}

/// `renameat2(2)` with `RENAME_EXCHANGE`: `a` becomes `b` and `b` becomes `a`, in the same directory. `EINVAL` where the
/// file system can't.
pub fn exchange(dir: impl AsFd, a: impl Arg, b: impl Arg) -> Result<()> {
    with_c_str("renameat2", a, |a| {
        with_c_str("renameat2", b, |b| {
            rustix::fs::renameat_with(&dir, a, &dir, b, rustix::fs::RenameFlags::EXCHANGE).fail(|| {
                let dir = show::fd(&dir);
                format!("renameat2({dir}, {}, {dir}, {}, RENAME_EXCHANGE)", Text(a), Text(b))
            })
        })
    })
}

/// `linkat(2)`: a second name `to` for the file `from`.
pub fn linkat(
    from_dir: impl AsFd,
    from: impl Arg,
    to_dir: impl AsFd,
    to: impl Arg,
    flags: AtFlags,
) -> Result<()> {
    with_c_str("linkat", from, |from| {
        with_c_str("linkat", to, |to| {
            rustix::fs::linkat(&from_dir, from, &to_dir, to, flags).fail(|| {
                let (from_dir, to_dir) = (show::fd(&from_dir), show::fd(&to_dir));
                format!("linkat({from_dir}, {}, {to_dir}, {}, {})", Text(from), Text(to), flags.show())
            })
        })
    })
}

/// `faccessat2(2)` for executing, with the rights that execve(2) would have: capabilities count. Before Linux 5.8 they
/// don't, since `access(2)` answers for the real user.
pub fn may_execute(path: impl Arg) -> Result<()> {
    with_c_str("faccessat2", path, |path| {
        rustix::fs::accessat(CWD, path, rustix::fs::Access::EXEC_OK, AtFlags::EACCESS)
            .fail(|| format!("faccessat2(AT_FDCWD, {}, X_OK, AT_EACCESS)", Text(path)))
    })
}

/// `fstat(2)`; works on `O_PATH` descriptors.
pub fn fstat(fd: impl AsFd) -> Result<Stat> {
    rustix::fs::fstat(&fd).fail(|| format!("fstat({})", show::fd(&fd)))
}

/// `fstatat(2)`.
pub fn statat(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<Stat> {
    with_c_str("fstatat", path, |path| {
        rustix::fs::statat(&dir, path, flags)
            .fail(|| format!("fstatat({}, {}, {})", show::fd(&dir), Text(path), flags.show()))
    })
}

/// `fstatfs(2)`; works on `O_PATH` descriptors.
pub fn fstatfs(fd: impl AsFd) -> Result<StatFs> {
    retry(|| rustix::fs::fstatfs(&fd)).fail(|| format!("fstatfs({})", show::fd(&fd)))
}

/// `syncfs(2)`: all that was written to the file system that has this file is on the disk.
pub fn syncfs(fd: impl AsFd) -> Result<()> {
    rustix::fs::syncfs(&fd).fail(|| format!("syncfs({})", show::fd(&fd)))
}

/// `fchownat(2)` with `AT_EMPTY_PATH`, so that it works on `O_PATH` descriptors too.
pub fn fchown(fd: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    let call = || format!("fchownat({}, \"\", {uid}, {gid}, AT_EMPTY_PATH)", show::fd(&fd));
    let (owner, group) = (crate::credentials::uid(uid).fail(call)?, crate::credentials::gid(gid).fail(call)?);
    rustix::fs::chownat(&fd, c"", Some(owner), Some(group), AtFlags::EMPTY_PATH).fail(call)
}

/// `fchmod(2)`; not for `O_PATH` descriptors (`EBADF`).
pub fn fchmod(fd: impl AsFd, mode: u32) -> Result<()> {
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::fchmod(&fd, mode).fail(|| format!("fchmod({}, {})", show::fd(&fd), show::mode(mode)))
}

/// `fchmodat(2)`: follows a symbolic link at `path`.
pub fn fchmodat(dir: impl AsFd, path: impl Arg, mode: u32) -> Result<()> {
    with_c_str("fchmodat", path, |path| {
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::chmodat(&dir, path, mode, AtFlags::empty())
            .fail(|| format!("fchmodat({}, {}, {})", show::fd(&dir), Text(path), show::mode(mode)))
    })
}

/// `utimensat(2)` with `AT_SYMLINK_NOFOLLOW`: when `path` itself was last read and last changed.
pub fn utimensat(dir: impl AsFd, path: impl Arg, times: &Timestamps) -> Result<()> {
    with_c_str("utimensat", path, |path| {
        rustix::fs::utimensat(&dir, path, times, AtFlags::SYMLINK_NOFOLLOW)
            .fail(|| format!("utimensat({}, {}, AT_SYMLINK_NOFOLLOW)", show::fd(&dir), Text(path)))
    })
}

/// `futimens(3)`: when a file was last read and last changed; not for `O_PATH` descriptors (`EBADF`).
pub fn futimens(fd: impl AsFd, times: &Timestamps) -> Result<()> {
    rustix::fs::futimens(&fd, times).fail(|| format!("futimens({})", show::fd(&fd)))
}

/// `setxattr(2)`: sets an extended attribute; a symbolic link at `path` is followed.
pub fn setxattr(path: impl Arg, name: &CStr, value: &[u8]) -> Result<()> {
    with_c_str("setxattr", path, |path| {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty())
            .fail(|| format!("setxattr({}, {}, {}, 0)", Text(path), Text(name), show::data(value)))
    })
}

/// `listxattr(2)`: the names of all extended attributes; a symbolic link at `path` is followed. None where the file
/// system has no such thing.
pub fn listxattr(path: impl Arg) -> Result<Vec<CString>> {
    with_c_str("listxattr", path, |path| {
        let mut names = Vec::new();
        let listed = sized(&mut names, |buffer| rustix::fs::listxattr(path, buffer));
        match listed {
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            listed => listed.fail(|| format!("listxattr({})", Text(path)))?,
        }
        Ok(names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
    })
}

/// `getxattr(2)`: an extended attribute; a symbolic link at `path` is followed. `ENODATA` if there is none.
pub fn getxattr(path: impl Arg, name: &CStr) -> Result<Vec<u8>> {
    with_c_str("getxattr", path, |path| {
        let mut value = Vec::new();
        sized(&mut value, |buffer| rustix::fs::getxattr(path, name, buffer))
            .fail(|| format!("getxattr({}, {})", Text(path), Text(name)))?;
        Ok(value)
    })
}

/// `removexattr(2)`: removes an extended attribute; a symbolic link at `path` is followed.
pub fn removexattr(path: impl Arg, name: &CStr) -> Result<()> {
    with_c_str("removexattr", path, |path| {
        rustix::fs::removexattr(path, name).fail(|| format!("removexattr({}, {})", Text(path), Text(name)))
    })
}

/// What a call writes into a buffer, which grows until it is large enough.
fn sized(
    bytes: &mut Vec<u8>,
    call: impl Fn(&mut [u8]) -> std::result::Result<usize, Errno>,
) -> std::result::Result<(), Errno> {
    /// The longest that the kernel has (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
    const MAX: usize = 1 << 16;
    bytes.resize(1 << 10, 0);
    loop {
        match call(bytes) {
            Err(Errno::RANGE) if bytes.len() < MAX => bytes.resize(MAX, 0),
            length => {
                bytes.truncate(length?);
                return Ok(());
            }
        }
    }
}
