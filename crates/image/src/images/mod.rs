//! The commands for images: `pull`, `images`, `image inspect` and so on.

mod check;
mod inspect;
mod list;
mod login;
mod names;
mod pull;
mod push;
mod save;

use crate::config::print;
use crate::failure::Failure;
use crate::load;
use crate::namespace;
use crate::store::Store;
use forgeone_cli::settings::{Surroundings, data_root};
use forgeone_cli::show::Format;
use forgeone_cli::{Call, Values};
use forgeone_runtime::lifecycle::in_user_namespace;
use std::path::PathBuf;

/// Carries a command out; the exit status.
pub(crate) fn run(call: &Call, global: &Values) -> Result<u8, Failure> {
    let name = call.command.name;
    let done = match name.strip_prefix("image ").unwrap_or(name) {
        "fsck" => check::fsck(call, global),
        "history" => inspect::history(call, global),
        "images" | "ls" => images(call, global),
        "import" => crate::container::import(call, global),
        "inspect" => inspect::inspect(call, global),
        "load" => load(call, global),
        "login" => login::login(call),
        "logout" => login::logout(call),
        "prune" => names::prune(call, global),
        "pull" => pull::pull(call, global),
        "push" => push::push(call, global),
        "rm" | "rmi" => names::rmi(call, global),
        "save" => save::save(call, global),
        "tag" => names::tag(call, global),
        _ => Err(Failure::new("no such command")),
    };
    match done {
        Ok(()) => Ok(0),
        // Who speaks with a registry says what for.
        Err(failure) if failure.to_string().starts_with(&format!("{name} ")) => Err(failure),
        Err(failure) => Err(failure.during(name)),
    }
}

fn images(call: &Call, global: &Values) -> Result<(), Failure> {
    let format = Format::parse(call.flags.text("format")?)?;
    let store = store(global)?;
    let images = list::images(&store)?;
    print(&match call.flags.switch("quiet") {
        true => list::ids(&images),
        false => list::shown(&images, &format)?,
    })
}

/// What images take, for `system df`: what `image prune --all` would leave is what containers have.
pub(crate) fn usage(global: &Values) -> Result<(), Failure> {
    let usage = store(global)?.usage()?;
    print(&(serde_json::to_string(&usage).map_err(Failure::new)? + "\n"))
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

pub(crate) fn store(global: &Values) -> Result<Store, Failure> {
    let variable = |name: &str| std::env::var_os(name);
    let around =
        Surroundings { variable: &variable, euid: namespace::user(), in_user_namespace: &in_user_namespace };
    Store::open(&data_root(global, &around)?)
}
