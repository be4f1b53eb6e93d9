//! Manifests and what they name (OCI image specification 1.1, "manifest" and "image index"; Docker's schema 2).

use crate::auth::Access;
use crate::client::refusal;
use crate::http::{Request, Response};
use crate::{Client, Digest, Error, Kind, Reference, Repository, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;
use ureq::http::Method;

/// What a manifest has at most, in bytes: what the distribution specification asks registries to take.
pub const MAX_MANIFEST: usize = 4 << 20;

/// How long a manifest may take.
pub(crate) const TIME: Duration = Duration::from_secs(120);

/// Media types.
pub mod media_type {
    /// An image, or an artifact.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Manifests, by platform.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's image.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's list of images, by platform.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// `{}`: where an artifact has no configuration.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
}
use media_type::{DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST};

/// What something is, its address and its size in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its address.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// In an index: what kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Of what has this digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, artifact_type: None, platform: None, annotations: BTreeMap::new() }
    }
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// In Go's words: `linux`.
    pub os: String,
    /// Which sort of the architecture: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Always 2.
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// An image's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Descriptor>,
    /// An image's layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Descriptor>>,
    /// An index's manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Descriptor>>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Content {
    /// An image or artifact without anything yet.
    pub fn of_type(media_type: &str) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type.to_owned()),
            artifact_type: None,
            config: None,
            layers: None,
            manifests: None,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// As it is sent.
    ///
    /// # Errors
    /// None in practice: all of it can be JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::new(Kind::System, e))
    }
}

/// A manifest as it came, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    media_type: String,
    digest: Digest,
    bytes: Vec<u8>,
    content: Content,
}

impl Manifest {
    /// Of these bytes, which have this digest and claim to be of this type.
    ///
    /// # Errors
    /// No manifest of a known type; one that says that it is of another type, or that could be taken for another one
    /// (CVE-2021-41190).
    pub fn parse(media_type: &str, digest: Digest, bytes: Vec<u8>) -> Result<Self> {
        let wrong = |reason: String| Error::new(Kind::Content, reason);
        let index = match media_type {
            MANIFEST | DOCKER_MANIFEST => false,
            INDEX | DOCKER_LIST => true,
            other => {
                let other = crate::error::line(other);
                return Err(wrong(format!("{other:?} is no media type of a manifest that is known here")));
            }
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|e| wrong(format!("it is no manifest: {e}")))?;
        if content.schema_version != 2 {
            return Err(wrong(format!("it is of schema {}, not 2", content.schema_version)));
        }
        if let Some(said) = content.media_type.as_deref().filter(|said| *said != media_type) {
            let said = crate::error::line(said);
            return Err(wrong(format!("it came as {media_type}, but says that it is {said}")));
        }
        let image = content.config.is_some() || content.layers.is_some();
        if index == image || index != content.manifests.is_some() {
            let what = if index { "manifests alone" } else { "config and layers, without manifests" };
            return Err(wrong(format!("it came as {media_type}, which has {what}")));
        }
        Ok(Self { media_type: media_type.to_owned(), digest, bytes, content })
    }

