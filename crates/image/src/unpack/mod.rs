//! A layer of an image becomes a directory, in the form that overlayfs takes for a lower one.
//!
//! ```text
//!  blob ─► thread: decompress, hash ─► tar ─► Tree: one entry after the other, beneath one descriptor
//!                  (diff ID)
//! ```
//!
//! The archive is hostile. An entry is refused, with its name, that
//!
//! * is called by an absolute name or one with `..`, or is longer than a path can be;
//! * comes a second time as something else than a directory;
//! * is a hard link to what isn't in the same layer;
//! * is a device, but for those below `/dev`, which are left out: the runtime makes that directory's content;
//! * removes (`.wh.NAME`) what can have no such name;
//! * doesn't fit on the disk, however little space the archive itself takes.
//!
//! Links are never followed out of the directory ([`forgeone_runtime::fs::Resolver`]). Memory doesn't depend on the
//! archive: what stands before an entry (long names, extended attributes) is bounded, nothing is remembered about entries.
//!
//! Sources: OCI image specification 1.1, "image layer filesystem changeset"; POSIX.1-2024, pax; overlayfs.rst.

mod pipe;
mod tree;

use crate::failure::Failure;
use forgeone_distribution::Digest;
use std::cell::Cell;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use tar::{Archive, Entry, EntryType};
use tree::{Kind, Tree};

/// What may stand before one entry, in bytes: its names and extended attributes.
const HEADERS_MAX: u64 = 1 << 20;

/// How many entries a layer may have: more inodes than file systems of a usual size have.
const ENTRIES_MAX: u64 = 16 << 20;

/// What a layer turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The digest of the archive without compression.
    pub(crate) diff_id: Digest,
    /// What its regular files hold, in bytes.
    pub(crate) size: u64,
}

/// Unpacks a layer, compressed or not, into an empty directory.
///
/// # Errors
/// What is wrong with the archive, with the entry's name, or with the disk. The directory is then half full.
pub(crate) fn layer(blob: impl Read + Send, directory: BorrowedFd) -> Result<Unpacked, Failure> {
    std::thread::scope(|scope| {
        let (mut content, hashed) = pipe::start(scope, blob);
        let size = unpack(&mut content, directory)?;
        // What follows the archive's end counts for its digest.
        io::copy(&mut content, &mut io::sink()).map_err(|e| Failure::new(format_args!("layer: {e}")))?;
        let diff_id = hashed.join().map_err(|_| Failure::new("layer: decompressing it failed"))?;
        Ok(Unpacked { diff_id, size })
    })
}

/// Reads the archive; how much its regular files hold.
fn unpack(content: impl Read, directory: BorrowedFd) -> Result<u64, Failure> {
    let mut tree = Tree::new(directory)?;
    let allowance = Rc::new(Cell::new(HEADERS_MAX));
    let mut archive = Archive::new(Bounded { content, allowance: allowance.clone() });
    let unreadable = |e: io::Error| Failure::new(format_args!("layer: {e}"));
    let mut entries = archive.entries().map_err(unreadable)?;
    let mut count = 0;
    loop {
        allowance.set(HEADERS_MAX);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(unreadable)?;
        // The entry's own content is bounded by its size.
        allowance.set(u64::MAX);
        let name = entry.path_bytes().into_owned();
        count += 1;
        let made = match count > ENTRIES_MAX {
            true => Err(Failure::new(format_args!("more than {ENTRIES_MAX} entries"))),
            false => make(&mut tree, &name, &mut entry),
        };
        made.map_err(|failure| {
            failure.during(format_args!("layer: entry \"{}\"", String::from_utf8_lossy(&name).escape_debug()))
        })?;
        io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
    }
    tree.finish()
}

fn make(tree: &mut Tree, name: &[u8], entry: &mut Entry<impl Read>) -> Result<(), Failure> {
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File(entry.size()),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target(entry)?),
        EntryType::Link => Kind::Link(target(entry)?),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        EntryType::XGlobalHeader => return Ok(()),
        other => {
            let other = char::from(other.as_byte()).escape_debug();
            return Err(Failure::new(format_args!("is of type '{other}', which is not known")));
        }
    };
    let attributes = attributes(entry)?;
    tree.add(name, &kind, &attributes, entry)
}

fn target(entry: &Entry<impl Read>) -> Result<Vec<u8>, Failure> {
    match entry.link_name_bytes() {
        Some(target) if !target.is_empty() => Ok(target.into_owned()),
        _ => Err(Failure::new("is a link to nothing")),
    }
}

/// What an entry has beside its name and content.
#[derive(Debug, Default)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
    extended: Vec<(String, Vec<u8>)>,
}

fn attributes(entry: &mut Entry<impl Read>) -> Result<Attributes, Failure> {
    let wrong = |what: &str| Failure::new(format_args!("has no valid {what}"));
    let header = entry.header();
    let id = |found: io::Result<u64>, what| {
        let id = found.ok().and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX);
        id.ok_or_else(|| wrong(what))
    };
    let mut attributes = Attributes {
        mode: header.mode().map_err(|_| wrong("mode"))? & 0o7777,
        uid: id(header.uid(), "owner")?,
        gid: id(header.gid(), "group")?,
        changed: (header.mtime().map_err(|_| wrong("time"))? as i64, 0),
        extended: Vec::new(),
    };
    let Some(extensions) = entry.pax_extensions().map_err(|_| wrong("pax header"))? else {
        return Ok(attributes);
    };
    for extension in extensions {
        let extension = extension.map_err(|_| wrong("pax header"))?;
        let key = extension.key().map_err(|_| wrong("pax header"))?;
        if key.starts_with("GNU.sparse.") {
            return Err(Failure::new(
                "is sparse in a form (pax) that is not known; pack it without --sparse",
            ));
        }
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            attributes.extended.push((name.to_owned(), extension.value_bytes().to_vec()));
        }
        if key == "mtime" {
            let value = extension.value().ok().and_then(time);
            attributes.changed = value.ok_or_else(|| wrong("time"))?;
        }
    }
    Ok(attributes)
}

/// `1700000000.123456789`, also negative, as seconds and nanoseconds.
fn time(text: &str) -> Option<(i64, i64)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    if fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i64 = format!("{:0<9.9}", fraction).parse().ok()?;
    match seconds.starts_with('-') && nanoseconds > 0 {
        true => Some((whole.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        false => Some((whole, nanoseconds)),
    }
}

/// A reader that gives no more than is allowed until that is renewed: the tar reader takes whatever stands before an
/// entry into memory.
struct Bounded<R> {
    content: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.get();
        if allowed == 0 {
            return Err(io::Error::other(format!("more than {HEADERS_MAX} bytes before an entry")));
        }
        let length = buffer.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let read = self.content.read(&mut buffer[..length])?;
        self.allowance.set(allowed - read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
