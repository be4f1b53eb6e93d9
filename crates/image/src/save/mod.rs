//! Images into an archive that other programs load: an OCI image layout in a tar, or what `docker save` writes.
//!
//! ```text
//!  oci-layout  index.json  blobs/sha256/…                     blobs as they are in the store
//!  manifest.json  <config>.json  <diff ID>.tar                 layers without compression
//! ```

use crate::compression;
use crate::failure::Failure;
use crate::image::{self, Config};
use crate::store::{Image, NAME, Store};
use forgeone_distribution::{Algorithm, Content, Descriptor, Digest, Hasher, Reference, media_type};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Oci,
    Docker,
}

/// Writes images, each blob once, verified.
pub(crate) fn save(
    store: &Store,
    images: &[Image],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut archive = Archive { store, tar: Builder::new(out), written: BTreeSet::new() };
    match format {
        Format::Oci => archive.oci(images)?,
        Format::Docker => archive.docker(images)?,
    }
    let out = archive.tar.into_inner().map_err(unwritten)?;
    out.flush().map_err(unwritten)
}

struct Archive<'a> {
    store: &'a Store,
    tar: Builder<&'a mut dyn Write>,
    /// The names of what is in it.
    written: BTreeSet<String>,
}

impl Archive<'_> {
    fn oci(&mut self, images: &[Image]) -> Result<(), Failure> {
        self.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut index = Content::of_type(media_type::INDEX);
        let manifests = images.iter().map(|image| {
            let Descriptor { media_type, digest, size, .. } = image.manifest.clone();
            let mut manifest = Descriptor::new(&media_type, digest, size);
            if let Some(name) = &image.name {
                manifest.annotations.insert(NAME.to_owned(), name.to_string());
            }
            manifest
        });
        index.manifests = Some(manifests.collect());
        self.document("index.json", &index.to_bytes().map_err(Failure::new)?)?;
        for image in images {
            let (manifest, config) = self.store.manifest(image)?;
            for blob in manifest.layers.iter().flatten().chain([&config, &image.manifest]) {
                self.blob(&blob.digest)?;
            }
        }
        Ok(())
    }

    fn docker(&mut self, images: &[Image]) -> Result<(), Failure> {
        let mut saved: Vec<Value> = Vec::new();
        for image in images {
            let (manifest, descriptor) = self.store.manifest(image)?;
            let config = self.store.document(&descriptor.digest)?;
            let (_, layers) = image::parts(&manifest)?;
            let mut names = Vec::new();
            for (layer, diff_id) in layers.iter().zip(&Config::parse(&config)?.rootfs.diff_ids) {
                names.push(self.layer(&layer.digest, diff_id)?);
            }
            let config_name = format!("{}.json", descriptor.digest.hex());
            self.document(&config_name, &config)?;
            let tag = image.name.as_ref().filter(|name| name.digest().is_none()).map(Reference::to_string);
            let known = saved.iter_mut().find(|saved| saved["Config"] == config_name);
            match (known, tag) {
                // Another name of the same.
                (Some(known), Some(tag)) => {
                    known["RepoTags"].as_array_mut().into_iter().for_each(|tags| tags.push(json!(tag)))
                }
                (Some(_), None) => {}
                (None, tag) => saved.push(json!({
                    "Config": config_name, "RepoTags": Vec::from_iter(tag), "Layers": names })),
            }
        }
        self.document("manifest.json", json!(saved).to_string().as_bytes())
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.file(name, bytes.len() as u64, bytes)
    }

    /// A blob as it is.
    fn blob(&mut self, digest: &Digest) -> Result<(), Failure> {
        let file = self.store.blob(digest)?;
        let size = file.metadata().map_err(unread)?.len();
        let mut hashed = Hashed::new(file);
        self.file(&format!("blobs/sha256/{}", digest.hex()), size, &mut hashed)?;
        hashed.check(digest, digest)
    }

    /// A layer without compression; its name. It is read twice, since its size stands before it.
    fn layer(&mut self, blob: &Digest, diff_id: &Digest) -> Result<String, Failure> {
        let name = format!("{}.tar", diff_id.hex());
        if !self.written.contains(&name) {
            let mut hashed = Hashed::new(self.content(blob)?);
            let size = io::copy(&mut hashed, &mut io::sink()).map_err(|_| damaged(blob))?;
            hashed.check(diff_id, blob)?;
            let content = self.content(blob)?;
            self.file(&name, size, content)?;
        }
        Ok(name)
    }

    fn content(&self, blob: &Digest) -> Result<Box<dyn Read>, Failure> {
        compression::reader(self.store.blob(blob)?).map_err(|_| damaged(blob))
    }

    /// Nothing if it is in it already.
    fn file(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), Failure> {
        if !self.written.insert(name.to_owned()) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        self.tar.append_data(&mut header, name, content.take(size)).map_err(unwritten)
    }
}

/// What is read, and its digest.
struct Hashed<R> {
    content: R,
    hasher: Hasher,
    read: bool,
}

impl<R: Read> Hashed<R> {
    fn new(content: R) -> Self {
        Self { content, hasher: Hasher::new(Algorithm::Sha256), read: false }
    }

    /// That it had this digest, if it was read at all.
    fn check(self, expected: &Digest, blob: &Digest) -> Result<(), Failure> {
        match !self.read || self.hasher.finish() == *expected {
            true => Ok(()),
            false => Err(damaged(blob)),
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.read = true;
        Ok(read)
    }
}

fn damaged(blob: &Digest) -> Failure {
    Failure::new(format_args!("blob {blob} is damaged; 'forgeone fsck' tells what else is"))
}

fn unread(error: io::Error) -> Failure {
    Failure::new(format_args!("store: {error}"))
}

fn unwritten(error: io::Error) -> Failure {
    Failure::new(format_args!("write the archive: {error}"))
}
