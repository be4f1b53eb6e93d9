//! Names come and go: `tag`, `rmi`, `image prune`.

use super::{list, store};
use crate::config::print;
use crate::failure::Failure;
use crate::store::{Image, Store};
use forgeone_cli::{Call, Values, human};
use forgeone_distribution::{Digest, Reference};
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};

pub(super) fn tag(call: &Call, global: &Values) -> Result<(), Failure> {
    let (image, name) = (call.text(0)?, call.text(1)?);
    let wrong = |e| Failure::new(format_args!("name {name:?}: {e}"));
    let reference: Reference = name.parse().map_err(wrong)?;
    if reference.digest().is_some() {
        return Err(Failure::new(format_args!("name {name:?}: a digest can't be given; leave @… out")));
    }
    let store = store(global)?;
    let image = store.find(image)?;
    let unpacked = image.unpacked();
    store.add(image.manifest, Some(&reference), unpacked)
}

pub(super) fn rmi(call: &Call, global: &Values) -> Result<(), Failure> {
    let (store, force) = (store(global)?, call.flags.switch("force"));
    // All are looked for before any is removed.
    let mut gone = Vec::new();
    for word in call.texts()? {
        gone.extend(meant(&store, word, store.find(word)?, force)?);
    }
    let same = |a: &Image, b: &Image| a.name == b.name && a.manifest.digest == b.manifest.digest;
    let goes = |image: &Image| gone.iter().any(|gone| same(gone, image));
    if !force {
        stays_named(&store, &gone, goes)?;
    }
    store.forget(goes)?;
    store.collect(false)?;
    let told: BTreeSet<String> = gone.iter().map(list::called).collect();
    told.iter().try_for_each(|name| print(&format!("Untagged: {name}\n")))
}

/// That no container is made of an image whose last name goes.
fn stays_named(store: &Store, gone: &[Image], goes: impl Fn(&Image) -> bool) -> Result<(), Failure> {
    let images = store.images()?;
    let left =
        |manifest: &Digest| images.iter().any(|image| image.manifest.digest == *manifest && !goes(image));
    for held in store.held()? {
        let Some(manifest) = held.image.filter(|manifest| !left(manifest)) else { continue };
        if let Some(image) = gone.iter().find(|gone| gone.manifest.digest == manifest) {
            let (image, container) = (list::called(image), held.container);
            return Err(Failure::new(format_args!(
                "{image} is used by the container {container}; remove that first, or --force takes the name alone"
            )));
        }
    }
    Ok(())
}

/// The names that a word removes: one that is a name, itself; of an id, its only one, or by force all.
fn meant(store: &Store, word: &str, image: Image, force: bool) -> Result<Vec<Image>, Failure> {
    let named = word.parse::<Reference>().is_ok_and(|reference| {
        reference.digest().is_none() && image.name.as_ref().is_some_and(|name| *name == reference)
    });
    if named {
        return Ok(vec![image]);
    }
    let id = store.id(&image)?;
    let mut all = Vec::new();
    for image in store.images()? {
        if store.id(&image)? == id {
            all.push(image);
        }
    }
    match all.len() > 1 && !force {
        true => {
            let names: Vec<String> = all.iter().map(list::called).collect();
            let names = names.join(", ");
            Err(Failure::new(format_args!("{word} has the names {names}; name one, or --force removes all")))
        }
        false => Ok(all),
    }
}

pub(super) fn prune(call: &Call, global: &Values) -> Result<(), Failure> {
    let (store, all) = (store(global)?, call.flags.switch("all"));
    let held = store.held()?;
    let is_used = |image: &Image| held.iter().any(|held| held.image.as_ref() == Some(&image.manifest.digest));
    let goes = |image: &Image| (all || image.name.is_none()) && !is_used(image);
    let gone: Vec<Image> = store.images()?.into_iter().filter(|image| goes(image)).collect();
    if !call.flags.switch("force") && std::io::stdin().is_terminal() && !agreed(gone.len())? {
        return Ok(());
    }
    store.forget(goes)?;
    let freed = store.collect(true)?;
    gone.iter().try_for_each(|image| print(&format!("Deleted: {}\n", list::called(image))))?;
    print(&format!("Total reclaimed space: {}\n", human::size(freed)))
}

/// Whether whoever sits at the terminal wants it.
fn agreed(count: usize) -> Result<bool, Failure> {
    let asked = format!("{count} images and what is left of broken pulls will be removed. Continue? [y/N] ");
    let mut error = std::io::stderr();
    error.write_all(asked.as_bytes()).and_then(|()| error.flush())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
