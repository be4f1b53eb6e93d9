//! Images on this machine: an OCI image layout (image specification 1.1, "image layout"), and its layers unpacked.
//!
//! ```text
//!  <data root>/images/
//!    oci-layout  index.json     a manifest for each name (annotation org.opencontainers.image.ref.name)
//!    blobs/sha256/<digest>      manifests, configs, layers as they came; verified when written
//!    layers/<diff ID>/          a layer unpacked, as overlayfs takes it; whole, or not there
//!    trees/<digest>/            layers laid over each other, for drivers without overlay
//!    archives/<digest>          the diff ID of a tar of a root file system
//!    pulls/                     what came of pulls that didn't end, for the next ones
//!    tmp/                       what is being made; whoever finds it left over removes it
//!    lock                       shared while something is made, exclusive while what nobody names is removed
//!    index.lock                 exclusive while index.json changes
//! ```
//!
//! Everything is made beside and renamed when it is whole and on the disk: who is killed leaves `tmp/` alone.

mod archive;
mod blob;
mod check;
mod collect;
mod containers;
mod layers;
mod pulls;
mod trees;

use crate::failure::Failure;
pub(crate) use blob::Incoming;
pub(crate) use check::Damaged;
use forgeone_distribution::{Content, Descriptor, Digest, MAX_MANIFEST, Reference, media_type};
pub(crate) use layers::Made;
pub(crate) use pulls::Begun;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The annotation that has an image's name.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation that has what an image's files take unpacked, in bytes.
const UNPACKED: &str = "io.forgeone.image.unpacked-size";

/// The store, with nobody removing anything as long as it is open.
pub(crate) struct Store {
    path: PathBuf,
    lock: File,
}

/// An image of the store.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// What it is called by; without name, by its digest alone.
    pub(crate) name: Option<Reference>,
    /// Its manifest.
    pub(crate) manifest: Descriptor,
}

impl Image {
    /// What its files take, in bytes.
    pub(crate) fn unpacked(&self) -> u64 {
        self.manifest.annotations.get(UNPACKED).and_then(|size| size.parse().ok()).unwrap_or(0)
    }
}

impl Store {
    /// Opens the store below a data root, and makes it if there is none.
    pub(crate) fn open(data_root: &Path) -> Result<Self, Failure> {
        let path = data_root.join("images");
        let failed = |e| Failure::new(format_args!("store {}: {e}", path.display()));
        for directory in ["blobs/sha256", "layers", "pulls", "tmp"] {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(path.join(directory)).map_err(failed)?;
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(failed)?;
        // What is left over belongs to nobody if nobody else is here.
        if lock.try_lock().is_ok() {
            for entry in fs::read_dir(path.join("tmp")).map_err(failed)?.flatten() {
                discard(&entry.path());
            }
        }
        lock.lock_shared().map_err(failed)?;
        let store = Self { path, lock };
        if !store.path.join("index.json").exists() {
            store.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
            let _index = store.lock_index()?;
            if !store.path.join("index.json").exists() {
                store.write_index(&[])?;
            }
        }
        Ok(store)
    }

    /// All images, in the order of their names.
    pub(crate) fn images(&self) -> Result<Vec<Image>, Failure> {
        let path = self.path.join("index.json");
        let bytes = read_bounded(&path)?;
        let index: Content = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::new(format_args!("store: {}: {e}", path.display())))?;
        let image = |manifest: Descriptor| {
            let name = manifest.annotations.get(NAME).and_then(|name| name.parse().ok());
            Image { name, manifest }
        };
        let mut images: Vec<Image> = index.manifests.unwrap_or_default().into_iter().map(image).collect();
        images.sort_by(|a, b| (&a.name, &a.manifest.digest).cmp(&(&b.name, &b.manifest.digest)));
        Ok(images)
    }

