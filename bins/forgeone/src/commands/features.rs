//! `features`: what this runtime implements, as JSON.

use super::{Door, show};
use forgeone_cli::Call;
use forgeone_cli::output;
use forgeone_cli::{COMMIT, VERSION};
use forgeone_runtime::{Result, features};

pub(crate) fn run(_: &Door, _: &Call) -> Result<u8> {
    let mut text = show::pretty(&features::document(VERSION, COMMIT), b"    ")?;
    text.push('\n');
    output::print(&text)?;
    Ok(0)
}
