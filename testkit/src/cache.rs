//! What tests keep between runs, in `FORGEONE_TEST_CACHE`, by default `/var/cache/forgeone-tests`.
//!
//! A directory of a name that is there is complete (it is made beside and renamed), and never changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory `name` of the cache; where there is none, `make` fills it.
///
/// # Errors
/// Why it can't be made.
pub(crate) fn kept(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let cache = std::env::var_os("FORGEONE_TEST_CACHE").unwrap_or("/var/cache/forgeone-tests".into());
    let cache = PathBuf::from(cache);
    let done = cache.join(name);
    if done.exists() {
        return Ok(done);
    }
    fs::create_dir_all(&cache).map_err(|e| format!("mkdir {}: {e}", cache.display()))?;
    let lock = File::create(cache.join("lock")).map_err(|e| format!("lock {}: {e}", cache.display()))?;
    lock.lock().map_err(|e| format!("lock {}: {e}", cache.display()))?;
    if done.exists() {
        return Ok(done);
    }
    let unfinished = cache.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(|e| e.to_string())?;
    }
    make(&unfinished)?;
    fs::rename(&unfinished, &done).map_err(|e| format!("rename to {}: {e}", done.display()))?;
    Ok(done)
}

/// Runs to the end; the failure is the program, its status and the last line that it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("run {program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(format!("{program}: {}: {}", output.status, said.lines().last().unwrap_or("it said nothing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_last_line() {
        let failure = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).unwrap_err();
        assert_eq!(failure, "sh: exit status: 3: two");
    }
}
