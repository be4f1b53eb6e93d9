//! `push`: an image to a registry.

use super::store;
use crate::config::print;
use crate::failure::Failure;
use crate::push;
use crate::remote::Remote;
use forgeone_cli::{Call, Values};
use forgeone_distribution::Reference;

pub(super) fn push(call: &Call, global: &Values) -> Result<(), Failure> {
    let store = store(global)?;
    let image = store.find(call.text(0)?)?;
    let destination = match (call.texts()?.get(1), &image.name) {
        (Some(word), _) => {
            let wrong = |wrong| Failure::new(format_args!("{word:?}: {wrong}"));
            word.strip_prefix("docker://").unwrap_or(word).parse::<Reference>().map_err(wrong)?
        }
        (None, Some(name)) => name.clone(),
        (None, None) => return Err(Failure::new("this image has no name; say where it is pushed to")),
    };
    let remote = Remote::of(&call.flags)?;
    let digest = push::push(&store, &image, &destination, &remote, call.flags.switch("quiet"))?;
    print(&format!("{digest}\n"))
}
