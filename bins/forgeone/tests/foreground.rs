//! The foreground with real processes and terminals: what a shell that starts us sees.
//!
//! Signals for a process go to any of its threads that doesn't block them, so each test has a process with one
//! thread ([`testkit::single`]). The module is the door's own source.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(unused, reason = "its unit tests belong to the door's own")]
#[path = "../src/foreground/mod.rs"]
mod foreground;

use foreground::Foreground;
use forgeone_cli::Log;
use forgeone_runtime::lifecycle::Started;
use forgeone_sys::fs::{self, Mode, OFlags, dup2_stdio, open, pipe};
use forgeone_sys::process::{self, Child, CloneArgs, Forked};
use forgeone_sys::pty::{Pty, open_pty, set_controlling_terminal, set_window_size};
use forgeone_sys::signal::{poll, reset_all, signal_number};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

fn main() {
    testkit::single::main(&[
        ("the_programs_exit_status_is_ours", the_programs_exit_status_is_ours),
        ("death_by_a_signal_is_128_and_its_number", death_by_a_signal_is_128_and_its_number),
        ("signals_are_the_programs", signals_are_the_programs),
        ("signals_reach_a_program_without_a_pidfd", signals_reach_a_program_without_a_pidfd),
        ("orphans_are_reaped", orphans_are_reaped),
        ("a_script_is_typed_to_a_terminal_up_to_its_end", a_script_is_typed_to_a_terminal_up_to_its_end),
        ("the_end_of_input_ends_a_shell_that_edits_lines", the_end_of_input_ends_a_shell_that_edits_lines),
        ("a_terminal_works_without_input", a_terminal_works_without_input),
        ("output_that_nobody_reads_hangs_the_terminal_up", output_that_nobody_reads_hangs_the_terminal_up),
        ("all_output_is_shown_before_the_end", all_output_is_shown_before_the_end),
        ("a_full_pipe_does_not_keep_us_from_ending", a_full_pipe_does_not_keep_us_from_ending),
        ("a_terminal_in_a_terminal_is_transparent", a_terminal_in_a_terminal_is_transparent),
    ])
}

/// Runs `child` in a process of its own.
fn fork(child: impl FnOnce()) -> Child {
    match process::clone(&CloneArgs::default()).unwrap() {
        Forked::Parent(child) => child,
        Forked::Child => {
            child();
            process::exit(0)
        }
    }
}

/// Starts a line of shell as the runtime starts a program: with signals as new, in a terminal if there is one.
fn start(script: &str, terminal: Option<Pty>) -> Started {
    let words = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
    let (master, peer) = terminal.map(|Pty { master, peer }| (master, peer)).unzip();
    let child = fork(|| {
        reset_all().unwrap();
        if let Some(peer) = &peer {
            take_terminal(peer);
        }
        panic!("{}", process::execve(c"/bin/sh", &words, &[c"PATH=/usr/bin:/bin".to_owned()]));
    });
    Started { pid: child.pid, pidfd: child.pidfd, terminal: master, notify: None, warnings: Vec::new() }
}

/// Becomes the leader of a session that has this terminal for its streams.
fn take_terminal(peer: &OwnedFd) {
    process::setsid().unwrap();
    set_controlling_terminal(peer).unwrap();
    (0..3).for_each(|number| dup2_stdio(peer, number).unwrap());
}

fn new_terminal() -> Pty {
    let devpts = open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    open_pty(&devpts).unwrap_or_else(|e| testkit::single::skip(format_args!("needs a terminal: {e}")))
}

fn prepare() -> Foreground<'static> {
    static LOG: std::sync::LazyLock<Log> = std::sync::LazyLock::new(Log::default);
    Foreground::prepare(&LOG).unwrap()
}

/// Sends the signal to this process when the program has written a line.
fn signal_when_ready(ready: OwnedFd, name: &str) -> Child {
    let (pid, number) = (process::getpid(), signal_number(name).unwrap());
    fork(move || {
        File::from(ready).read_exact(&mut [0]).unwrap();
        process::kill(pid, number).unwrap();
    })
}

