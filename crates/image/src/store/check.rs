//! Whether all that is in the store is what it should be, and what to do where it isn't.

use super::{Image, Store, discard};
use crate::failure::Failure;
use crate::image::{self, Config};
use crate::parallel;
use forgeone_distribution::{Algorithm, Descriptor, Digest, Hasher};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many blobs or layers are read at once.
const AT_ONCE: usize = 2;

/// What was found.
pub(crate) struct Found {
    /// How many blobs and unpacked layers there are.
    pub(crate) blobs: usize,
    pub(crate) layers: usize,
    /// What is damaged, and why.
    pub(crate) damaged: Vec<(Damaged, String)>,
    /// Images that can't be had whole from what is there.
    pub(crate) broken: Vec<Image>,
}

/// Something that isn't what it should be.
pub(crate) enum Damaged {
    /// A blob.
    Blob(Digest),
    /// A layer, unpacked, and the blob that it can be unpacked from again, if that is whole.
    Layer(Digest, Option<Descriptor>),
    /// An image's manifest or config.
    Image(Image),
}

impl Store {
    /// Reads everything.
    pub(crate) fn check(&self) -> Result<Found, Failure> {
        let blobs = self.entries("blobs/sha256")?;
        let wrong =
            parallel::each(&blobs, AT_ONCE, |digest| Ok::<_, Failure>((digest, self.wrong_blob(digest))))?;
        let wrong: BTreeMap<&Digest, String> =
            wrong.into_iter().filter_map(|(digest, why)| Some((digest, why?))).collect();
        let whole: BTreeSet<&Digest> = blobs.iter().filter(|blob| !wrong.contains_key(blob)).collect();
        let mut layers: BTreeMap<Digest, Option<Descriptor>> =
            self.entries("layers")?.into_iter().map(|diff_id| (diff_id, None)).collect();
        let count = layers.len();
        let mut damaged: Vec<(Damaged, String)> =
            wrong.iter().map(|(digest, why)| (Damaged::Blob((*digest).clone()), why.clone())).collect();
        let mut broken = Vec::new();
        for image in self.images()? {
            match self.wanted(&image) {
                Ok(pairs) => {
                    let missing = pairs.iter().find(|(blob, _)| !whole.contains(&blob.digest));
                    if let Some((blob, _)) = missing {
                        if !wrong.contains_key(&blob.digest) {
                            let why = "is not there".to_owned();
                            damaged.push((Damaged::Blob(blob.digest.clone()), why));
                        }
                        broken.push(image);
                    }
                    let known = pairs.into_iter().map(|(blob, diff_id)| {
                        let blob = Some(blob).filter(|blob| whole.contains(&blob.digest));
                        (diff_id, blob)
                    });
                    layers.extend(known);
                }
                Err(failure) => {
                    damaged.push((Damaged::Image(image.clone()), failure.to_string()));
                    broken.push(image);
                }
            }
        }
        let layers: Vec<_> = layers.into_iter().collect();
        let wrong =
            parallel::each(&layers, AT_ONCE, |(diff_id, _)| Ok::<_, Failure>(self.wrong_layer(diff_id)))?;
        for ((diff_id, blob), why) in layers.into_iter().zip(wrong) {
            damaged.extend(why.map(|why| (Damaged::Layer(diff_id, blob), why)));
        }
        Ok(Found { blobs: blobs.len(), layers: count, damaged, broken })
    }

    /// Unpacks layers again where their blobs are whole; removes what is damaged, and images that need that.
    pub(crate) fn repair(&self, found: &Found) -> Result<(), Failure> {
        let mut made = Vec::new();
        for (damaged, _) in &found.damaged {
            match damaged {
                Damaged::Blob(digest) => discard(&self.blob_path(digest)),
                Damaged::Layer(diff_id, Some(blob)) => {
                    let layer = self.blob(&blob.digest).and_then(|blob| self.make_layer(diff_id, blob))?;
                    made.push((self.layer_path(diff_id), layer));
                }
                // A container may be made of it: the collector removes it if none is.
                Damaged::Layer(_, None) | Damaged::Image(_) => {}
            }
        }
        let (places, made): (Vec<PathBuf>, Vec<_>) = made.into_iter().unzip();
        places.iter().for_each(|place| discard(place));
        self.settle(made)?;
        let same = |a: &Image, b: &Image| a.name == b.name && a.manifest.digest == b.manifest.digest;
        self.forget(|image| found.broken.iter().any(|broken| same(broken, image)))?;
        self.collect(false).map(drop)
    }

    /// The layers of an image, with their diff IDs.
    fn wanted(&self, image: &Image) -> Result<Vec<(Descriptor, Digest)>, Failure> {
        let (manifest, config) = self.manifest(image)?;
        let (_, layers) = image::parts(&manifest)?;
        let config = Config::parse(&self.document(&config.digest)?)?;
        let pairs = config.layers(layers).into_iter();
        Ok(pairs.map(|(layer, diff_id)| (layer.clone(), diff_id.clone())).collect())
    }

    /// What a directory's entries are called, as digests; what is called otherwise belongs to nobody.
    fn entries(&self, directory: &str) -> Result<Vec<Digest>, Failure> {
        let path = self.path.join(directory);
        let entries =
            fs::read_dir(&path).map_err(|e| Failure::new(format_args!("store {}: {e}", path.display())))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter_map(|name| format!("sha256:{name}").parse().ok()).collect())
    }

    fn wrong_blob(&self, digest: &Digest) -> Option<String> {
        let mut hasher = Hashing(Hasher::new(Algorithm::Sha256));
        let read = File::open(self.blob_path(digest)).and_then(|mut file| io::copy(&mut file, &mut hasher));
        match (read, hasher.0.finish()) {
            (Err(e), _) => Some(format!("can't be read: {e}")),
            (Ok(_), found) if found != *digest => Some(format!("has the digest {found}")),
            (Ok(_), _) => None,
        }
    }

    /// What its files take tells whether any is missing or cut off.
    fn wrong_layer(&self, diff_id: &Digest) -> Option<String> {
        let Some(size) = self.unpacked(diff_id) else { return Some("is not unpacked".to_owned()) };
        match tree_size(&self.layer_path(diff_id).join("root")) {
            Ok(found) if found == size => None,
            Ok(found) => Some(format!("has files of {found} bytes, not {size}")),
            Err(e) => Some(format!("can't be read: {e}")),
        }
    }
}

struct Hashing(Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the regular files of a tree hold, those with several names once.
fn tree_size(root: &Path) -> io::Result<u64> {
    let (mut size, mut linked) = (0, BTreeSet::new());
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                directories.push(entry.path());
            } else if found.is_file() && (found.nlink() == 1 || linked.insert(found.ino())) {
                size += found.len();
            }
        }
    }
    Ok(size)
}
