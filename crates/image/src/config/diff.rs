//! `diff`: what differs, by meaning.

use super::changed::Colour;
use super::print;
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{Change, diff_configs, json_patch, load_config_from_file};
use std::ffi::OsString;

pub(super) const HELP: &str = "\
diff [options] <file> <file>

The order of keys, comments and the format of the files don't matter. The exit
status is 0 if nothing differs, 1 if something does, 2 if it can't be told.

options:
      --format FORMAT            text, or json-patch of RFC 6902 (text)
      --color WHEN               auto, always or never (auto: on a terminal)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["color", "format"], (2, 2))? else { return Ok(None) };
    let format = arguments.choice("format", &["text", "json-patch"])?;
    let colour = Colour::of(&arguments)?;
    let [old, new] = arguments.words() else { return Ok(None) };
    let changes = diff_configs(&load_config_from_file(old)?, &load_config_from_file(new)?)?;
    match format {
        "json-patch" => print(&format!("{:#}\n", json_patch(&changes)))?,
        _ => print(&changes.iter().map(|change| lines(change, colour)).collect::<String>())?,
    }
    Ok(Some(u8::from(!changes.is_empty())))
}

/// A change's lines.
fn lines(change: &Change, colour: Colour) -> String {
    change.to_string().lines().map(|line| colour.line(line)).collect()
}
