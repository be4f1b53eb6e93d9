//! `stop`, `restart`, `rm`, `kill`, `pause`, `resume`, `wait`, `rename`: what is done to containers, several at once.

use crate::here::Here;
use forgeone_cli::{Call, output, usage};
use forgeone_runtime::lifecycle::Runtime;
use forgeone_runtime::monitor::{Client, Status};
use forgeone_runtime::registry::{Container, Removal};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::signal::signal_number;
use std::time::Duration;

pub(super) fn stop(here: &Here, call: &Call) -> Result<u8> {
    let (signal, time) = (signal(call)?, time(call)?);
    each(here, call, super::is_active, |container| stop_one(container, signal, time))
}

fn stop_one(container: &Container, signal: Option<i32>, time: Option<Duration>) -> Result<()> {
    if !super::is_active(container)? {
        return Ok(());
    }
    Client::spawn(container.places(), &container.dir())?.stop(signal, time).map(drop)
}

pub(super) fn restart(here: &Here, call: &Call) -> Result<u8> {
    let time = time(call)?;
    here.make_state_root()?;
    each(here, call, super::is_active, |container| {
        stop_one(container, None, time)?;
        Ok(Client::spawn(container.places(), &container.dir())?.start().map(drop)?)
    })
}

pub(super) fn rm(here: &Here, call: &Call) -> Result<u8> {
    let force = call.flags.switch("force");
    let is_damaged = |word: &&str| here.register.find(word).is_err_and(|e| e.kind() == Kind::Damaged);
    let (damaged, whole): (Vec<&str>, Vec<&str>) =
        call.texts()?.into_iter().partition(|word| force && is_damaged(word));
    let (words, containers) = match damaged.is_empty() || call.flags.switch("all") {
        true => chosen(here, call, |_| Ok(true))?,
        false => (whole.iter().map(|word| (*word).to_owned()).collect(), here.find_all(&whole)?),
    };
    let gone = damaged.into_iter().map(|word| {
        if let Some(error) = here.register.remove_damaged(word)? {
            here.log.warn(&format!("{error}; it was removed, and nothing else was known of it"));
        }
        Ok(word.to_owned())
    });
    told(gone.chain(words.into_iter().zip(containers).map(|(word, container)| {
        if force {
            // Killed, and its monitor gone, before what it has is removed.
            stop_one(&container, signal_number("KILL"), Some(Duration::ZERO))?;
        }
        container.remove(Removal { force })?;
        Ok(word)
    })))
}

pub(super) fn kill(here: &Here, call: &Call) -> Result<u8> {
    let signal = signal(call)?.or(signal_number("KILL")).unwrap_or(9);
    runtime(here, call, move |runtime, id| runtime.kill(id, signal, false))
}

pub(super) fn pause(here: &Here, call: &Call) -> Result<u8> {
    runtime(here, call, Runtime::pause)
}

pub(super) fn resume(here: &Here, call: &Call) -> Result<u8> {
    runtime(here, call, Runtime::resume)
}

/// What the runtime does to containers that run.
fn runtime(here: &Here, call: &Call, act: impl Fn(&Runtime, &str) -> Result<()>) -> Result<u8> {
    let runtime = here.runtime();
    each(here, call, super::is_active, |container| {
        super::running(container)?;
        act(&runtime, container.id())
    })
}

pub(super) fn wait(here: &Here, call: &Call) -> Result<u8> {
    for container in here.find_all(&call.texts()?)? {
        let exit = match super::is_active(&container)? {
            true => Client::spawn(container.places(), &container.dir())?.wait()?.status,
            false => Status::read(&container.dir())?.exit,
        };
        output::print(&match exit {
            Some(status) => format!("{status}\n"),
            None => "unknown\n".to_owned(),
        })?;
    }
    Ok(0)
}

pub(super) fn rename(here: &Here, call: &Call) -> Result<u8> {
    here.register.find(call.text(0)?)?.rename(call.text(1)?)?;
    Ok(0)
}

/// Does it to each container that is named, or with `--all` to those that fit; tells each, and all failures.
fn each(
    here: &Here,
    call: &Call,
    fits: impl Fn(&Container) -> Result<bool>,
    act: impl Fn(&Container) -> Result<()>,
) -> Result<u8> {
    let (words, containers) = chosen(here, call, fits)?;
    told(words.into_iter().zip(containers).map(|(word, container)| act(&container).map(|()| word)))
}

/// Prints each word that was done; all failures are one.
fn told(done: impl Iterator<Item = Result<String>>) -> Result<u8> {
    let mut failures = Vec::new();
    for word in done {
        match word {
            Ok(word) => output::print(&format!("{word}\n"))?,
            Err(e) => failures.push(e),
        }
    }
    match Error::all(failures) {
        Some(error) => Err(error),
        None => Ok(0),
    }
}

/// The containers that are meant, with the words for them; all are looked for before anything is done.
fn chosen(
    here: &Here,
    call: &Call,
    fits: impl Fn(&Container) -> Result<bool>,
) -> Result<(Vec<String>, Vec<Container>)> {
    let words = call.texts()?;
    match (call.flags.switch("all"), words.is_empty()) {
        (true, false) => Err(usage("--all or containers, not both")),
        (false, true) => Err(usage("missing <container>")),
        (false, false) => Ok((words.iter().map(|word| (*word).to_owned()).collect(), here.find_all(&words)?)),
        (true, true) => {
            let mut found = Vec::new();
            for container in here.all()? {
                if fits(&container)? {
                    found.push(container);
                }
            }
            Ok((found.iter().map(|container| container.id().to_owned()).collect(), found))
        }
    }
}

fn signal(call: &Call) -> Result<Option<i32>> {
    let Some(name) = call.flags.text("signal")? else { return Ok(None) };
    signal_number(name).map(Some).ok_or_else(|| usage(format!("unknown signal {name:?}")))
}

fn time(call: &Call) -> Result<Option<Duration>> {
    Ok(call.flags.number("time")?.map(|seconds| Duration::from_secs(seconds.into())))
}
