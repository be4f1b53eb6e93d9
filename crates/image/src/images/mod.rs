//! The commands for images: `pull`, `load`, `images`, `tag`, `rmi`.

mod list;
mod pull;

use crate::config::print;
use crate::failure::Failure;
use crate::load;
use crate::namespace;
use crate::store::{Image, Store};
use forgeone_cli::settings::{Surroundings, data_root};
use forgeone_cli::{Call, Values, wants_json};
use forgeone_distribution::Reference;
use forgeone_runtime::lifecycle::in_user_namespace;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) use list::size;

/// Carries a command out; the exit status.
pub(crate) fn run(call: &Call, global: &Values) -> Result<u8, Failure> {
    let done = match call.command.name {
        "images" => images(call, global),
        "load" => load(call, global),
        "pull" => pull::pull(call, global),
        "rmi" => rmi(call, global),
        "tag" => tag(call, global),
        _ => Err(Failure::new("no such command")),
    };
    match done {
        Ok(()) => Ok(0),
        // Who speaks with a registry says what for.
        Err(failure) if failure.to_string().starts_with(&format!("{} ", call.command.name)) => Err(failure),
        Err(failure) => Err(failure.during(call.command.name)),
    }
}

fn images(call: &Call, global: &Values) -> Result<(), Failure> {
    let json = wants_json(call)?;
    let store = store(global)?;
    let rows = list::rows(&store)?;
    print(&match (call.flags.switch("quiet"), json) {
        (true, _) => list::ids(&rows),
        (false, true) => list::json(&rows)?,
        (false, false) => list::table(&rows),
    })
}

fn load(call: &Call, global: &Values) -> Result<(), Failure> {
    let file = call.flags.value("input").or(call.words.first().map(|word| word.as_os_str()));
    let file = PathBuf::from(file.unwrap_or("-".as_ref()));
    let loaded = load::load(&store(global)?, &file);
    for image in loaded.map_err(|failure| failure.during(file.display()))? {
        if !call.flags.switch("quiet") {
            print(&format!("Loaded image: {image}\n"))?;
        }
    }
    Ok(())
}

fn tag(call: &Call, global: &Values) -> Result<(), Failure> {
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

fn rmi(call: &Call, global: &Values) -> Result<(), Failure> {
    let (store, force) = (store(global)?, call.flags.switch("force"));
    // All are looked for before any is removed.
    let mut gone = Vec::new();
    for word in call.texts()? {
        gone.extend(meant(&store, word, store.find(word)?, force)?);
    }
    let same = |a: &Image, b: &Image| a.name == b.name && a.manifest.digest == b.manifest.digest;
    store.forget(|image| gone.iter().any(|gone| same(gone, image)))?;
    store.collect()?;
    let told: BTreeSet<String> = gone.iter().map(list::called).collect();
    told.iter().try_for_each(|name| print(&format!("Untagged: {name}\n")))
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

pub(crate) fn store(global: &Values) -> Result<Store, Failure> {
    let variable = |name: &str| std::env::var_os(name);
    let around =
        Surroundings { variable: &variable, euid: namespace::user(), in_user_namespace: &in_user_namespace };
    Store::open(&data_root(global, &around)?)
}
