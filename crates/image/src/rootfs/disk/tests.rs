//! Tables as tools write them, and as nobody should.

use super::*;
use std::process::Command;
use testkit::{Temp, privileged};

/// A raw disk whose partitions begin with what makes a file system known.
fn disk(mebibytes: usize, systems: &[(usize, &str)]) -> Vec<u8> {
    let mut disk = vec![0; mebibytes << 20];
    for (at, system) in systems {
        let magic: (usize, Vec<u8>) = match *system {
            "xfs" => (0, b"XFSB".to_vec()),
            "squashfs" => (0, b"hsqs".to_vec()),
            "btrfs" => (0x1_0040, b"_BHRfS_M".to_vec()),
            "erofs" => (0x400, 0xe0f5_e1e2_u32.to_le_bytes().to_vec()),
            _ => (0x438, 0xef53_u16.to_le_bytes().to_vec()),
        };
        let start = (at << 20) + magic.0;
        disk[start..start + magic.1.len()].copy_from_slice(&magic.1);
    }
    disk
}

/// A table with partitions of so many mebibytes each, from the first on.
fn gpt(mut disk: Vec<u8>, partitions: &[(u64, u64)]) -> Vec<u8> {
    for (index, (first, count)) in partitions.iter().enumerate() {
        let entry = &mut disk[1024 + 128 * index..][..128];
        entry[..16].fill(7);
        entry[32..40].copy_from_slice(&(first << 11).to_le_bytes());
        entry[40..48].copy_from_slice(&(((first + count) << 11) - 1).to_le_bytes());
    }
    let header = &mut disk[512..1024];
    header[..8].copy_from_slice(b"EFI PART");
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    sealed(disk)
}

