//! What a command changes in a file, shown as diff(1) does with -u.

use crate::arguments::Arguments;
use crate::failure::Failure;
use similar::TextDiff;
use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colour(bool);

impl Colour {
    /// By the option `--color`; on a terminal without NO_COLOR (<https://no-color.org>) otherwise.
    pub(super) fn of(arguments: &Arguments) -> Result<Self, Failure> {
        Ok(Self(match arguments.choice("color", &["auto", "always", "never"])? {
            "auto" => {
                let off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                std::io::stdout().is_terminal() && !off
            }
            when => when == "always",
        }))
    }

    /// A line of a difference: what goes in red, what comes in green.
    pub(super) fn line(self, line: &str) -> String {
        match (self.0, line.as_bytes().first()) {
            (true, Some(b'-')) => format!("\x1b[31m{line}\x1b[0m\n"),
            (true, Some(b'+')) => format!("\x1b[32m{line}\x1b[0m\n"),
            _ => format!("{line}\n"),
        }
    }
}

/// Prints the difference of a file's texts.
pub(super) fn print(file: &str, old: &str, new: &str, colour: Colour) -> Result<(), Failure> {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(3).header(file, file).to_string();
    super::print(&text.lines().map(|line| colour.line(line)).collect::<String>())
}
