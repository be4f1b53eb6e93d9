//! The commands, one a file. Each reads its options, calls the runtime and prints what it answers; it returns the
//! exit status.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod update;

mod input;
mod process_table;
mod show;

use crate::inherit::{listen_fds, notify_socket};
use forgeone_cli::Log;
use forgeone_cli::VERSION;
use forgeone_cli::settings::{self, StateRoot, Surroundings};
use forgeone_cli::{Call, Values, usage};
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::{CreateOptions, Runtime, Started, in_user_namespace};
use forgeone_sys::process::geteuid;

/// What carries out a command.
type Run = fn(&Door, &Call) -> Result<u8>;

/// In the order of the table.
const RUN: [(&str, Run); 15] = [
    ("create", create::run),
    ("start", start::run),
    ("run", run::run),
    ("exec", exec::run),
    ("state", state::run),
    ("kill", kill::run),
    ("pause", pause::run),
    ("resume", resume::run),
    ("update", update::run),
    ("events", events::run),
    ("delete", delete::run),
    ("list", list::run),
    ("ps", ps::run),
    ("spec", spec::run),
    ("features", features::run),
];

/// Carries a command out; its exit status.
pub(crate) fn carry_out(door: &Door, call: &Call) -> Result<u8> {
    let found = RUN.iter().find(|(name, _)| *name == call.command.name);
    let (_, run) = found.ok_or_else(|| usage("no such command"))?;
    run(door, call)
}

/// What all commands need.
pub(crate) struct Door<'a> {
    /// The runtime, with the caller's settings.
    pub(crate) runtime: Runtime,
    /// Where it keeps its states.
    pub(crate) root: StateRoot,
    /// Where is said what happens.
    pub(crate) log: &'a Log,
}

impl<'a> Door<'a> {
    /// Finds out where the states are; opens nothing.
    pub(crate) fn open(global: &Values, log: &'a Log) -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name);

        let around =
            Surroundings { variable: &variable, euid: geteuid(), in_user_namespace: &in_user_namespace };
        let root = settings::state_root(global, &around)?;
        let runtime = Runtime::new(settings::settings(global, &root)?);
        log.debug(|| format!("forgeone {VERSION}, state root {}", root.path.display()));
        Ok(Self { runtime, root, log })
    }

    /// Passes on what the specification says to warn about.
    fn warn(&self, command: &str, started: &Started) {
        started.warnings.iter().for_each(|warning| self.log.warn(&format!("{command}: {warning}")));
    }

    /// Stays until the program has said that it is ready, where a service manager is to be told. The program runs, so
    /// what fails here is said and changes nothing.
    fn await_ready(&self, command: &str, started: &Started) {
        let Some(notify) = &started.notify else { return };
        if let Err(e) = notify.relay(started.pid, started.pidfd.as_ref()) {
            self.log.warn(&format!("{command}: {e}"));
        }
    }
}

/// What `create` and `run` tell the runtime.
fn create_options(door: &Door, call: &Call, detach: bool) -> Result<CreateOptions> {
    let bundle = match call.flags.path("bundle")? {
        Some(bundle) => bundle,
        None => std::env::current_dir().map_err(|e| usage(format!("current directory: {e}")))?,
    };
    door.log.debug(|| format!("bundle {}", bundle.display()));
    Ok(CreateOptions {
        bundle,
        console_socket: call.flags.path("console-socket")?,
        pidfd_socket: call.flags.path("pidfd-socket")?,
        pid_file: call.flags.path("pid-file")?,
        no_pivot: call.flags.switch("no-pivot"),
        no_new_keyring: call.flags.switch("no-new-keyring"),
        listen_fds: listen_fds(),
        preserve_fds: call.flags.number("preserve-fds")?.unwrap_or(0),
        notify_socket: notify_socket(),
        detach,
        console_size: None,
    })
}

#[cfg(test)]
mod tests {
    use super::RUN;
    use forgeone_cli::tables::OCI;

    #[test]
    fn every_command_of_the_table_can_be_carried_out() {
        let (table, run) = (OCI.commands.iter().map(|c| c.name), RUN.iter().map(|(name, _)| *name));
        assert!(table.eq(run));
    }
}
