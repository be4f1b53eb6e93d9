//! From the global options and the environment to the runtime's settings.

use crate::parse::usage;
use crate::values::Values;
use forgeone_runtime::lifecycle::Settings;
use forgeone_runtime::{Error, Kind, Result};
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Where states are kept, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRoot {
    /// Absolute.
    pub path: PathBuf,
    /// Whether `--root` named it, so that it is an error if it is missing.
    pub named: bool,
    /// Whether it is below `$XDG_RUNTIME_DIR`.
    pub in_runtime_dir: bool,
}

impl StateRoot {
    /// Whether it is more than the last resort.
    pub fn is_chosen(&self) -> bool {
        self.named || self.in_runtime_dir || self.path != Path::new(DEFAULT)
    }
}

/// Where states are kept if nobody says otherwise.
const DEFAULT: &str = "/run/forgeone";

/// What of the environment decides about the state root.
pub struct Surroundings<'a> {
    /// Environment variables.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Effective user id.
    pub euid: u32,
    /// Whether the user namespace is not the initial one.
    pub in_user_namespace: &'a dyn Fn() -> bool,
}

/// The settings that hold for all commands.
pub fn settings(global: &Values, root: &StateRoot) -> Result<Settings> {
    Ok(Settings {
        root: root.path.clone(),
        systemd_cgroup: global.switch("systemd-cgroup"),
        rootless: match global.text("rootless")? {
            None | Some("auto") => None,
            Some(mode) => Some(mode == "true"),
        },
    })
}

/// The state root: `--root`, else `FORGEONE_ROOT`, else `$XDG_RUNTIME_DIR/forgeone` for those who aren't the
/// machine's root, else `/run/forgeone`.
pub fn state_root(global: &Values, around: &Surroundings) -> Result<StateRoot> {
    let variable = |name| (around.variable)(name).filter(|value: &OsString| !value.is_empty());
    if global.is_empty("root") {
        return Err(usage("option --root is empty"));
    }
    let from_option = global.value("root").map(|root| ("option --root", root.to_owned()));
    let named = from_option.is_some();
    if let Some((source, root)) = from_option.or_else(|| Some(("FORGEONE_ROOT", variable("FORGEONE_ROOT")?)))
    {
        let path = clean(Path::new(&root)).map_err(|e| usage(format!("{source}: {e}")))?;
        if path.parent().is_none() {
            return Err(usage(format!("{source}: {root:?} is the root directory")));
        }
        return Ok(StateRoot { path, named, in_runtime_dir: false });
    }
    Ok(match variable("XDG_RUNTIME_DIR") {
        Some(dir) if honours_runtime_dir(around) => {
            StateRoot { path: Path::new(&dir).join("forgeone"), named: false, in_runtime_dir: true }
        }
        _ => StateRoot { path: DEFAULT.into(), named: false, in_runtime_dir: false },
    })
}

/// The machine's root has `/run`, whatever its session says. Root in a user namespace is somebody else, but for
/// one who says to be root (`USER`), as after su.
fn honours_runtime_dir(around: &Surroundings) -> bool {
    around.euid != 0
        || ((around.in_user_namespace)() && (around.variable)("USER").is_none_or(|user| user != "root"))
}

/// The absolute path without `.` and `..`, by its words alone.
fn clean(path: &Path) -> std::io::Result<PathBuf> {
    let mut out = PathBuf::from("/");
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => drop(out.pop()),
            _ => {}
        }
    }
    Ok(out)
}

/// Where data is kept: `--data-root`, else `FORGEONE_DATA_ROOT`, else `/var/lib/forgeone` for root, else `$XDG_DATA_HOME/forgeone`, else
/// `~/.local/share/forgeone`.
///
/// # Errors
/// An empty name, or a user without a home directory.
pub fn data_root(global: &Values, around: &Surroundings) -> Result<PathBuf> {
    let variable = |name| (around.variable)(name).filter(|value: &OsString| !value.is_empty());
    if global.is_empty("data-root") {
        return Err(usage("option --data-root is empty"));
    }
    if let Some(path) = global.path("data-root")? {
        return Ok(path);
    }
    if let Some(root) = variable("FORGEONE_DATA_ROOT") {
        return clean(Path::new(&root)).map_err(|e| usage(format!("FORGEONE_DATA_ROOT: {e}")));
    }
    if !honours_runtime_dir(around) {
        return Ok("/var/lib/forgeone".into());
    }
    if let Some(home) = variable("XDG_DATA_HOME").filter(|home| Path::new(home).is_absolute()) {
        return Ok(Path::new(&home).join("forgeone"));
    }
    let home = variable("HOME").filter(|home| Path::new(home).is_absolute());
    let home = home.ok_or_else(|| usage("HOME is not set: name where data is kept with --data-root"))?;
    Ok(Path::new(&home).join(".local/share/forgeone"))
}

