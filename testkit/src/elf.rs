//! As much of ELF (64 bit, little endian) as the tests of the door's binary ask for: whether it is static,
//! which symbols it defines, how many relocations its start has to apply.
//!
//! Source: elf(5) and the System V ABI, chapters 4 and 5. Offsets are checked: a broken file is an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const SHT_SYMTAB: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_RELR: u32 = 19;
const SHF_ALLOC: u64 = 2;
const DT_NEEDED: u64 = 1;
const RELA_SIZE: u64 = 24;
const RELR_SIZE: u64 = 8;

/// A file, read whole.
#[derive(Debug)]
pub struct Elf {
    bytes: Vec<u8>,
}

/// A program header.
struct Segment {
    kind: u32,
    offset: u64,
    size: u64,
}

/// A section header.
struct Section {
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl Elf {
    /// Reads a file; an error if it is no ELF file of this sort.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)?;
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("{}: no 64 bit ELF file", path.display()),
            ));
        }
        Ok(Self { bytes })
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The dynamic loader that the kernel is asked to start.
    pub fn interpreter(&self) -> Option<String> {
        let segment = self.segments().ok()?.into_iter().find(|segment| segment.kind == PT_INTERP)?;
        let bytes = self.slice(segment.offset, segment.size).ok()?;
        Some(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned())
    }

    /// Whether it needs nothing but the kernel: no loader, no shared library.
    pub fn is_static(&self) -> Result<bool> {
        let needed = self.dynamic()?.contains_key(&DT_NEEDED);
        Ok(self.interpreter().is_none() && !needed)
    }

    /// Relocations that are applied at each start: those of a position-independent file, and the choices among
    /// glibc's functions (`IRELATIVE`) that any has. A word of `RELR` counts as one and may stand for 63.
    pub fn relocations(&self) -> Result<u64> {
        let sections = self.sections()?;
        let loaded = sections.iter().filter(|section| section.flags & SHF_ALLOC != 0);
        let count = |section: &Section| match section.kind {
            SHT_RELA => section.size / RELA_SIZE,
            SHT_RELR => section.size / RELR_SIZE,
            _ => 0,
        };
        Ok(loaded.map(count).sum())
    }

    /// Names of the symbols that the file defines; none if it is stripped.
    pub fn symbols(&self) -> Result<Vec<String>> {
        let sections = self.sections()?;
        let Some(table) = sections.iter().find(|section| section.kind == SHT_SYMTAB) else {
            return Ok(Vec::new());
        };
        let names = sections.get(table.link as usize).ok_or_else(broken)?;
        let names = self.slice(names.offset, names.size)?;
        let entries = self.slice(table.offset, table.size)?.chunks_exact(24);
        let defined = entries.filter(|entry| entry[6..8] != [0, 0]);
        defined.map(|entry| text(names, number(&entry[..4]) as usize)).collect()
    }

    /// Tags and values of the dynamic segment, the last of each tag.
    fn dynamic(&self) -> Result<BTreeMap<u64, u64>> {
        let segments = self.segments()?;
        let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(BTreeMap::new());
        };
        let entries = self.slice(segment.offset, segment.size)?.chunks_exact(16);
        let pairs = entries.map(|entry| (number(&entry[..8]), number(&entry[8..])));
        Ok(pairs.take_while(|(tag, _)| *tag != 0).collect())
    }

    fn segments(&self) -> Result<Vec<Segment>> {
        let headers = self.headers(32, 54, 56)?;
        let segment = |h: &[u8]| Segment {
            kind: number(&h[..4]) as u32,
            offset: number(&h[8..16]),
            size: number(&h[32..40]),
        };
        let segments: Vec<_> = headers.into_iter().map(segment).collect();
        if segments.iter().any(|segment| segment.kind == PT_LOAD) { Ok(segments) } else { Err(broken()) }
    }

    fn sections(&self) -> Result<Vec<Section>> {
        let section = |h: &[u8]| Section {
            kind: number(&h[4..8]) as u32,
            flags: number(&h[8..16]),
            offset: number(&h[24..32]),
            size: number(&h[32..40]),
            link: number(&h[40..44]) as u32,
        };
        Ok(self.headers(40, 58, 60)?.into_iter().map(section).collect())
    }

    /// The table whose offset, entry size and count stand at these places of the file header.
    fn headers(&self, offset_at: u64, size_at: u64, count_at: u64) -> Result<Vec<&[u8]>> {
        let offset = number(self.slice(offset_at, 8)?);
        let size = number(self.slice(size_at, 2)?);
        let count = number(self.slice(count_at, 2)?);
        if size < 56 {
            return if count == 0 { Ok(Vec::new()) } else { Err(broken()) };
        }
        (0..count).map(|index| self.slice(offset.saturating_add(index * size), size)).collect()
    }

    fn slice(&self, offset: u64, size: u64) -> Result<&[u8]> {
        let end = offset.checked_add(size).ok_or_else(broken)?;
        self.bytes.get(offset as usize..end as usize).ok_or_else(broken)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn text(names: &[u8], start: usize) -> Result<String> {
    let rest = names.get(start..).ok_or_else(broken)?;
    let bytes = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn broken() -> Error {
    Error::new(ErrorKind::InvalidData, "broken ELF file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_itself_is_static_and_defines_main() {
        let elf = Elf::read(&std::env::current_exe().unwrap()).unwrap();
        assert!(elf.is_static().unwrap());
        assert!(elf.symbols().unwrap().iter().any(|symbol| symbol == "main"));
        // Each has some: glibc chooses among its functions for the processor at hand.
        assert!(elf.relocations().unwrap() > 0);
    }

    #[test]
    fn a_shell_script_is_no_elf_file_and_a_cut_file_is_broken() {
        let temp = crate::Temp::new("elf");
        let file = temp.path().join("file");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(Elf::read(&file).is_err());
        fs::write(&file, b"\x7fELF\x02\x01").unwrap();
        assert!(Elf::read(&file).unwrap().symbols().is_err());
    }
}