fn the_programs_exit_status_is_ours() {
    for status in [0, 7, 255] {
        let foreground = prepare();
        assert_eq!(foreground.attend(start(&format!("exit {status}"), None)).unwrap(), status);
    }
}

fn death_by_a_signal_is_128_and_its_number() {
    for (name, status) in [("KILL", 137), ("TERM", 143), ("HUP", 129)] {
        let foreground = prepare();
        assert_eq!(foreground.attend(start(&format!("kill -{name} $$"), None)).unwrap(), status);
    }
}

/// A program that answers this signal with its exit, and a sender that waits until it can.
fn forwarded(name: &str, with_pidfd: bool) -> u8 {
    let foreground = prepare();
    let (ready, tell) = pipe().unwrap();
    dup2_stdio(&tell, 1).unwrap();
    drop(tell);
    let mut started = start(&format!("trap 'exit 42' {name}; echo ready; while :; do :; done"), None);
    if !with_pidfd {
        started.pidfd = None;
    }
    signal_when_ready(ready, name);
    foreground.attend(started).unwrap()
}

fn signals_are_the_programs() {
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "CONT", "TSTP", "ALRM", "PIPE"] {
        assert_eq!(forwarded(name, true), 42, "{name}");
    }
}

fn signals_reach_a_program_without_a_pidfd() {
    assert_eq!(forwarded("TERM", false), 42);
}

fn orphans_are_reaped() {
    process::set_child_subreaper(true).unwrap();
    let foreground = prepare();
    // A process that has ended is there until it is reaped, which only we can do.
    let script = "pid=$(sh -c 'true & echo $!'); while kill -0 $pid 2>/dev/null; do :; done; exit 5";
    assert_eq!(foreground.attend(start(script, None)).unwrap(), 5);
}

/// Gives this process a pipe as input, with what is in it, and one as output; the other end of that.
fn streams(text: &str) -> File {
    let (input, typed) = pipe().unwrap();
    fs::write_all(&typed, text.as_bytes()).unwrap();
    let (seen, output) = pipe().unwrap();
    dup2_stdio(&input, 0).unwrap();
    dup2_stdio(&output, 1).unwrap();
    seen.into()
}

/// What was written to the output of this process, which has none any more.
fn seen_at_the_end(mut seen: File) -> String {
    dup2_stdio(File::open("/dev/null").unwrap(), 1).unwrap();
    let mut text = String::new();
    seen.read_to_string(&mut text).unwrap();
    text
}

fn a_script_is_typed_to_a_terminal_up_to_its_end() {
    let (terminal, seen, foreground) = (new_terminal(), streams("one\ntwo\n"), prepare());
    // The end is there for each program that reads, also for one that had not started when it came.
    let script = "test -t 0 && stty -echo && cat && cat && ! read line && exit 9";
    let status = foreground.attend(start(script, Some(terminal))).unwrap();
    let text = seen_at_the_end(seen);
    assert_eq!(status, 9, "{text:?}");
    // What was typed before the echo was off is there twice.
    assert!(text.ends_with("one\ntwo\n") && !text.contains('\r'), "{text:?}");
}

/// Programs that edit their line set the terminal anew for each: what was typed for the end of the file is lost then.
fn the_end_of_input_ends_a_shell_that_edits_lines() {
    let (terminal, seen, foreground) = (new_terminal(), streams("exit_status=6\n"), prepare());
    let script = "while :; do stty -icanon min 1; key=$(dd bs=1 count=1 2>/dev/null | od -An -tx1); \
                  stty icanon; [ $key = 04 ] && exit 6; done";
    let status = foreground.attend(start(script, Some(terminal))).unwrap();
    assert_eq!(status, 6, "{:?}", seen_at_the_end(seen));
}

