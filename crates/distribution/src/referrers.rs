//! Referrers: manifests whose subject is another one (distribution specification 1.1, "listing referrers"). Where a
//! registry has no list of them, an index with the tag `ALGORITHM-HEX` of the subject stands in for it, which whoever
//! pushes keeps ("referrers tag schema").

use crate::auth::Access;
use crate::client::refusal;
use crate::http::Request;
use crate::list::{ENTRIES, PAGES, next_page};
use crate::manifest::{MAX_MANIFEST, TIME};
use crate::media_type::{EMPTY, INDEX};
use crate::{Client, Content, Descriptor, Digest, Error, Kind, Manifest, Reference, Repository, Result};

impl Client {
    /// What refers to a manifest; with `artifact_type` those of that type alone.
    ///
    /// # Errors
    /// A list that doesn't end, or is none; what any request may end with.
    pub fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let list = || match self.listed_referrers(repository, digest, artifact_type)? {
            Some(found) => Ok(found),
            None => Ok(self.tagged_referrers(repository, digest)?),
        };
        // A registry may give all, whatever it is asked.
        let wanted = |found: &Descriptor| {
            artifact_type.is_none_or(|kind| found.artifact_type.as_deref() == Some(kind))
        };
        let list =
            list().map_err(|e: Error| e.during(format_args!("list what refers to {repository}@{digest}")));
        Ok(list?.into_iter().filter(wanted).collect())
    }

    /// By the registry's own list; nothing if it has none.
    fn listed_referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let access = Access::to(repository, "pull");
        let mut url = self.url(repository, &format!("referrers/{digest}"))?;
        if let Some(kind) = artifact_type {
            url = url.with("artifactType", kind);
        }
        let (mut found, mut next) = (Vec::new(), Some(url));
        for _ in 0..PAGES {
            let Some(url) = next else { return Ok(Some(found)) };
            let answer = self.send(&access, &Request::get(url).header("accept", INDEX).within(TIME), None)?;
            match answer.status() {
                200 => {}
                404 => return Ok(None),
                _ => return Err(refusal(answer)),
            }
            next = next_page(&answer)?;
            let page: Content = serde_json::from_slice(&answer.bytes(MAX_MANIFEST)?)
                .map_err(|e| Error::new(Kind::Content, format_args!("it is no index: {e}")))?;
            found.extend(page.manifests.unwrap_or_default());
            if found.len() > ENTRIES {
                break;
            }
        }
        Err(Error::new(Kind::Content, "the list doesn't end"))
    }

    fn tagged_referrers(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>> {
        let Some(index) = self.manifest_or_none(&stand_in(repository, digest)?)? else {
            return Ok(Vec::new());
        };
        Ok(index.content().manifests.clone().unwrap_or_default())
    }

    /// Adds a manifest to the index that stands in for its subject's list.
    pub(crate) fn refer(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        subject: &Descriptor,
    ) -> Result<()> {
        let mut known = self.tagged_referrers(repository, &subject.digest)?;
        if known.iter().any(|known| known.digest == *manifest.digest()) {
            return Ok(());
        }
        let content = manifest.content();
        let config = content.config.as_ref().map(|config| config.media_type.clone());
        let size = manifest.bytes().len() as u64;
        known.push(Descriptor {
            artifact_type: content.artifact_type.clone().or(config.filter(|config| config != EMPTY)),
            annotations: content.annotations.clone(),
            ..Descriptor::new(manifest.media_type(), manifest.digest().clone(), size)
        });
        let bytes = Content { manifests: Some(known), ..Content::of_type(INDEX) }.to_bytes()?;
        let digest = Digest::of(&bytes);
        self.put_manifest_bytes(&stand_in(repository, &subject.digest)?, INDEX, &bytes, &digest).map(drop)
    }
}

/// The tag of the index that stands in for a list.
fn stand_in(repository: &Repository, digest: &Digest) -> Result<Reference> {
    let tag: String = digest.as_str().replace(':', "-").chars().take(128).collect();
    repository.tagged(&tag).map_err(|e| Error::new(Kind::Content, e))
}
