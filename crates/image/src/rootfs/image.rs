//! An image by its name: out of the store, or pulled first.

use crate::failure::Failure;
use crate::image::{self, Config};
use crate::pull;
use crate::remote::Remote;
use crate::store::{Image, Store};
use forgeone_cli::Values;
use forgeone_distribution::{Platform, Reference};

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// If the store hasn't it.
    Missing,
    /// If its name means another one by now.
    Always,
    Never,
}

/// How an image is found.
pub(super) struct How {
    policy: Policy,
    pull: pull::How,
}

impl How {
    /// As the command's options say.
    pub(super) fn of(flags: &Values) -> Result<Self, Failure> {
        let policy = match super::choice(flags, "pull", &["missing", "always", "never"])? {
            Some("always") => Policy::Always,
            Some("never") => Policy::Never,
            _ => Policy::Missing,
        };
        let platform = flags.text("platform")?.map(image::platform).transpose()?;
        let (quiet, remote) = (flags.switch("quiet"), Remote::of(flags)?);
        Ok(Self { policy, pull: pull::How { platform, quiet, remote } })
    }
}

/// The image that is meant.
pub(super) fn find(store: &Store, name: &str, how: &How) -> Result<Image, Failure> {
    let found = store.find(name).and_then(|image| fits(store, image, how.pull.platform.as_ref()));
    let reference = name.parse::<Reference>();
    let reference = match (how.policy, found, reference) {
        (Policy::Never, found, _) => return found,
        (Policy::Missing, Ok(image), _) => return Ok(image),
        // An id isn't what a registry knows.
        (_, found, Err(_)) => return found,
        (_, found, Ok(reference)) => (reference, found.err()),
    };
    match (pull::pull(store, &reference.0, &how.pull), reference.1.map(|failure| failure.to_string())) {
        (Err(pulled), Some(found)) if found.contains("did you mean") => {
            Err(Failure::new(format_args!("{found} ({pulled})")))
        }
        (pulled, _) => pulled,
    }
}

/// That an image is of the platform that is asked for.
fn fits(store: &Store, image: Image, wanted: Option<&Platform>) -> Result<Image, Failure> {
    let Some(wanted) = wanted else { return Ok(image) };
    let (manifest, config) = store.manifest(&image)?;
    let config = Config::parse(&store.document(&config.digest)?)?;
    config.check(manifest.layers.as_deref().unwrap_or_default(), wanted)?;
    Ok(image)
}
