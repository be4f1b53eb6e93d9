//! How containers start, end, and are started again.

use super::{Home, read_all};
use forgeone_runtime::monitor::log::Stream;
use forgeone_runtime::monitor::{Client, Exit, State};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use testkit::{eventually, privileged};

fn ended(status: i32) -> Exit {
    Exit { status: Some(status), oom: false }
}

#[test]
fn what_a_container_writes_is_logged_and_how_it_ends_is_known() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("echo out; echo err >&2; printf half; exit 3", json!({}));
    assert_eq!(made.run(), ended(3));
    assert_eq!((made.stdout().as_str(), made.logged(Stream::Stderr).as_str()), ("out\nhalf", "err\n"));
    let status = made.status();
    assert_eq!((status.state, status.exit, status.pid, status.restarts), (State::Exited, Some(3), 0, 0));
    assert!(status.started < status.finished, "{status:?}");
    assert_eq!(made.event_names(), ["start", "die"]);
    assert_eq!(made.events()[1]["status"], 3);
    made.await_rest();
    assert!(Client::connect(&made.dir).unwrap().is_none(), "the monitor goes with its container");
}

#[test]
fn a_signal_is_128_and_its_number() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let mut client = made.start();
    let exit = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| made.client().wait().unwrap());
        client.stop(Some(9), None).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(exit, ended(137));
}

#[test]
fn a_program_that_can_t_be_started_is_told_as_docker_tells_it() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    for (program, status, words) in [
        ("/nope", 127, "no such file"),
        ("nope", 127, "not found"),
        ("/etc/passwd", 126, "permission denied"),
    ] {
        let made = home.container(json!({"command": program}));
        let mut client = made.client();
        let attached = client.attach(false, true).unwrap();
        let failure = client.start().unwrap_err();
        let message = failure.error.to_string();
        assert_eq!(failure.status, status, "{message}");
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
        let (out, err, exit) = read_all(attached);
        assert_eq!((out.as_str(), err.as_str()), ("", ""), "it is told once");
        assert_eq!(exit.status, Some(i32::from(status)));
        drop(client);
        made.await_rest();
        let told = made.status();
        assert_eq!((told.state, told.error), (State::Created, Some(message)));
        assert!(fs::read_dir(&home.places.state_root).unwrap().next().is_none(), "nothing half-made stays");
        assert_eq!(made.stdout() + &made.logged(Stream::Stderr), "");
    }
    let broken = home.shell("true", json!({"user": "nobody-of-this-name"}));
    let failure = broken.client().start().unwrap_err();
    assert_eq!(failure.status, 125);
    assert!(failure.error.to_string().contains("nobody-of-this-name"), "{failure:?}");
}

#[test]
fn a_container_that_runs_is_not_started_twice() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let mut client = made.start();
    let failure = made.client().start().unwrap_err();
    assert!(failure.error.to_string().contains("runs already"), "{failure:?}");
    assert_eq!(made.status().state, State::Running);
    client.stop(Some(9), None).unwrap();
    // And again by the same connection.
    client.start().unwrap();
    assert_eq!(client.stop(Some(9), None).unwrap().exit, Some(137));
}

#[test]
fn stop_asks_first_and_kills_what_does_not_listen() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let config = json!({"stop_signal": "USR1", "restart": "always"});
    let polite = home.shell("trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done", config);
    let mut client = polite.start();
    eventually("it is ready", || polite.stdout() == "ready\n");
    let status = client.stop(None, None).unwrap();
    assert_eq!((status.state, status.exit, status.stopped), (State::Exited, Some(7), true));
    assert_eq!(polite.event_names(), ["start", "stop", "die"]);
    let deaf = home.shell("trap '' TERM; while :; do sleep 0.01; done", json!({}));
    let status = deaf.start().stop(None, Some(Duration::from_millis(200))).unwrap();
    assert_eq!(status.exit, Some(137));
    assert_eq!(deaf.event_names(), ["start", "stop", "kill", "die"]);
    assert_eq!(deaf.client().stop(None, None).unwrap().exit, Some(137), "one that has ended is no error");
}

#[test]
fn a_monitor_that_is_asked_to_end_ends_its_container_first() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home
        .shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", json!({"restart": "always"}));
    let client = made.start();
    eventually("it is ready", || made.stdout() == "ready\n");
    forgeone_sys::process::kill(client.pid().unwrap(), 15).unwrap();
    drop(client);
    made.await_rest();
    let status = made.status();
    assert_eq!((status.state, status.exit), (State::Exited, Some(5)));
    assert!(!status.stopped, "the machine's shutdown is not the user's wish");
}

