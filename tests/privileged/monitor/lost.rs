//! Monitors that are lost, and monitors that become newer ones.

use super::{Home, Made, read_all, read_until};
use forgeone_runtime::monitor::{Client, Output, State};
use forgeone_sys::process::{kill, pidfd_exit, pidfd_open};
use serde_json::json;
use std::fs;
use testkit::{eventually, privileged};

const LINES: u32 = 3000;

/// Writes numbers, some at once and some after a while, and then waits to be let go.
fn counting(home: &Home) -> Made {
    let line = format!(
        "i=0; while test $i -lt {LINES}; do echo $i; i=$((i+1)); case $i in *00) sleep 0.01;; esac; done; while test ! -e /go; do sleep 0.01; done; exit 3"
    );
    home.shell(&line, json!({}))
}

fn numbers() -> String {
    (0..LINES).map(|number| format!("{number}\n")).collect()
}

/// Kills the monitor as a crash would, and waits until it is gone.
fn lose(made: &Made) {
    kill(made.monitor(), 9).unwrap();
    made.await_rest();
}

/// Whether the kernel tells how a process ended that is somebody else's child.
fn kernel_tells() -> bool {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pidfd = pidfd_open(child.id().cast_signed()).unwrap();
    child.wait().unwrap();
    pidfd_exit(&pidfd).is_some()
}

#[test]
fn no_line_is_lost_or_doubled_when_monitors_are_killed() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = counting(&home);
    drop(made.start());
    let mut lost = 0;
    while made.stdout().len() < numbers().len() && lost < 10 {
        let before = made.stdout().len();
        eventually("it goes on", || made.stdout().len() > before);
        lose(&made);
        assert_eq!(made.status().state, State::Unknown, "nobody looks after it");
        lost += 1;
        drop(made.client());
        assert_eq!(made.status().state, State::Running);
    }
    let mut client = made.client();
    fs::write(made.inside("go"), "").unwrap();
    let exit = client.wait().unwrap();
    assert!(made.stdout() == numbers(), "{} bytes after {lost} monitors", made.stdout().len());
    if kernel_tells() && has_reaper() {
        assert_eq!(exit.status, Some(3));
    } else {
        assert!(exit.status == Some(3) || exit.status.is_none(), "{exit:?}");
    }
    assert!(made.event_names().contains(&"adopt".to_owned()));
}

/// Whether orphans are reaped here: the kernel tells the exit of a process only then.
fn has_reaper() -> bool {
    let script = "sh -c 'echo $$; exec sleep 0.05' & exit 0";
    let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
    let pid: i32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(5) {
        if !fs::exists(format!("/proc/{pid}")).unwrap() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    false
}

#[test]
fn a_container_that_ended_unseen_has_no_exit_status() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("while test ! -e /go; do sleep 0.01; done; exit 3", json!({}));
    drop(made.start());
    let init = made.status().pid;
    lose(&made);
    fs::write(made.inside("go"), "").unwrap();
    let gone = |pid| match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    };
    eventually("it has ended", || gone(init));
    let exit = made.client().wait().unwrap();
    assert_eq!(exit.status, None, "never invented");
    assert_eq!(made.status().state, State::Exited);
    assert!(fs::read_dir(&home.places.state_root).unwrap().next().is_none(), "it was taken away");
}

#[test]
fn a_new_monitor_stops_and_starts_what_an_earlier_one_had() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("cat; sleep 600", json!({"stdin_open": true, "restart": "always"}));
    drop(made.start());
    let pid = made.status().pid;
    lose(&made);
    let mut client = made.client();
    assert_eq!(made.status().pid, pid, "it runs on");
    let mut attached = client.attach(true, false).unwrap();
    attached.send(b"still there\n").unwrap();
    read_until(&mut attached, "still there\n");
    kill(pid, 9).unwrap();
    made.until("it was started again", |status| status.restarts == 1 && status.state == State::Running);
    assert_ne!(made.status().pid, pid);
    client.stop(Some(9), None).unwrap();
    assert_eq!(made.status().state, State::Exited);
}

#[test]
fn a_monitor_becomes_a_newer_one_and_nobody_notices() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = counting(&home);
    let mut client = made.client();
    let mut attached = client.attach(false, false).unwrap();
    client.start().unwrap();
    fs::write(made.inside("go"), "").unwrap();
    let (mut out, mut upgraded) = (String::new(), 0);
    let exit = loop {
        match attached.receive().unwrap() {
            Output::Stdout(piece) => out.push_str(&String::from_utf8_lossy(&piece)),
            Output::Ended(exit) => break exit,
            other => panic!("{other:?}"),
        }
        if out.len() > 2000 * (upgraded + 1) && upgraded < 3 && made.status().state == State::Running {
            let before = client.pid().unwrap();
            match upgraded {
                0 => kill(before, signal("USR2")).unwrap(),
                _ => drop(client.upgrade(&home.places.monitor)),
            }
            upgraded += 1;
        }
    };
    assert_eq!(exit.status, Some(3), "it is still the parent");
    assert!(out == numbers() && made.stdout() == numbers(), "{} bytes", out.len());
    assert!(
        made.event_names().iter().filter(|name| *name == "upgrade").count() >= 1,
        "{:?}",
        made.event_names()
    );
    assert!(!made.event_names().contains(&"adopt".to_owned()));
}

#[test]
fn a_program_that_is_none_is_not_become() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let mut client = made.start();
    let refused = client.upgrade("/nope".as_ref()).unwrap_err().to_string();
    assert!(refused.contains("/nope"), "{refused}");
    assert_eq!(client.stop(Some(9), None).unwrap().exit, Some(137), "it stays what it was");
}

#[test]
fn after_a_reboot_nothing_runs() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let mut client = made.start();
    client.stop(Some(9), None).unwrap();
    drop(client);
    made.await_rest();
    // As it was when the machine lost its power.
    let file = made.dir.join("status.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut status: serde_json::Value = serde_json::from_str(&text).unwrap();
    (status["state"], status["boot_id"]) = (json!("running"), json!("another"));
    fs::write(&file, status.to_string()).unwrap();
    assert_eq!((made.status().state, made.status().exit), (State::Exited, None));
    let client = made.client();
    assert_eq!(made.status().state, State::Exited);
    drop(client);
    assert!(Client::connect(&made.dir).is_ok());
    let attached = made.client().attach(false, true).unwrap();
    let mut client = made.start();
    client.stop(Some(9), None).unwrap();
    assert_eq!(read_all(attached).2.status, Some(137));
}

fn signal(name: &str) -> i32 {
    forgeone_sys::signal::signal_number(name).unwrap()
}
