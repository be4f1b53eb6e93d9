//! What a word means, and what is at a path: told by the content, not by names.

use crate::compression;
use crate::failure::Failure;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How many entries of an archive are looked at to tell an image from a root file system.
const ENTRIES: usize = 16;

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An image of the store, or of a registry.
    Image(String),
    /// An image of a layout or an archive, by its name in it.
    Load(PathBuf, Option<String>),
    /// What is at a path.
    Path(PathBuf, Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An OCI image layout, or an archive of one or several images.
    Image,
    Directory,
    /// A tar of a root file system.
    Archive,
    Disk,
}

/// What a word means, if it isn't said.
pub(super) fn wanted(word: &str, said: Option<&str>) -> Result<Wanted, Failure> {
    let path = PathBuf::from(word);
    let kind = match said {
        Some("image") => return Ok(load(word).unwrap_or_else(|| Wanted::Image(word.to_owned()))),
        Some("directory") => Kind::Directory,
        Some("archive") => Kind::Archive,
        Some("disk") => Kind::Disk,
        _ if is_path(word) => kind(&path).map_err(|failure| failure.during(path.display()))?,
        _ => return Ok(load(word).unwrap_or_else(|| Wanted::Image(word.to_owned()))),
    };
    let found = path.metadata().map_err(|e| Failure::new(format_args!("{word}: {e}")))?;
    match (kind, found.is_dir()) {
        (Kind::Directory, false) => Err(Failure::new(format_args!("{word} is no directory"))),
        (Kind::Archive | Kind::Disk, true) => Err(Failure::new(format_args!("{word} is a directory"))),
        _ => Ok(Wanted::Path(path, kind)),
    }
}

fn is_path(word: &str) -> bool {
    word.starts_with(['/', '.'])
}

/// `oci:PATH[:TAG]` and its like.
fn load(word: &str) -> Option<Wanted> {
    let rest = ["oci:", "oci-archive:", "docker-archive:"].iter().find_map(|kind| word.strip_prefix(kind))?;
    // A path may have colons itself.
    Some(match rest.split_once(':').filter(|_| !Path::new(rest).exists()) {
        Some((path, name)) => Wanted::Load(path.into(), Some(name.to_owned())),
        None => Wanted::Load(rest.into(), None),
    })
}

fn kind(path: &Path) -> Result<Kind, Failure> {
    let found = path.metadata().map_err(Failure::new)?;
    if found.is_dir() {
        let layout = path.join("oci-layout").is_file() && path.join("index.json").is_file();
        return Ok(if layout { Kind::Image } else { Kind::Directory });
    }
    let file = File::open(path).map_err(Failure::new)?;
    let Ok(content) = compression::reader(file) else { return Ok(Kind::Disk) };
    let mut archive = tar::Archive::new(content);
    let Ok(entries) = archive.entries() else { return Ok(Kind::Disk) };
    let mut known = 0;
    for entry in entries.take(ENTRIES) {
        // What is no archive ends at the first entry; what is a damaged one is said by who unpacks it.
        let Ok(entry) = entry else { break };
        known += 1;
        if of_image(&entry.path_bytes()) {
            return Ok(Kind::Image);
        }
    }
    Ok(if known > 0 { Kind::Archive } else { Kind::Disk })
}

/// Whether an archive with such an entry is one of images: OCI's or Docker's.
fn of_image(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let first = name.split(|byte| matches!(byte, b'/' | b'.')).next().unwrap_or_default();
    let digest = first.len() == 64 && first.iter().all(u8::is_ascii_hexdigit);
    let known: [&[u8]; 4] = [b"oci-layout", b"index.json", b"manifest.json", b"repositories"];
    digest || known.contains(&name) || name.starts_with(b"blobs/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let image = |name: &str| Wanted::Image(name.to_owned());
        for (word, expected) in [
            ("alpine", image("alpine")),
            ("localhost:5000/a/b:1", image("localhost:5000/a/b:1")),
            ("oci:/no/such:v1", Wanted::Load("/no/such".into(), Some("v1".into()))),
            ("oci-archive:x.tar", Wanted::Load("x.tar".into(), None)),
            ("docker-archive:x.tar:a/b:1", Wanted::Load("x.tar".into(), Some("a/b:1".into()))),
            ("/", Wanted::Path("/".into(), Kind::Directory)),
        ] {
            assert_eq!(wanted(word, None).unwrap(), expected, "{word}");
        }
        assert_eq!(wanted("tmp", Some("image")).unwrap(), image("tmp"));
        let said = |word: &str, kind| wanted(word, kind).unwrap_err().to_string();
        assert!(said("./no such", None).starts_with("./no such: "));
        assert_eq!(said("/", Some("disk")), "/ is a directory");
        assert_eq!(said("/proc/version", Some("directory")), "/proc/version is no directory");
    }

    #[test]
    fn archives_of_images_are_told_by_their_entries() {
        let digits = "0123456789abcdef".repeat(4);
        let own = [format!("{digits}.json"), format!("{digits}/layer.tar")];
        let known = ["oci-layout", "./index.json", "blobs/sha256/", "manifest.json", &own[0], &own[1]];
        assert!(known.iter().all(|name| of_image(name.as_bytes())));
        assert!(
            !["./", "bin/sh", "etc/index.json", "oci-layout/x", &digits[1..]]
                .iter()
                .any(|name| of_image(name.as_bytes()))
        );
    }
}
