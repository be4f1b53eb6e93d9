//! GUID partition tables (UEFI specification 2.10, 5.3). The copy at the end is for repairs, which aren't made here.

use super::{Partition, SECTORS, Source, number};
use crate::failure::Failure;
use flate2::Crc;

/// The longest list of partitions that is read, in bytes: eight times the usual one.
const LIST_MAX: u64 = 128 << 10;

/// The partitions; nothing if there is no such table.
pub(super) fn read(file: &impl Source, size: u64) -> Result<Option<Vec<Partition>>, Failure> {
    let header = |sector: u64| {
        let header = file.bytes(sector, 512).filter(|bytes| bytes.starts_with(b"EFI PART"));
        header.map(|header| (sector, header))
    };
    let Some((sector, header)) = SECTORS.into_iter().find_map(header) else { return Ok(None) };
    list(file, size, sector, header).map(Some).map_err(|failure| failure.during("its GUID partition table"))
}

fn list(file: &impl Source, size: u64, sector: u64, mut header: Vec<u8>) -> Result<Vec<Partition>, Failure> {
    let damaged = |what: &str| Failure::new(format_args!("{what}; sgdisk --verify tells more"));
    let length = number(&header, 12, 4) as usize;
    if !(92..=header.len()).contains(&length) {
        return Err(damaged("its header has no such length"));
    }
    let checksum = number(&header, 16, 4);
    header[16..20].fill(0);
    if u64::from(crc(&header[..length])) != checksum {
        return Err(damaged("its header has another checksum than it says"));
    }
    let (first, entries, each) =
        (number(&header, 72, 8), number(&header, 80, 4), number(&header, 84, 4) as usize);
    if !(128..=4096).contains(&each) || !each.is_power_of_two() {
        return Err(damaged("its entries have no such length"));
    }
    let whole = entries.saturating_mul(each as u64);
    if whole > LIST_MAX {
        return Err(damaged(&format!("its entries take more than {LIST_MAX} bytes")));
    }
    let place =
        first.checked_mul(sector).filter(|place| place.checked_add(whole).is_some_and(|end| end <= size));
    let list = place.and_then(|place| file.bytes(place, whole as usize));
    let list = list.ok_or_else(|| damaged("its entries are behind the end of the file"))?;
    if u64::from(crc(&list)) != number(&header, 88, 4) {
        return Err(damaged("its entries have another checksum than the header says"));
    }
    let mut partitions = Vec::new();
    for (index, entry) in list.chunks_exact(each).enumerate() {
        // The type of an entry that isn't used.
        if entry[..16].iter().all(|byte| *byte == 0) {
            continue;
        }
        let (first, last) = (number(entry, 32, 8), number(entry, 40, 8));
        let bounds = || {
            let offset = first.checked_mul(sector)?;
            let end = last.checked_add(1)?.checked_mul(sector)?;
            (first <= last && end <= size).then_some((offset, end - offset))
        };
        let number = index as u32 + 1;
        let Some((offset, size)) = bounds() else {
            return Err(damaged(&format!("partition {number} is not within the file")));
        };
        partitions.push(Partition { number, offset, size });
    }
    Ok(partitions)
}

pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
