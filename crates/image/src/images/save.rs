//! `save`: images into an archive.

use super::store;
use crate::failure::Failure;
use crate::save::{self, Format};
use forgeone_cli::{Call, Values};
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

pub(super) fn save(call: &Call, global: &Values) -> Result<(), Failure> {
    let format = match call.flags.text("format")? {
        None | Some("docker-archive") => Format::Docker,
        Some("oci-archive") => Format::Oci,
        Some(other) => {
            let message = format!("option --format is docker-archive or oci-archive, not {other:?}");
            return Err(Failure::new(message));
        }
    };
    let store = store(global)?;
    let images: Vec<_> = call.texts()?.into_iter().map(|word| store.find(word)).collect::<Result<_, _>>()?;
    let write = |out: &mut dyn Write| save::save(&store, &images, format, out);
    match call.flags.value("output").map(Path::new) {
        Some(file) => to_file(file, write).map_err(|failure| failure.during(file.display())),
        None if io::stdout().is_terminal() => {
            Err(Failure::new("an archive is nothing for a terminal; name a file with --output"))
        }
        None => write(&mut BufWriter::new(io::stdout().lock())),
    }
}

/// A file is there whole, or as before.
fn to_file(path: &Path, write: impl Fn(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let file = File::options().write(true).open(path).map_err(Failure::new)?;
        return write(&mut BufWriter::new(file));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let file = File::create_new(&beside).map_err(Failure::new)?;
    let written = write(&mut BufWriter::new(file));
    let put = written.and_then(|()| fs::rename(&beside, path).map_err(Failure::new));
    put.inspect_err(|_| drop(fs::remove_file(&beside)))
}
