//! An image to a registry: what it doesn't have yet, the manifest last.

use crate::failure::Failure;
use crate::parallel;
use crate::progress::Progress;
use crate::remote::Remote;
use crate::store::{Image, Store};
use forgeone_distribution::{Client, Descriptor, Digest, Reference, Repository};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How many layers are sent at once.
const AT_ONCE: usize = 3;

/// Pushes an image as it is in the store; the digest that it has there.
pub(crate) fn push(
    store: &Store,
    image: &Image,
    destination: &Reference,
    remote: &Remote,
    quiet: bool,
) -> Result<Digest, Failure> {
    let during = |failure: Failure| failure.during(format_args!("push {destination}"));
    // Where the registry really is; mirrors are for pulling alone.
    let source = remote.sources(destination).map_err(during)?.pop();
    let source = source.ok_or_else(|| during(Failure::new("registries.conf knows no place for it")))?;
    let client = remote.client(source.insecure)?;
    let (manifest, config) = store.manifest(image).map_err(during)?;
    let layers = manifest.layers.as_deref().unwrap_or_default();
    let mut blobs: Vec<&Descriptor> = layers.iter().chain([&config]).collect();
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);
    let missing = blobs.iter().find(|blob| !store.has(blob));
    if let Some(missing) = missing {
        let message = format!("the store has no blob {}; pull or load the image again", missing.digest);
        return Err(during(Failure::new(message)));
    }
    let progress = Progress::new(destination.to_string(), quiet, "finishing");
    let from = image.name.as_ref().map(Reference::repository);
    let push = Push { store, client: &client, to: source.reference.repository(), from, progress: &progress };
    parallel::each(&blobs, AT_ONCE, |blob| {
        push.blob(blob).map_err(|failure| push.told(failure, destination))
    })?;
    let bytes = store.document(&image.manifest.digest).map_err(during)?;
    client.put_manifest(&source.reference, &image.manifest.media_type, &bytes).map_err(Failure::new)
}

struct Push<'p> {
    store: &'p Store,
    client: &'p Client,
    to: &'p Repository,
    from: Option<&'p Repository>,
    progress: &'p Progress,
}

impl Push<'_> {
    fn blob(&self, blob: &Descriptor) -> Result<(), Failure> {
        self.progress.expect(blob.size);
        let mut source = Counted { file: self.store.blob(&blob.digest)?, read: 0, progress: self.progress };
        self.client.put_blob(self.to, blob, self.from, &mut source).map_err(Failure::new)?;
        // What the registry had wasn't read.
        self.progress.add(blob.size.saturating_sub(source.read));
        Ok(())
    }

    /// The client says by itself what was pushed.
    fn told(&self, failure: Failure, destination: &Reference) -> Failure {
        match failure.to_string().starts_with("push ") {
            true => failure,
            false => failure.during(format_args!("push {destination}")),
        }
    }
}

/// A blob that tells how far it was read, once.
struct Counted<'p> {
    file: File,
    read: u64,
    progress: &'p Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let position = self.file.stream_position()?;
        self.progress.add(position.saturating_sub(self.read));
        self.read = self.read.max(position);
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
