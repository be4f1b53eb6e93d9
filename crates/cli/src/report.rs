//! How the door speaks about itself: its version, and a failure as one line with an exit status.

use crate::log::Log;
use crate::parse::Misuse;
use crate::table::Command;
use forgeone_runtime::{Error, Kind, spec};

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, where the build was told.
pub const COMMIT: Option<&str> = option_env!("FORGEONE_COMMIT");

/// What `--version` prints. Always three lines: go-runc takes no other number (v1.0.0, `parseVersion`).
pub fn version() -> String {
    let commit = COMMIT.unwrap_or("unknown");
    format!("forgeone version {VERSION}\ncommit: {commit}\nspec: {}\n", spec::VERSION)
}

/// A failure with the exit status that it makes.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    command: Option<&'static Command>,
    status: u8,
}

impl Failure {
    /// The words made no call.
    pub fn of_misuse(misuse: Misuse) -> Self {
        Self { error: misuse.error, command: misuse.command, status: misuse.status }
    }

    /// Something besides a command failed.
    pub fn of_door(error: Error) -> Self {
        Self { error, command: None, status: 1 }
    }

    /// A command failed.
    pub fn of_command(error: Error, command: &'static Command) -> Self {
        // What execve(2) says begins like the command.
        let said = error.to_string().strip_prefix(command.name).is_some_and(|rest| rest.starts_with(": "));
        let error = if said { error } else { error.during(command.name) };
        Self { error, command: Some(command), status: command.failure }
    }

    /// The same with another exit status.
    pub fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Reports it, once.
    pub fn report(self, log: &Log) -> u8 {
        log.error(&format!("{}{}", self.error, self.way_out()));
        self.status
    }

    /// What the user can do about it.
    fn way_out(&self) -> String {
        let name = self.command.map_or("", |c| c.name);
        match self.error.kind() {
            Kind::Usage if name.is_empty() => "; see 'forgeone --help'".to_owned(),
            Kind::Usage => format!("; see 'forgeone {name} --help'"),
            Kind::NotFound => "; see 'forgeone list'".to_owned(),
            Kind::Exists if matches!(name, "create" | "run") => {
                "; take another id, or free this one with 'forgeone delete'".to_owned()
            }
            Kind::Damaged => "; 'forgeone delete --force' takes away what can be found of it".to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(error: Error, name: &str) -> String {
        let failure = match crate::tables::OCI.command(name.as_ref()) {
            Some(command) => Failure::of_command(error, command),
            None => Failure::of_door(error),
        };
        format!("{}{}", failure.error, failure.way_out())
    }

    #[test]
    fn the_way_out_follows_in_the_same_line() {
        let missing = || Error::new(Kind::NotFound, "container web does not exist");
        assert_eq!(line(missing(), "state"), "state: container web does not exist; see 'forgeone list'");
        let usage = || Error::new(Kind::Usage, "no");
        assert_eq!(line(usage(), "exec"), "exec: no; see 'forgeone exec --help'");
        assert_eq!(line(usage(), ""), "no; see 'forgeone --help'");
        let exists = || Error::new(Kind::Exists, "config.json exists");
        assert_eq!(line(exists(), "spec"), "spec: config.json exists");
        assert!(line(exists(), "run").contains("forgeone delete"));
    }
}