/// With the checksums that its content has.
fn sealed(mut disk: Vec<u8>) -> Vec<u8> {
    let entries = gpt::crc(&disk[1024..1024 + 128 * 128]);
    disk[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
    disk[512 + 16..512 + 20].fill(0);
    let header = gpt::crc(&disk[512..512 + 92]);
    disk[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
    disk
}

fn mbr(mut disk: Vec<u8>, at: usize, entries: &[(u8, u32, u32)]) -> Vec<u8> {
    for (index, (kind, first, count)) in entries.iter().enumerate() {
        let entry = &mut disk[at + 446 + 16 * index..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..16].copy_from_slice(&count.to_le_bytes());
    }
    disk[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn chosen(disk: &Vec<u8>) -> Result<(String, Option<u64>), String> {
    let chosen = choose(disk, disk.len() as u64).map_err(|failure| failure.to_string())?;
    Ok((chosen.filesystem.to_owned(), chosen.place.map(|place| place.offset >> 20)))
}

#[test]
fn a_file_system_is_found_by_its_magic_number() {
    for system in KNOWN {
        assert_eq!(chosen(&disk(1, &[(0, system)])), Ok((system.to_owned(), None)));
    }
    let said = chosen(&vec![0; 4096]).unwrap_err();
    assert!(
        said.starts_with("it is no tar archive, has no partition table and none of the file systems ext4")
    );
    let said = chosen(&b"QFI\xfb0000".to_vec()).unwrap_err();
    assert!(said.starts_with("it is a qcow2 image, ") && said.contains("qemu-img convert -O raw"), "{said}");
    assert!(chosen(&Vec::new()).is_err());
}

#[test]
fn of_several_partitions_the_largest_that_is_known_is_taken() {
    let made = gpt(disk(16, &[(1, "ext4"), (3, "xfs")]), &[(1, 2), (3, 4), (7, 8)]);
    assert_eq!(chosen(&made), Ok(("xfs".to_owned(), Some(3))));
    let note = choose(&made, made.len() as u64).unwrap().note;
    assert_eq!(
        note.as_deref(),
        Some("of its partitions, 2 (xfs, 4 MiB) is the root file system, not 1 (ext4, 2 MiB)")
    );
    let made = gpt(disk(4, &[]), &[(1, 2)]);
    assert!(chosen(&made).unwrap_err().starts_with("none of its 1 partitions has a file system"));
    // Two primary ones and two in the extended one.
    let made = disk(16, &[(1, "squashfs"), (5, "ext4"), (9, "btrfs")]);
    let made = mbr(made, 0, &[(0x83, 1 << 11, 2 << 11), (0x05, 4 << 11, 12 << 11)]);
    let made = mbr(made, 4 << 20, &[(0x83, 1 << 11, 3 << 11), (0x05, 4 << 11, 8 << 11)]);
    let made = mbr(made, 8 << 20, &[(0x83, 1 << 11, 7 << 11)]);
    assert_eq!(chosen(&made), Ok(("btrfs".to_owned(), Some(9))));
}

#[test]
fn damaged_tables_are_refused_in_a_line() {
    let whole = gpt(disk(16, &[(1, "ext4")]), &[(1, 2)]);
    let with = |at: usize, bytes: &[u8]| {
        let mut disk = whole.clone();
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        disk
    };
    let header = 512;
    for (disk, expected) in [
        (with(header + 24, &[1]), "its header has another checksum than it says"),
        (with(header + 12, &[1, 0, 0, 0]), "its header has no such length"),
        (with(header + 12, &[0xff; 4]), "its header has no such length"),
        (with(1024 + 60, &[1]), "its entries have another checksum than the header says"),
        (sealed(with(header + 84, &[129])), "its entries have no such length"),
        (sealed(with(header + 84, &[0; 4])), "its entries have no such length"),
        (sealed(with(header + 80, &[0xff; 4])), "its entries take more than 131072 bytes"),
        (sealed(with(header + 72, &[0xff; 8])), "its entries are behind the end of the file"),
        (sealed(with(header + 72, &[0, 0, 1, 0, 0, 0])), "its entries are behind the end of the file"),
        (sealed(with(1024 + 40, &[0xff; 8])), "partition 1 is not within the file"),
        (sealed(with(1024 + 32, &[0xff; 8])), "partition 1 is not within the file"),
    ] {
        let said = chosen(&disk).unwrap_err();
        assert_eq!(said, format!("its GUID partition table: {expected}; sgdisk --verify tells more"));
    }
    let endless = mbr(disk(1, &[]), 0, &[(0x05, 8, 16)]);
    let endless = mbr(endless, 8 << 9, &[(0, 0, 0), (0x05, 0xffff_ffff, 1)]);
    assert_eq!(chosen(&endless).unwrap_err(), "its partition table: the extended partition has no table");
    let turning = mbr(disk(1, &[]), 0, &[(0x05, 8, 16)]);
    let turning = mbr(turning, 8 << 9, &[(0, 0, 0), (0x05, 8, 1)]);
    let turning = mbr(turning, 16 << 9, &[(0, 0, 0), (0x05, 8, 1)]);
    assert_eq!(chosen(&turning).unwrap_err(), "its partition table: it has more than 128 logical partitions");
    let outside = mbr(disk(1, &[]), 0, &[(0x83, 1, 1 << 20)]);
    assert_eq!(chosen(&outside).unwrap_err(), "its partition table: partition 1 is not within the file");
}

#[test]
fn a_table_that_a_tool_wrote_is_read() {
    if !privileged::program("sfdisk", "fdisk") {
        return;
    }
    let temp = Temp::new("disk");
    for label in ["gpt", "dos"] {
        let file = temp.path().join(label);
        std::fs::write(&file, disk(64, &[(9, "erofs")])).unwrap();
        let script = format!("printf 'label: {label}\\n,8M\\n,48M\\n' | sfdisk -q {}", file.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let (disk, note) = find(&file).unwrap();
        assert_eq!((disk.offset, disk.size, note), (9 << 20, Some(48 << 20), None), "{label}");
        assert_eq!((disk.filesystem.as_str(), disk.read_only), ("erofs", true));
    }
}
