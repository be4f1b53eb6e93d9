//! `diff`: what differs, by meaning.

use super::changed::Colour;
use super::{keys, print};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{Change, diff_configs, json_patch, load_encrypted_config};
use serde_json::Value;
use std::ffi::OsString;

pub(super) const HELP: &str = "\
diff [options] <source> <source>

The order of keys, comments and the format of the files don't matter. The exit
status is 0 if nothing differs, 1 if something does, 2 if it can't be told.

options:
      --format FORMAT            text, or json-patch of RFC 6902 (text)
      --color WHEN               auto, always or never (auto: on a terminal)
      --identity FILE            opens what is encrypted; see 'decrypt --help' for
                                 this, --passphrase, --passphrase-file and -env
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let valued = [keys::OPENING, &["color", "format"]].concat();
    let Some(arguments) = Arguments::read(words, keys::SWITCHES, &valued, (2, 2))? else { return Ok(None) };
    let format = arguments.choice("format", &["text", "json-patch"])?;
    let colour = Colour::of(&arguments)?;
    let [old, new] = arguments.words() else { return Ok(None) };
    let identities = keys::identities(&arguments)?;
    let load = |source| load_encrypted_config(source, &identities);
    let (old, new) = (load(old)?, load(new)?);
    let mut changes = diff_configs(old.config(), new.config())?;
    let secret = |path: &str, value: &Option<Value>| {
        let text = value.as_ref().map(ToString::to_string).unwrap_or_default();
        old.is_secret(path, &text) || new.is_secret(path, &text)
    };
    for change in &mut changes {
        let path = change.path();
        if secret(&path, &change.old) || secret(&path, &change.new) {
            if format == "json-patch" {
                return Err(Failure::new(format_args!("{path}: it is a secret, which a patch would show")));
            }
            let masked = |value: &Option<Value>| value.as_ref().map(|_| Value::from("(secret)"));
            (change.old, change.new) = (masked(&change.old), masked(&change.new));
        }
    }
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
