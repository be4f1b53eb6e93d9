//! A fault in every named step: the step fails, or whoever takes it is killed.

use super::whole::{Place, dir, rich};
use forgeone_runtime::faults::STEPS;
use std::collections::BTreeMap;
use testkit::{Door, eventually, figure, privileged, programs};

/// What the container is before the command, and the command; `@` is the id, `%` the bundle.
fn lines(command: &str) -> (&'static [&'static [&'static str]], &'static [&'static str]) {
    match command {
        "create" => (&[], &["create", "--bundle", "%", "@"]),
        "start" => (&[&["create", "--bundle", "%", "@"]], &["start", "@"]),
        "exec" => (&[&["run", "--detach", "--bundle", "%", "@"]], &["exec", "@", "true"]),
        "kill" => (&[&["run", "--detach", "--bundle", "%", "@"]], &["kill", "@", "TERM"]),
        "update" => (&[&["run", "--detach", "--bundle", "%", "@"]], &["update", "--pids-limit", "50", "@"]),
        "delete" => (&[&["run", "--detach", "--bundle", "%", "@"]], &["delete", "--force", "@"]),
        other => panic!("no way to have {other} fail"),
    }
}

fn filled(line: &[&str], bundle: &str, id: &str) -> Vec<String> {
    let fill = |word: &&str| match *word {
        "@" => id.to_owned(),
        "%" => bundle.to_owned(),
        word => word.to_owned(),
    };
    line.iter().map(fill).collect()
}

/// Another program in a container, or another limit of it, that fails is no reason for the container to end.
fn assert_undisturbed(door: &Door, command: &str, id: &str, what: &str) {
    if !["exec", "update"].contains(&command) {
        return;
    }
    assert_eq!(door.status(id), "running", "{what}");
    eventually(&format!("{what}: only init is left"), || door.ok(["ps", id]).stdout.lines().count() == 2);
    assert_eq!(door.ok(["exec", id, "echo", "here"]).stdout, "here\n", "{what}");
}

fn every_step(command: &str) {
    if !privileged::root() {
        return;
    }
    let (before, line) = lines(command);
    let place = Place::of(Door::of(programs::faults()), rich());
    let bundle = dir(&place.bundle).to_owned();
    let (_, steps) = STEPS.iter().find(|(name, _)| *name == command).unwrap();
    let mut counted = BTreeMap::new();
    for step in *steps {
        for end in ["error", "kill"] {
            let (id, what) = (place.door.id("fault"), format!("{step}:{end}"));
            for line in before {
                let mut command = place.door.command(filled(line, &bundle, &id));
                if step.starts_with("init/") {
                    // Init has the environment of whoever created it.
                    command.env("FORGEONE_FAULT", &what);
                }
                let made = place.door.finish(&mut command);
                assert_eq!(made.code, 0, "{what}: {line:?}: {}", made.stderr);
            }
            let mut failing = place.door.command(filled(line, &bundle, &id));
            let output = place.door.finish(failing.env("FORGEONE_FAULT", &what));
            assert_ne!(output.code, 0, "{what} didn't happen: {}", output.stderr);
            if end == "error" {
                assert!(output.stderr.contains(&format!("fault at {step}")), "{what}: {}", output.stderr);
                assert_eq!(output.stderr.lines().count(), 1, "{what}: {}", output.stderr);
            }
            if end == "error" && command == "create" {
                // What fails takes its own things away.
                assert!(!place.door.root().join(&id).exists(), "{what}: {}", output.stderr);
                let left = place.leaks.left();
                assert!(left.is_empty(), "{what}: left behind:\n  {}", left.join("\n  "));
            }
            assert_undisturbed(&place.door, command, &id, &what);
            place.assert_whole(&id, &what);
            *counted.entry(end).or_insert(0) += 1;
        }
    }
    place.assert_neighbour_works();
    figure(format_args!(
        "{} steps failed, {} were killed, all could be deleted",
        counted["error"], counted["kill"]
    ));
}

#[test]
fn create_fails_at_any_step() {
    every_step("create");
}

#[test]
fn start_fails_at_any_step() {
    every_step("start");
}

#[test]
fn exec_fails_at_any_step() {
    every_step("exec");
}

#[test]
fn kill_fails_at_any_step() {
    every_step("kill");
}

#[test]
fn update_fails_at_any_step() {
    every_step("update");
}

#[test]
fn delete_fails_at_any_step() {
    every_step("delete");
}
