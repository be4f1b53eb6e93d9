//! `merge`: configurations over each other.

use super::{FORMATS, keys, log, print, shown};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{ContainerConfig, Format, load_encrypted_config, merge_configs, save_config_to_file};
use std::ffi::OsString;

pub(super) const HELP: &str = "\
merge [options] <source> <sources...>

What a source has wins over the ones before it; docs/config.md tells how lists are
joined. The result isn't validated.

options:
      --format FORMAT            yaml, json, toml or env (yaml, or by FILE)
  -o, --output FILE              write it there, in the clear
      --identity FILE            opens what is encrypted; see 'decrypt --help' for
                                 this, --passphrase, --passphrase-file and -env
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let valued = [keys::OPENING, &["format", "output|o"]].concat();
    let read = Arguments::read(words, keys::SWITCHES, &valued, (1, usize::MAX))?;
    let Some(arguments) = read else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    let identities = keys::identities(&arguments)?;
    let mut merged = ContainerConfig::default();
    for source in arguments.words() {
        merged = merge_configs(&merged, load_encrypted_config(source, &identities)?.config());
    }
    let Some(output) = arguments.values("output").last() else {
        print(&shown(&merged, format)?)?;
        return Ok(Some(0));
    };
    let given = arguments.values("format").next().is_some();
    let format = if given { format.to_owned() } else { Format::of_path(output)?.to_string() };
    log::change("merge", output, Some(&identities), |path| Ok(save_config_to_file(&merged, path, &format)?))?;
    Ok(Some(0))
}
