//! Partition tables of the master boot record (UEFI specification 2.10, 5.2), with logical partitions in the extended one.

use super::{Partition, Source, number};
use crate::failure::Failure;

/// The only size of a sector that such tables are made for, in bytes.
const SECTOR: u64 = 512;

/// How many logical partitions are looked for: more than the kernel gives names to.
const LOGICAL_MAX: u32 = 128;

/// Types of extended partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// An entry: type, first sector, and how many there are.
type Entry = (u8, u64, u64);

/// The partitions; nothing if there is no such table.
pub(super) fn read(file: &impl Source, size: u64) -> Result<Option<Vec<Partition>>, Failure> {
    let Some(entries) = table(file, 0) else { return Ok(None) };
    // A boot sector of something else has the same signature: what stands there is no list then.
    let boot = file.bytes(446, 64).unwrap_or_default();
    if boot.chunks_exact(16).any(|entry| entry[0] & 0x7f != 0) || entries.iter().all(|(kind, ..)| *kind == 0)
    {
        return Ok(None);
    }
    let within = |failure: Failure| failure.during("its partition table");
    let mut partitions = Vec::new();
    for (number, (kind, first, count)) in (1..).zip(entries) {
        match kind {
            0 => {}
            _ if EXTENDED.contains(&kind) => logical(file, size, first, &mut partitions).map_err(within)?,
            _ => partitions.push(partition(number, first, count, size).map_err(within)?),
        }
    }
    Ok(Some(partitions))
}

fn partition(number: u32, first: u64, count: u64, size: u64) -> Result<Partition, Failure> {
    // Both have 32 bits, or are sums of two such.
    let (offset, length) = (first * SECTOR, count * SECTOR);
    match offset + length <= size && count > 0 {
        true => Ok(Partition { number, offset, size: length }),
        false => Err(Failure::new(format_args!("partition {number} is not within the file"))),
    }
}

/// The chain of logical partitions: each table has one, and where the next table is, counted from the first.
fn logical(file: &impl Source, size: u64, first: u64, found: &mut Vec<Partition>) -> Result<(), Failure> {
    let mut place = first;
    for number in 5..5 + LOGICAL_MAX {
        let Some(entries) = table(file, place * SECTOR) else {
            return Err(Failure::new("the extended partition has no table"));
        };
        let (kind, start, count) = entries[0];
        if kind != 0 {
            found.push(partition(number, place + start, count, size)?);
        }
        match entries[1] {
            (kind, next, _) if EXTENDED.contains(&kind) && next > 0 => place = first + next,
            _ => return Ok(()),
        }
    }
    Err(Failure::new(format_args!("it has more than {LOGICAL_MAX} logical partitions")))
}

fn table(file: &impl Source, offset: u64) -> Option<[Entry; 4]> {
    let sector = file.bytes(offset, SECTOR as usize).filter(|sector| sector.ends_with(&[0x55, 0xaa]))?;
    let entry = |index: usize| {
        let entry = &sector[446 + 16 * index..][..16];
        (entry[4], number(entry, 8, 4), number(entry, 12, 4))
    };
    Some([0, 1, 2, 3].map(entry))
}
