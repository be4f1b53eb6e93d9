//! `completion`: scripts for shells, and what they ask for.

use crate::here::places;
use forgeone_cli::{Call, Values, completion, output};
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::{Runtime, Settings};
use forgeone_runtime::registry::{Container, Places, Register};
use std::path::PathBuf;

pub(crate) fn run(call: &Call) -> Result<u8> {
    output::print(&completion::completion(&call.words, known)?)?;
    Ok(0)
}

/// What a word may name. What can't be read has no names: there is nobody to tell.
fn known(noun: &str, global: &Values) -> Vec<(String, String)> {
    let Ok((root, places)) = places(global) else { return Vec::new() };
    match noun {
        "<container-id>" => ids(root.path),
        "<container>" | "[containers...]" => names(places),
        _ => Vec::new(),
    }
}

/// Containers of the state root, as the OCI runtime's commands name them.
fn ids(root: PathBuf) -> Vec<(String, String)> {
    let rows = Runtime::new(Settings { root, ..Settings::default() }).list();
    rows.into_iter().flatten().flatten().map(|row| (row.id, row.status)).collect()
}

/// Containers from images. Asking makes no register where there is none.
fn names(places: Places) -> Vec<(String, String)> {
    if !places.data_root.join("containers").exists() {
        return Vec::new();
    }
    let all = Register::open(places).and_then(|register| register.list());
    let word = |container: &Container| container.status().map_or("", |status| status.state.word()).to_owned();
    let containers = all.into_iter().flatten().flatten();
    containers.map(|container| (container.name().to_owned(), word(&container))).collect()
}
