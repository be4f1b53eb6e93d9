//! Disk images: where in a file the file system is, and which one.
//!
//! ```text
//!  file ─► known file system at its beginning ───────────────────────────► that
//!       ─► partition table: GPT, else MBR ─► partitions ─► known file systems ─► the largest
//! ```
//!
//! The tables are foreign: each number is checked against the file's size, each list is bounded. What a file system
//! itself says is left to the kernel, which is no better protected from it than on any other machine that mounts it.
//!
//! Sources: UEFI specification 2.10, 5.2 and 5.3; the superblocks in the kernel's headers.

mod gpt;
mod mbr;

use crate::failure::Failure;
use forgeone_runtime::registry::rootfs::Disk;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// Sizes of a sector that are looked for, in bytes.
const SECTORS: [u64; 2] = [512, 4096];

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Partition {
    /// As tools count them.
    number: u32,
    /// In bytes.
    offset: u64,
    size: u64,
}

/// What is read from.
trait Source {
    /// The bytes at a place; `None` if the file ends before.
    fn bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>>;
}

impl Source for File {
    fn bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    }
}

#[cfg(test)]
impl Source for Vec<u8> {
    fn bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
    }
}

/// The file system of a disk image, and what is to be said about the choice if there was one.
pub(super) fn find(path: &Path) -> Result<(Disk, Option<String>), Failure> {
    let failed = |e| Failure::new(e);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let chosen = choose(&file, size)?;
    let metadata = file.metadata().map_err(failed)?;
    let read_only = READ_ONLY.contains(&chosen.filesystem) || !may_write(path, &metadata);
    let file = path.canonicalize().map_err(failed)?;
    let (offset, size) = chosen.place.map_or((0, None), |place| (place.offset, Some(place.size)));
    let disk = Disk { file, offset, size, filesystem: chosen.filesystem.to_owned(), read_only };
    Ok((disk, chosen.note))
}

/// Whether a container may write to the file itself: nobody may if its mode says so.
fn may_write(path: &Path, metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o222 != 0 && OpenOptions::new().write(true).open(path).is_ok()
}

/// File systems that can't be written to.
const READ_ONLY: [&str; 2] = ["erofs", "squashfs"];

#[derive(Debug, PartialEq)]
struct Chosen {
    filesystem: &'static str,
    place: Option<Partition>,
    note: Option<String>,
}

fn choose(file: &impl Source, size: u64) -> Result<Chosen, Failure> {
    // A table stands where some file systems keep nothing, so that an old one may be left in front of a new one.
    let partitions = match gpt::read(file, size)? {
        Some(partitions) => partitions,
        None => {
            if let Some(filesystem) = filesystem(file, 0) {
                return Ok(Chosen { filesystem, place: None, note: None });
            }
            match mbr::read(file, size)? {
                Some(partitions) => partitions,
                None => return Err(unknown(file)),
            }
        }
    };
    let mut known: Vec<_> =
        partitions.iter().filter_map(|place| Some((*place, filesystem(file, place.offset)?))).collect();
    known.sort_by_key(|(place, _)| std::cmp::Reverse(place.size));
    let Some((place, filesystem)) = known.first().copied() else {
        let count = partitions.len();
        return Err(Failure::new(format_args!(
            "none of its {count} partitions has a file system that is known here: {}",
            KNOWN.join(", ")
        )));
    };
    let words = |(place, filesystem): &(Partition, &str)| {
        format!("{} ({filesystem}, {} MiB)", place.number, place.size >> 20)
    };
    let note = (known.len() > 1).then(|| {
        let others: Vec<String> = known[1..].iter().map(words).collect();
        format!("of its partitions, {} is the root file system, not {}", words(&known[0]), others.join(", "))
    });
    Ok(Chosen { filesystem, place: Some(place), note })
}

const KNOWN: [&str; 5] = ["ext4", "xfs", "btrfs", "squashfs", "erofs"];

/// The file system that begins at a place, by its magic number.
fn filesystem(file: &impl Source, offset: u64) -> Option<&'static str> {
    let is = |at: u64, magic: &[u8]| {
        offset.checked_add(at).and_then(|at| file.bytes(at, magic.len())).is_some_and(|found| found == magic)
    };
    match () {
        () if is(0, b"XFSB") => Some("xfs"),
        () if is(0, b"hsqs") => Some("squashfs"),
        () if is(0x1_0040, b"_BHRfS_M") => Some("btrfs"),
        () if is(0x400, &0xe0f5_e1e2_u32.to_le_bytes()) => Some("erofs"),
        // ext2 and ext3 are read by the same driver.
        () if is(0x438, &0xef53_u16.to_le_bytes()) => Some("ext4"),
        () => None,
    }
}

/// What else it is, as far as that helps.
fn unknown(file: &impl Source) -> Failure {
    let start = file.bytes(0, 8).unwrap_or_default();
    let image = match &start[..] {
        [b'Q', b'F', b'I', 0xfb, ..] => "qcow2",
        [b'K', b'D', b'M', b'V', ..] => "vmdk",
        b"vhdxfile" => "vhdx",
        b"conectix" => "vpc",
        _ => {
            return Failure::new(format_args!(
                "it is no tar archive, has no partition table and none of the file systems {}",
                KNOWN.join(", ")
            ));
        }
    };
    Failure::new(format_args!(
        "it is a {image} image, and only raw ones can be mounted; qemu-img convert -O raw makes it one"
    ))
}

/// A little-endian number; the slice has it.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
