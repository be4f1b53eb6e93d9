//! The commands, by what they are about.

mod complete;
mod door;
mod end;
mod events;
mod files;
mod list;
mod logs;
mod network;
mod run;
mod stats;
mod system;
mod volume;

use crate::here::Here;
use forgeone_cli::{Call, Log, Values, output, tables, usage};
use forgeone_runtime::monitor::{Failure, Status};
use forgeone_runtime::registry::Container;
use forgeone_runtime::{Error, Kind, Result};

/// Carries a command out; the exit status.
pub(crate) fn carry_out(call: &Call, global: &Values, log: &Log) -> std::result::Result<u8, Failure> {
    // What may have been meant is told already.
    let told =
        |error: Error| if error.kind() == Kind::NotFound { error.into_kind(Kind::State) } else { error };
    // A container that nobody has is told with the status that the OCI runtime's command has.
    let status = |error: &Error| match tables::OCI.command(call.command.name.as_ref()) {
        Some(command) if error.kind() == Kind::NotFound => command.failure,
        _ => call.command.failure,
    };
    let failed = |error: Error| Failure { status: status(&error), error: told(error) };
    if call.command.name == "completion" {
        return complete::run(call).map_err(failed);
    }
    let here = Here::open(call, global, log).map_err(failed)?;
    let done = match call.command.name {
        "run" => return run::run(&here, call),
        "create" => return run::create(&here, call),
        "start" => return run::start(&here, call),
        "attach" => return run::attach(&here, call),
        "stop" => end::stop(&here, call),
        "restart" => end::restart(&here, call),
        "rm" | "delete" => end::rm(&here, call),
        "kill" => end::kill(&here, call),
        "pause" => end::pause(&here, call),
        "resume" | "unpause" => end::resume(&here, call),
        "wait" => end::wait(&here, call),
        "rename" => end::rename(&here, call),
        "exec" => door::exec(&here, call),
        "state" => door::state(&here, call),
        "top" => door::top(&here, call),
        "update" => door::update(&here, call),
        "ps" => list::ps(&here, call),
        "inspect" => list::inspect(&here, call),
        "logs" => logs::logs(&here, call),
        "events" => events::events(&here, call),
        "cp" => files::copy(&here, call),
        "diff" | "commit" | "export" => files::run(&here, call),
        name if name.starts_with("snapshot ") => files::snapshot(&here, call),
        "stats" => stats::stats(&here, call),
        "system df" => system::df(&here, call),
        "system info" => system::info(&here, call),
        "system prune" => system::prune(&here, call),
        "port" => network::port(&here, call),
        name if name.starts_with("network ") => network::run(&here, call),
        name if name.starts_with("volume ") => volume::run(&here, call),
        _ => Err(usage("no such command")),
    };
    done.map_err(failed)
}

/// Whether something of it runs, or is about to.
fn is_active(container: &Container) -> Result<bool> {
    Ok(Status::read(&container.dir())?.state.is_active())
}

/// Refuses one that doesn't run.
fn running(container: &Container) -> Result<()> {
    match is_active(container)? {
        true => Ok(()),
        false => {
            let message =
                format!("container {:?} isn't running; 'forgeone start' starts it", container.name());
            Err(Error::new(Kind::State, message))
        }
    }
}

/// Removes everything that is named, each by itself, and prints the names; with `--force` a missing one is no error.
fn remove_each(call: &Call, remove: impl Fn(&str) -> Result<String>) -> Result<()> {
    let mut failures = Vec::new();
    for word in call.texts()? {
        match remove(word) {
            Ok(name) => output::print(&format!("{name}\n"))?,
            Err(e) if e.kind() == Kind::NotFound && call.flags.switch("force") => {}
            Err(e) => failures.push(e),
        }
    }
    Error::all(failures).map_or(Ok(()), Err)
}
