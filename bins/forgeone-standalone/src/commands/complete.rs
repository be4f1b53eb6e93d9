//! `completion`: scripts for shells, and what they ask for.

use forgeone_cli::settings::{Surroundings, state_root};
use forgeone_cli::{Call, Values, completion, output};
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::{Runtime, Settings, in_user_namespace};
use forgeone_sys::process::geteuid;

pub(crate) fn run(call: &Call) -> Result<u8> {
    output::print(&completion::completion(&call.words, known)?)?;
    Ok(0)
}

/// What a word may name. What can't be read has no names: there is nobody to tell.
fn known(noun: &str, global: &Values) -> Vec<(String, String)> {
    match noun {
        "<container-id>" | "<container>" | "[containers...]" => containers(global),
        _ => Vec::new(),
    }
}

fn containers(global: &Values) -> Vec<(String, String)> {
    let variable = |name: &str| std::env::var_os(name);
    let around = Surroundings { variable: &variable, euid: geteuid(), in_user_namespace: &in_user_namespace };
    let Ok(root) = state_root(global, &around) else { return Vec::new() };
    let runtime = Runtime::new(Settings { root: root.path, ..Settings::default() });
    let rows = runtime.list().into_iter().flatten().flatten();
    rows.map(|row| (row.id, row.status)).collect()
}
