//! `pull`: images out of registries, by name.

use super::store;
use crate::config::print;
use crate::failure::Failure;
use crate::image;
use crate::pull::{self, How};
use crate::remote::Remote;
use crate::store::Store;
use forgeone_cli::{Call, Values};
use forgeone_distribution::Reference;

pub(super) fn pull(call: &Call, global: &Values) -> Result<(), Failure> {
    let platform = call.flags.text("platform")?.map(image::platform).transpose()?;
    let how = How { platform, quiet: call.flags.switch("quiet"), remote: Remote::of(&call.flags)? };
    let mut references = Vec::new();
    for word in call.texts()? {
        let reference = word.parse().map_err(|wrong| Failure::new(format_args!("{word:?}: {wrong}")))?;
        match call.flags.switch("all-tags") {
            true => references.extend(all_tags(&how, &reference)?),
            false => references.push(reference),
        }
    }
    let store = store(global)?;
    references.iter().try_for_each(|reference| one(&store, reference, &how))
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
