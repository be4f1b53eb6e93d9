//! The directories and files: found, locked, replaced whole.

use super::Record;
use crate::error::{During, Error, Kind, Result};
use crate::{faults, json, plan};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::process::geteuid;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `state.json` and `config.json` of a container are read up to this size.
const FILE_MAX: usize = crate::bundle::CONFIG_MAX;

const WAITS: &str = "waits";

const RECORD: &str = "state.json";

const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// The state root.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
}

/// A container's directory, open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// A directory's lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _fd: OwnedFd,
}

impl Root {
    /// The state root at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the directory of a new container and locks it.
    ///
    /// # Errors
    /// [`Kind::Exists`] if there is one.
    pub fn create(&self, id: &str) -> Result<(Dir, Lock)> {
        plan::check_id(id)?;
        let root = self.make_root()?;
        loop {
            match fs::mkdirat(&root, id, 0o711) {
                Err(e) if e.errno() == Errno::EXIST => {
                    return Err(Error::new(Kind::Exists, format!("container \"{id}\" exists already")));
                }
                made => made.during(|| "state root")?,
            }
            match self.open(id).and_then(|dir| dir.lock().map(|lock| (dir, lock))) {
                Ok((dir, lock)) if dir.is_there()? => return Ok((dir, lock)),
                // Whoever deletes by force was faster, here or below: once more.
                Ok(_) => {}
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => {
                    return Err(match fs::unlinkat(&root, id, AtFlags::REMOVEDIR) {
                        Ok(()) => e,
                        Err(also) => Error::all(vec![e.clone(), also.into()]).unwrap_or(e),
                    });
                }
            }
        }
    }

    fn make_root(&self) -> Result<OwnedFd> {
        match fs::open(&self.path, OPEN_DIR, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => {
                use std::os::unix::fs::DirBuilderExt;
                let mut builder = std::fs::DirBuilder::new();
                let made = builder.recursive(true).mode(0o711).create(&self.path);
                made.map_err(|e| {
                    Error::new(Kind::System, format!("state root {}: {e}", self.path.display()))
                })?;
                fs::open(&self.path, OPEN_DIR, Mode::empty()).during(|| "state root")
            }
            opened => opened.map_err(|e| self.unusable(e)),
        }
    }

    /// What is wrong with the root itself.
    fn unusable(&self, e: forgeone_sys::Error) -> Error {
        let why = match self.path.symlink_metadata() {
            Ok(found) if found.is_symlink() => "is a symbolic link; name the directory itself",
            Ok(found) if !found.is_dir() => "is not a directory",
            _ => return Error::from(e).during("state root"),
        };
        Error::new(Kind::Usage, format!("state root {}: {why}", self.path.display()))
    }

    /// Opens the directory of a container. It has to be the caller's own: whom it belongs to could have anything done in
    /// the caller's name, by the hooks in it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none, [`Kind::Permission`] for another user's.
    pub fn open(&self, id: &str) -> Result<Dir> {
        plan::check_id(id)?;
        let path = self.path.join(id);
        match fs::open(&path, OPEN_DIR, Mode::empty()) {
            Ok(fd) => {
                let (owner, caller) = (fs::fstat(&fd)?.st_uid, geteuid());
                if owner != caller && !faults::without("owner") {
                    let cause = format!("its state belongs to user {owner}, not to {caller}");
                    return Err(Error::new(Kind::Permission, format!("container \"{id}\": {cause}")));
                }
                Ok(Dir { fd, path })
            }
            Err(e) if e.errno() == Errno::NOENT => {
                Err(Error::new(Kind::NotFound, format!("container \"{id}\" does not exist")))
            }
            Err(e) => Err(e).during(|| format!("state of container \"{id}\"")),
        }
    }

