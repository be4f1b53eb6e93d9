//! The register: which containers there are, and what they are called.
//!
//! ```text
//!  <data root>/
//!    containers/<id>/      whole when it has a container.json, which is written last and removed first
//!    names/<name>          a symbolic link to the id
//!    register.lock         held while a directory or a name comes or goes
//! ```
//!
//! Whoever makes or removes a container holds the lock of its directory; one without container.json whose lock is free
//! was left by somebody who was killed, and is taken away by the next command. It is never listed.

use super::container::Container;
use super::names::{Names, short};
use super::places::Places;
use super::record::{self, Record};
use super::{Creation, create, remove};
use crate::error::{During, Error, Kind, Result};
use crate::plan;
use forgeone_config::ContainerConfig;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::process::geteuid;
use forgeone_sys::{Errno, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// The register of one data root.
#[derive(Debug)]
pub struct Register {
    places: Places,
    root: OwnedFd,
    containers: OwnedFd,
    names: Names,
}

/// A lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _fd: OwnedFd,
}

impl Register {
    /// Opens the register, which is made where there is none, and takes away what killed commands have left.
    ///
    /// # Errors
    /// The kernel's; [`Kind::Permission`] for another user's.
    pub fn open(places: Places) -> Result<Self> {
        let path = &places.data_root;
        let named = |e: &dyn std::fmt::Display| {
            Error::new(Kind::System, format!("data root {}: {e}", path.display()))
        };
        for (directory, mode) in
            [(path.clone(), 0o711), (path.join("containers"), 0o700), (path.join("names"), 0o700)]
        {
            let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(&directory);
            made.map_err(|e| named(&e))?;
        }
        let root = fs::open(path, OPEN_DIR, Mode::empty()).map_err(|e| named(&e))?;
        let owner = fs::fstat(&root)?.st_uid;
        if owner != geteuid() {
            let message =
                format!("data root {}: belongs to user {owner}, not to {}", path.display(), geteuid());
            return Err(Error::new(Kind::Permission, message));
        }
        let containers = fs::openat(&root, "containers", OPEN_DIR, Mode::empty())?;
        let names = Names::new(fs::openat(&root, "names", OPEN_DIR, Mode::empty())?);
        let register = Self { places, root, containers, names };
        register.sweep()?;
        Ok(register)
    }

    /// Where everything is.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Makes a container, as [`create_container`](super::create_container) does, with more said about how.
    ///
    /// # Errors
    /// What is wrong with the configuration, before anything was made; what the image's helper says. Nothing stays.
    pub fn create(
        &self,
        image_path: &str,
        id: Option<&str>,
        config: Option<&ContainerConfig>,
        how: &Creation,
    ) -> Result<Container> {
        create::create(self, image_path, id, config, how)
    }

    /// The container that a word means: a name, an id, or the beginning of one id alone.
    ///
    /// # Errors
    /// [`Kind::NotFound`] with what may have been meant; [`Kind::Usage`] if several ids begin so.
    pub fn find(&self, word: &str) -> Result<Container> {
        if word.is_empty() || word.contains('/') || word.contains('\0') {
            return Err(self.nothing(word));
        }
        if let Some(id) = self.names.id(word)?
            && let Some(container) = self.container(&id)?
            && container.record().name == word
        {
            return Ok(container);
        }
        let found = match self.begun(word)? {
            Some(id) => self.container(&id)?,
            None => None,
        };
        found.ok_or_else(|| self.nothing(word))
    }

    /// The id that a word is, or alone begins so.
    fn begun(&self, word: &str) -> Result<Option<String>> {
        let mut begins: Vec<String> = self.ids()?.into_iter().filter(|id| id.starts_with(word)).collect();
        if let Some(at) = begins.iter().position(|id| id == word) {
            return Ok(Some(begins.swap_remove(at)));
        }
        if begins.len() < 2 {
            return Ok(begins.pop());
        }
        let ids: Vec<&str> = begins.iter().take(4).map(|id| short(id)).collect();
        let message =
            format!("{word:?} begins {} ids ({}, …); give more of it", begins.len(), ids.join(", "));
        Err(Error::new(Kind::Usage, message))
    }

    /// Removes a container whose `container.json` can't be read, with what is known by its id alone: what runs under it, its
    /// names, its directory. What is wrong with it; `None` if nothing is, or no such container is there.
    ///
    /// # Errors
    /// What couldn't be removed.
    pub fn remove_damaged(&self, word: &str) -> Result<Option<Error>> {
        let named = self.names.id(word).ok().flatten();
        let id = match named.filter(|id| self.is_whole(id)) {
            Some(id) => id,
            None if word.is_empty() || word.contains(['/', '\0']) => return Ok(None),
            None => match self.begun(word)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let Some(dir) = self.directory(&id)? else { return Ok(None) };
        match Record::read(&dir, &id) {
            Err(damaged) if damaged.kind() == Kind::Damaged => {
                remove::damaged(self, &id, &dir)?;
                Ok(Some(damaged))
            }
            _ => Ok(None),
        }
    }

    /// Takes all names of a container away.
    pub(super) fn unname_all(&self, id: &str) -> Result<()> {
        let _lock = self.lock()?;
        for name in self.names.all()? {
            if self.names.id(&name)?.is_some_and(|owner| owner == id) {
                self.names.take(&name)?;
            }
        }
        Ok(())
    }

    /// All containers, the newest first; one that can't be read is an error among them.
    ///
    /// # Errors
    /// If the directory can't be read.
    pub fn list(&self) -> Result<Vec<Result<Container>>> {
        let mut all: Vec<_> = self.ids()?.iter().filter_map(|id| self.container(id).transpose()).collect();
        let created = |found: &Result<Container>| found.as_ref().ok().map(|c| c.record().created.clone());
        all.sort_by_key(|found| std::cmp::Reverse(created(found)));
        Ok(all)
    }

    /// The container of an id, if it is whole.
    pub(super) fn container(&self, id: &str) -> Result<Option<Container>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        let record = Record::read(&dir, id)?;
        Ok(record.map(|record| Container::new(self.places.clone(), dir, record)))
    }

