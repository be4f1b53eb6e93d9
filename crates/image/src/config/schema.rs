//! `schema`: the JSON Schema of configurations.

use super::print;
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::config_schema;
use std::ffi::OsString;

pub(super) const HELP: &str = "\
schema

It is draft 7. An editor that speaks to yaml-language-server uses it for a file
that begins with:  # yaml-language-server: $schema=config.schema.json
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    if Arguments::read(words, &[], &[], (0, 0))?.is_none() {
        return Ok(None);
    }
    print(&format!("{:#}\n", config_schema()))?;
    Ok(Some(0))
}
