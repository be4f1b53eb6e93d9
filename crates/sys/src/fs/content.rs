//! Reading and writing what is in files and directories.

use super::{AtFlags, FileType, Mode, OFlags, openat, statat};
use crate::error::{Errno, Error, Fail, Result, retry, with_c_str};
use crate::show;
use rustix::fs::SeekFrom;
use rustix::path::Arg;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// `read(2)`; 0 at the end of the file.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len();
    retry(|| rustix::io::read(&fd, &mut *buffer)).fail(|| format!("read({}, {length})", show::fd(&fd)))
}

/// Everything from the descriptor's position to the end; `EFBIG` if that is more than `max` bytes.
pub fn read_to_end(fd: impl AsFd, max: usize) -> Result<Vec<u8>> {
    read_until(fd, max, |_| false)
}

/// The same of a file that ends where the kernel gives less than was asked for: a regular one of a local file system,
/// or one of those in `/proc` that are made as a whole. It saves the read that says so.
pub fn read_regular(fd: impl AsFd, max: usize) -> Result<Vec<u8>> {
    read_until(fd, max, |bytes| bytes.len() < bytes.capacity())
}

fn read_until(fd: impl AsFd, max: usize, ends: impl Fn(&Vec<u8>) -> bool) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().max(4096));
        }
        let count = retry(|| rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut bytes)))
            .fail(|| format!("read({})", show::fd(&fd)))?;
        if bytes.len() > max {
            return Err(Error::new(format!("read({}): more than {max} bytes", show::fd(&fd)), Errno::FBIG));
        }
        if count == 0 || ends(&bytes) {
            return Ok(bytes);
        }
    }
}