fn a_terminal_works_without_input() {
    let (terminal, foreground) = (new_terminal(), prepare());
    let seen = streams("");
    dup2_stdio(File::open("/dev/null").unwrap(), 0).unwrap();
    let status = foreground.attend(start("echo hello; read line; echo end $?", Some(terminal))).unwrap();
    assert_eq!((status, seen_at_the_end(seen).as_str()), (0, "hello\nend 1\n"));
}

fn output_that_nobody_reads_hangs_the_terminal_up() {
    let (terminal, foreground) = (new_terminal(), prepare());
    drop(streams(""));
    let status = foreground.attend(start("while echo y; do :; done; exit 1", Some(terminal))).unwrap();
    assert!(status == 129 || status == 1, "by SIGHUP, or a write that fails: {status}");
}

fn all_output_is_shown_before_the_end() {
    let (terminal, foreground) = (new_terminal(), prepare());
    let seen = streams("");
    // A reader that takes its time: longer than a pipe and a terminal hold together.
    let (kept, keep) = pipe().unwrap();
    let reader = fork(|| {
        dup2_stdio(File::open("/dev/null").unwrap(), 1).unwrap();
        let mut seen = seen;
        let mut text = String::new();
        seen.read_to_string(&mut text).unwrap();
        fs::write_all(&keep, format!("{} {}", text.lines().count(), text.ends_with("\n20000\n")).as_bytes())
            .unwrap();
    });
    drop(keep);
    let status =
        foreground.attend(start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done", Some(terminal)));
    assert_eq!(status.unwrap(), 0);
    assert_eq!(seen_at_the_end(kept.into()), "20000 true");
    process::wait(reader.pid).unwrap();
}

/// The first request ends the program, the next one us, whom the output that nobody takes would keep for ever.
fn a_full_pipe_does_not_keep_us_from_ending() {
    let (terminal, foreground) = (new_terminal(), prepare());
    let _never_read = streams("");
    let (us, term) = (process::getpid(), signal_number("TERM").unwrap());
    fork(|| {
        while process::getppid() == us {
            let _ = process::kill(us, term);
            poll(&mut [], Some(20)).unwrap();
        }
    });
    let status = foreground.attend(start("while :; do echo y; done", Some(terminal))).unwrap();
    assert_eq!(status, 143);
}

/// `stty -a` of a terminal.
fn modes(terminal: &OwnedFd) -> String {
    let output =
        Command::new("stty").arg("-a").stdin(Stdio::from(fs::dup(terminal).unwrap())).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Reads from a terminal until it has shown this.
fn expect(terminal: &mut File, text: &str) -> String {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        let mut buffer = [0; 1024];
        let count = terminal.read(&mut buffer).unwrap();
        got.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(got).unwrap()
}

/// A user at a terminal, in which the door attends a program in a terminal of its own.
fn a_terminal_in_a_terminal_is_transparent() {
    let outer = new_terminal();
    set_window_size(&outer.master, 24, 80).unwrap();
    let before = modes(&outer.peer);
    let door = fork(|| {
        take_terminal(&outer.peer);
        let foreground = prepare();
        let script = "stty size; trap 'stty size' WINCH; trap 'echo interrupted; exit 3' INT; echo ready; \
                      while :; do read line; done";
        process::exit(foreground.attend(start(script, Some(new_terminal()))).unwrap().into());
    });
    let mut user = File::from(outer.master);
    assert!(expect(&mut user, "ready").contains("24 80"));
    assert!(modes(&outer.peer).contains("-icanon"), "raw while the program runs");
    set_window_size(&user, 30, 90).unwrap();
    expect(&mut user, "30 90");
    user.write_all(b"\x03").unwrap(); // Control-C
    assert!(expect(&mut user, "interrupted").contains("^C"));
    assert_eq!(process::wait(door.pid).unwrap().status(), 3);
    let after = modes(&outer.peer);
    assert_eq!(after, before.replace("rows 24; columns 80", "rows 30; columns 90"));
}
