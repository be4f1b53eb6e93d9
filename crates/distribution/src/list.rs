//! Lists: tags, page by page.

use crate::auth::Access;
use crate::client::refusal;
use crate::http::{Request, Response, Url};
use crate::manifest::{MAX_MANIFEST, TIME};
use crate::{Client, Error, Kind, Repository, Result};

/// How many pages a list has at most.
pub(crate) const PAGES: usize = 1000;

/// How many entries a list has at most.
pub(crate) const ENTRIES: usize = 100_000;

#[derive(serde::Deserialize)]
struct Tags {
    /// Null where all were deleted.
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags of a repository, in the registry's order.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; a list that doesn't end; what any request may end with.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>> {
        self.all_tags(repository).map_err(|e| e.during(format_args!("list the tags of {repository}")))
    }

    fn all_tags(&self, repository: &Repository) -> Result<Vec<String>> {
        let access = Access::to(repository, "pull");
        let mut tags = Vec::new();
        let mut next = Some(self.url(repository, "tags/list")?.with("n", "1000"));
        for _ in 0..PAGES {
            let Some(url) = next else { return Ok(tags) };
            let answer = self.send(&access, &Request::get(url).within(TIME), None)?;
            match answer.status() {
                200 => {}
                404 => return Err(Error::new(Kind::NotFound, "the registry has no such repository")),
                _ => return Err(refusal(answer)),
            }
            next = next_page(&answer)?;
            let page: Tags = serde_json::from_slice(&answer.bytes(MAX_MANIFEST)?)
                .map_err(|e| Error::new(Kind::Content, format_args!("it is no list of tags: {e}")))?;
            tags.extend(page.tags.unwrap_or_default());
            if tags.len() > ENTRIES {
                break;
            }
        }
        Err(Error::new(Kind::Content, "the list doesn't end"))
    }
}

/// Where a list goes on: `Link: </v2/…?last=b>; rel="next"` (RFC 8288), on the same host.
pub(crate) fn next_page(answer: &Response) -> Result<Option<Url>> {
    let links = answer.headers("link").flat_map(|link| link.split(','));
    let next = links.filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'));
    let next = next.filter(|(_, about)| about.replace([' ', '"'], "").to_lowercase().contains("rel=next"));
    let Some((target, _)) = { next }.next() else { return Ok(None) };
    let url = answer.url().join(target)?;
    match url.origin() == answer.url().origin() {
        true => Ok(Some(url)),
        false => {
            Err(Error::new(Kind::Content, format_args!("the list goes on at {url}, another host: refused")))
        }
    }
}
