//! Images out of registries: from the manifest down, each blob verified, layers unpacked while they come.
//!
//! ```text
//!  name ─► mirrors, registry ─► manifest ─► (index: this platform's) ─► config ─► layers, several at once ─► the name
//!                               claimed: what of it came stays, if it isn't the registry's fault
//! ```

mod follow;
mod layers;

use crate::failure::Failure;
use crate::image::{self, Config, DEPTH_MAX};
use crate::progress::Progress;
use crate::remote::{Remote, Source};
use crate::store::{Image, Store};
use forgeone_distribution::{Client, Descriptor, Kind, Manifest, Platform, Reference};

/// How images are pulled.
pub(crate) struct How {
    /// Of which platform; this machine's if absent.
    pub(crate) platform: Option<Platform>,
    /// Whether nothing is shown on a terminal either.
    pub(crate) quiet: bool,
    /// How registries are spoken with.
    pub(crate) remote: Remote,
}

/// Pulls an image, whatever the store has under its name: what it has of it isn't fetched again. The image in the store.
///
/// ```ignore
/// let how = How { platform: None, quiet: false, remote: Remote::of_user()? };
/// let image = pull::pull(&store, &"alpine".parse()?, &how)?;
/// ```
///
/// # Errors
/// One line with the name, the cause and the way out. Nothing of it is left, but what came of blobs when a connection broke:
/// the next pull goes on with it.
pub(crate) fn pull(store: &Store, reference: &Reference, how: &How) -> Result<Image, Failure> {
    let sources = how.remote.sources(reference)?;
    let progress = Progress::new(reference.to_string(), how.quiet, "unpacking");
    let mut failures = Vec::new();
    for source in sources {
        match from(store, reference, &source, how, &progress) {
            Ok(()) => return store.find(&stored_as(reference).to_string()),
            Err(broken) => failures.push(broken.failure),
        }
    }
    store.tidy();
    // A mirror's failure is told where the registry itself fails, too.
    let told: Vec<String> = failures.iter().map(Failure::to_string).collect();
    Err(Failure::new(told.join("; before that, ")))
}

/// A failure.
struct Broken {
    failure: Failure,
    /// Whether the same may work later.
    later: bool,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, later: false }
    }
}

impl From<forgeone_distribution::Error> for Broken {
    fn from(error: forgeone_distribution::Error) -> Self {
        let later = error.kind() == Kind::Unavailable;
        Self { failure: Failure::new(error), later }
    }
}

impl Broken {
    /// The same, with what was pulled, unless the client said that already.
    fn about(self, what: &Reference) -> Self {
        match self.failure.to_string().starts_with("pull ") {
            true => self,
            false => Self { failure: self.failure.during(format_args!("pull {what}")), ..self },
        }
    }
}

/// What an image is called in the store: a digest says more than a tag.
fn stored_as(reference: &Reference) -> Reference {
    reference.digest().map_or_else(|| reference.clone(), |digest| reference.repository().with_digest(digest))
}

fn from(
    store: &Store,
    name: &Reference,
    source: &Source,
    how: &How,
    progress: &Progress,
) -> Result<(), Broken> {
    let client = how.remote.client(source.insecure)?;
    let platform = how.platform.clone().unwrap_or_else(image::host);
    let manifest = manifest(&client, &source.reference, &platform, 0)?;
    store.claim(&manifest)?;
    let pull = Pull { store, client: &client, source: &source.reference, progress };
    let pulled = pull.image(&manifest, &platform);
    if !pulled.as_ref().is_err_and(|broken| broken.later) {
        store.release(manifest.digest());
    }
    let unpacked = pulled.map_err(|broken| broken.about(&source.reference))?;
    let bytes = manifest.bytes();
    let descriptor = Descriptor::new(manifest.media_type(), manifest.digest().clone(), bytes.len() as u64);
    Ok(store.add(descriptor, Some(&stored_as(name)), unpacked)?)
}

/// The manifest of an image; of an index, the platform's.
fn manifest(
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    depth: u32,
) -> Result<Manifest, Broken> {
    let manifest = client.manifest(reference)?;
    let during = |failure: Failure| failure.during(format_args!("pull {reference}"));
    let Some(manifests) = &manifest.content().manifests else { return Ok(manifest) };
    if depth == DEPTH_MAX {
        let message = format!("more than {DEPTH_MAX} indexes name each other");
        return Err(during(Failure::new(message)).into());
    }
    let chosen = image::for_platform(manifests, platform).map_err(during)?;
    let found =
        self::manifest(client, &reference.repository().with_digest(&chosen.digest), platform, depth + 1)?;
    let said = (chosen.media_type.as_str(), chosen.size);
    let (media_type, size) = (found.media_type(), found.bytes().len() as u64);
    match found.content().manifests.is_some() || said == (media_type, size) {
        true => Ok(found),
        false => {
            let (said_type, said_size) = (said.0.escape_debug(), said.1);
            Err(during(Failure::new(format_args!(
                "manifest {} is of {size} bytes and {media_type}, and its index says {said_size} and {said_type}",
                chosen.digest
            )))
            .into())
        }
    }
}

/// One image on its way.
struct Pull<'p> {
    store: &'p Store,
    client: &'p Client,
    source: &'p Reference,
    progress: &'p Progress,
}

impl Pull<'_> {
    /// Everything that a manifest names, and itself; what its files take, in bytes.
    fn image(&self, manifest: &Manifest, platform: &Platform) -> Result<u64, Broken> {
        let (config, layers) = image::parts(manifest.content())?;
        let config = Config::parse(&self.document(config)?)?;
        config.check(layers, platform)?;
        self.store.has_room(layers)?;
        let size = self.layers(layers, &config)?;
        let descriptor = Descriptor::of(manifest.media_type(), manifest.bytes());
        self.store.copy(&descriptor, manifest.bytes())?;
        Ok(size)
    }

    /// A small blob.
    fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Broken> {
        if self.store.has(blob) {
            return Ok(self.store.document(&blob.digest)?);
        }
        let mut bytes = Vec::new();
        self.client.blob(self.source.repository(), blob, &mut bytes)?;
        self.store.copy(blob, &bytes[..])?;
        Ok(bytes)
    }
}
