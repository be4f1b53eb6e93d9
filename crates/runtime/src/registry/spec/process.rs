//! The program: words, environment, directory, user, limits.

use super::{Inputs, capabilities, refuse};
use crate::error::Result;
use crate::spec::{Process, Rlimit, User};
use std::collections::BTreeMap;

/// Where programs are looked for, where neither image nor configuration says it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Open files of a process: what it may have at once, and how far it may raise that.
const NOFILE: (u64, u64) = (1024, 524_288);

/// Where the init is inside; `/dev` is the container's own, so nothing of it is left in its files.
pub(in super::super) const INIT: &str = "/dev/forgeone-init";

pub(super) fn make(inputs: &Inputs) -> Result<Process> {
    let (config, user) = (inputs.config(), inputs.user);
    let additional_gids = user.groups.clone();
    Ok(Process {
        terminal: config.tty == Some(true),
        user: User { uid: user.uid, gid: user.gid, additional_gids, ..User::default() },
        args: words(inputs)?,
        env: environment(inputs),
        cwd: directory(inputs),
        capabilities: Some(capabilities::make(inputs)?),
        rlimits: limits(inputs),
        oom_score_adj: config.oom_score_adj,
        ..Process::default()
    })
}

/// The program and its arguments, by Docker's rules: a command takes the place of the image's entry point and of its
/// arguments; arguments alone take the place of the image's.
fn words(inputs: &Inputs) -> Result<Vec<String>> {
    let (config, image) = (inputs.config(), inputs.image());
    let mut words: Vec<String> = match &config.command {
        Some(command) => std::iter::once(command).chain(config.args.iter().flatten()).cloned().collect(),
        None => {
            let args = config.args.as_ref().unwrap_or(&image.cmd);
            image.entrypoint.iter().chain(args).cloned().collect()
        }
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(refuse(
            "command",
            "neither the image nor the configuration names a program; give one, such as sh",
        ));
    }
    if config.init == Some(true) {
        words.splice(0..0, [INIT, "init", "--"].map(str::to_owned));
    }
    Ok(words)
}

/// What every container has, below what the image says, below what the configuration says. `HOME` is added by the door,
/// from the container's passwd.
fn environment(inputs: &Inputs) -> Vec<String> {
    let mut all: Vec<(String, String)> = vec![("PATH".to_owned(), PATH.to_owned())];
    let mut set = |name: &str, value: &str| match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((name.to_owned(), value.to_owned())),
    };
    set("HOSTNAME", &inputs.hostname());
    if inputs.config().tty == Some(true) {
        set("TERM", "xterm");
    }
    for pair in &inputs.image().env {
        // One without a value is none; a name can't be empty.
        if let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) {
            set(name, value);
        }
    }
    let own: BTreeMap<_, _> = inputs.config().env.iter().flatten().collect();
    for (name, value) in own {
        set(name, value);
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn directory(inputs: &Inputs) -> String {
    let image = Some(&inputs.image().working_dir).filter(|path| !path.is_empty());
    let path = inputs.config().working_dir.as_ref().or(image).map_or("/", String::as_str);
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn limits(inputs: &Inputs) -> Vec<Rlimit> {
    let asked: BTreeMap<_, _> = inputs.config().ulimits.iter().flatten().collect();
    let limit = |name: &str, soft: u64, hard: u64| Rlimit {
        kind: format!("RLIMIT_{}", name.to_ascii_uppercase()),
        soft,
        hard,
        ..Rlimit::default()
    };
    let mut limits: Vec<_> = asked.iter().map(|(name, asked)| limit(name, asked.soft, asked.hard)).collect();
    if !asked.keys().any(|name| name.as_str() == "nofile") {
        // A user can't be given more than he has.
        let hard = NOFILE.1.min(inputs.found.nofile);
        limits.push(limit("nofile", NOFILE.0.min(hard), hard));
    }
    limits
}
