//! Pulls that were begun: what came of one that didn't end stays for the next.
//!
//! ```text
//!  pulls/<manifest>.json     a manifest: what it names isn't collected, for a week
//!  pulls/<blob>.part         the beginning of a blob; locked by whoever fetches it
//! ```

use super::{Store, discard, read_bounded};
use crate::failure::Failure;
use forgeone_distribution::{Descriptor, Digest, Manifest};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How long it is kept after the last pull.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The beginning of a blob, which nobody else writes.
pub(crate) struct Begun<'s> {
    store: &'s Store,
    path: PathBuf,
    file: File,
}

impl Store {
    /// Keeps what a manifest names from now on until [`Store::release`].
    pub(crate) fn claim(&self, manifest: &Manifest) -> Result<(), Failure> {
        self.replace(&claim(manifest.digest()), manifest.bytes())
    }

    /// The pull ended: it is whole, or will never be.
    pub(crate) fn release(&self, manifest: &Digest) {
        // Another one may have been faster.
        let _ = fs::remove_file(self.path.join(claim(manifest)));
    }

    /// The manifests of pulls that were begun.
    pub(super) fn claims(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut claims = Vec::new();
        for path in self.begun()? {
            if path.extension().is_some_and(|extension| extension == "json") {
                claims.push(read_bounded(&path)?);
            }
        }
        Ok(claims)
    }

    /// Removes what no pull goes on with: too old, or by `kept` not part of any; with `all`, everything.
    pub(super) fn collect_begun(&self, kept: impl Fn(&str) -> bool, all: bool) -> Result<(), Failure> {
        for path in self.begun()? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let age = fs::metadata(&path).and_then(|found| found.modified()).ok();
            let old = age.and_then(|then| then.elapsed().ok()).is_some_and(|age| age > KEPT);
            let part = name.strip_suffix(".part");
            if all || old || part.is_some_and(|blob| !kept(blob)) {
                discard(&path);
            }
        }
        Ok(())
    }

    fn begun(&self) -> Result<Vec<PathBuf>, Failure> {
        let path = self.path.join("pulls");
        let entries =
            fs::read_dir(&path).map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    /// Begins a blob, or goes on with it; waits for whoever else fetches it. Nothing if it is there then.
    pub(crate) fn begin(&self, blob: &Descriptor) -> Result<Option<Begun<'_>>, Failure> {
        let path = self.path.join("pulls").join(format!("{}.part", blob.digest.hex()));
        let failed = |e: io::Error| Failure::new(format_args!("store {}: {e}", path.display()));
        loop {
            let mut options = File::options();
            let file = options.create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.map_err(failed)?;
            file.lock().map_err(failed)?;
            let inode = file.metadata().map_err(failed)?.ino();
            let still = fs::metadata(&path).is_ok_and(|found| found.ino() == inode);
            if still && self.has(blob) {
                discard(&path);
            }
            if self.has(blob) {
                return Ok(None);
            }
            if still {
                return Ok(Some(Begun { store: self, path, file }));
            }
        }
    }
}

impl Begun<'_> {
    /// The file, which has the blob's beginning.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Puts the blob in its place: it is whole and was verified.
    pub(crate) fn finish(self, digest: &Digest) -> Result<(), Failure> {
        let place = self.store.blob_path(digest);
        let put = self.file.sync_data().and_then(|()| fs::rename(&self.path, &place));
        put.map_err(|e| Failure::new(format_args!("store {}: {e}", place.display())))
    }

    /// Throws it away: it isn't the beginning of that blob.
    pub(crate) fn discard(self) {
        discard(&self.path);
    }
}

fn claim(manifest: &Digest) -> String {
    format!("pulls/{}.json", manifest.hex())
}
