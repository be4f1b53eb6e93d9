//! Credential helpers: programs `docker-credential-NAME` that keep credentials. `get` reads the server from standard input
//! and writes JSON, `store` reads JSON, `erase` reads the server.

use super::files::Entry;
use crate::{Error, Kind, Result, Secret};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long one may take: it may ask its user something.
const TIME: Duration = Duration::from_secs(60);

/// What it writes at most.
const OUTPUT: u64 = 1 << 20;

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What a helper knows about a server; nothing if it says that it knows nothing.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<Entry>> {
    let Some(output) = run(name, "get", server, server)? else { return Ok(None) };
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| wrong(name, server, "what it writes is no answer".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        "<token>" => Entry::Identity(secret),
        _ => Entry::Password(answer.username, secret),
    }))
}

/// Has a helper keep a user's password.
pub(super) fn store(name: &str, server: &str, user: &str, password: &Secret) -> Result<()> {
    let text = serde_json::json!({ "ServerURL": server, "Username": user, "Secret": password.expose() });
    let text = Secret::new(text.to_string());
    run(name, "store", server, text.expose()).map(drop)
}

/// Has a helper forget a server; whether it knew it.
pub(super) fn erase(name: &str, server: &str) -> Result<bool> {
    Ok(run(name, "erase", server, server)?.is_some())
}

fn wrong(name: &str, server: &str, reason: String) -> Error {
    Error::new(Kind::System, format_args!("ask docker-credential-{name} about {server}: {reason}"))
}

/// Runs a helper; what it writes, or nothing if it says that it doesn't know the server.
fn run(name: &str, action: &str, server: &str, input: &str) -> Result<Option<Vec<u8>>> {
    let wrong = |reason: String| wrong(name, server, reason);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(wrong(
            "it is no name of a program; correct credHelpers or credsStore in the auth file".to_owned(),
        ));
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child =
        command.spawn().map_err(|e| wrong(format!("{e}; install it, or take it out of the auth file")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that doesn't read has its answer ready.
        let _ = stdin.write_all(format!("{input}\n").as_bytes());
    }
    let Some(output) = output(&mut child) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(wrong(format!("no answer in {} s", TIME.as_secs())));
    };
    let status = child.wait().map_err(|e| wrong(e.to_string()))?;
    if status.success() {
        return Ok(Some(output));
    }
    let said = String::from_utf8_lossy(&output);
    match said.contains("credentials not found") {
        true => Ok(None),
        false => Err(wrong(format!("{status}: {}", crate::error::line(&said)))),
    }
}

/// What it writes until it ends or closes its output, in time.
fn output(child: &mut Child) -> Option<Vec<u8>> {
    let stdout = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(OUTPUT).read_to_end(&mut bytes);
        // Nobody waits any more if it took too long.
        let _ = send.send(bytes);
    });
    receive.recv_timeout(TIME).ok()
}
