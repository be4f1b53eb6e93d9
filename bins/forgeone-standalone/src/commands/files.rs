//! `cp`, `diff`, `commit`, `export`: a container's files, which forgeone-image reads and writes.

use crate::here::Here;
use forgeone_cli::{Call, usage};
use forgeone_runtime::registry::Container;
use forgeone_runtime::{Error, Kind, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `diff`, `commit` and `export`: the first word is the container, the others are as they are.
pub(super) fn run(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    let words = call.words.iter().skip(1).cloned().collect();
    Err(become_helper(here, call, call.command.name, &container, words)?)
}

/// `CONTAINER:PATH` is on one side.
pub(super) fn copy(here: &Here, call: &Call) -> Result<u8> {
    let (from, to) = (call.text(0)?, call.text(1)?);
    let (word, command, words) = match (inside(from), inside(to)) {
        (Some((word, path)), None) => (word, "copy-out", [path, to]),
        (None, Some((word, path))) => (word, "copy-in", [from, path]),
        (Some(_), Some(_)) => {
            return Err(usage("from one container to another: copy by way of this machine"));
        }
        (None, None) => return Err(usage("neither is CONTAINER:PATH")),
    };
    let container = here.register.find(word)?;
    Err(become_helper(here, call, command, &container, words.map(OsString::from).to_vec())?)
}

/// The container and the path; a path of this machine begins with `/` or `.`, or has no colon.
fn inside(text: &str) -> Option<(&str, &str)> {
    let (word, path) = text.split_once(':')?;
    (!word.is_empty() && !word.starts_with(['/', '.'])).then_some((word, path))
}

/// Becomes forgeone-image with this command; the error is that it can't be.
fn become_helper(
    here: &Here,
    call: &Call,
    name: &str,
    container: &Container,
    words: Vec<OsString>,
) -> Result<Error> {
    let places = here.register.places();
    let mut command = Command::new(&places.image_helper);
    command.arg(name).arg("--data-root").arg(&places.data_root).arg("--container").arg(container.dir());
    if super::is_active(container)? && matches!(name, "export" | "copy-in" | "copy-out") {
        command.arg(format!("--pid={}", container.status()?.pid));
        here.enter(container)?;
    }
    for (name, value) in call.flags.texts_in_order()? {
        command.arg(format!("--{name}={value}"));
    }
    let failed = command.arg("--").args(words).exec();
    let program = places.image_helper.display();
    Ok(Error::new(Kind::System, format!("execute {program}: {failed}; make install brings it")))
}