#[test]
fn what_fails_is_started_again_as_often_as_said() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("echo run; exit 1", json!({"restart": "on-failure:2"}));
    let mut client = made.client();
    let attached = client.attach(false, true).unwrap();
    client.start().unwrap();
    assert_eq!(client.wait().unwrap(), ended(1));
    assert_eq!(read_all(attached).0, "run\nrun\nrun\n", "who is attached stays");
    assert_eq!(made.stdout(), "run\nrun\nrun\n");
    assert_eq!(made.status().restarts, 2);
    assert_eq!(made.event_names(), ["start", "die", "restart", "start", "die", "restart", "start", "die"]);
    let fine = home.shell("exit 0", json!({"restart": "on-failure:2"}));
    assert_eq!(fine.run(), ended(0));
    assert_eq!(fine.status().restarts, 0);
}

#[test]
fn what_always_runs_is_started_again_until_it_is_stopped() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("exit 0", json!({"restart": "always"}));
    let mut client = made.start();
    made.until("it was started again", |status| status.restarts >= 2);
    let status = client.stop(None, None).unwrap();
    assert_eq!((status.state, status.exit), (State::Exited, Some(0)));
    drop(client);
    made.await_rest();
    let restarts = made.status().restarts;
    assert_eq!(made.event_names().iter().filter(|name| *name == "restart").count() as u32, restarts);
}

#[test]
fn a_policy_that_is_changed_holds_at_once() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("echo run; while test ! -e /go; do sleep 0.01; done", json!({"restart": "always"}));
    let mut client = made.start();
    client.set_restart("no".parse().unwrap()).unwrap();
    fs::write(made.inside("go"), "").unwrap();
    assert_eq!(client.wait().unwrap(), ended(0));
    assert_eq!(made.status().restarts, 0);
}

#[test]
fn a_log_is_rotated_as_its_options_say() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let options = json!({"logging": {"options": {"max-size": "20k", "max-file": "2"}}});
    let made = home.shell("i=0; while test $i -lt 4000; do echo line $i; i=$((i+1)); done", options);
    made.run();
    let files: Vec<_> = ["log.1", "log"].map(|name| fs::metadata(made.dir.join(name)).unwrap().len()).into();
    assert!(!made.dir.join("log.2").exists(), "{files:?}");
    let text = made.stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(*lines.last().unwrap(), "line 3999");
    // What begins the oldest file may be the rest of a line that began in the one before.
    let lines = &lines[1..];
    let first = 4000 - lines.len();
    let expected: Vec<_> = (first..4000).map(|i| format!("line {i}")).collect();
    assert_eq!(lines, expected, "the last ones, without a gap");
    let none = home.shell("echo unseen", json!({"logging": {"driver": "none"}}));
    let attached = none.client();
    let reader = attached.attach(false, true).unwrap();
    none.run();
    assert_eq!(read_all(reader).0, "unseen\n");
    assert!(!none.dir.join("log").exists());
}

#[test]
fn lack_of_memory_is_told() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let limits = json!({"resource_limits": {"memory_bytes": 8 << 20}});
    let made = home.shell("x=$(tail -c 100000000 /dev/zero | tr '\\0' x); echo $x | wc -c; exit 9", limits);
    let mut client = made.client();
    if let Err(failure) = client.start() {
        testkit::skip(format!("no memory limit here: {}", failure.error));
        return;
    }
    let exit = client.wait().unwrap();
    assert!(exit.oom, "{exit:?}");
    assert!(made.event_names().contains(&"oom".to_owned()), "{:?}", made.events());
}

#[test]
fn a_container_that_is_not_to_stay_is_removed_at_its_end() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("exit 4", json!({}));
    let (file, kept) = (made.dir.join("container.json"), made.inside("bin"));
    let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    record["auto_remove"] = json!(true);
    fs::write(&file, record.to_string()).unwrap();
    assert_eq!(made.run(), ended(4));
    assert!(!made.dir.exists(), "before it is told that it has ended");
    assert!(kept.exists(), "what was mounted in it stays");
}

#[test]
fn a_monitor_that_is_asked_for_twice_at_once_is_one() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let clients: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| made.client())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = clients[0].pid().unwrap();
    assert!(clients.iter().all(|client| client.pid().unwrap() == first));
}

#[test]
fn nothing_of_the_root_file_system_is_mounted_on_the_host() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("sleep 600", json!({}));
    let mut client = made.start();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&made.id), "{mounts}");
    let theirs = fs::read_to_string(format!("/proc/{}/mountinfo", client.pid().unwrap())).unwrap();
    assert!(theirs.contains(&made.id));
    client.stop(Some(9), None).unwrap();
}
