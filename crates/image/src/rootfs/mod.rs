//! `forgeone-image rootfs`: finds what a container is made from, and writes `image.json` into the container's directory.
//!
//! | word | what |
//! |---|---|
//! | `alpine`, `quay.io/a/b@sha256:…`, an id | an image of the store |
//! | `oci:PATH[:TAG]`, `oci-archive:PATH[:TAG]`, `docker-archive:PATH[:NAME]` | an image elsewhere, loaded into the store |
//! | `/a/path`, `./path` | what is there: an image as above, a directory, a tar of a root file system, a disk image |
//!
//! The store's lock is held until `image.json` is there, which keeps the image from being collected afterwards.

mod disk;
mod image;
mod kind;

use crate::failure::Failure;
use crate::images::{self, store};
use crate::load;
use crate::snapshot;
use crate::store::{Image, Store};
use forgeone_cli::{Call, Values};
use forgeone_distribution::Reference;
use forgeone_runtime::registry::rootfs::{self, Base, Driver, Source};
use kind::{Kind, Wanted};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the answer is called in the container's directory.
const ANSWER: &str = "image.json";

/// Carries a command for a container out; the exit status.
pub(crate) fn run(call: &Call, global: &Values) -> Result<u8, Failure> {
    let done = match call.command.name {
        "rootfs" => answer(call, global),
        "discard" => discard(call),
        "usage" => images::usage(global),
        _ => crate::container::run(call, global),
    };
    match done {
        Err(failure) if call.flags.switch("failure") => keep(call, &failure).map(|()| call.command.failure),
        done => done.map(|()| 0).map_err(|failure| failure.with_status(call.command.failure)),
    }
}

/// Writes a failure down for who makes the container, and tells it: progress is for the terminal meanwhile.
fn keep(call: &Call, failure: &Failure) -> Result<(), Failure> {
    let directory = call.flags.path("container")?.unwrap_or_default();
    let written = fs::write(directory.join("failure"), failure.to_string());
    written.map_err(|e| Failure::new(format_args!("{failure}; {}: {e}", directory.display())))
}

/// Removes containers' directories.
fn discard(call: &Call) -> Result<(), Failure> {
    for directory in call.words.iter().map(Path::new) {
        let removed = fs::remove_dir_all(directory);
        removed.map_err(|e| Failure::new(format_args!("remove {}: {e}", directory.display())))?;
    }
    Ok(())
}

fn answer(call: &Call, global: &Values) -> Result<(), Failure> {
    let container = call.flags.path("container")?;
    let container = container.ok_or_else(|| Failure::new("rootfs: --container is needed"))?;
    let wanted = choice(&call.flags, "type", &["image", "directory", "archive", "disk"])?;
    let store = store(global)?;
    let wanted = kind::wanted(call.text(0)?, wanted)?;
    let how = image::How::of(&call.flags)?;
    let place = Place { store: &store, container: &container, driver: call.flags.text("storage-driver")? };
    let source = source(&place, &wanted, &how).map_err(|failure| match &wanted {
        Wanted::Image(_) => failure,
        Wanted::Load(path, _) | Wanted::Path(path, _) => failure.during(path.display()),
    })?;
    let bytes = serde_json::to_vec_pretty(&source).map_err(Failure::new)?;
    let (made, place) = (container.join("image.json.new"), container.join(ANSWER));
    let written = fs::write(&made, bytes).and_then(|()| fs::rename(&made, &place));
    written.map_err(|e| Failure::new(format_args!("{}: {e}", place.display())))
}

/// Whom it is for.
struct Place<'a> {
    store: &'a Store,
    /// The container's directory.
    container: &'a Path,
    /// The storage driver that is asked for.
    driver: Option<&'a str>,
}

impl Place<'_> {
    /// What a container of these layers is made of.
    fn made(&self, layers: Vec<PathBuf>) -> Result<(Base, Driver), Failure> {
        let driver = snapshot::choose(self.store, self.driver)?;
        Ok((driver.make(self.store, layers, self.container)?, driver.which()))
    }

    /// What no driver has to do with: there are no layers.
    fn plain(&self, base: Base) -> Result<Source, Failure> {
        match self.driver.filter(|driver| *driver != Driver::default().word()) {
            Some(driver) => Err(Failure::new(format_args!(
                "a directory or a disk image is used as it is, without the storage driver {driver}; leave it out"
            ))),
            None => Ok(Source { image: None, config: None, base, driver: Driver::default() }),
        }
    }
}

fn source(place: &Place, wanted: &Wanted, how: &image::How) -> Result<Source, Failure> {
    let store = place.store;
    match wanted {
        Wanted::Image(name) => of_image(place, image::find(store, name, how)?),
        Wanted::Load(path, name) => loaded(place, path, name.as_deref()),
        Wanted::Path(path, kind) => match kind {
            Kind::Image => loaded(place, path, None),
            Kind::Directory => place.plain(Base::Directory(path.canonicalize().map_err(Failure::new)?)),
            Kind::Archive => {
                let (base, driver) = place.made(vec![store.archive(path)?])?;
                Ok(Source { image: None, config: None, base, driver })
            }
            Kind::Disk => {
                let (disk, note) = disk::find(path)?;
                if let Some(note) = note {
                    // Nobody is left to be told if that fails.
                    let _ = writeln!(std::io::stderr(), "forgeone: {}: {note}", path.display());
                }
                place.plain(Base::Disk(disk))
            }
        },
    }
}

/// An option's value, which is one of these.
fn choice<'v>(flags: &Values, name: &str, values: &[&'v str]) -> Result<Option<&'v str>, Failure> {
    let Some(value) = flags.text(name)? else { return Ok(None) };
    let known = values.iter().find(|known| **known == value);
    known.copied().map(Some).ok_or_else(|| {
        Failure::new(format_args!("option --{name} is {}, not {value:?}", values.join(" or ")))
    })
}

/// Loads an archive or a layout, and takes the image of it that is meant.
fn loaded(place: &Place, path: &Path, name: Option<&str>) -> Result<Source, Failure> {
    let mut loaded = load::load(place.store, path)?;
    if let Some(name) = name {
        let whole = name.parse::<Reference>().ok().map(|name| name.to_string());
        let all = loaded.join(", ");
        loaded.retain(|found| {
            let tag = found.parse::<Reference>().ok().and_then(|found| found.tag().map(str::to_owned));
            Some(found) == whole.as_ref() || tag.as_deref() == Some(name)
        });
        if loaded.is_empty() {
            return Err(Failure::new(format_args!("it has no image {name:?}, only {all}")));
        }
    }
    match &loaded[..] {
        [one] => of_image(place, place.store.find(one)?),
        several => {
            let several = several.join(", ");
            Err(Failure::new(format_args!("it has several images; name one of {several}")))
        }
    }
}

fn of_image(place: &Place, image: Image) -> Result<Source, Failure> {
    let store = place.store;
    let (_, config) = store.manifest(&image)?;
    let document = store.document(&config.digest)?;
    let whole: serde_json::Value = serde_json::from_slice(&document).map_err(Failure::new)?;
    let config_object = whole.get("config").filter(|config| !config.is_null()).cloned();
    let name = image.name.as_ref().map_or_else(|| image.manifest.digest.to_string(), Reference::to_string);
    let image =
        rootfs::Image { name, digest: image.manifest.digest.to_string(), id: config.digest.to_string() };
    let layers = store.layers(&crate::image::Config::parse(&document)?)?;
    let (base, driver) = place.made(layers)?;
    Ok(Source { image: Some(image), config: config_object, base, driver })
}