    fn nothing(&self, word: &str) -> Error {
        let names = self.names.all().unwrap_or_default();
        let there =
            |name: &&String| self.names.id(name).is_ok_and(|id| id.is_some_and(|id| self.is_whole(&id)));
        let names: Vec<&str> = names.iter().filter(there).map(String::as_str).collect();
        let hint = match forgeone_config::closest(word, names) {
            Some(known) => format!("did you mean {known:?}?"),
            None => "'forgeone ps --all' lists what there is".to_owned(),
        };
        Error::new(Kind::NotFound, format!("container {word:?} does not exist; {hint}"))
    }

    /// Every directory's name, whole or not.
    fn ids(&self) -> Result<Vec<String>> {
        // Not by the descriptor that is held: its position would be shared.
        let dir = fs::openat(&self.containers, ".", OPEN_DIR, Mode::empty())?;
        let entries = fs::read_dir(&dir).during(|| "containers")?;
        let ids = entries.into_iter().filter_map(|(name, _)| name.into_string().ok());
        Ok(ids.filter(|id| plan::check_id(id).is_ok()).collect())
    }

    fn directory(&self, id: &str) -> Result<Option<OwnedFd>> {
        if plan::check_id(id).is_err() {
            return Ok(None);
        }
        match fs::openat(&self.containers, id, OPEN_DIR, Mode::empty()) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            opened => opened.map(Some).during(|| "containers"),
        }
    }

    fn is_whole(&self, id: &str) -> bool {
        let path = format!("{id}/{}", record::FILE);
        plan::check_id(id).is_ok() && fs::statat(&self.containers, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether a name is given: to a container that has it, or to one that is being made.
    pub(super) fn has_name(&self, id: &str, name: &str) -> bool {
        match self.directory(id).map(|dir| dir.map(|dir| Record::read(dir, id))) {
            Ok(None) => false,
            Ok(Some(Ok(Some(record)))) => record.name == name,
            _ => true,
        }
    }

    /// Takes away what killed commands have left.
    fn sweep(&self) -> Result<()> {
        if self.ids()?.iter().all(|id| self.is_whole(id)) {
            return Ok(());
        }
        let _lock = self.lock()?;
        for id in self.ids()?.iter().filter(|id| !self.is_whole(id)) {
            let Some(dir) = self.directory(id)? else { continue };
            // Somebody makes or removes it otherwise. Whole by now, if it was finished meanwhile.
            if fs::try_flock(&dir)? && !self.is_whole(id) {
                // What can't be removed now keeps nobody from the rest, and is tried again.
                let _ = remove::directory(&self.places, id);
            }
        }
        for name in self.names.all()? {
            if self.names.id(&name)?.is_none_or(|id| !self.has_name(&id, &name)) {
                self.names.take(&name)?;
            }
        }
        Ok(())
    }

    /// Makes the directory of a new container, and locks it.
    ///
    /// # Errors
    /// [`Kind::Exists`] if there is one.
    pub(super) fn begin(&self, id: &str) -> Result<OwnedFd> {
        let _lock = self.lock()?;
        match fs::mkdirat(&self.containers, id, 0o700) {
            Err(e) if e.errno() == Errno::EXIST => {
                return Err(Error::new(Kind::Exists, format!("container {id:?} exists already")));
            }
            made => made.during(|| format!("container {}", short(id)))?,
        }
        let dir = fs::openat(&self.containers, id, OPEN_DIR, Mode::empty())?;
        fs::flock_exclusive(&dir)?;
        Ok(dir)
    }

    /// Gives a container a name, or any if none is wanted.
    pub(super) fn name(&self, wanted: Option<&str>, id: &str) -> Result<String> {
        let _lock = self.lock()?;
        let is_there = |name: &str| {
            let name = name.to_owned();
            move |owner: &str| self.has_name(owner, &name)
        };
        match wanted {
            Some(name) => self.names.give(name, id, is_there(name)).map(|()| name.to_owned()),
            None => self.names.give_any(id, |owner| self.directory(owner).is_ok_and(|dir| dir.is_some())),
        }
    }

    /// Takes a name away, if it is still this container's.
    pub(super) fn unname(&self, name: &str, id: &str) -> Result<()> {
        let _lock = self.lock()?;
        match self.names.id(name)? {
            Some(owner) if owner == id => self.names.take(name),
            _ => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> Result<Lock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let fd = fs::openat(&self.root, "register.lock", flags, Mode::from_raw_mode(0o600))?;
        fs::flock_exclusive(&fd)?;
        Ok(Lock { _fd: fd })
    }
}

/// Replaces a file whole; after a power cut it is the old one or the new one.
pub(crate) fn replace(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<()> {
    let new = format!(".{name}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let write = || {
        let file = fs::openat(dir, &*new, flags, Mode::from_raw_mode(0o600))?;
        fs::write_all(&file, bytes)?;
        fs::renameat(dir, &*new, dir, name)
    };
    write().during(|| Path::new(name).display().to_string())
}