/// From the descriptor's position on, at most `max` bytes; the rest is left unread.
pub fn read_up_to(fd: impl AsFd, max: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; max];
    let mut filled = 0;
    while filled < max {
        match read(&fd, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// `pread(2)`: what is there from `offset` on, as much as the buffer takes; 0 at the end of the file.
pub fn pread(fd: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let length = buffer.len();
    retry(|| rustix::io::pread(&fd, &mut *buffer, offset))
        .fail(|| format!("pread({}, {length}, {offset})", show::fd(&fd)))
}

/// A single `pwrite(2)`; a short write is an error (`EIO`).
pub fn pwrite_once(fd: impl AsFd, bytes: &[u8], offset: u64) -> Result<()> {
    let call = || format!("pwrite({}, {} bytes, {offset})", show::fd(&fd), bytes.len());
    match retry(|| rustix::io::pwrite(&fd, bytes, offset)).fail(call)? {
        count if count == bytes.len() => Ok(()),
        count => Err(Error::new(format!("{} = {count}", call()), Errno::IO)),
    }
}

/// `ftruncate(2)`.
pub fn ftruncate(fd: impl AsFd, length: u64) -> Result<()> {
    retry(|| rustix::fs::ftruncate(&fd, length)).fail(|| format!("ftruncate({}, {length})", show::fd(&fd)))
}

/// `splice(2)` from a pipe into a file at `offset`, without waiting: how much it was, 0 if nobody has the pipe open for
/// writing, `None` if there is nothing at the moment. What was moved is in the file and no more in the pipe, whenever
/// the caller is killed.
pub fn splice_to_file(pipe: impl AsFd, file: impl AsFd, offset: u64, length: usize) -> Result<Option<usize>> {
    let flags = rustix::pipe::SpliceFlags::NONBLOCK;
    let spliced = retry(|| {
        let mut offset = offset;
        rustix::pipe::splice(&pipe, None, &file, Some(&mut offset), length, flags)
    });
    match spliced {
        Err(Errno::AGAIN) => Ok(None),
        moved => moved
            .map(Some)
            .fail(|| format!("splice({}, {}, {offset}, {length})", show::fd(&pipe), show::fd(&file))),
    }
}

/// `lseek(2)` to the beginning.
pub fn rewind(fd: impl AsFd) -> Result<()> {
    let sought = rustix::fs::seek(&fd, SeekFrom::Start(0)).map(drop);
    sought.fail(|| format!("lseek({}, 0, SEEK_SET)", show::fd(&fd)))
}

/// The whole of a file, at most `max` bytes of it (`EFBIG` otherwise); a symbolic link at `path` is followed.
pub fn read_file_at(dir: impl AsFd, path: impl Arg, max: usize) -> Result<Vec<u8>> {
    read_to_end(openat(dir, path, OFlags::RDONLY | OFlags::NOCTTY, Mode::empty())?, max)
}

/// As [`read_file_at`], of a file as [`read_regular`] has it.
pub fn read_regular_at(dir: impl AsFd, path: impl Arg, max: usize) -> Result<Vec<u8>> {
    read_regular(openat(dir, path, OFlags::RDONLY | OFlags::NOCTTY, Mode::empty())?, max)
}

/// Writes an existing file by a single `write(2)`, as files of procfs, sysfs and cgroups want it; a short
/// write is an error (`EIO`). A symbolic link at `path` is followed, and what was behind `bytes` in a longer
/// file stays.
pub fn write_file_at(dir: impl AsFd, path: impl Arg, bytes: &[u8]) -> Result<()> {
    with_c_str("openat", path, |path| {
        write_once(openat(&dir, path, OFlags::WRONLY | OFlags::NOCTTY, Mode::empty())?, bytes)
    })
}

/// A single `write(2)`, as files of procfs, sysfs and cgroups want it; a short write is an error (`EIO`).
pub fn write_once(fd: impl AsFd, bytes: &[u8]) -> Result<()> {
    let call = || format!("write({}, {})", show::fd(&fd), show::data(bytes));
    match retry(|| rustix::io::write(&fd, bytes)).fail(call)? {
        count if count == bytes.len() => Ok(()),
        count => Err(Error::new(format!("{} = {count}", call()), Errno::IO)),
    }
}

/// `write(2)`: how many of the bytes were taken.
pub fn write(fd: impl AsFd, bytes: &[u8]) -> Result<usize> {
    retry(|| rustix::io::write(&fd, bytes))
        .fail(|| format!("write({}, {} bytes)", show::fd(&fd), bytes.len()))
}

/// Writes all of `bytes`, in as many `write(2)` as it takes.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let call = || format!("write({}, {} bytes)", show::fd(&fd), bytes.len());
        match retry(|| rustix::io::write(&fd, bytes)).fail(call)? {
            0 => return Err(Error::new(call(), Errno::IO)),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// The entries of a directory, without `.` and `..`, in the file system's order. The descriptor's own
/// position does not move, and `O_PATH` will do.
pub fn read_dir(fd: impl AsFd) -> Result<Vec<(OsString, FileType)>> {
    let call = || format!("getdents64({})", show::fd(&fd));
    let own = openat(&fd, c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::new(own).fail(call)? {
        let entry = entry.fail(call)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        entries.push((OsStr::from_bytes(name.to_bytes()).to_owned(), kind));
    }
    Ok(entries)
}

/// Copies up to `length` bytes from the one file's position to the other's by `sendfile(2)`; the number of
/// bytes that were there to copy.
pub fn copy_file(from: impl AsFd, to: impl AsFd, length: u64) -> Result<u64> {
    let mut copied = 0;
    while copied < length {
        let chunk = usize::try_from(length - copied).unwrap_or(usize::MAX).min(0x7fff_f000);
        match retry(|| rustix::fs::sendfile(&to, &from, None, chunk))
            .fail(|| format!("sendfile({}, {}, NULL, {chunk})", show::fd(&to), show::fd(&from)))?
        {
            0 => break,
            count => copied += count as u64,
        }
    }
    Ok(copied)
}

/// Gives `to` the content of `from` without copying it: both share it until one is written to (ioctl_ficlone(2)).
///
/// # Errors
/// The kernel's answer: `EOPNOTSUPP`, `EXDEV` or `EINVAL` where they can't.
pub fn ficlone(to: impl AsFd, from: impl AsFd) -> Result<()> {
    rustix::fs::ioctl_ficlone(&to, &from)
        .fail(|| format!("ioctl({}, FICLONE, {})", show::fd(&to), show::fd(&from)))
}

/// Where the next data of a file begins, from a place on, and where it ends; `None` if a hole reaches to the end (lseek(2)).
pub fn next_data(fd: impl AsFd, from: u64) -> Result<Option<(u64, u64)>> {
    let seek = |to: SeekFrom, word: &str| {
        rustix::fs::seek(&fd, to).fail(|| format!("lseek({}, {from}, {word})", show::fd(&fd)))
    };
    let start = match seek(SeekFrom::Data(from), "SEEK_DATA") {
        Err(e) if e.errno() == Errno::NXIO => return Ok(None),
        start => start?,
    };
    Ok(Some((start, seek(SeekFrom::Hole(start), "SEEK_HOLE")?)))
}
