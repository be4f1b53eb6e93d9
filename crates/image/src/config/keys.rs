//! Whom something is encrypted for, and what opens it, as options say it.

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::terminal;
use forgeone_config::encryption::{Identities, Passphrase, Recipients, Zeroizing};
use std::fs::File;
use std::io::Read;

/// Options without and with a value that open what is encrypted.
pub(super) const SWITCHES: &[&str] = &["passphrase"];
pub(super) const OPENING: &[&str] = &["identity", "passphrase-file", "passphrase-env"];

/// Those that name whom something is encrypted for.
pub(super) const CLOSING: &[&str] = &["recipient", "recipients-file", "passphrase-file", "passphrase-env"];

/// Names a file of private keys where no option does.
const VARIABLE: &str = "FORGEONE_CONFIG_IDENTITY";

/// What opens files; empty if nothing says so.
pub(super) fn identities(arguments: &Arguments) -> Result<Identities, Failure> {
    opening(arguments, passphrase(arguments, false)?.as_ref())
}

/// What opens a file, and whom to encrypt it for again, if something says so. The passphrase stays the same.
pub(super) fn both(arguments: &Arguments) -> Result<(Identities, Option<Recipients>), Failure> {
    let passphrase = passphrase(arguments, false)?;
    let identities = opening(arguments, passphrase.as_ref())?;
    let keys = public(arguments)?;
    let recipients = match (&keys[..], &passphrase) {
        ([], passphrase) => passphrase.as_ref().map(Recipients::passphrase),
        _ => Some(Recipients::keys(keys.iter().map(String::as_str))?),
    };
    Ok((identities, recipients))
}

fn opening(arguments: &Arguments, passphrase: Option<&Passphrase>) -> Result<Identities, Failure> {
    let mut identities = Identities::none();
    let named = arguments.values("identity").map(str::to_owned).collect::<Vec<_>>();
    let files = match std::env::var(VARIABLE) {
        Ok(file) if named.is_empty() && !file.is_empty() => vec![file],
        _ => named,
    };
    for file in files {
        identities.add_file(&file, passphrase)?;
    }
    if let Some(passphrase) = passphrase {
        identities.add_passphrase(passphrase);
    }
    Ok(identities)
}

/// Whom to encrypt for.
pub(super) fn recipients(arguments: &Arguments) -> Result<Recipients, Failure> {
    let keys = public(arguments)?;
    match passphrase(arguments, true)? {
        Some(_) if !keys.is_empty() => {
            Err(Failure::new("it is encrypted for public keys or by a passphrase, not both; choose one"))
        }
        Some(passphrase) => Ok(Recipients::passphrase(&passphrase)),
        None => Ok(Recipients::keys(keys.iter().map(String::as_str))?),
    }
}

/// The public keys that are named.
fn public(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let mut keys: Vec<String> = arguments.values("recipient").map(str::to_owned).collect();
    for file in arguments.values("recipients-file") {
        let text = small(file)?;
        let lines = text.lines().map(str::trim);
        keys.extend(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    Ok(keys)
}

/// The passphrase that an option names, or that is asked for; twice, if it is a new one.
fn passphrase(arguments: &Arguments, new: bool) -> Result<Option<Passphrase>, Failure> {
    let file = arguments.values("passphrase-file").last();
    let variable = arguments.values("passphrase-env").last();
    let text = match (file, variable) {
        (Some(file), _) => small(file)?,
        (_, Some(name)) => {
            let missing = |_| Failure::new(format_args!("variable {name}: it isn't set, or no UTF-8"));
            Zeroizing::new(std::env::var(name).map_err(missing)?)
        }
        _ if arguments.switch("passphrase") => {
            let text = ask("passphrase: ")?;
            if new && *ask("again: ")? != *text {
                return Err(Failure::new("the passphrases differ; try again"));
            }
            text
        }
        _ => return Ok(None),
    };
    let line = text.lines().next().unwrap_or_default();
    Ok(Some(Passphrase::new(line.to_owned())?))
}

/// The text of a small file.
fn small(path: &str) -> Result<Zeroizing<String>, Failure> {
    const MOST: u64 = 64 << 10;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text));
    read.map_err(|e| Failure::new(format_args!("read {path}: {e}")))?;
    Ok(text)
}

fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    terminal::ask(question).map_err(|failure| failure.followed("; --passphrase-file names a file"))
}
