//! `forgeone config …`: configurations from the command line, a command a file.

mod audit;
mod changed;
mod diff;
mod edit;
mod encrypt;
mod import;
mod keys;
mod log;
mod merge;
mod migrate;
mod registry;
mod render;
mod schema;
mod show;
mod validate;

use crate::failure::Failure;
use forgeone_config::{ContainerConfig, Format, config_to_string, config_to_variables};
use std::ffi::OsString;
use std::io::Write;

/// A command of `forgeone config`.
struct Command {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    /// The exit status of its failures.
    failure: u8,
    /// Carries it out; `None` if help is asked for.
    run: fn(Vec<OsString>) -> Result<Option<u8>, Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "validate",
        about: "tell all that is wrong with configurations",
        help: validate::HELP,
        failure: 2,
        run: validate::run,
    },
    Command {
        name: "show",
        about: "show a configuration, or turn it into another format",
        help: show::HELP,
        failure: 1,
        run: show::run,
    },
    Command {
        name: "merge",
        about: "show what configurations come to, each over the ones before it",
        help: merge::HELP,
        failure: 1,
        run: merge::run,
    },
    Command {
        name: "diff",
        about: "show what differs between two configurations",
        help: diff::HELP,
        failure: 2,
        run: diff::run,
    },
    Command {
        name: "render",
        about: "show the configuration that a template and values make",
        help: render::HELP,
        failure: 1,
        run: render::run,
    },
    Command {
        name: "migrate",
        about: "make files of older versions files of the newest",
        help: migrate::HELP,
        failure: 1,
        run: migrate::run,
    },
    Command {
        name: "edit",
        about: "edit a configuration, and keep what is valid",
        help: edit::HELP,
        failure: 1,
        run: edit::run,
    },
    Command {
        name: "encrypt",
        about: "encrypt a configuration, or values of it",
        help: encrypt::ENCRYPT,
        failure: 1,
        run: encrypt::encrypt,
    },
    Command {
        name: "decrypt",
        about: "show a configuration as it was before",
        help: encrypt::DECRYPT,
        failure: 1,
        run: encrypt::decrypt,
    },
    Command {
        name: "audit",
        about: "show or verify who changed what of a configuration",
        help: audit::HELP,
        failure: 1,
        run: audit::run,
    },
    Command {
        name: "import",
        about: "make configurations of docker run, Compose, Kubernetes or OCI",
        help: import::IMPORT,
        failure: 1,
        run: import::import,
    },
    Command {
        name: "export",
        about: "write configurations for docker run, Compose, Kubernetes or OCI",
        help: import::EXPORT,
        failure: 1,
        run: import::export,
    },
    Command {
        name: "push",
        about: "save a configuration to a registry",
        help: registry::PUSH,
        failure: 1,
        run: registry::push,
    },
    Command {
        name: "pull",
        about: "show a configuration of a registry",
        help: registry::PULL,
        failure: 1,
        run: registry::pull,
    },
    Command {
        name: "schema",
        about: "show the JSON Schema of configurations, for editors",
        help: schema::HELP,
        failure: 1,
        run: schema::run,
    },
];

/// The exit status of a command that doesn't exist, as the door's.
const UNKNOWN: u8 = 3;

/// Carries out the command that the first word names; the exit status.
pub(crate) fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_else(|| "help".into());
    if name == "help" || name == "--help" || name == "-h" {
        print(&overview())?;
        return Ok(0);
    }
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else {
        let name = name.to_string_lossy();
        let unknown = format!("config: unknown command {}; see 'forgeone config help'", name.escape_debug());
        return Err(Failure::new(unknown).with_status(UNKNOWN));
    };
    match (command.run)(words.collect()) {
        Ok(Some(status)) => Ok(status),
        Ok(None) => {
            print(&format!("{}\n\nusage: forgeone config {}", command.about, command.help))?;
            Ok(0)
        }
        Err(failure) => {
            Err(failure.during(format_args!("config {}", command.name)).with_status(command.failure))
        }
    }
}

fn overview() -> String {
    let mut text =
        "work with configurations of containers\n\nusage: forgeone config <command> [options] <files>\n\n\
        commands:\n"
            .to_owned();
    for command in COMMANDS {
        text.push_str(&format!("  {:<10} {}\n", command.name, command.about));
    }
    text.push_str(
        "\n'forgeone config <command> --help' tells more. Files are JSON, YAML or TOML by their extension;\n\
        a source is a file or a URL: https://, oci://, vault:// or k8s://.\n",
    );
    text
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The values of `--format` of what shows a configuration.
const FORMATS: &[&str] = &["yaml", "json", "toml", "env"];

/// A configuration in one of [`FORMATS`].
fn shown(config: &ContainerConfig, format: &str) -> Result<String, Failure> {
    if format != "env" {
        return Ok(config_to_string(config, Format::named(format)?)?);
    }
    let variables = config_to_variables(config)?;
    Ok(variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect())
}

/// A value as a shell reads it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}
