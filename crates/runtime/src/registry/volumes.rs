//! Volumes: directories with a name, which outlive containers.
//!
//! ```text
//!  <data root>/volumes/<name>/
//!    volume.json     what it is; without it, it was never finished
//!    data/           what containers see
//! ```
//!
//! They come and go under the register's lock. A new one that is mounted over a directory of an image begins with what is
//! there, once: it is copied beside and renamed, so that nobody ever sees a half of it.

use super::container::Container;
use super::names::new_id;
use super::places::Places;
use super::record::Record;
use super::register::{Register, replace};
use super::spec::mounts::bind_options;
use super::{remove, tree};
use crate::clock;
use crate::error::{During, Error, Kind, Result};
use crate::fs::{Links, Resolver, copy_tree};
use forgeone_config::{MountType, Volume as Asked};
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "volume.json";
const DATA: &str = "data";
/// What is copied into it, until that is whole.
const COPY: &str = "data.new";

const VERSION: u32 = 1;
const FILE_MAX: usize = 1 << 20;

/// What the driver `local` is told: the file system's type, what is mounted, and its options.
const OPTIONS: [&str; 3] = ["type", "device", "o"];

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The format's version.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// When it was made (RFC 3339, UTC).
    pub created: String,
    /// What provides it: `local`.
    pub driver: String,
    /// What the driver was told.
    pub options: BTreeMap<String, String>,
    /// Words of the user's.
    pub labels: BTreeMap<String, String>,
    /// Whether it was made for one container alone, with which it goes.
    pub anonymous: bool,
    /// Whether an image had its chance to fill it.
    pub filled: bool,
}

/// A volume as a container's mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// Where it is inside.
    pub(super) path: String,
    /// What is mounted, by which type.
    pub(super) source: String,
    pub(super) kind: String,
    pub(super) options: Vec<String>,
    /// Its name, if the image may fill it.
    pub(super) fills: Option<String>,
}

/// All volumes of a data root.
#[derive(Debug)]
pub struct Volumes {
    places: Places,
}

impl Volumes {
    /// Those of these places.
    pub fn of(places: &Places) -> Self {
        Self { places: places.clone() }
    }

    fn root(&self) -> PathBuf {
        self.places.data_root.join("volumes")
    }

