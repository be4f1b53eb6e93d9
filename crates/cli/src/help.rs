//! Help texts, made from the table.

use crate::table::{Command, Flag, Takes};
use crate::tables::GLOBAL;
use std::fmt::Write;

const INTRODUCTION: &str = "\
ForgeOne runs containers, from images and from OCI bundles, without a daemon.

    forgeone run --rm -it alpine sh       run an image
    forgeone spec && forgeone run web     run the bundle in this directory
";

/// The help of the whole: its commands by the titles of their groups, each command where it is first, and its global
/// options.
pub fn help(groups: &[(&str, &[Command])]) -> String {
    let mut out = String::with_capacity(8192);
    // Writing to a String doesn't fail.
    let _ = all(&mut out, groups);
    out
}

/// The help of a command.
pub fn help_of(command: &Command) -> String {
    let mut out = String::with_capacity(4096);
    let _ = one(&mut out, command);
    out
}

fn all(out: &mut String, groups: &[(&str, &[Command])]) -> std::fmt::Result {
    write!(out, "{INTRODUCTION}\nusage: forgeone [global options] <command> [options] [arguments]\n")?;
    for (at, (title, commands)) in groups.iter().enumerate() {
        writeln!(out, "\n{title}:")?;
        for command in *commands {
            let before = groups[..at].iter().flat_map(|(_, commands)| *commands);
            if !before.into_iter().any(|known| known.name == command.name) {
                writeln!(out, "  {:<10} {}", command.name, command.about)?;
            }
        }
    }
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
    for (i, command) in command.group.iter().enumerate() {
        let title = if i == 0 { "\ncommands:\n" } else { "" };
        writeln!(out, "{title}  {:<18} {}", command.name, command.about)?;
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
