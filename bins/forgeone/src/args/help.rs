//! Help texts, made from the table.

use super::table::{COMMANDS, Command, Flag, GLOBAL, Takes};
use std::fmt::Write;

const INTRODUCTION: &str = "\
ForgeOne runs containers: OCI bundles, with runc's command line.

    forgeone spec && forgeone run web     run the bundle in this directory
";

/// The help of a command, or of the whole.
pub(crate) fn help(command: Option<&Command>) -> String {
    let mut out = String::with_capacity(4096);
    // Writing to a String doesn't fail.
    let _ = match command {
        Some(command) => one(&mut out, command),
        None => all(&mut out),
    };
    out
}

fn all(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "{INTRODUCTION}\nusage: forgeone [global options] <command> [options] [arguments]\n\ncommands:"
    )?;
    for command in COMMANDS {
        writeln!(out, "  {:<10} {}", command.name, command.about)?;
    }
    writeln!(out, "  {:<10} show this help, or that of a command", "help")?;
    flags(out, "global options", GLOBAL)?;
    writeln!(
        out,
        "\nDEBUG=1 is as --debug, FORGEONE_ROOT as --root. A command sees the containers of its state root."
    )
}

fn one(out: &mut String, command: &Command) -> std::fmt::Result {
    write!(out, "{}\n\nusage: forgeone {}", command.about, command.name)?;
    if !command.flags.is_empty() {
        out.push_str(" [options]");
    }
    for word in command.words {
        write!(out, " {word}")?;
    }
    out.push('\n');
    if !command.text.is_empty() {
        writeln!(out, "\n{}", command.text)?;
    }
    if !command.flags.is_empty() {
        flags(out, "options", command.flags)?;
    }
    writeln!(out, "\nglobal options: see 'forgeone --help'")
}

fn flags(out: &mut String, title: &str, flags: &[Flag]) -> std::fmt::Result {
    writeln!(out, "\n{title}:")?;
    for flag in flags {
        match flag.short {
            Some(short) => write!(out, "  -{short}, ")?,
            None => write!(out, "      ")?,
        }
        let name = match flag.takes {
            Takes::Nothing => flag.long.to_owned(),
            Takes::Value(value) => format!("{} {value}", flag.long),
            Takes::Mode => format!("{}[=MODE]", flag.long),
        };
        writeln!(out, "--{name:<24} {}", flag.help)?;
    }
    Ok(())
}
