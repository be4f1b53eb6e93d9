//! Environment variables: of files, of options, and of the caller where an option has a name alone.

use forgeone_cli::{Values, usage};
use forgeone_config::read_env_file;
use forgeone_runtime::Result;

/// What `--env-file` and `--env` say, the last for a name.
pub(crate) fn variables(flags: &Values) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for file in flags.texts("env-file")? {
        let failed = |e: String| usage(format!("option --env-file: {file}: {e}"));
        let text = std::fs::read_to_string(&file).map_err(|e| failed(e.to_string()))?;
        found.extend(read_env_file(&text).map_err(failed)?);
    }
    for text in flags.texts("env")? {
        match text.split_once('=') {
            Some(("", _)) => return Err(usage(format!("option --env: {text:?} has no name"))),
            Some((name, value)) => found.push((name.to_owned(), value.to_owned())),
            // One that the caller doesn't have isn't set.
            None => found.extend(std::env::var(&text).ok().map(|value| (text, value))),
        }
    }
    Ok(found)
}