/// Makes a state root below `$XDG_RUNTIME_DIR`, with the sticky bit, without which what isn't used for some hours
/// is removed (XDG Base Directory Specification).
pub fn make_runtime_dir(root: &StateRoot) -> Result<()> {
    if !root.in_runtime_dir || root.path.exists() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&root.path);
    let sticky = || std::fs::set_permissions(&root.path, PermissionsExt::from_mode(0o1700));
    let failed = |e| Error::new(Kind::System, format!("state root {}: {e}", root.path.display()));
    made.and_then(|()| sticky()).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::parse;
    use crate::tables::OCI;

    /// The state root for these words, with these variables, for a user who may be in a user namespace.
    fn root(words: &[&str], variables: &[(&str, &str)], euid: u32, inside: bool) -> Result<StateRoot> {
        let mut global = Values::default();
        parse(&OCI, words.iter().map(OsString::from), &mut global).unwrap();
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
        let around = Surroundings { variable: &find, euid, in_user_namespace: &|| inside };
        state_root(&global, &around)
    }

    #[test]
    fn the_state_root_is_what_the_nearest_says() {
        let xdg = ("XDG_RUNTIME_DIR", "/run/user/1000");
        let variable = ("FORGEONE_ROOT", "/from/variable");
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], u32, bool, &'a str);
        let table: &[Row] = &[
            (&[], &[], 0, false, "/run/forgeone"),
            (&[], &[], 1000, false, "/run/forgeone"),
            (&[], &[xdg], 0, false, "/run/forgeone"),
            (&[], &[xdg], 1000, false, "/run/user/1000/forgeone"),
            (&[], &[xdg], 0, true, "/run/user/1000/forgeone"),
            (&[], &[xdg, ("USER", "root")], 0, true, "/run/forgeone"),
            (&[], &[xdg, ("USER", "ada")], 0, true, "/run/user/1000/forgeone"),
            (&[], &[("XDG_RUNTIME_DIR", "")], 1000, false, "/run/forgeone"),
            (&[], &[xdg, variable], 1000, false, "/from/variable"),
            (&["--root", "/a/./b/../c"], &[xdg, variable], 0, false, "/a/c"),
            (&["state", "x", "--root", "/a"], &[], 0, false, "/a"),
        ];
        for (words, variables, euid, inside, want) in table {
            let root = root(words, variables, *euid, *inside).unwrap();
            assert_eq!(root.path, Path::new(want), "{words:?} {variables:?}");
        }
    }

    #[test]
    fn an_empty_state_root_is_refused() {
        let error = root(&["--root="], &[("FORGEONE_ROOT", "/from/variable")], 0, false).unwrap_err();
        assert_eq!(error.to_string(), "option --root is empty");
    }

    #[test]
    fn a_relative_state_root_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(root(&["--root", "states"], &[], 0, false).unwrap().path, here.join("states"));
        assert_eq!(root(&[], &[("FORGEONE_ROOT", "s")], 0, false).unwrap().path, here.join("s"));
    }

    #[test]
    fn the_root_directory_is_no_state_root() {
        for dir in ["/", "/..", "/a/..", "//"] {
            let error = root(&["--root", dir], &[], 0, false).unwrap_err();
            assert!(error.to_string().ends_with("is the root directory"), "{error}");
        }
    }

    #[test]
    fn the_runtime_dir_is_made_with_the_sticky_bit() {
        let path = std::env::temp_dir().join(format!("forgeone-xdg-{}", std::process::id()));
        let root = StateRoot { path: path.join("forgeone"), named: false, in_runtime_dir: true };
        make_runtime_dir(&root).unwrap();
        make_runtime_dir(&root).unwrap();
        let mode = std::fs::metadata(&root.path).unwrap().permissions().mode();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(mode & 0o7777, 0o1700);
    }
}
