//! `fsck`: whether the store is what it should be.

use super::{list, store};
use crate::config::print;
use crate::failure::Failure;
use crate::store::Damaged;
use forgeone_cli::{Call, Values};

pub(super) fn fsck(call: &Call, global: &Values) -> Result<(), Failure> {
    let store = store(global)?;
    let found = store.check()?;
    for (damaged, why) in &found.damaged {
        let what = match damaged {
            Damaged::Blob(digest) => format!("blob {digest}"),
            Damaged::Layer(diff_id, Some(_)) => format!("layer {diff_id} (its blob is whole)"),
            Damaged::Layer(diff_id, None) => format!("layer {diff_id}"),
            Damaged::Image(image) => format!("image {}", list::called(image)),
        };
        print(&format!("{what}: {why}\n"))?;
    }
    let repair = call.flags.switch("repair");
    for image in &found.broken {
        let told = if repair { "removed" } else { "not whole" };
        print(&format!("{}: {told}; pull or load it again\n", list::called(image)))?;
    }
    let (blobs, layers, damaged) = (found.blobs, found.layers, found.damaged.len());
    print(&format!("{blobs} blobs and {layers} layers read, {damaged} damaged\n"))?;
    match (damaged, repair) {
        (0, _) => Ok(()),
        (_, true) => store.repair(&found),
        (_, false) => {
            Err(Failure::new("the store is damaged; --repair mends what can be, and removes the rest"))
        }
    }
}
