//! `migrate`: files of older versions, made files of the newest one.

use super::changed::{self, Colour};
use super::log;
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::{Format, migrate_text, read_text_from_file, save_text_to_file};
use std::ffi::OsString;
use std::io::Write;

pub(super) const HELP: &str = "\
migrate [options] <files...>

Files of older versions are read as they are; this makes them files of the
newest one, and shows what it changes. Comments stay where changing single values
is enough; otherwise that they go is said. Nothing is changed unless every file
can be read.

options:
  -n, --dry-run                  only show what would change
      --color WHEN               auto, always or never (auto: on a terminal)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let read = Arguments::read(words, &["dry-run|n"], &["color"], (1, usize::MAX))?;
    let Some(arguments) = read else { return Ok(None) };
    let colour = Colour::of(&arguments)?;
    let mut migrated = Vec::new();
    for file in arguments.words() {
        let load = |e: forgeone_config::Error| Failure::from(e).during(format_args!("load {file}"));
        let old = read_text_from_file(file)?;
        let format = Format::of_path(file).map_err(load)?;
        if let Some(migration) = migrate_text(&old, format).map_err(load)? {
            migrated.push((file, old, migration));
        }
    }
    for (file, old, migration) in migrated {
        changed::print(file, &old, &migration.text, colour)?;
        if !migration.kept {
            // A note beside the difference; nobody is left to be told if that fails.
            let _ = writeln!(std::io::stderr(), "forgeone: config migrate: {file}: its comments go");
        }
        if !arguments.switch("dry-run") {
            log::change("migrate", file, None, |path| Ok(save_text_to_file(&migration.text, path)?))?;
        }
    }
    Ok(Some(0))
}
