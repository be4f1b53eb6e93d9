//! `pull`: images out of registries, by name.

use super::store;
use crate::arguments::Arguments;
use crate::config::print;
use crate::failure::Failure;
use crate::image;
use crate::pull::{self, How};
use crate::remote::{self, Remote};
use crate::store::Store;
use forgeone_distribution::Reference;
use std::ffi::OsString;

pub(super) fn pull(words: Vec<OsString>) -> Result<Option<()>, Failure> {
    let valued = [&remote::VALUED[..], &["platform", "data-root"]].concat();
    let read = Arguments::read(words, &["quiet|q", "all-tags|a"], &valued, (1, usize::MAX))?;
    let Some(arguments) = read else { return Ok(None) };
    let platform = arguments.values("platform").last().map(image::platform).transpose()?;
    let how = How { platform, quiet: arguments.switch("quiet"), remote: Remote::of(&arguments)? };
    let mut references = Vec::new();
    for word in arguments.words() {
        let reference = word.parse().map_err(|wrong| Failure::new(format_args!("{word:?}: {wrong}")))?;
        match arguments.switch("all-tags") {
            true => references.extend(all_tags(&how, &reference)?),
            false => references.push(reference),
        }
    }
    let store = store(&arguments)?;
    references.iter().try_for_each(|reference| one(&store, reference, &how)).map(Some)
}

fn one(store: &Store, reference: &Reference, how: &How) -> Result<(), Failure> {
    let image = pull::pull(store, reference, how)?;
    print(&format!("{}\n", store.id(&image)?))
}

/// Every tag of a repository, as its registry lists them.
fn all_tags(how: &How, reference: &Reference) -> Result<Vec<Reference>, Failure> {
    let repository = reference.repository();
    let tags = how.remote.client(false)?.tags(repository).map_err(Failure::new)?;
    let parse = |tag: &String| {
        repository.tagged(tag).map_err(|wrong| Failure::new(format_args!("{repository}: {wrong}")))
    };
    tags.iter().map(parse).collect()
}
