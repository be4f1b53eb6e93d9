//! `show`: a configuration as it was read.

use super::{FORMATS, print, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::load_config_from_file;
use std::ffi::OsString;

pub(super) const HELP: &str = "\
show [options] <file>

It isn't validated. `env` shows variables for a shell, as FORGEONE_IMAGE=nginx.

options:
      --format FORMAT            yaml, json, toml or env (yaml)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["format"], (1, 1))? else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    print(&shown(&load_config_from_file(&arguments.words()[0])?, format)?)?;
    Ok(Some(0))
}
