//! Files by name, out of a directory or of a tar archive.

use crate::compression::{self, Compression};
use crate::failure::Failure;
use forgeone_runtime::fs::Resolver;
use forgeone_sys::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tar::{Archive, EntryType};

/// How many files such an archive may have, and how long the links of one may be.
const FILES_MAX: usize = 1 << 16;

/// Where the files are.
pub(super) enum Source {
    Directory(File),
    /// A tar archive without compression, and where each file lies in it: offset and size in bytes.
    Archive(File, BTreeMap<String, (u64, u64)>),
}

impl Source {
    pub(super) fn open(from: &Path) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::new(format_args!("{}: {e}", from.display()));
        if from == Path::new("-") {
            return archive(spool(io::stdin().lock())?);
        }
        let mut file = File::open(from).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_dir() {
            return Ok(Self::Directory(file));
        }
        let mut start = [0; 6];
        let read = file.read(&mut start).map_err(failed)?;
        let plain = Compression::of(&start[..read]) == Compression::Plain;
        match found.is_file() {
            true => drop(file.seek(SeekFrom::Start(0)).map_err(failed)?),
            // What was read of a pipe can't be read again.
            false => return archive(spool((&start[..read]).chain(file))?),
        }
        archive(if plain { file } else { spool(file)? })
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).is_ok()
    }

    /// Opens a file.
    pub(super) fn file(&self, name: &str) -> Result<Box<dyn Read + '_>, Failure> {
        let missing = || Failure::new(format_args!("there is no {name}"));
        match self {
            Self::Directory(directory) => match Resolver::default().read(directory, name) {
                Err(e) if e.errno() == Errno::NOENT => Err(missing()),
                file => Ok(Box::new(File::from(file?))),
            },
            Self::Archive(file, files) => {
                let (position, size) = *files.get(name).ok_or_else(missing)?;
                Ok(Box::new(Part { file, position, left: size }))
            }
        }
    }
}

/// A file within the archive.
struct Part<'f> {
    file: &'f File,
    position: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..length], self.position)?;
        self.position += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Notes where the files lie.
fn archive(mut file: File) -> Result<Source, Failure> {
    let unreadable = |e: io::Error| Failure::new(format_args!("the archive can't be read: {e}"));
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let (mut files, mut links) = (BTreeMap::new(), Vec::new());
    let mut archive = Archive::new(file);
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Some(name) = name(&entry.path_bytes()) else { continue };
        match entry.header().entry_type() {
            EntryType::Regular => drop(files.insert(name, (entry.raw_file_position(), entry.size()))),
            // `docker save` of old names a layer twice this way.
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
                links.push((name, target));
            }
            _ => {}
        }
        if files.len() + links.len() > FILES_MAX {
            return Err(Failure::new(format_args!("the archive has more than {FILES_MAX} files")));
        }
    }
    for (link, target) in links {
        let beside = link.rsplit_once('/').map_or("", |(directory, _)| directory);
        let target = String::from_utf8_lossy(&target).into_owned();
        let whole = normal(&format!("{beside}/{target}")).or_else(|| normal(&target));
        if let Some(found) = whole.and_then(|whole| files.get(&whole).copied()) {
            files.insert(link, found);
        }
    }
    Ok(Source::Archive(archive.into_inner(), files))
}

fn name(bytes: &[u8]) -> Option<String> {
    normal(std::str::from_utf8(bytes).ok()?)
}

/// A path without `.` and `..`; nothing if it leads out.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Writes an archive without compression to a file that has no name.
fn spool(from: impl Read) -> Result<File, Failure> {
    let failed = |e: io::Error| Failure::new(format_args!("the archive can't be read: {e}"));
    let directory = std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into());
    let flags = forgeone_sys::fs::OFlags::RDWR | forgeone_sys::fs::OFlags::TMPFILE;
    let mode = forgeone_sys::fs::Mode::from_raw_mode(0o600);
    let mut file = File::from(forgeone_sys::fs::open(directory, flags, mode)?);
    io::copy(&mut compression::reader(from).map_err(failed)?, &mut file).map_err(failed)?;
    Ok(file)
}
