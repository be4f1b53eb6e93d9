//! `render`: a configuration from a template and values.

use super::{FORMATS, print, shown};
use crate::arguments::Arguments;
use crate::bounded;
use crate::failure::Failure;
use forgeone_config::{load_config_from_template, load_values_from_file};
use serde_json::{Map, Value};
use std::ffi::OsString;

pub(super) const HELP: &str = "\
render [options] <template>

A template is a file such as web.yaml.j2, in the language of Jinja. A value is
written as JSON writes it, so that a text has its quotes: image: {{ image }}.
A name without a value is an error. The result isn't validated.

options:
      --set NAME=TEXT            the value of a name; wins over files
      --values FILE              values of names: an object in YAML, JSON or TOML
      --format FORMAT            yaml, json, toml or env (yaml)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    if let Some(status) = bounded::apart("render", &words)? {
        return Ok(Some(status));
    }
    let read = Arguments::read(words, &[], &["set", "values", "format"], (1, 1))?;
    let Some(arguments) = read else { return Ok(None) };
    let format = arguments.choice("format", FORMATS)?;
    let mut values = Map::new();
    for file in arguments.values("values") {
        values.extend(load_values_from_file(file)?);
    }
    for pair in arguments.values("set") {
        let wrong = || Failure::new(format_args!("option --set is NAME=TEXT, not {pair:?}"));
        let (name, text) = pair.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        values.insert(name.to_owned(), text.into());
    }
    let config = load_config_from_template(&arguments.words()[0], &Value::Object(values))?;
    print(&shown(&config, format)?)?;
    Ok(Some(0))
}
