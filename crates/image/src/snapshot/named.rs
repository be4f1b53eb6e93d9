//! Snapshots with names of what a container has changed: `snapshot create`, `ls`, `restore` and `rm`.
//!
//! ```text
//!  <container>/snapshots/
//!    <name>/snapshot.json     when it was made
//!    <name>/upper             or tree, or disk.img: what the container had; nothing if it had none
//!    .new  .gone              what is being made or removed; whoever finds it left over removes it
//! ```

use super::{Driver, driver, tree};
use crate::config::print;
use crate::container::{Container, NOT_APART, open_for_reading};
use crate::failure::Failure;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, human};
use forgeone_runtime::clock;
use forgeone_runtime::registry::disk_usage;
use forgeone_sys::fs as sys;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DIRECTORY: &str = "snapshots";
const RECORD: &str = "snapshot.json";
const NEW: &str = ".new";
const GONE: &str = ".gone";

/// What is restored comes here first.
const RESTORED: &str = "restored";

/// How long a name may be, in bytes.
const NAME_MAX: usize = 128;

/// `snapshot.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    /// When it was made (RFC 3339).
    created: String,
}

/// A container's snapshots, which nobody else changes meanwhile.
struct Snapshots<'c> {
    container: &'c Container,
    driver: &'static dyn Driver,
    directory: PathBuf,
    /// What of the container's directory they are of.
    what: &'static str,
    _lock: File,
}

/// Carries a command out.
pub(crate) fn run(container: &Container, call: &Call) -> Result<(), Failure> {
    let snapshots = Snapshots::open(container)?;
    match call.command.name {
        "snapshot-create" => snapshots.create(call.text(0)?),
        "snapshot-ls" => snapshots.list(call),
        "snapshot-restore" => snapshots.restore(call.text(0)?),
        "snapshot-rm" => {
            // All are looked for before any is removed.
            let names = call.texts()?;
            names.iter().try_for_each(|name| snapshots.find(name).map(drop))?;
            names.into_iter().try_for_each(|name| snapshots.remove(name))
        }
        _ => Err(Failure::new("no such command")),
    }
}

