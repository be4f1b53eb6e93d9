//! What other programs do: `forgeone-image` and `forgeone-standalone`, which lie in libexec. The door executes them with
//! the words it got, as git and cargo do; it is the OCI runtime alone.
//!
//! Several commands exist for both, for bundles and for containers from images. The door asks itself first, and hands
//! over what it doesn't understand or doesn't have: what works with runc means what it means there.

use forgeone_cli::tables::{IMAGE_NAMES, STANDALONE_NAMES};
use forgeone_cli::{Call, Misuse, Parsed, Values};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that the door hands over to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program(&'static str);

pub(crate) const STANDALONE: Program = Program("forgeone-standalone");
const IMAGE: Program = Program("forgeone-image");

/// Whose words these are, if they aren't the door's, and whether nobody else's.
pub(crate) fn whose(parsed: &Result<Parsed, Misuse>, words: &[OsString]) -> Option<(Program, bool)> {
    match parsed {
        Ok(Parsed::Call(call)) if wants_image(call) => Some((STANDALONE, false)),
        Ok(_) => None,
        Err(Misuse { unknown: Some(name), .. }) => program(name).map(|program| (program, true)),
        Err(Misuse { command: Some(command), .. }) => {
            knows(STANDALONE_NAMES, command.name.as_ref()).then_some((STANDALONE, false))
        }
        // Options alone: the standalone command line has them without a command.
        Err(_) => words.first().is_some_and(|word| word.len() > 1).then_some((STANDALONE, false)),
    }
}

/// Who has the command of this name.
pub(crate) fn program(name: &OsStr) -> Option<Program> {
    let standalone = || knows(STANDALONE_NAMES, name).then_some(STANDALONE);
    knows(IMAGE_NAMES, name).then_some(IMAGE).or_else(standalone)
}

fn knows(names: &[&str], name: &OsStr) -> bool {
    names.iter().any(|known| name == *known)
}

/// A container is made from a bundle where one is named or lies here.
fn wants_image(call: &Call) -> bool {
    let makes = matches!(call.command.name, "run" | "create");
    let built_in = call.words.first().is_some_and(|word| word == crate::own::IMAGE);
    makes && !built_in && call.flags.value("bundle").is_none() && !is_bundle(Path::new("config.json"))
}

/// Whether a file looks like an OCI config. One that can't be read is for whoever reads it to complain about.
fn is_bundle(config: &Path) -> bool {
    let Ok(text) = std::fs::read(config) else { return config.exists() };
    text.windows(VERSION.len()).any(|window| window == VERSION)
}

const VERSION: &[u8] = b"\"ociVersion\"";

/// Who else may know a container that the state root doesn't have: the standalone program, unless another state root was
/// named than the one that it would look in.
pub(crate) fn elsewhere(call: &Call, global: &Values, states: &Path) -> Option<Program> {
    let named = global.value("root").is_some() && global.value("data-root").is_none();
    let ours = call.words.first().is_none_or(|id| states.join(id).exists());
    let known = knows(STANDALONE_NAMES, call.command.name.as_ref());
    (known && !named && !ours).then_some(STANDALONE)
}

impl Program {
    /// Comes back only if it can't be executed.
    pub(crate) fn execute<S: AsRef<OsStr>>(self, words: impl IntoIterator<Item = S>) -> String {
        let words: Vec<S> = words.into_iter().collect();
        let mut failure = None;
        for path in self.paths() {
            // An exec that fails leaves SIGPIPE as the program would have had it, so it isn't tried in vain.
            let failed = match std::fs::metadata(&path) {
                Ok(_) => Command::new(&path).args(&words).exec(),
                Err(e) => e,
            };
            failure.get_or_insert_with(|| {
                format!("execute {}: {failed}; make install brings it", path.display())
            });
        }
        failure.unwrap_or_default()
    }

    /// Where it may lie: in libexec, or beside the door. A door that was executed from its read-only mount doesn't know
    /// its own path, but was called by one.
    fn paths(self) -> Vec<PathBuf> {
        let called = forgeone_sys::entry::args().into_iter().next().unwrap_or_default();
        let found = |path: PathBuf| path.is_file().then_some(path);
        let own = std::env::current_exe().ok().and_then(found);
        let search = || {
            let directories = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&directories).find_map(|directory| found(directory.join(&called)))
        };
        let own = own.or_else(|| {
            if Path::new(&called).components().count() > 1 { Some(called.clone().into()) } else { search() }
        });
        let directory = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("/usr/local/bin"));
        let libexec = directory.parent().unwrap_or(Path::new("/")).join("libexec/forgeone");
        vec![libexec.join(self.0), directory.join(self.0)]
    }
}
