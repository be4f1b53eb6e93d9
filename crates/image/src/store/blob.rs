//! A blob on its way into the store: hashed while it is written, there under its digest when it is whole.

use super::Store;
use crate::failure::Failure;
use forgeone_distribution::{Algorithm, Descriptor, Digest, Hasher};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// How much is copied at once, in bytes.
const CHUNK: usize = 256 << 10;

/// A blob that isn't whole yet. Dropped, it is gone.
pub(crate) struct Incoming<'s> {
    store: &'s Store,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Store {
    /// Begins a blob.
    pub(crate) fn incoming(&self) -> Result<Incoming<'_>, Failure> {
        let path = self.temporary();
        let file = File::create_new(&path)
            .map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))?;
        Ok(Incoming { store: self, path, file, hasher: Hasher::new(Algorithm::Sha256), size: 0 })
    }

    /// Whether a blob is there, whole.
    pub(crate) fn has(&self, blob: &Descriptor) -> bool {
        fs::metadata(self.blob_path(&blob.digest)).is_ok_and(|found| found.len() == blob.size)
    }

    /// That the disk has room for what is missing of these; unpacked, they take more.
    pub(crate) fn has_room(&self, blobs: &[Descriptor]) -> Result<(), Failure> {
        let missing = blobs.iter().filter(|blob| !self.has(blob)).map(|blob| blob.size);
        let size = missing.fold(0, u64::saturating_add);
        let disk = forgeone_sys::fs::fstatfs(&self.lock)?;
        let room = disk.f_bavail.saturating_mul(disk.f_bsize as u64);
        match size > room {
            true => Err(Failure::new(format_args!(
                "its layers take {size} bytes, and the disk has room for {room}"
            ))),
            false => Ok(()),
        }
    }

    /// A blob's content.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<File, Failure> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))
    }

    /// Takes in what should have this digest and size, unless it is there already.
    pub(crate) fn copy(&self, blob: &Descriptor, from: impl Read) -> Result<(), Failure> {
        if self.has(blob) {
            return Ok(());
        }
        let mut incoming = self.incoming()?;
        // One byte more tells that it is too long, and no more than that is written.
        incoming.take_in(from.take(blob.size.saturating_add(1)))?;
        let found = incoming.finish(&blob.media_type, |found| match found {
            _ if found.size > blob.size => {
                Err(Failure::new(format_args!("is longer than {} bytes", blob.size)))
            }
            _ if found.size < blob.size => {
                Err(Failure::new(format_args!("has {} bytes, not {}", found.size, blob.size)))
            }
            _ if found.digest != blob.digest => {
                Err(Failure::new(format_args!("has the digest {}; it was changed or damaged", found.digest)))
            }
            _ => Ok(()),
        });
        found.map(drop).map_err(|failure| failure.during(format_args!("blob {}", blob.digest)))
    }
}

impl Incoming<'_> {
    /// Writes all that is read.
    pub(crate) fn take_in(&mut self, mut from: impl Read) -> Result<(), Failure> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    self.write_all(&chunk[..read]).map_err(|e| Failure::new(format_args!("write: {e}")))?
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::new(format_args!("read: {e}"))),
            }
        }
    }

    /// Puts it in its place if it is what it should be; says what it is.
    pub(crate) fn finish(
        mut self,
        media_type: &str,
        check: impl FnOnce(&Descriptor) -> Result<(), Failure>,
    ) -> Result<Descriptor, Failure> {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        let found = Descriptor::new(media_type, hasher.finish(), self.size);
        check(&found)?;
        let place = self.store.blob_path(&found.digest);
        self.file
            .sync_data()
            .and_then(|()| fs::rename(&self.path, &place))
            .map_err(|e| Failure::new(format_args!("store {}: {e}", place.display())))?;
        Ok(found)
    }
}

impl Write for Incoming<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        // Nothing is there any more if it was put in its place.
        let _ = fs::remove_file(&self.path);
    }
}