    /// What it is.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Its address.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// As it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// The type of an answer's content, without its parameters.
fn content_type(answer: &Response) -> String {
    let header = answer.header("content-type").unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl Client {
    /// Pulls a manifest, of an image, an artifact or an index.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; more than [`MAX_MANIFEST`] bytes; another digest or type than it should have; what any request
    /// may end with.
    pub fn manifest(&self, reference: &Reference) -> Result<Manifest> {
        self.manifest_or_none(reference)
            .and_then(|found| {
                let missing = || Error::new(Kind::NotFound, "the registry has no such manifest");
                found.ok_or_else(|| missing().or_help("check name and tag"))
            })
            .map_err(|e| e.during(format_args!("pull {reference}")))
    }

    pub(crate) fn manifest_or_none(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let answer = self.ask_manifest(Method::GET, reference)?;
        let Some(answer) = answer else { return Ok(None) };
        let (media_type, said) = (content_type(&answer), said_digest(&answer)?);
        let bytes = answer.bytes(MAX_MANIFEST).map_err(|e| e.during("the manifest"))?;
        let expected = reference.digest().or(said.as_ref());
        let digest = match expected {
            Some(expected) => Digest::computed(expected.algorithm(), &bytes),
            None => Digest::of(&bytes),
        };
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let message = format!("what came has the digest {digest}, not {expected}");
            return Err(Error::new(Kind::Content, message)
                .or_help("don't trust this registry, or what is in between"));
        }
        Manifest::parse(&media_type, digest, bytes).map(Some)
    }

    /// What a reference names, without pulling it; nothing if it isn't there.
    ///
    /// # Errors
    /// An answer without digest or size; what any request may end with.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let find = || {
            let Some(answer) = self.ask_manifest(Method::HEAD, reference)? else { return Ok(None) };
            let digest = said_digest(&answer)?.or_else(|| reference.digest().cloned());
            let size = answer.header("content-length").and_then(|length| length.parse().ok());
            match (digest, size) {
                (Some(digest), Some(size)) => Ok(Some(Descriptor::new(&content_type(&answer), digest, size))),
                _ => Err(Error::new(Kind::Content, "the answer has no digest or no size")),
            }
        };
        find().map_err(|e: Error| e.during(format_args!("look for {reference}")))
    }

    fn ask_manifest(&self, method: Method, reference: &Reference) -> Result<Option<Response>> {
        let repository = reference.repository();
        let url = self.url(repository, &format!("manifests/{}", name(reference)))?;
        let accept = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
        let request = Request::new(method, url).header("accept", accept).within(TIME);
        let answer = self.send(&Access::to(repository, "pull"), &request, None)?;
        match answer.status() {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            _ => Err(refusal(answer)),
        }
    }

    /// Pushes a manifest to its digest, or to the reference's tag; what it names has to be there before. Where the
    /// registry has no list of referrers, the one that stands in for it is kept.
    ///
    /// # Errors
    /// What is no manifest; a digest of the reference that isn't its own; the registry's refusal.
    pub fn put_manifest(&self, reference: &Reference, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let put = || {
            let digest = match reference.digest() {
                Some(expected) => Digest::computed(expected.algorithm(), bytes),
                None => Digest::of(bytes),
            };
            if reference.digest().is_some_and(|expected| *expected != digest) {
                return Err(Error::new(Kind::Content, format_args!("the manifest's digest is {digest}")));
            }
            let manifest = Manifest::parse(media_type, digest.clone(), bytes.to_vec())?;
            let listed = self.put_manifest_bytes(reference, media_type, bytes, &digest)?;
            match &manifest.content.subject {
                Some(subject) if !listed => self.refer(reference.repository(), &manifest, subject)?,
                _ => {}
            }
            Ok(digest)
        };
        put().map_err(|e: Error| e.during(format_args!("push {reference}")))
    }

    /// Whether the registry keeps the list of referrers by itself.
    pub(crate) fn put_manifest_bytes(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<bool> {
        let repository = reference.repository();
        let url = self.url(repository, &format!("manifests/{}", tag_first(reference)))?;
        let request = Request::new(Method::PUT, url).header("content-type", media_type).within(TIME);
        let access = Access::to(repository, "pull,push");
        let answer = self.send(&access, &request, Some((&mut Cursor::new(bytes), bytes.len() as u64)))?;
        if !answer.is_success() {
            return Err(refusal(answer));
        }
        match said_digest(&answer)?.filter(|said| said.algorithm() == digest.algorithm() && said != digest) {
            Some(said) => {
                Err(Error::new(Kind::Content, format_args!("the registry has {said}, not {digest}")))
            }
            None => Ok(answer.header("oci-subject").is_some()),
        }
    }

    /// Deletes what a reference names: a tag, or with a digest the manifest and all its tags.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; a registry that deletes nothing, or no tags.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<()> {
        self.delete(reference.repository(), &format!("manifests/{}", name(reference)))
            .map_err(|e| e.during(format_args!("delete {reference}")))
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// As [`Client::delete_manifest`].
    pub fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<()> {
        self.delete(repository, &format!("blobs/{digest}"))
            .map_err(|e| e.during(format_args!("delete {repository}@{digest}")))
    }

    fn delete(&self, repository: &Repository, what: &str) -> Result<()> {
        let request = Request::new(Method::DELETE, self.url(repository, what)?).within(TIME);
        let answer = self.send(&Access::to(repository, "pull,push,delete"), &request, None)?;
        match answer.status() {
            200..=299 => Ok(()),
            405 | 400 => Err(refusal(answer)
                .or_help("this registry may not delete it: ask who runs it, or try the digest")),
            _ => Err(refusal(answer)),
        }
    }
}

/// What a manifest is asked for by: its digest decides.
fn name(reference: &Reference) -> &str {
    reference.digest().map_or_else(|| reference.tag().unwrap_or_default(), Digest::as_str)
}

/// What a manifest is pushed to: its tag, or else its digest.
fn tag_first(reference: &Reference) -> &str {
    match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag,
        (None, digest) => digest.map_or("", Digest::as_str),
    }
}

/// The digest that the registry gives, if any.
pub(crate) fn said_digest(answer: &Response) -> Result<Option<Digest>> {
    let Some(text) = answer.header("docker-content-digest") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let text = crate::error::line(text);
        Error::new(Kind::Content, format_args!("the registry says the digest is {text:?}, which is none"))
    })
}
