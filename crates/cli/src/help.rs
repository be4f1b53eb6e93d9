//! Help texts, made from the table.

use crate::table::{Command, Flag, Name, Takes};
use std::fmt::Write;

/// The help of the whole: what it is, its commands by the titles of their groups, its global options, and more.
pub fn help(introduction: &str, groups: &[(&str, &[Name])], global: &[Flag], more: &str) -> String {
    let mut out = String::with_capacity(8192);
    // Writing to a String doesn't fail.
    let _ = all(&mut out, introduction, groups, global, more);
    out
}

/// The help of a command.
pub fn help_of(command: &Command) -> String {
    let mut out = String::with_capacity(4096);
    let _ = one(&mut out, command);
    out
}

fn all(
    out: &mut String,
    introduction: &str,
    groups: &[(&str, &[Name])],
    global: &[Flag],
    more: &str,
) -> std::fmt::Result {
    write!(out, "{introduction}\nusage: forgeone [global options] <command> [options] [arguments]\n")?;
    for (title, names) in groups {
        writeln!(out, "\n{title}:")?;
        for (name, about) in *names {
            writeln!(out, "  {name:<10} {about}")?;
        }
    }
    flags(out, "global options", global)?;
    writeln!(out, "\n{more}")
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
