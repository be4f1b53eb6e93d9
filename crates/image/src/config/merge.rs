//! `merge`: configurations over each other.

use super::{FORMATS, print, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{ContainerConfig, load_config_from_file, merge_configs};
use std::ffi::OsString;

pub(super) const HELP: &str = "\
merge [options] <file> <files...>

What a file has wins over the ones before it; docs/config.md tells how lists are
joined. The result isn't validated.

options:
      --format FORMAT            yaml, json, toml or env (yaml)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["format"], (1, usize::MAX))? else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    let mut merged = ContainerConfig::default();
    for file in arguments.words() {
        merged = merge_configs(&merged, &load_config_from_file(file)?);
    }
    print(&shown(&merged, format)?)?;
    Ok(Some(0))
}
