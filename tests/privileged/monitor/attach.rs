//! Being attached: one, several, slow ones; input; terminals.

use super::{Home, read_all, read_until};
use forgeone_runtime::monitor::{Output, State};
use serde_json::json;
use std::fs;
use testkit::{eventually, privileged};

#[test]
fn who_is_attached_before_the_start_misses_nothing() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("echo first; echo other >&2; exit 2", json!({}));
    let mut client = made.client();
    let all: Vec<_> = (0..3).map(|_| client.attach(false, true).unwrap()).collect();
    client.start().unwrap();
    for attached in all {
        assert!(!attached.has_terminal());
        let (out, err, exit) = read_all(attached);
        assert_eq!((out.as_str(), err.as_str(), exit.status), ("first\n", "other\n", Some(2)));
    }
}

#[test]
fn input_reaches_the_container_and_its_end_too() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("cat; echo done", json!({"stdin_open": true}));
    let mut client = made.client();
    let mut attached = client.attach(true, true).unwrap();
    client.start().unwrap();
    attached.send(b"hello\n").unwrap();
    assert_eq!(read_until(&mut attached, "hello\n"), "hello\n");
    attached.send(b"bye\n").unwrap();
    attached.end_input().unwrap();
    assert_eq!(read_all(attached).0, "bye\ndone\n");
}

#[test]
fn much_input_and_much_output_do_not_wait_for_each_other() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("cat", json!({"stdin_open": true}));
    let mut client = made.client();
    let mut attached = client.attach(true, true).unwrap();
    client.start().unwrap();
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    // As a caller does that has one thread: it sends what there is room for, and reads what there is.
    let mut rest = text.as_bytes();
    let (mut out, mut ended) = (Vec::new(), false);
    while !ended {
        use forgeone_sys::signal::{PollFd, poll};
        let mut fds = [PollFd::new(&attached, true, !rest.is_empty())];
        poll(&mut fds, None).unwrap();
        let (readable, writable) = (fds[0].is_readable(), fds[0].is_writable());
        if readable {
            match attached.receive().unwrap() {
                Output::Stdout(piece) => out.extend(piece),
                Output::Ended(_) => ended = true,
                other => panic!("{other:?}"),
            }
        } else if writable {
            let piece;
            (piece, rest) = rest.split_at(rest.len().min(4096));
            attached.send(piece).unwrap();
            if rest.is_empty() {
                attached.end_input().unwrap();
            }
        }
    }
    assert!(out == text.as_bytes(), "{} of {} bytes", out.len(), text.len());
    assert!(made.stdout() == text);
}

#[test]
fn a_container_without_input_is_not_given_any() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("cat; echo none", json!({}));
    let mut client = made.client();
    let refused = client.attach(true, true).unwrap_err().to_string();
    assert!(refused.contains("no standard input"), "{refused}");
    client.start().unwrap();
    client.wait().unwrap();
    assert_eq!(made.stdout(), "none\n");
}

#[test]
fn who_is_too_slow_misses_some_and_is_told_and_nobody_waits() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let line = "i=0; while test $i -lt 3000; do echo $i 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789; i=$((i+1)); done; touch /written; while test ! -e /go; do sleep 0.01; done; echo last";
    let made = home.shell(line, json!({}));
    let mut client = made.client();
    let mut slow = client.attach(false, false).unwrap();
    client.start().unwrap();
    eventually("all is written though nobody reads", || made.inside("written").exists());
    eventually("all is logged", || made.stdout().lines().count() == 3000);
    let (mut got, mut lost) = (0, 0);
    let mut gone_on = false;
    loop {
        match slow.receive().unwrap() {
            Output::Stdout(piece) => got += piece.len() as u64,
            Output::Lost(bytes) => lost += bytes,
            Output::Ended(_) => break,
            other => panic!("{other:?}"),
        }
        if !gone_on && got > 100_000 {
            fs::write(made.inside("go"), "").unwrap();
            gone_on = true;
        }
    }
    assert!(lost > 0, "so much is in no socket");
    assert_eq!(got + lost, made.stdout().len() as u64);
}

#[test]
fn a_terminal_is_one_and_has_the_size_that_it_is_given() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let line = "test -t 0 && test -t 1 && test -t 2 && echo all; read x; stty size; echo got $x; exit 6";
    let made = home.shell(line, json!({"tty": true, "stdin_open": true}));
    let mut client = made.client();
    let mut attached = client.attach(true, true).unwrap();
    assert!(attached.has_terminal());
    client.start().unwrap();
    read_until(&mut attached, "all");
    attached.resize(33, 99).unwrap();
    attached.send(b"word\n").unwrap();
    let (out, err, exit) = read_all(attached);
    assert!(out.contains("33 99") && out.contains("got word"), "{out:?}");
    assert_eq!((err.as_str(), exit.status), ("", Some(6)));
    assert!(made.stdout().contains("got word"), "a terminal's output is logged");
}

#[test]
fn who_leaves_does_not_disturb_the_container_nor_the_others() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let made = home.shell("cat", json!({"stdin_open": true}));
    let mut client = made.start();
    let (mut one, mut other) = (client.attach(true, true).unwrap(), client.attach(true, false).unwrap());
    one.send(b"from one\n").unwrap();
    read_until(&mut other, "from one\n");
    drop(one);
    other.send(b"from the other\n").unwrap();
    read_until(&mut other, "from the other\n");
    other.end_input().unwrap();
    assert_eq!(made.status().state, State::Running, "whoever comes later doesn't end the input");
    client.stop(Some(9), None).unwrap();
}
