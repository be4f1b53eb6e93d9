//! Every command on a container in every state: what is done, what is refused with one line, and what it is afterwards.

use crate::running::dir;
use std::fs;
use testkit::{Bundle, Door, privileged};

/// How the container came to be what it is.
const STATES: [&str; 8] =
    ["missing", "created", "created, paused", "running", "paused", "stopped", "half made", "begun"];

/// Brings container `id` into this state; what `state` says of it then.
fn make(door: &Door, bundle: &Bundle, id: &str, state: &str) -> &'static str {
    let place = door.root().join(id);
    match state {
        "missing" => return "",
        "begun" => {
            fs::create_dir_all(place).unwrap();
            return "stopped";
        }
        _ => {}
    }
    door.ok(["create", "--bundle", dir(bundle), id]);
    if matches!(state, "running" | "paused") {
        door.ok(["start", id]);
    }
    if state.ends_with("paused") {
        door.ok(["pause", id]);
    }
    if matches!(state, "stopped" | "half made") {
        door.ok(["kill", id, "KILL"]);
        door.await_status(id, "stopped");
    }
    if state == "half made" {
        let record = fs::read_to_string(place.join("state.json")).unwrap();
        let record = record.replacen("\"complete\":true", "\"complete\":false", 1);
        fs::write(place.join("state.json"), record).unwrap();
        fs::write(place.join("config.json"), "").unwrap();
    }
    match state {
        "created" => "created",
        "created, paused" | "paused" => "paused",
        "running" => "running",
        _ => "stopped",
    }
}

/// For each state: what the container is after the command (empty if it is gone), or after `!` a word of the refusal.
type Row = (&'static str, [&'static str; 8]);

const TABLE: [Row; 13] = [
    (
        "start",
        [
            "!does not",
            "running",
            "!is paused",
            "!is running",
            "!is paused",
            "!is stopped",
            "!is stopped",
            "!never",
        ],
    ),
    (
        "pause",
        ["!does not", "paused", "!is paused", "paused", "!is paused", "!is stopped", "!is stopped", "!never"],
    ),
    (
        "resume",
        [
            "!does not",
            "!not paused",
            "created",
            "!not paused",
            "running",
            "!is stopped",
            "!is stopped",
            "!never",
        ],
    ),
    (
        "kill",
        ["!does not", "stopped", "stopped", "stopped", "stopped", "!is stopped", "!is stopped", "!never"],
    ),
    (
        "exec",
        ["!does not", "created", "!paused", "running", "!paused", "!is stopped", "!is stopped", "!never"],
    ),
    ("ps", ["!does not", "created", "paused", "running", "paused", "stopped", "stopped", "!never"]),
    (
        "update",
        ["!does not", "created", "paused", "running", "paused", "!is stopped", "!is stopped", "!never"],
    ),
    (
        "events",
        ["!does not", "created", "paused", "running", "paused", "!is stopped", "!is stopped", "!never"],
    ),
    ("state", ["!does not", "created", "paused", "running", "paused", "stopped", "stopped", "stopped"]),
    ("delete", ["!does not", "", "!is paused", "!is running", "!is paused", "", "", ""]),
    ("delete --force", ["", "", "", "", "", "", "", ""]),
    ("create", ["created", "!exists", "!exists", "!exists", "!exists", "!exists", "!exists", "!exists"]),
    ("run", ["running", "!exists", "!exists", "!exists", "!exists", "!exists", "!exists", "!exists"]),
];

fn words<'a>(command: &'a str, bundle: &'a str, id: &'a str) -> Vec<&'a str> {
    match command {
        "kill" => vec!["kill", id, "KILL"],
        "exec" => vec!["exec", id, "true"],
        "update" => vec!["update", "--pids-limit", "50", id],
        "events" => vec!["events", "--stats", id],
        "delete --force" => vec!["delete", "--force", id],
        "create" => vec!["create", "--bundle", bundle, id],
        "run" => vec!["run", "--detach", "--bundle", bundle, id],
        command => vec![command, id],
    }
}

/// What `state` says; empty for a container that isn't there.
fn status(door: &Door, id: &str) -> String {
    if door.containers().is_empty() { String::new() } else { door.status(id) }
}

/// What is wrong with this command on a container in this state.
fn fault(door: &Door, bundle: &Bundle, (command, wanted): (&str, &str), state: &str) -> Option<String> {
    let id = &door.id("x");
    let before = make(door, bundle, id, state);
    let output = door.run(words(command, dir(bundle), id));
    let fault = match wanted.strip_prefix('!') {
        Some(word) => {
            let status_of = if command == "exec" { 255 } else { 1 };
            let line = output.stderr.lines().count() == 1 && output.stderr.starts_with("forgeone: ");
            let right = output.code == status_of && line && output.stderr.contains(word);
            (!right || status(door, id) != before).then(|| format!("should be refused ({word})"))
        }
        None if (output.code, output.stderr.as_str()) != (0, "") => Some("should be done".to_owned()),
        None => {
            // A program that was killed ends by itself.
            if wanted == "stopped" {
                door.await_status(id, wanted);
            }
            (status(door, id) != wanted).then(|| format!("should be {wanted:?} now"))
        }
    };
    let told = fault.map(|fault| {
        format!("{command} of one that is {state}: {fault}, is {:?}: {}", status(door, id), output.stderr)
    });
    door.ok(["delete", "--force", id]);
    told
}

#[test]
fn every_command_knows_every_state() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let cases = TABLE
        .iter()
        .flat_map(|(command, row)| row.iter().zip(STATES).map(move |(want, state)| (command, want, state)));
    let faults: Vec<_> =
        cases.filter_map(|(command, want, state)| fault(&door, &bundle, (command, want), state)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
