//! The commands for images: `pull`, `load`, `images`, `tag`, `rmi`.

mod list;
mod pull;

use crate::arguments::Arguments;
use crate::config::print;
use crate::failure::Failure;
use crate::load;
use crate::store::{Image, Store};
use forgeone_distribution::Reference;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub(crate) use list::size;

/// A command.
struct Command {
    name: &'static str,
    /// Carries it out; `None` if help is asked for, which is the door's.
    run: fn(Vec<OsString>) -> Result<Option<()>, Failure>,
}

const COMMANDS: &[Command] = &[
    Command { name: "images", run: images },
    Command { name: "load", run: load },
    Command { name: "pull", run: pull::pull },
    Command { name: "rmi", run: rmi },
    Command { name: "tag", run: tag },
];

/// Whether a word is one of these commands.
pub(crate) fn knows(word: &OsStr) -> bool {
    COMMANDS.iter().any(|command| word == command.name)
}

/// Carries a command out; the exit status.
pub(crate) fn run(name: &OsStr, words: Vec<OsString>) -> Result<u8, Failure> {
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else {
        return Err(Failure::new("no such command"));
    };
    match (command.run)(words) {
        Ok(Some(())) => Ok(0),
        Ok(None) => Err(Failure::new(format_args!("see 'forgeone help {}'", command.name))),
        // Who speaks with a registry says what for.
        Err(failure) if failure.to_string().starts_with(&format!("{} ", command.name)) => Err(failure),
        Err(failure) => Err(failure.during(command.name)),
    }
}

fn images(words: Vec<OsString>) -> Result<Option<()>, Failure> {
    let read = Arguments::read(words, &["quiet|q"], &["format|f", "data-root"], (0, 0))?;
    let Some(arguments) = read else { return Ok(None) };
    let format = arguments.choice("format", &["table", "json"])?;
    let store = store(&arguments)?;
    let rows = list::rows(&store)?;
    print(&match (arguments.switch("quiet"), format) {
        (true, _) => list::ids(&rows),
        (false, "json") => list::json(&rows)?,
        (false, _) => list::table(&rows),
    })
    .map(Some)
}

fn load(words: Vec<OsString>) -> Result<Option<()>, Failure> {
    let read = Arguments::read(words, &["quiet|q"], &["input|i", "data-root"], (0, 1))?;
    let Some(arguments) = read else { return Ok(None) };
    let file = arguments.values("input").last().or(arguments.words().first().map(String::as_str));
    let file = PathBuf::from(file.unwrap_or("-"));
    let loaded = load::load(&store(&arguments)?, &file);
    for image in loaded.map_err(|failure| failure.during(file.display()))? {
        if !arguments.switch("quiet") {
            print(&format!("Loaded image: {image}\n"))?;
        }
    }
    Ok(Some(()))
}

fn tag(words: Vec<OsString>) -> Result<Option<()>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["data-root"], (2, 2))? else { return Ok(None) };
    let [image, name] = arguments.words() else { return Err(Failure::new("<image> and <name> are needed")) };
    let wrong = |e| Failure::new(format_args!("name {name:?}: {e}"));
    let reference: Reference = name.parse().map_err(wrong)?;
    if reference.digest().is_some() {
        return Err(Failure::new(format_args!("name {name:?}: a digest can't be given; leave @… out")));
    }
    let store = store(&arguments)?;
    let image = store.find(image)?;
    let unpacked = image.unpacked();
    store.add(image.manifest, Some(&reference), unpacked).map(Some)
}

fn rmi(words: Vec<OsString>) -> Result<Option<()>, Failure> {
    let Some(arguments) = Arguments::read(words, &["force|f"], &["data-root"], (1, usize::MAX))? else {
        return Ok(None);
    };
    let (store, force) = (store(&arguments)?, arguments.switch("force"));
    // All are looked for before any is removed.
    let mut gone = Vec::new();
    for word in arguments.words() {
        gone.extend(meant(&store, word, store.find(word)?, force)?);
    }
    let same = |a: &Image, b: &Image| a.name == b.name && a.manifest.digest == b.manifest.digest;
    store.forget(|image| gone.iter().any(|gone| same(gone, image)))?;
    store.collect()?;
    let told: BTreeSet<String> = gone.iter().map(list::called).collect();
    told.iter().try_for_each(|name| print(&format!("Untagged: {name}\n"))).map(Some)
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

fn store(arguments: &Arguments) -> Result<Store, Failure> {
    let chosen = arguments.values("data-root").last().map(PathBuf::from);
    if chosen.is_none() && forgeone_sys::process::geteuid() != 0 {
        return Err(Failure::new("images are kept for root only as yet; as another user, name --data-root"));
    }
    Store::open(&chosen.unwrap_or_else(|| PathBuf::from("/var/lib/forgeone")))
}
