//! Files of JSON that options name.

use forgeone_runtime::{Error, Kind, Result, json};
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// A file that is larger is refused: the largest real ones are some kilobytes.
const MAX: u64 = 16 << 20;

/// Reads the file at `path`.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let name = path.display();
    File::open(path).map_err(|e| failed(&name, &e)).and_then(|file| parse(&name, file))
}

/// Reads standard input.
pub(super) fn json_of_stdin<T: DeserializeOwned>() -> Result<T> {
    parse(&"standard input", stdin().lock())
}

fn parse<T: DeserializeOwned>(name: &dyn Display, input: impl Read) -> Result<T> {
    let mut text = Vec::new();
    input.take(MAX + 1).read_to_end(&mut text).map_err(|e| failed(name, &e))?;
    if text.len() as u64 > MAX {
        return Err(failed(name, &"larger than 16 MiB"));
    }
    json::from_slice(&text).map_err(|e| failed(name, &e))
}

fn failed(name: &dyn Display, cause: &dyn Display) -> Error {
    Error::new(Kind::Config, format!("{name}: {cause}"))
}
