//! `login` and `logout`: who asks registries, in the auth file that Podman and others share.

use crate::config::print;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::terminal;
use forgeone_cli::Call;
use forgeone_distribution::{Credentials, DOCKER_HUB, Repository, Secret};
use std::io::{BufRead, IsTerminal, Write};

/// What a password has at most, in bytes.
const PASSWORD_MAX: u64 = 64 << 10;

pub(super) fn login(call: &Call) -> Result<(), Failure> {
    let registry = registry(call)?;
    let (user, password) = who(call)?;
    if user.is_empty() || user.contains(':') || password.expose().is_empty() {
        return Err(Failure::new("a user name without a colon and a password are needed"));
    }
    let remote = Remote::of(&call.flags)?;
    let client = remote.client_as(Credentials::Password(user.clone(), password.clone()))?;
    client.log_in(&registry).map_err(Failure::new)?;
    let place = remote.auth_files().keep(&registry, &user, &password).map_err(Failure::new)?;
    print(&format!("Logged in to {registry} as {user}; kept in {place}\n"))
}

pub(super) fn logout(call: &Call) -> Result<(), Failure> {
    let registry = registry(call)?;
    let files = Remote::of(&call.flags)?.auth_files();
    match files.forget(&registry).map_err(Failure::new)? {
        true => print(&format!("Logged out of {registry}\n")),
        false => Err(Failure::new(format_args!("not logged in to {registry}"))),
    }
}

fn registry(call: &Call) -> Result<Repository, Failure> {
    let word = if call.words.is_empty() { DOCKER_HUB } else { call.text(0)? };
    // Docker calls its hub https://index.docker.io/v1/.
    let text = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
    let text = text.map_or(word, |rest| rest.split('/').next().unwrap_or_default());
    Repository::of_registry(text).map_err(|wrong| Failure::new(format_args!("{word:?}: {wrong}")))
}

/// The user name and password: of the options, or asked for on a terminal.
fn who(call: &Call) -> Result<(String, Secret), Failure> {
    let given = call.flags.text("username")?.map(str::to_owned);
    if call.flags.switch("password-stdin") {
        let user = given.ok_or_else(|| Failure::new("--password-stdin needs --username"))?;
        return Ok((user, line()?));
    }
    if !std::io::stdin().is_terminal() {
        let message = "there is no terminal to ask for the password; pipe it in with --password-stdin";
        return Err(Failure::new(message));
    }
    let user = match given {
        Some(user) => user,
        None => {
            let mut error = std::io::stderr();
            error.write_all(b"Username: ").and_then(|()| error.flush())?;
            line()?.expose().to_owned()
        }
    };
    let password = terminal::ask("Password: ");
    let password = password.map_err(|failure| failure.followed("; --password-stdin reads it from a pipe"))?;
    Ok((user, Secret::new(password.as_str())))
}

/// A line of standard input.
fn line() -> Result<Secret, Failure> {
    let mut text = String::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), PASSWORD_MAX);
    let read = input.read_line(&mut text);
    read.map_err(|e| Failure::new(format_args!("read standard input: {e}")))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}