impl<'c> Snapshots<'c> {
    fn open(container: &'c Container) -> Result<Self, Failure> {
        let what = container.record.rootfs.changed().ok_or_else(|| Failure::new(NOT_APART))?;
        let directory = container.directory.join(DIRECTORY);
        let failed = |e: std::io::Error| Failure::new(format_args!("{}: {e}", directory.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let lock = File::open(&directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let driver = driver(container.record.rootfs.driver);
        for left in [directory.join(NEW), directory.join(GONE), container.directory.join(RESTORED)] {
            discard(&left)?;
        }
        Ok(Self { container, driver, directory, what, _lock: lock })
    }

    fn find(&self, name: &str) -> Result<PathBuf, Failure> {
        check(name)?;
        let path = self.directory.join(name);
        match path.join(RECORD).exists() {
            true => Ok(path),
            false => {
                let names: Vec<String> = self.all()?.into_iter().map(|(name, _)| name).collect();
                let hint = match forgeone_config::closest(name, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean {known:?}?"),
                    None => "'forgeone snapshot ls' lists what there is".to_owned(),
                };
                Err(Failure::new(format_args!("snapshot {name:?} does not exist; {hint}")))
            }
        }
    }

    /// All with their records, the oldest first.
    fn all(&self) -> Result<Vec<(String, Record)>, Failure> {
        let mut all = Vec::new();
        for (name, _) in sys::read_dir(open_for_reading(&self.directory)?)? {
            let Ok(bytes) = fs::read(self.directory.join(&name).join(RECORD)) else { continue };
            let name = name.to_string_lossy().into_owned();
            let record: Record = serde_json::from_slice(&bytes)
                .map_err(|e| Failure::new(format_args!("snapshot {name:?}: {RECORD}: {e}")))?;
            all.push((name, record));
        }
        all.sort_by(|a, b| (&a.1.created, &a.0).cmp(&(&b.1.created, &b.0)));
        Ok(all)
    }

    fn create(&self, name: &str) -> Result<(), Failure> {
        check(name)?;
        let place = self.directory.join(name);
        if place.exists() {
            let message =
                format_args!("snapshot {name:?} is there already; remove it, or choose another name");
            return Err(Failure::new(message));
        }
        let (own, new) = (self.container.directory.join(self.what), self.directory.join(NEW));
        if own.is_file() && self.container.pid.is_some() {
            return Err(Failure::new(
                "what it changes is in a file system in a file (disk_bytes), which isn't whole while it runs; stop it first",
            ));
        }
        let failed = |e: std::io::Error| Failure::new(format_args!("snapshot {name:?}: {e}"));
        // As long as the file is a device's, what it has isn't whole.
        let file = if own.is_file() { Some(File::open(&own).map_err(failed)?) } else { None };
        if file.as_ref().is_some_and(|file| !is_free(file)) {
            return Err(failed(std::io::ErrorKind::ResourceBusy.into()));
        }
        let made = (|| {
            fs::create_dir(&new).map_err(failed)?;
            if own.exists() {
                self.driver.copy(&own, &new.join(self.what))?;
            }
            let record = serde_json::to_vec(&Record { created: clock::now() }).map_err(Failure::new)?;
            fs::write(new.join(RECORD), record).map_err(failed)?;
            sys::syncfs(File::open(&new).map_err(failed)?)?;
            fs::rename(&new, &place).map_err(failed)
        })();
        if made.is_err() {
            // Why it failed is what is told.
            let _ = discard(&new);
        }
        made?;
        print(&format!("{name}\n"))
    }

    fn list(&self, call: &Call) -> Result<(), Failure> {
        let format = Format::parse(call.flags.text("format")?)?;
        let all = self.all()?;
        if call.flags.switch("quiet") {
            return all.iter().try_for_each(|(name, _)| print(&format!("{name}\n")));
        }
        let row = |(name, record): &(String, Record)| {
            let size = disk_usage([self.directory.join(name)]);
            let cells = vec![name.clone(), record.created.clone(), human::size(size)];
            (cells, json!({ "Name": name, "Created": record.created, "Size": size }))
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        print(&show::rows(&format, &["NAME", "CREATED", "SIZE"], &rows)?)
    }

    /// The container has what it had. It must not run: nobody starts it meanwhile, since its monitor's lock is held.
    fn restore(&self, name: &str) -> Result<(), Failure> {
        let snapshot = self.find(name)?.join(self.what);
        let directory = &self.container.directory;
        let failed = |e: std::io::Error| Failure::new(format_args!("snapshot {name:?}: {e}"));
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let monitor = options.open(directory.join("monitor.lock")).map_err(failed)?;
        if self.container.pid.is_some() || !is_free(&monitor) {
            return Err(Failure::new("it runs, and a snapshot would take files away from it; stop it first"));
        }
        let (own, restored) = (directory.join(self.what), directory.join(RESTORED));
        let done = (|| {
            if snapshot.exists() {
                let upper =
                    self.container.record.rootfs.upper.as_ref().filter(|upper| upper.project.is_some());
                if let Some(upper) = upper {
                    // What is restored counts as what is there does.
                    upper.make_directory(&restored, 0o700)?;
                }
                self.driver.copy(&snapshot, &restored)?;
                sys::syncfs(File::open(directory).map_err(failed)?)?;
            }
            match (snapshot.exists(), own.exists()) {
                // At once: whoever looks finds the one or the other.
                (true, true) => Ok(sys::exchange(open_for_reading(directory)?, RESTORED, self.what)?),
                (true, false) => fs::rename(&restored, &own).map_err(failed),
                (false, true) => fs::rename(&own, &restored).map_err(failed),
                (false, false) => Ok(()),
            }
        })();
        let tidied = discard(&restored);
        done.and(tidied)?;
        print(&format!("{name}\n"))
    }

    fn remove(&self, name: &str) -> Result<(), Failure> {
        let gone = self.directory.join(GONE);
        let failed = |e: std::io::Error| Failure::new(format_args!("snapshot {name:?}: {e}"));
        fs::rename(self.find(name)?, &gone).map_err(failed)?;
        discard(&gone)?;
        print(&format!("{name}\n"))
    }
}

/// Takes a lock that whoever holds it may be about to leave.
fn is_free(lock: &File) -> bool {
    let tries = 200;
    (0..tries).any(|_| lock.try_lock().inspect_err(|_| std::thread::sleep(Duration::from_millis(10))).is_ok())
}

/// Removes what is left over, if anything is.
fn discard(path: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format_args!("remove {}: {e}", path.display()));
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => tree::remove(path),
        Ok(_) => fs::remove_file(path).map_err(failed),
    }
}

/// Refuses what is no name.
fn check(name: &str) -> Result<(), Failure> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match first && name.len() <= NAME_MAX && name.bytes().all(known) {
        true => Ok(()),
        false => Err(Failure::new(format_args!(
            "name {name:?}: letters, digits, '_', '.' and '-', at most {NAME_MAX}, the first a letter or a digit"
        ))),
    }
}
