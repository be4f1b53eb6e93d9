//! The container's log: its streams in the format of Kubernetes' CRI, rotated by size and count.
//!
//! ```text
//! stdout ──splice──► spool ──read──► records ──append──► log      log.1, log.2 …: the ones before, the newest first
//! ```
//!
//! A piece of a pipe is first moved into a file beside the log, the spool, by a system call that moves it whole or not
//! at all. The spool's head says how long the log was before. So whenever the monitor is killed, the next one knows what
//! to do: it cuts the log to that length, and writes the records of what is in the spool again. Nothing is lost or
//! doubled.
//!
//! What can't be written, on a full disk for one, is dropped: the container isn't held up.

mod record;

pub use record::{Record, parse};

use crate::clock;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{AsFd, Errno, OwnedFd};

/// The file's name.
pub const FILE: &str = "log";

const SPOOL: &str = "log.spool";

/// Which stream a piece is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How large a file becomes, in bytes, before the next is begun. It may be exceeded by one piece of output.
    pub size: u64,
    /// How many files there are, this one and the ones before; at least 1.
    pub files: u32,
}

impl Default for Limits {
    /// 4 files of 16 MiB: a log doesn't fill a disk unless it is told to.
    fn default() -> Self {
        Self { size: 16 << 20, files: 4 }
    }
}

/// The log, open.
#[derive(Debug)]
pub(super) struct Log {
    dir: OwnedFd,
    file: OwnedFd,
    spool: OwnedFd,
    limits: Limits,
}

impl Log {
    /// Opens the log in a container's directory, and writes what an earlier monitor was about to write.
    pub(super) fn open(dir: &OwnedFd, limits: Limits) -> Result<Self> {
        let dir = fs::dup(dir)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let spool = fs::openat(&dir, SPOOL, flags, Mode::from_raw_mode(0o600)).during(|| "log")?;
        let mut log = Self { file: open(&dir)?, dir, spool, limits };
        log.recover()?;
        Ok(log)
    }

    /// Takes a piece out of a pipe and writes it: into `buffer`, and into the log. How much it was, 0 if there is nothing
    /// at the moment. A log that can't be written is told with it: the piece is missing in it.
    pub(super) fn take(
        &mut self,
        stream: Stream,
        pipe: &OwnedFd,
        buffer: &mut [u8],
    ) -> Result<(usize, Result<()>)> {
        let spooled = self.begin(stream).and_then(|head| {
            let length = head.spooled_from();
            Ok((head, fs::splice_to_file(pipe, &self.spool, length, buffer.len())?))
        });
        let (head, moved) = match spooled {
            Ok((_, None | Some(0))) => return Ok((0, Ok(()))),
            Ok((head, Some(moved))) => (head, moved),
            // No room for the spool either: read past it.
            Err(e) => return Ok((read_now(pipe, buffer)?, Err(e))),
        };
        let mut filled = 0;
        while filled < moved {
            match fs::pread(&self.spool, &mut buffer[filled..moved], head.spooled_from() + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let written = self.append(stream, head.length, &buffer[..filled]);
        fs::ftruncate(&self.spool, 0).during(|| "log")?;
        Ok((filled, written))
    }

    /// Writes a piece that was read already, of a terminal.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<()> {
        let length = self.rotated()?;
        self.append(stream, length, bytes)
    }

    /// Writes down where the log ends before a piece is added.
    fn begin(&mut self, stream: Stream) -> Result<Head> {
        let head = Head { length: self.rotated()?, stream };
        fs::pwrite_once(&self.spool, &head.bytes(), 0).during(|| "log")?;
        Ok(head)
    }

    /// How long the log is, after the next one was begun if this one is full.
    fn rotated(&mut self) -> Result<u64> {
        let length = length(&self.file)?;
        // A log that was taken away begins anew.
        let there = fs::fstat(&self.file)?.st_nlink > 0;
        if there && length < self.limits.size {
            return Ok(length);
        }
        if there {
            rotate(&self.dir, self.limits.files)?;
        }
        self.file = open(&self.dir)?;
        Ok(0)
    }

    /// Appends the records of a piece, all of them or none.
    fn append(&mut self, stream: Stream, length: u64, bytes: &[u8]) -> Result<()> {
        let written =
            record::write(bytes, stream, &clock::now(), |text| Ok(fs::write_all(&self.file, text)?));
        if written.is_err() {
            fs::ftruncate(&self.file, length).during(|| "log")?;
        }
        written.during(|| "log")
    }

    /// Finishes what an earlier monitor began.
    fn recover(&mut self) -> Result<()> {
        fs::rewind(&self.spool)?;
        let bytes = fs::read_to_end(&self.spool, 1 << 20).during(|| "log")?;
        if let Some((head, piece)) = Head::of(&bytes).filter(|(_, piece)| !piece.is_empty()) {
            if length(&self.file)? > head.length {
                fs::ftruncate(&self.file, head.length).during(|| "log")?;
            }
            self.append(head.stream, head.length, piece)?;
        }
        fs::ftruncate(&self.spool, 0).during(|| "log")
    }
}

/// The head of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// The log's length before this piece.
    length: u64,
    stream: Stream,
}

impl Head {
    const SIZE: usize = 9;

    fn spooled_from(self) -> u64 {
        Self::SIZE as u64
    }

    fn bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [u8::from(self.stream == Stream::Stderr); Self::SIZE];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (stream, piece) = rest.split_first()?;
        let stream = if *stream == 0 { Stream::Stdout } else { Stream::Stderr };
        Some((Self { length: u64::from_le_bytes(*length), stream }, piece))
    }
}

fn open(dir: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
    fs::openat(dir, FILE, flags, Mode::from_raw_mode(0o600)).during(|| "log")
}

fn length(file: &OwnedFd) -> Result<u64> {
    Ok(u64::try_from(fs::fstat(file)?.st_size).unwrap_or(0))
}

fn read_now(pipe: &OwnedFd, buffer: &mut [u8]) -> Result<usize> {
    match fs::read(pipe, buffer) {
        Err(e) if e.errno() == Errno::AGAIN => Ok(0),
        read => read.during(|| "log"),
    }
}

/// Each file becomes the one before, the last one goes.
fn rotate(dir: impl AsFd, files: u32) -> Result<()> {
    let name = |number: u32| if number == 0 { FILE.to_owned() } else { format!("{FILE}.{number}") };
    let last = files.max(1) - 1;
    for number in (0..last).rev() {
        match fs::renameat(&dir, name(number), &dir, name(number + 1)) {
            Err(e) if e.errno() != Errno::NOENT => return Err(e).during(|| "log"),
            _ => {}
        }
    }
    match last {
        0 => fs::unlinkat(&dir, FILE, fs::AtFlags::empty()).during(|| "log"),
        _ => Ok(()),
    }
}

/// The names of the files that the log in this directory has, the oldest first.
///
/// # Errors
/// The kernel's answer.
pub fn files(dir: impl AsFd) -> Result<Vec<String>> {
    let names =
        fs::read_dir(&dir).during(|| "log")?.into_iter().filter_map(|(name, _)| name.into_string().ok());
    let number = |name: &str| match name.strip_prefix(FILE)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse::<u32>().ok(),
    };
    let mut files: Vec<_> = names.filter_map(|name| Some((number(&name)?, name))).collect();
    files.sort_unstable();
    Ok(files.into_iter().rev().map(|(_, name)| name).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
