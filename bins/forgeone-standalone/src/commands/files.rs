//! `cp`, `diff`, `commit`, `export`, `snapshot`: a container's files, which forgeone-image reads and writes.

use crate::here::Here;
use forgeone_cli::{Call, usage};
use forgeone_runtime::monitor::State;
use forgeone_runtime::registry::Container;
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::{process, signal};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `diff`, `commit` and `export`: the first word is the container, the others are as they are.
pub(super) fn run(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    let words = call.words.iter().skip(1).cloned().collect();
    let command = helper(here, call, call.command.name, &container, words)?;
    match call.command.name {
        "commit" => while_paused(here, &container, command, true),
        _ => become_helper(here, command),
    }
}

/// `snapshot create`, `ls`, `restore` and `rm`: the same.
pub(super) fn snapshot(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    let name = call.command.name.replace(' ', "-");
    let words = call.words.iter().skip(1).cloned().collect();
    if name == "snapshot-restore" && super::is_active(&container)? {
        let message = format!(
            "container {:?} runs, and a snapshot would take files away from it; stop it first",
            container.name()
        );
        return Err(Error::new(Kind::State, message));
    }
    let command = helper(here, call, &name, &container, words)?;
    match name.as_str() {
        "snapshot-create" => while_paused(here, &container, command, false),
        _ => become_helper(here, command),
    }
}

/// Runs a command while nothing of the container does, so that what it finds belongs together. A container that can't be
/// paused is an error, or with `anyhow` one that is told.
fn while_paused(here: &Here, container: &Container, mut command: Command, anyhow: bool) -> Result<u8> {
    let runtime = here.runtime();
    let runs = container.status()?.state == State::Running;
    // Who is interrupted meanwhile resumes it first.
    signal::block_all()?;
    let paused = match runs.then(|| runtime.pause(container.id())) {
        None => false,
        Some(Err(e)) if anyhow => {
            here.log.warn(&format!("{e}; what it writes meanwhile may be missing"));
            false
        }
        Some(done) => done.map(|()| true).map_err(|e| e.during("it can't be paused; stop it first"))?,
    };
    signal::reset_all_in(&mut command);
    let ended = process::spawn(&mut command).and_then(|mut child| child.wait());
    let resumed = if paused { runtime.resume(container.id()) } else { Ok(()) };
    let ended = ended.map_err(|e| not_executed(here, &e))?;
    resumed?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
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
    become_helper(here, helper(here, call, command, &container, words.map(OsString::from).to_vec())?)
}

/// The container and the path; a path of this machine begins with `/` or `.`, or has no colon.
fn inside(text: &str) -> Option<(&str, &str)> {
    let (word, path) = text.split_once(':')?;
    (!word.is_empty() && !word.starts_with(['/', '.'])).then_some((word, path))
}

/// Becomes forgeone-image.
fn become_helper(here: &Here, mut command: Command) -> Result<u8> {
    Err(not_executed(here, &command.exec()))
}

fn not_executed(here: &Here, failed: &std::io::Error) -> Error {
    let program = here.register.places().image_helper.display();
    Error::new(Kind::System, format!("execute {program}: {failed}; make install brings it"))
}

/// forgeone-image with this command.
fn helper(
    here: &Here,
    call: &Call,
    name: &str,
    container: &Container,
    words: Vec<OsString>,
) -> Result<Command> {
    let places = here.register.places();
    let mut command = Command::new(&places.image_helper);
    command.arg(name).arg("--data-root").arg(&places.data_root).arg("--container").arg(container.dir());
    if super::is_active(container)? && matches!(name, "export" | "copy-in" | "copy-out" | "snapshot-create") {
        command.arg(format!("--pid={}", container.status()?.pid));
        if name != "snapshot-create" {
            here.enter(container)?;
        }
    }
    for (name, value) in call.flags.texts_in_order()? {
        command.arg(format!("--{name}={value}"));
    }
    command.arg("--").args(words);
    Ok(command)
}
