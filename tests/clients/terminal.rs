//! A terminal for a client: script(1) is the user's.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use testkit::privileged;

/// The same command on a terminal, whose output is the standard output; `None`, with the skip noted, without script.
pub(crate) fn in_terminal(command: &Command) -> Option<Command> {
    if !privileged::program("script", "bsdutils") {
        return None;
    }
    let word = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
    let line: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    // Its end would be typed into the terminal.
    script.stdin(Stdio::piped());
    for (key, value) in command.get_envs() {
        script.env(key, value.unwrap_or_default());
    }
    Some(script)
}
