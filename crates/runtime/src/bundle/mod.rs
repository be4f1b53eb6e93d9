//! Bundles: a directory with a `config.json`, read whole and parsed; judging it is the plan's work.

pub mod template;

use crate::error::{Error, Kind, Result};
use crate::{json, spec::Spec};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, Mode, OFlags};
use std::path::{Path, PathBuf};

/// Larger configs are refused unread: the largest real ones are well below a megabyte.
pub const CONFIG_MAX: usize = 16 << 20;

/// A bundle that was read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The directory, absolute and without symbolic links.
    pub dir: PathBuf,
    /// `config.json` as it was read.
    pub config: Vec<u8>,
    /// The same, parsed; on the heap, as the plan and the record are: moved about on the stack they took 50 kB of it, and
    /// `ulimit -s` may leave less than that.
    pub spec: Box<Spec>,
}

/// Reads the bundle in `dir`.
///
/// # Errors
/// [`Kind::Config`], naming the file and, where it is about one, the field.
pub fn load(dir: &Path) -> Result<Bundle> {
    let named =
        |e: &dyn std::fmt::Display| Error::new(Kind::Config, format!("bundle {}: {e}", dir.display()));
    let absolute = std::fs::canonicalize(dir).map_err(|e| named(&e))?;
    let file = absolute.join("config.json");
    let fd = fs::open(&file, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map_err(|e| match e.errno() {
        Errno::NOENT => named(
            &"config.json: No such file or directory; name a bundle with --bundle, or make one with 'forgeone spec'",
        ),
        _ => Error::new(Kind::Config, e.to_string()),
    })?;
    let config = fs::read_to_end(&fd, CONFIG_MAX)
        .map_err(|e| Error::new(Kind::Config, format!("{}: {e}", file.display())))?;
    let spec = parse(&config).map_err(|e| e.during(file.display()))?;
    Ok(Bundle { dir: absolute, config, spec })
}

/// Parses a `config.json`.
///
/// # Errors
/// [`Kind::Config`], naming the field.
#[inline(never)]
pub fn parse(config: &[u8]) -> Result<Box<Spec>> {
    json::from_slice(config).map_err(|e| Error::new(Kind::Config, e))
}
