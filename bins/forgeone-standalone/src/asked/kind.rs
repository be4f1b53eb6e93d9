//! What a path is that is to be run.

use forgeone_cli::usage;
use forgeone_runtime::Result;
use forgeone_runtime::registry::SourceKind;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// By its content, never by its name. A directory with `oci-layout` is an image; nothing is decided about what can't be
/// told apart here.
pub(crate) fn of_path(path: &Path) -> Result<Option<SourceKind>> {
    let failed = |e| usage(format!("{}: {e}", path.display()));
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Ok(Some(SourceKind::Directory));
    }
    let mut start = Vec::new();
    File::open(path).map_err(failed)?.take(START).read_to_end(&mut start).map_err(failed)?;
    Ok(Some(if is_archive(&start) { SourceKind::Archive } else { SourceKind::Disk }))
}

/// How much of a file is looked at.
const START: u64 = 512;

/// Where a tar header has `ustar`.
const USTAR: usize = 257;

fn is_archive(start: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    start.get(USTAR..).is_some_and(|rest| rest.starts_with(b"ustar"))
        || compressed.iter().any(|magic| start.starts_with(magic))
}
