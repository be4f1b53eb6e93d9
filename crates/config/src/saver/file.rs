//! Into a file or a text.

use super::tree;
use crate::document::{write, Format};
use crate::version::marked;
use crate::{ContainerConfig, Error, Kind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Saves a configuration to a file that only its owner can read (mode 0600), in the format `json`, `yaml` or `toml`.
/// The file is replaced whole: whoever reads it meanwhile has the old one or the new one, and so has a machine that
/// loses its power. What the name links to is replaced, not the link.
///
/// # Errors
/// Another format; a directory that can't be written; a number that is infinite or none.
pub fn save_config_to_file(config: &ContainerConfig, config_path: &str, format: &str) -> Result<()> {
    let save = |e: Error| e.during(format_args!("save {config_path}"));
    let text =
        Format::named(format).and_then(|format| write(&marked(tree(config)?), format)).map_err(save)?;
    save_text_to_file(&text, config_path)
}

/// Saves a text as [`save_config_to_file`] does that of a configuration: whole, and for the file's owner alone.
///
/// # Errors
/// A directory that can't be written.
pub fn save_text_to_file(text: &str, path: &str) -> Result<()> {
    replace(Path::new(path), text.as_bytes())
        .map_err(|e| Error::new(Kind::System, e.to_string()).during(format_args!("save {path}")))
}

/// A configuration as text, with a line feed at the end. The same configuration is always the same text.
///
/// # Errors
/// A format that was left out of this build; a number that is infinite or none.
pub fn config_to_string(config: &ContainerConfig, format: Format) -> Result<String> {
    tree(config)
        .and_then(|tree| write(&marked(tree), format))
        .map_err(|e| e.during(format_args!("write {format}")))
}

/// Writes beside the file, and gives it its name when all of it is on the disk.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(_) => path.to_owned(),
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let (mut file, temporary) = create(&directory)?;
    let done = (|| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&directory)?.sync_all()
    })();
    if done.is_err() {
        // The first error is the one to tell; after the rename there is nothing to remove.
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// A new file in the directory, for its owner alone.
fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0u32.. {
        let path = directory.join(format!(".forgeone-config.{}.{number}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < 1000 => continue,
            Err(e) => return Err(e),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