    /// Where a volume's files are.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.root().join(name).join(DATA)
    }

    /// Makes a volume; without a name it gets one of 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Kind::Exists`] if there is one of this name; a name, driver or option that can't be.
    pub fn create(
        &self,
        name: Option<&str>,
        driver: Option<&str>,
        options: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Volume> {
        let name = name.map_or_else(new_id, |name| Ok(name.to_owned()))?;
        let volume = Volume {
            version: VERSION,
            name,
            created: clock::now(),
            driver: driver.unwrap_or("local").to_owned(),
            options: options.clone(),
            labels: labels.clone(),
            anonymous: false,
            filled: false,
        };
        let register = Register::open(self.places.clone())?;
        let _lock = register.lock()?;
        match self.make(&volume)? {
            true => Ok(volume),
            false => Err(Error::new(Kind::Exists, format!("volume {:?} exists already", volume.name))),
        }
    }

    /// Makes a volume unless there is one; whether it was made. Who calls holds the register's lock.
    pub(super) fn make(&self, volume: &Volume) -> Result<bool> {
        check(volume)?;
        let root = self.root();
        let path = root.join(&volume.name);
        if path.join(FILE).exists() {
            return Ok(false);
        }
        let system = |e: std::io::Error| Error::new(Kind::System, format!("volume {:?}: {e}", volume.name));
        std::fs::create_dir_all(&root).map_err(system)?;
        // What a killed command has left.
        tree::remove(&path)?;
        let made = std::fs::create_dir(&path).and_then(|()| std::fs::create_dir(path.join(DATA)));
        made.map_err(system)?;
        self.write(volume)?;
        Ok(true)
    }

    fn write(&self, volume: &Volume) -> Result<()> {
        let text = serde_json::to_vec_pretty(volume);
        let text = text.map_err(|e| Error::new(Kind::System, format!("{FILE}: {e}")))?;
        replace(&self.open(&volume.name)?, FILE, &text)
    }

    fn open(&self, name: &str) -> Result<OwnedFd> {
        let opened = fs::open(self.root().join(name), OPEN_DIR, Mode::empty());
        opened.during(|| format!("volume {name:?}"))
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// If the directory can't be read, or what is kept of one.
    pub fn list(&self) -> Result<Vec<Volume>> {
        let entries = match std::fs::read_dir(self.root()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|e| Error::new(Kind::System, format!("volumes: {e}")))?,
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names.iter().filter_map(|name| self.get(name).transpose()).collect()
    }

    /// A volume by its name, or the beginning of one alone.
    ///
    /// # Errors
    /// [`Kind::NotFound`] with what may have been meant.
    pub fn find(&self, word: &str) -> Result<Volume> {
        if let Some(volume) = self.get(word)? {
            return Ok(volume);
        }
        let all = self.list()?;
        let begins: Vec<&Volume> =
            all.iter().filter(|v| v.anonymous && !word.is_empty() && v.name.starts_with(word)).collect();
        if let [one] = begins[..] {
            return Ok(one.clone());
        }
        let hint = match forgeone_config::closest(word, all.iter().map(|volume| volume.name.as_str())) {
            Some(known) => format!("did you mean {known:?}?"),
            None => "'forgeone volume ls' lists what there is".to_owned(),
        };
        Err(Error::new(Kind::NotFound, format!("no volume {word:?}; {hint}")))
    }

    /// A volume by its whole name.
    pub(super) fn get(&self, name: &str) -> Result<Option<Volume>> {
        if !is_name(name) {
            return Ok(None);
        }
        let damaged = |cause: String| Error::new(Kind::Damaged, format!("volume {name:?}: {FILE}: {cause}"));
        let dir = match fs::open(self.root().join(name), OPEN_DIR, Mode::empty()) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            opened => opened.during(|| "volumes")?,
        };
        let text = match fs::read_regular_at(&dir, FILE, FILE_MAX) {
            Err(e) if e.errno() == Errno::NOENT => return Ok(None),
            read => read.map_err(|e| damaged(e.to_string()))?,
        };
        let volume: Volume = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        match volume.version {
            VERSION => Ok(Some(volume)),
            version => Err(damaged(format!("version {version} is not known to this version of forgeone"))),
        }
    }

    /// The containers that have a volume.
    ///
    /// # Errors
    /// If the register can't be read.
    pub fn users(&self, name: &str) -> Result<Vec<Container>> {
        let register = Register::open(self.places.clone())?;
        let all = register.list()?.into_iter().flatten();
        Ok(all.filter(|container| names(container.record()).any(|used| used == name)).collect())
    }

    /// Removes a volume and all that is in it.
    ///
    /// # Errors
    /// [`Kind::State`] with the containers that have it.
    pub fn remove(&self, word: &str) -> Result<()> {
        let volume = self.find(word)?;
        let users: Vec<String> =
            self.users(&volume.name)?.iter().map(|user| user.name().to_owned()).collect();
        if !users.is_empty() {
            let (name, users) = (&volume.name, users.join(", "));
            let message = format!("volume {name:?} is used by {users}; remove what uses it before");
            return Err(Error::new(Kind::State, message));
        }
        let register = Register::open(self.places.clone())?;
        let _lock = register.lock()?;
        self.discard(&volume.name)
    }

    /// Removes the volumes that no container has; their names. Only those made for a container alone unless it is to be
    /// `all`.
    ///
    /// # Errors
    /// What couldn't be removed.
    pub fn prune(&self, all: bool) -> Result<Vec<String>> {
        let register = Register::open(self.places.clone())?;
        let _lock = register.lock()?;
        let containers: Vec<Container> = register.list()?.into_iter().collect::<Result<_>>()?;
        let used = |name: &str| containers.iter().any(|c| names(c.record()).any(|used| used == name));
        let mut gone = Vec::new();
        for volume in self.list()?.into_iter().filter(|v| (all || v.anonymous) && !used(&v.name)) {
            self.discard(&volume.name)?;
            gone.push(volume.name);
        }
        Ok(gone)
    }

    /// Removes a volume, whoever has it. What says that it is one goes first.
    pub(super) fn discard(&self, name: &str) -> Result<()> {
        let path = self.root().join(name);
        match std::fs::remove_file(path.join(FILE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::new(Kind::System, format!("volume {name:?}: {e}")))
            }
            _ => remove::files(&self.places, &path),
        }
    }

    /// The volumes of a container, as they are mounted.
    pub(super) fn bound(&self, record: &Record) -> Result<Vec<Bound>> {
        let selinux = Path::new("/sys/fs/selinux/enforce").exists();
        let mut all = Vec::new();
        for (name, path, options) in wanted(record) {
            let volume = self.get(&name)?;
            let copies = !options.iter().any(|word| word == "nocopy");
            let wrong = |cause| Error::new(Kind::Config, format!("volume {name:?}: {cause}"));
            let mut options = bind_options(&options, selinux).map_err(wrong)?;
            let told =
                |key: &str| volume.as_ref().and_then(|v| v.options.get(key)).filter(|text| !text.is_empty());
            let own: Vec<String> =
                told("o").into_iter().flat_map(|o| o.split(',')).map(str::to_owned).collect();
            let binds = own.iter().any(|word| word == "bind" || word == "rbind");
            let (kind, source) = match (told("device"), told("type")) {
                (Some(device), kind) if !binds && kind.is_some_and(|kind| kind != "none") => {
                    options = own;
                    (kind.cloned().unwrap_or_default(), device.clone())
                }
                (Some(device), _) => ("bind".to_owned(), device.clone()),
                (None, _) => ("bind".to_owned(), self.directory(&name).to_string_lossy().into_owned()),
            };
            let local = told("device").is_none();
            all.push(Bound { path, source, kind, options, fills: (local && copies).then_some(name) });
        }
        Ok(all)
    }

    /// Fills the new ones of a container with what the image has where they are mounted.
    ///
    /// # Errors
    /// If that can't be copied; the next start tries again.
    pub(super) fn fill(&self, root: BorrowedFd, bound: &[Bound]) -> Result<()> {
        for (name, path) in bound.iter().filter_map(|bound| Some((bound.fills.as_ref()?, &bound.path))) {
            let directory = self.open(name)?;
            fs::flock_exclusive(&directory)?;
            let Some(volume) = self.get(name)?.filter(|volume| !volume.filled) else { continue };
            fill(root, path, &directory).during(|| format!("volume {name:?}: fill it from {path}"))?;
            self.write(&Volume { filled: true, ..volume })?;
        }
        Ok(())
    }
}