    /// The image that a name, a digest, or the beginning of its id stands for.
    pub(crate) fn find(&self, name: &str) -> Result<Image, Failure> {
        let images = self.images()?;
        if let Ok(reference) = name.parse::<Reference>() {
            let named = |image: &&Image| match reference.digest() {
                Some(digest) => {
                    let repository = image.name.as_ref().map(Reference::repository);
                    let same = image.manifest.digest == *digest && repository == Some(reference.repository());
                    // An index is another's digest than the image that was chosen of it.
                    same || image.name.as_ref() == Some(&reference)
                }
                None => image.name.as_ref() == Some(&reference),
            };
            if let Some(image) = images.iter().find(named) {
                return Ok(image.clone());
            }
        }
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        // Shorter ones would rather be slips.
        if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(no_image(name, &images));
        }
        let mut found = BTreeMap::new();
        for image in &images {
            let id = self.id(image)?;
            if id.hex().starts_with(digits) || image.manifest.digest.hex().starts_with(digits) {
                found.insert(id, image.clone());
            }
        }
        let count = found.len();
        match found.into_values().next() {
            None => Err(no_image(name, &images)),
            Some(image) if count == 1 => Ok(image),
            Some(_) => {
                Err(Failure::new(format_args!("{count} images' ids begin with {name}; give more of it")))
            }
        }
    }

    /// An image's id: the digest of its config.
    pub(crate) fn id(&self, image: &Image) -> Result<Digest, Failure> {
        Ok(self.manifest(image)?.1.digest)
    }

    /// An image's manifest and the descriptor of its config.
    pub(crate) fn manifest(&self, image: &Image) -> Result<(Content, Descriptor), Failure> {
        let bytes = self.document(&image.manifest.digest)?;
        let wrong = |e: &dyn Display| Failure::new(format_args!("manifest {}: {e}", image.manifest.digest));
        let manifest: Content = serde_json::from_slice(&bytes).map_err(|e| wrong(&e))?;
        let config = manifest.config.clone().ok_or_else(|| wrong(&"it has no config"))?;
        Ok((manifest, config))
    }

    /// A small blob, verified.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let bytes = read_bounded(&self.blob_path(digest))?;
        match Digest::computed(digest.algorithm(), &bytes) == *digest {
            true => Ok(bytes),
            false => {
                Err(Failure::new(format_args!("blob {digest} is damaged; pull or load its image again")))
            }
        }
    }

    /// Gives an image a name, which it takes from whatever had it.
    pub(crate) fn add(
        &self,
        mut manifest: Descriptor,
        name: Option<&Reference>,
        unpacked: u64,
    ) -> Result<(), Failure> {
        manifest.annotations.clear();
        manifest.annotations.insert(UNPACKED.to_owned(), unpacked.to_string());
        if let Some(name) = name {
            manifest.annotations.insert(NAME.to_owned(), name.to_string());
        }
        let _index = self.lock_index()?;
        let mut images = self.images()?;
        images.retain(|image| match (&image.name, name) {
            (Some(old), Some(new)) => old != new,
            // What was without a name has one now, or is there already.
            (None, _) => image.manifest.digest != manifest.digest,
            (Some(_), None) => true,
        });
        let known = name.is_none() && images.iter().any(|image| image.manifest.digest == manifest.digest);
        if !known {
            images.push(Image { name: None, manifest });
        }
        self.write_index(&images)
    }

    /// Takes names away; what no name is left for stays until [`Store::collect`].
    pub(crate) fn forget(&self, gone: impl Fn(&Image) -> bool) -> Result<(), Failure> {
        let _index = self.lock_index()?;
        let mut images = self.images()?;
        images.retain(|image| !gone(image));
        self.write_index(&images)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    /// A path in `tmp/` that nobody else has.
    pub(crate) fn temporary(&self) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.path.join("tmp").join(format!("{}-{count}", std::process::id()))
    }

    fn lock_index(&self) -> Result<File, Failure> {
        let path = self.path.join("index.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let locked = lock.and_then(|lock| lock.lock().map(|()| lock));
        locked.map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))
    }

    fn write_index(&self, images: &[Image]) -> Result<(), Failure> {
        let mut index = Content::of_type(media_type::INDEX);
        index.manifests = Some(images.iter().map(|image| image.manifest.clone()).collect());
        self.replace("index.json", &index.to_bytes().map_err(Failure::new)?)
    }

    /// Replaces a file whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, temporary) = (self.path.join(name), self.temporary());
        let write = || {
            let mut file = File::create_new(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))
    }
}

fn no_image(name: &str, images: &[Image]) -> Failure {
    let short = |reference: &Reference| {
        let path = reference.repository().path();
        path.strip_prefix("library/").unwrap_or(path).to_owned()
    };
    let names: Vec<String> = images.iter().filter_map(|image| image.name.as_ref()).map(short).collect();
    let asked = name.parse().map_or_else(|_| name.to_owned(), |reference| short(&reference));
    let known = forgeone_config::closest(&asked, names.iter().map(String::as_str));
    match known {
        Some(known) => Failure::new(format_args!("no image {name:?}; did you mean {known:?}?")),
        None => Failure::new(format_args!("no image {name:?}; 'forgeone images' lists what there is")),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|e| Failure::new(format_args!("{}: {e}", path.display())))?;
    read_document(file, path.display())
}

/// A document, whole.
pub(crate) fn read_document(from: impl Read, what: impl Display) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_MANIFEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::new(format_args!("{what}: {e}")))?;
    match bytes.len() > MAX_MANIFEST {
        true => Err(Failure::new(format_args!("{what} is larger than {MAX_MANIFEST} bytes"))),
        false => Ok(bytes),
    }
}

/// Removes a file or a tree as far as that is possible; what stays is found again.
fn discard(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}
