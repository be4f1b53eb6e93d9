//! Names of containers: symbolic links to ids. symlink(2) fails where there is one, so no name is ever given twice.

use super::words::{ADJECTIVES, NOUNS};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::fs::{self, AtFlags, FileType};
use forgeone_sys::{Errno, OwnedFd, random};

/// How many hexadecimal digits of an id are shown.
pub const SHORT: usize = 12;

/// The first digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// A new id: 64 hexadecimal digits.
///
/// # Errors
/// The kernel's answer.
pub fn new_id() -> Result<String> {
    loop {
        let mut bytes = [0; 32];
        random::getrandom(&mut bytes).during(|| "container id")?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // One of digits alone would look like a number where its first digits are shown.
        if !short(&id).bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// `names/`, open.
#[derive(Debug)]
pub(super) struct Names {
    dir: OwnedFd,
}

impl Names {
    pub(super) fn new(dir: OwnedFd) -> Self {
        Self { dir }
    }

    /// Gives `name` to `id`. Who calls holds the register's lock, so that nobody else takes a name away that is free;
    /// `is_there` says whether a container exists.
    ///
    /// # Errors
    /// [`Kind::Exists`] if another container has it.
    pub(super) fn give(&self, name: &str, id: &str, is_there: impl Fn(&str) -> bool) -> Result<()> {
        loop {
            match fs::symlinkat(id, &self.dir, name) {
                Err(e) if e.errno() == Errno::EXIST => {}
                made => return made.during(|| format!("name {name:?}")),
            }
            match self.id(name)? {
                Some(owner) if is_there(&owner) => {
                    let message = format!(
                        "name {name:?} is container {}'s; choose another, or remove that one",
                        short(&owner)
                    );
                    return Err(Error::new(Kind::Exists, message));
                }
                _ => self.take(name)?,
            }
        }
    }

    /// Gives a name that nobody has: two words, and with a number behind them if need be.
    pub(super) fn give_any(&self, id: &str, is_there: impl Fn(&str) -> bool) -> Result<String> {
        let mut number = 1;
        loop {
            let mut bytes = [0; 4];
            random::getrandom(&mut bytes).during(|| "container name")?;
            let [a, b] = [[bytes[0], bytes[1]], [bytes[2], bytes[3]]]
                .map(|pair| usize::from(u16::from_ne_bytes(pair)));
            let words = format!("{}_{}", ADJECTIVES[a % ADJECTIVES.len()], NOUNS[b % NOUNS.len()]);
            // After some that were taken, the words alone are probably all taken.
            let name = if number < 10 { words } else { format!("{words}{number}") };
            match self.give(&name, id, &is_there) {
                Err(e) if e.kind() == Kind::Exists => number += 1,
                given => return given.map(|()| name),
            }
        }
    }

    /// Whose name it is.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>> {
        match fs::readlinkat(&self.dir, name) {
            Err(e) if matches!(e.errno(), Errno::NOENT | Errno::INVAL | Errno::NAMETOOLONG) => Ok(None),
            read => Ok(read.during(|| "names")?.into_os_string().into_string().ok()),
        }
    }

    /// Takes a name away, whoever has it.
    pub(super) fn take(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Err(e) if e.errno() == Errno::NOENT => Ok(()),
            gone => gone.during(|| format!("name {name:?}")),
        }
    }

    /// All names.
    pub(super) fn all(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.dir).during(|| "names")?;
        let links =
            entries.into_iter().filter(|(_, kind)| matches!(kind, FileType::Symlink | FileType::Unknown));
        Ok(links.filter_map(|(name, _)| name.into_string().ok()).collect())
    }
}