/// A volume that is made because a container asks for it.
pub(super) fn asked_for(asked: &Asked, anonymous: bool) -> Volume {
    Volume {
        version: VERSION,
        name: asked.name.clone(),
        created: clock::now(),
        driver: asked.driver.clone().unwrap_or_else(|| "local".to_owned()),
        options: asked.options.clone().unwrap_or_default().into_iter().collect(),
        labels: BTreeMap::new(),
        anonymous,
        filled: false,
    }
}

/// Name, place inside and options of each volume of a container.
fn wanted(record: &Record) -> Vec<(String, String, Vec<String>)> {
    let config = &record.config;
    let volumes = config.volumes.iter().flatten().map(|v| (v.name.clone(), v.path.clone(), Vec::new()));
    let mounts = config.mounts.iter().flatten().filter(|mount| mount.mount_type == MountType::Volume);
    let mounts = mounts.map(|mount| {
        let read_only = mount.read_only.then(|| "ro".to_owned());
        let options = mount.options.iter().flatten().cloned().chain(read_only).collect();
        (mount.source.clone(), mount.destination.clone(), options)
    });
    let own = record.anonymous_volumes.iter().map(|v| (v.name.clone(), v.path.clone(), Vec::new()));
    volumes.chain(mounts).chain(own).collect()
}

/// The names of a container's volumes.
pub(super) fn names(record: &Record) -> impl Iterator<Item = String> {
    wanted(record).into_iter().map(|(name, ..)| name)
}

fn is_name(name: &str) -> bool {
    let volume = Asked { name: name.to_owned(), path: "/x".to_owned(), ..Asked::default() };
    forgeone_config::validate_volumes(&[volume]).is_ok()
}

fn check(volume: &Volume) -> Result<()> {
    let name = &volume.name;
    let wrong = |cause: String| Err(Error::new(Kind::Config, format!("volume {name:?}: {cause}")));
    if !is_name(name) {
        return wrong("a name has letters, digits, _, . and -, and begins with a letter or digit".to_owned());
    }
    if volume.driver != "local" {
        return wrong(format!("there is no driver {:?}; leave it out for local", volume.driver));
    }
    if let Some(option) = volume.options.keys().find(|option| !OPTIONS.contains(&option.as_str())) {
        return wrong(format!("the driver local has no option {option:?}; it has type, device and o"));
    }
    if volume.options.contains_key("type") != volume.options.contains_key("device") {
        return wrong("type and device go together".to_owned());
    }
    Ok(())
}

/// Copies what is at `path` in `root` into an empty volume. What is there keeps its owner and mode.
fn fill(root: BorrowedFd, path: &str, volume: &OwnedFd) -> Result<()> {
    let data = fs::openat(volume, DATA, OPEN_DIR, Mode::empty())?;
    let Some(place) = Resolver::default().find(root, path, Links::Follow)? else { return Ok(()) };
    // A volume that somebody has written to is left as it is; a file is no directory to copy.
    if !fs::read_dir(&data)?.is_empty() || !is_directory(&place)? {
        return Ok(());
    }
    let source = fs::open(fs::fd_path(&place), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let at = fs::fd_path(volume).join(COPY);
    tree::remove(&at)?;
    fs::mkdirat(volume, COPY, 0o700)?;
    let copy = fs::openat(volume, COPY, OPEN_DIR, Mode::empty())?;
    copy_tree(source.as_fd(), copy.as_fd())?;
    let stat = fs::fstat(&source)?;
    match fs::fchown(&copy, stat.st_uid, stat.st_gid) {
        Err(e) if e.errno() == Errno::INVAL => {}
        owned => owned?,
    }
    fs::fchmod(&copy, stat.st_mode & 0o7777)?;
    fs::unlinkat(volume, DATA, AtFlags::REMOVEDIR)?;
    Ok(fs::renameat(volume, COPY, volume, DATA)?)
}

fn is_directory(fd: &OwnedFd) -> Result<bool> {
    Ok(fs::FileType::from_raw_mode(fs::fstat(fd)?.st_mode).is_dir())
}