    /// Ids of all containers, sorted; none if the root doesn't exist.
    pub fn ids(&self) -> Result<Vec<String>> {
        let root = match fs::open(&self.path, OPEN_DIR, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => return Ok(Vec::new()),
            opened => opened.map_err(|e| self.unusable(e))?,
        };
        let entries = fs::read_dir(&root).during(|| "state root")?;
        let ids = entries.into_iter().filter(|(_, kind)| kind.is_dir());
        let mut ids: Vec<String> = ids
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|id| plan::check_id(id).is_ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes a container's directory with the files that belong in it.
    pub fn remove(&self, id: &str, dir: &Dir) -> Result<()> {
        let mut entries = fs::read_dir(dir).during(|| "state")?;
        // The record last: without it a container seems to be one that is only being made.
        entries.sort_by_key(|(name, _)| name == RECORD);
        for (name, kind) in entries {
            if kind.is_dir() {
                remove_directory(&dir.path.join(name))?;
                continue;
            }
            unlink(dir, &name)?;
        }
        faults::at("delete/files")?;
        match fs::unlinkat(fs::CWD, self.path.join(id), AtFlags::REMOVEDIR) {
            Err(e) if e.errno() == Errno::NOENT => Ok(()),
            removed => removed.during(|| "state root").and_then(|()| faults::at("delete/directory")),
        }
    }
}

fn unlink(dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
    match fs::unlinkat(dir, name.as_ref(), AtFlags::empty()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        removed => removed.during(|| "state"),
    }
}

/// By the standard library, which follows no link. A container that may mount could have made anything in there.
fn remove_directory(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(Kind::System, format!("state: remove {}: {e}", path.display())))
        }
        _ => Ok(()),
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the directory's lock: whoever changes a container holds it.
    pub fn lock(&self) -> Result<Lock> {
        // A description of its own: what is locked by `self.fd` would be inherited by forks together with it.
        let fd = fs::openat(self, ".", OPEN_DIR, Mode::empty())?;
        fs::flock_exclusive(&fd)?;
        Ok(Lock { _fd: fd })
    }

    /// Waits for it this long; `None` when somebody holds it still.
    pub fn lock_within(&self, time: Duration) -> Result<Option<Lock>> {
        let deadline = Instant::now() + time;
        let fd = fs::openat(self, ".", OPEN_DIR, Mode::empty())?;
        let mut pause = Duration::from_micros(50);
        loop {
            if fs::try_flock(&fd)? {
                return Ok(Some(Lock { _fd: fd }));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Whether it has not been removed since it was opened.
    pub fn is_there(&self) -> Result<bool> {
        Ok(fs::fstat(self)?.st_nlink > 0)
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self) -> Result<bool> {
        let fd = fs::openat(self, ".", OPEN_DIR, Mode::empty())?;
        Ok(!fs::try_flock_shared(&fd)?)
    }

    /// Replaces `state.json` whole.
    pub fn write(&self, record: &Record) -> Result<()> {
        let mut bytes =
            serde_json::to_vec(record).map_err(|e| Error::new(Kind::System, format!("{RECORD}: {e}")))?;
        bytes.push(b'\n');
        self.replace(&bytes, record.complete).during(|| RECORD)
    }

    /// Not synchronised with a disk: what is written here is of this boot, and gone or worthless after a power cut. Where
    /// the state root is on a disk, that took four waits for it in each `create`. Nor is a file renamed over another one,
    /// if that can be helped: ext4 then writes it out at once, and delete has to wait for that (7 ms on a busy disk).
    fn replace(&self, bytes: &[u8], there: bool) -> Result<()> {
        const NEW: &str = ".state.json.new";
        fs::write_all(self.make(NEW)?, bytes)?;
        faults::at("state/written")?;
        match there && fs::exchange(self, NEW, RECORD).is_ok() {
            true => unlink(self, NEW)?,
            false => fs::renameat(self, NEW, self, RECORD)?,
        }
        faults::at("state/renamed")
    }

    /// Reads `state.json`; `None` if create ended before it was written.
    pub fn read(&self) -> Result<Option<Box<Record>>> {
        let named = |cause: String| {
            Error::new(Kind::Damaged, format!("{}: {cause}", self.path.join(RECORD).display()))
        };
        let bytes = match fs::read_regular_at(self, RECORD, FILE_MAX) {
            Err(e) if e.errno() == Errno::NOENT => return Ok(None),
            read => read.map_err(|e| named(e.to_string()))?,
        };
        let record: Box<Record> = json::from_slice(&bytes).map_err(named)?;
        if record.version != super::VERSION {
            return Err(named(format!(
                "version {} is not known to this version of forgeone",
                record.version
            )));
        }
        Ok(Some(record))
    }

    /// Keeps the config.
    pub fn keep_config(&self, config: &[u8]) -> Result<()> {
        let fd = self.make("config.json").during(|| "config.json")?;
        fs::write_all(&fd, config).during(|| "config.json")
    }

    /// What init inherits and so holds the lock of, until it executes. A file of its own and empty: whoever may trace
    /// init while it waits can open it for writing, and hooks are read from the config.
    pub fn waits(&self) -> Result<OwnedFd> {
        let fd = self.make(WAITS).during(|| WAITS)?;
        fs::flock_exclusive(&fd).during(|| WAITS)?;
        Ok(fd)
    }

    /// Makes a directory in here that others may search, whatever the umask.
    pub fn make_directory(&self, name: &str) -> Result<()> {
        fs::mkdirat(self, name, 0o755).and_then(|()| fs::fchmodat(self, name, 0o755)).during(|| "state")
    }

    /// A directory in here; `None` if there is none.
    pub fn directory(&self, name: &str) -> Result<Option<OwnedFd>> {
        match fs::openat(self, name, OPEN_DIR, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            opened => opened.map(Some).during(|| "state"),
        }
    }

    fn make(&self, name: &str) -> forgeone_sys::Result<OwnedFd> {
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        fs::openat(self, name, create, Mode::from_raw_mode(0o600))
    }

    /// The config as it was at create.
    pub fn config(&self) -> Result<Vec<u8>> {
        fs::read_regular_at(self, "config.json", FILE_MAX).during(|| "config.json")
    }

    /// Waits until init doesn't hold the lock any more. The kernel closes what exec closes in an order of its own: that
    /// the channel is closed doesn't say that the lock is gone.
    pub fn await_program(&self) -> Result<()> {
        match fs::openat(self, WAITS, OFlags::RDONLY, Mode::empty()) {
            // It has run, and was deleted since.
            Err(e) if e.errno() == Errno::NOENT => Ok(()),
            opened => Ok(fs::flock_shared(opened?)?),
        }
    }

    /// Whether init has not executed the program yet: it still holds the lock.
    pub fn init_waits(&self) -> Result<bool> {
        match fs::openat(self, WAITS, OFlags::RDONLY, Mode::empty()) {
            // It has ended, and is being deleted while we look.
            Err(e) if e.errno() == Errno::NOENT => Ok(false),
            // Shared: two who look at the same time must not take each other for init.
            opened => Ok(!fs::try_flock_shared(opened?)?),
        }
    }
}
