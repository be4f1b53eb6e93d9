//! `edit`: a file in the user's editor, which takes the place of the old one when it is valid.

use super::changed::{self, Colour};
use super::{encrypt, keys, log};
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::encryption::{
    Identities, Recipients, Zeroizing, encrypt_text, encrypt_values, encrypted_paths, is_encrypted,
};
use forgeone_config::{Format, Severity, parse_config_beside, read_text_from_file, save_text_to_file};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const HELP: &str = "\
edit [options] <file>

Opens the file in VISUAL, EDITOR or vi. What was written is validated and then takes
the old one's place; if it has errors they are told, the file stays as it is, and
the text is kept. An encrypted file is decrypted for that, in memory where there is
a file system for it, and encrypted again for the recipients, as are single values.

options:
      --identity FILE            private keys of age or one of ssh; several times
                                 (FORGEONE_CONFIG_IDENTITY)
      --recipient KEY            a public key to encrypt for again; several times
      --recipients-file FILE     public keys, a line each
      --passphrase               ask for the passphrase, which is also the new one
      --passphrase-file FILE     it is the file's first line
      --passphrase-env NAME      it is this variable
      --color WHEN               auto, always or never (auto: on a terminal)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let valued = [keys::OPENING, keys::CLOSING, &["color"]].concat();
    let Some(arguments) = Arguments::read(words, keys::SWITCHES, &valued, (1, 1))? else { return Ok(None) };
    let file = arguments.words()[0].as_str();
    let colour = Colour::of(&arguments)?;
    let sealed = Zeroizing::new(read_text_from_file(file)?);
    let format = Format::of_path(file).map_err(|e| Failure::from(e).during(format_args!("load {file}")))?;
    let (whole, paths) = match is_encrypted(sealed.as_bytes()) {
        true => (true, Vec::new()),
        // A file that isn't well-formed can be edited all the same.
        false => (false, encrypted_paths(&sealed, format).unwrap_or_default()),
    };
    let secret = whole || !paths.is_empty();
    let (identities, recipients) = match secret {
        true => keys::both(&arguments)?,
        false => (Identities::none(), None),
    };
    let again = match (secret, recipients) {
        (false, _) => None,
        (true, Some(recipients)) => Some(recipients),
        (true, None) => {
            return Err(Failure::new("it is encrypted; --recipient says whom to encrypt it for again"));
        }
    };
    let old = match secret {
        true => encrypt::plain(file, format, &identities)?,
        false => sealed.clone(),
    };
    let draft = Draft::new(file, &old, secret)?;
    let new = draft.edited()?;
    if *new == *old {
        draft.discard();
        return Ok(Some(0));
    }
    let finished = check(file, &new, format, &identities).and_then(|()| {
        if *read_text_from_file(file)? != *sealed {
            return Err(Failure::new(format_args!("{file}: somebody else changed it meanwhile")));
        }
        let text = closed(&new, format, whole, &paths, again.as_ref())?;
        log::change("edit", file, Some(&identities), |path| Ok(save_text_to_file(&text, path)?))
    });
    finished.map_err(|failure| {
        failure.followed(format_args!("\nthe text is kept in {}", draft.path.display()))
    })?;
    draft.discard();
    if !secret {
        changed::print(file, &old, &new, colour)?;
    }
    Ok(Some(0))
}

/// Refuses a text that is no valid configuration.
fn check(file: &str, text: &str, format: Format, identities: &Identities) -> Result<(), Failure> {
    let (document, config) = parse_config_beside(text, format, file, identities)?;
    let findings = config?.check();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let lines: Vec<_> = errors
        .map(|finding| {
            let place = document.place_of(&finding.path);
            format!("\n{file}:{}:{}: {finding}", place.line, place.column)
        })
        .collect();
    match lines[..] {
        [] => Ok(()),
        _ => Err(Failure::new(format_args!("it isn't valid, and {file} stays as it was:{}", lines.concat()))),
    }
}

/// The text as it is to be written: encrypted as it was.
fn closed(
    text: &str,
    format: Format,
    whole: bool,
    paths: &[String],
    recipients: Option<&Recipients>,
) -> Result<Zeroizing<String>, Failure> {
    let Some(recipients) = recipients else { return Ok(Zeroizing::new(text.to_owned())) };
    if whole {
        return Ok(Zeroizing::new(encrypt_text(text, recipients)?));
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Ok(Zeroizing::new(encrypt_values(text, format, &paths, recipients)?))
}

/// The text in the making: a file of the same name, in a directory of its own.
struct Draft {
    directory: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn new(file: &str, text: &str, secret: bool) -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let parent = match secret && memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let name = Path::new(file).file_name().unwrap_or(file.as_ref());
        for number in 0..1000 {
            let directory = parent.join(format!("forgeone-edit.{}.{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Failure::new(format_args!("create {}: {e}", directory.display()))),
            }
            let draft = Self { path: directory.join(name), directory };
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            return match written {
                Ok(()) => Ok(draft),
                Err(e) => {
                    let failure = Failure::new(format_args!("write {}: {e}", draft.path.display()));
                    draft.discard();
                    Err(failure)
                }
            };
        }
        Err(Failure::new(format_args!("create a directory below {}: all names are taken", parent.display())))
    }

    /// Has the user edit it; the text afterwards.
    fn edited(&self) -> Result<Zeroizing<String>, Failure> {
        let named = |name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
        let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        // The variables hold words of a shell: `code --wait`.
        let status = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("{editor} \"$1\""))
            .arg("sh")
            .arg(&self.path)
            .status();
        let failure = match status {
            Ok(status) if status.success() => match read_text_from_file(&self.path.to_string_lossy()) {
                Ok(text) => return Ok(Zeroizing::new(text)),
                Err(e) => Failure::from(e),
            },
            Ok(status) => {
                Failure::new(format_args!("the editor {editor:?} failed ({status}); nothing was changed"))
            }
            Err(e) => Failure::new(format_args!("start the editor {editor:?}: {e}")),
        };
        self.discard();
        Err(failure)
    }

    /// Takes it away. What can't be is in a directory that only its user can read.
    fn discard(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
