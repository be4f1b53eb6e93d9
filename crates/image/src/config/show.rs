//! `show`: a configuration as it was read.

use super::{FORMATS, keys, print, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::load_encrypted_config;
use std::ffi::OsString;

pub(super) const HELP: &str = "\
show [options] <source>

It isn't validated. What an identity opens is shown, too. `env` shows variables for a shell, as FORGEONE_IMAGE=nginx.

options:
      --format FORMAT            yaml, json, toml or env (yaml)
      --identity FILE            opens what is encrypted; see 'decrypt --help' for
                                 this, --passphrase, --passphrase-file and -env
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let valued = [keys::OPENING, &["format"]].concat();
    let Some(arguments) = Arguments::read(words, keys::SWITCHES, &valued, (1, 1))? else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    let config = load_encrypted_config(&arguments.words()[0], &keys::identities(&arguments)?)?;
    print(&shown(config.config(), format)?)?;
    Ok(Some(0))
}
