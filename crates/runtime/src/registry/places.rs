//! Where everything of standalone containers is: data, states, and the programs that the library starts.

use crate::error::{Error, Kind, Result};
use forgeone_sys::process;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Directories and programs. [`Places::of_machine`] finds them; each can be set to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Containers, names, volumes and images.
    pub data_root: PathBuf,
    /// The door's states (`forgeone --root`).
    pub state_root: PathBuf,
    /// `forgeone`.
    pub door: PathBuf,
    /// `forgeone-image`.
    pub image_helper: PathBuf,
    /// `forgeone-standalone`, which is also each container's monitor and init.
    pub monitor: PathBuf,
}

impl Places {
    /// As this process's user, environment and program have them: `FORGEONE_DATA_ROOT`, otherwise `/var/lib/forgeone`,
    /// or for others than root `$XDG_DATA_HOME/forgeone` or `~/.local/share/forgeone`; `FORGEONE_ROOT`, otherwise
    /// `/run/forgeone` or `$XDG_RUNTIME_DIR/forgeone`; programs where they were installed with this one, otherwise of
    /// the `forgeone` in `PATH`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for another user than root without `HOME`.
    pub fn of_machine() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let (data_root, state_root) = roots(process::geteuid() == 0, &variable)?;
        let here = std::env::current_exe().unwrap_or_default();
        let path = variable("PATH").unwrap_or_default();
        let door = door(&here, &path);
        let [image_helper, monitor] =
            ["forgeone-image", "forgeone-standalone"].map(|name| helper(&door, name));
        Ok(Self {
            data_root: absolute(data_root)?,
            state_root: absolute(state_root)?,
            door,
            image_helper,
            monitor,
        })
    }

    /// Containers, names, volumes and images elsewhere.
    #[must_use]
    pub fn data_root(self, data_root: impl Into<PathBuf>) -> Self {
        Self { data_root: data_root.into(), ..self }
    }

    /// The door's states elsewhere.
    #[must_use]
    pub fn state_root(self, state_root: impl Into<PathBuf>) -> Self {
        Self { state_root: state_root.into(), ..self }
    }

    /// As words for a program of ours; [`Places::from_words`] reads them.
    pub(crate) fn to_words(&self) -> [OsString; 5] {
        let Self { data_root, state_root, door, image_helper, monitor } = self;
        [data_root, state_root, door, image_helper, monitor].map(|place| place.into())
    }

    /// See [`Places::to_words`].
    pub(crate) fn from_words(words: &mut impl Iterator<Item = OsString>) -> Option<Self> {
        let mut place = || words.next().map(PathBuf::from).filter(|path| path.is_absolute());
        Some(Self {
            data_root: place()?,
            state_root: place()?,
            door: place()?,
            image_helper: place()?,
            monitor: place()?,
        })
    }

    /// The directory of a container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.data_root.join("containers").join(id)
    }
}

/// The roots of data and states.
fn roots(root: bool, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<(PathBuf, PathBuf)> {
    let chosen = |name: &str| variable(name).map(PathBuf::from);
    let data = match chosen("FORGEONE_DATA_ROOT") {
        Some(path) => path,
        None if root => PathBuf::from("/var/lib/forgeone"),
        None => match (chosen("XDG_DATA_HOME"), chosen("HOME")) {
            (Some(path), _) => path.join("forgeone"),
            (None, Some(home)) => home.join(".local/share/forgeone"),
            (None, None) => {
                let message = "data root: neither HOME nor XDG_DATA_HOME is set; name one with --data-root";
                return Err(Error::new(Kind::Usage, message));
            }
        },
    };
    let state = chosen("FORGEONE_ROOT").or_else(|| match root {
        true => None,
        false => chosen("XDG_RUNTIME_DIR").map(|path| path.join("forgeone")),
    });
    Ok((data, state.unwrap_or_else(|| PathBuf::from("/run/forgeone"))))
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path).map_err(|e| Error::new(Kind::Usage, format!("{}: {e}", path.display())))
}

/// The door: beside this program, where its directory is from libexec, in `PATH`, or where it is installed.
fn door(here: &Path, path: &OsString) -> PathBuf {
    let beside = here.with_file_name("forgeone");
    let above = here.ancestors().nth(3).map(|prefix| prefix.join("bin/forgeone"));
    let searched = std::env::split_paths(path).map(|dir| dir.join("forgeone"));
    let mut known = [beside].into_iter().chain(above).chain(searched);
    known.find(|door| door.is_file()).unwrap_or_else(|| PathBuf::from("/usr/local/bin/forgeone"))
}

/// A helper of this door: installed in libexec, or built beside it.
fn helper(door: &Path, name: &str) -> PathBuf {
    let installed = door.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let installed = installed.join("libexec/forgeone").join(name);
    let beside = door.with_file_name(name);
    if !installed.is_file() && beside.is_file() { beside } else { installed }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// Places that aren't there, each another one.
    pub(crate) fn nowhere() -> Places {
        let path = |name: &str| PathBuf::from("/").join(name);
        Places {
            data_root: path("data"),
            state_root: path("state"),
            door: path("door"),
            image_helper: path("image"),
            monitor: path("monitor"),
        }
    }

    #[test]
    fn data_and_states_are_where_the_user_has_them() {
        type Row<'a> = (bool, &'a [(&'a str, &'a str)], &'a str, &'a str);
        let (home, xdg) = (("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/7"));
        let table: &[Row] = &[
            (true, &[home, xdg], "/var/lib/forgeone", "/run/forgeone"),
            (false, &[home, xdg], "/home/ada/.local/share/forgeone", "/run/user/7/forgeone"),
            (false, &[("XDG_DATA_HOME", "/data")], "/data/forgeone", "/run/forgeone"),
            (true, &[("FORGEONE_DATA_ROOT", "/d"), ("FORGEONE_ROOT", "/s")], "/d", "/s"),
            (false, &[("FORGEONE_DATA_ROOT", "/d"), ("FORGEONE_ROOT", "/s"), xdg], "/d", "/s"),
        ];
        for (root, variables, data, state) in table {
            let find =
                |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            let found = roots(*root, &find).unwrap();
            assert_eq!(found, (PathBuf::from(data), PathBuf::from(state)), "{variables:?}");
        }
        assert_eq!(roots(false, &|_| None).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn programs_are_found_as_installed_and_as_built() {
        let temp = testkit::Temp::new("places");
        let make = |name: &str| {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let installed = make("usr/bin/forgeone");
        let image = make("usr/libexec/forgeone/forgeone-image");
        let built = make("target/forgeone");
        let beside = make("target/forgeone-image");
        let nothing = OsString::new();
        let standalone = temp.path().join("usr/libexec/forgeone/forgeone-standalone");
        assert_eq!(door(&standalone, &nothing), installed);
        assert_eq!(door(&temp.path().join("target/forgeone-standalone"), &nothing), built);
        let path = temp.path().join("usr/bin").into_os_string();
        assert_eq!(door(Path::new("/opt/other/program"), &path), installed);
        assert_eq!(helper(&installed, "forgeone-image"), image);
        assert_eq!(helper(&built, "forgeone-image"), beside);
    }
}
