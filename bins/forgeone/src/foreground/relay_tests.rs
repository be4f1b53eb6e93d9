//! Against a real pty. Making one needs the right to open the ptmx of /dev/pts, which on most machines is root's.
#![allow(clippy::unwrap_used)]
use super::*;
use forgeone_sys::fs::{Mode, OFlags, open, pipe};
use forgeone_sys::pty::{Pty, open_pty, raw_mode, window_size};
use forgeone_sys::signal::signalfd;

/// A relay between two pipes and a terminal, and all that is at its other ends.
struct Bench {
    relay: Relay,
    /// The program's end of the terminal.
    peer: File,
    /// What our caller types; `None` when it has closed it.
    typed: Option<File>,
    /// What our caller sees.
    seen: Option<File>,
    signals: OwnedFd,
}

fn bench() -> Option<Bench> {
    let devpts = open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let Ok(Pty { master, peer }) = open_pty(&devpts) else {
        testkit::skip("needs the right to open /dev/pts/ptmx");
        return None;
    };
    let (stdin, typed) = pipe().unwrap();
    let (seen, stdout) = pipe().unwrap();
    for fd in [&seen, &peer] {
        set_nonblocking(fd, true).unwrap();
    }
    let relay = Relay::between(master, stdin.into(), stdout.into(), Terminal::default()).unwrap();
    let (typed, seen) = (Some(typed.into()), Some(seen.into()));
    Some(Bench { relay, peer: peer.into(), typed, seen, signals: signalfd().unwrap() })
}

impl Bench {
    fn type_in(&mut self, text: &[u8]) {
        self.typed.as_mut().unwrap().write_all(text).unwrap();
    }

    /// Moves what comes until `done`. (The kernel carries bytes between a terminal's ends in its own time.)
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..2000 {
            if done(self) {
                return;
            }
            self.relay.step(&[self.signals.as_fd()], Some(5)).unwrap();
        }
        panic!("it didn't come to that: {:?}", self.relay);
    }

    fn expect_seen(&mut self, want: &[u8]) {
        let mut got = Vec::new();
        self.until(|bench| {
            got.extend(all_of(bench.seen.as_mut().unwrap()));
            got.len() >= want.len()
        });
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
    }

    /// One read(2) of the program's that gives something, if only the end of the file.
    fn program_reads(&mut self) -> Vec<u8> {
        let (mut buffer, mut count) = ([0; 4096], None);
        self.until(|bench| {
            count = bench.peer.read(&mut buffer).ok();
            count.is_some()
        });
        buffer[..count.unwrap()].to_vec()
    }

    fn is_idle(&self) -> bool {
        let ready = self.relay.wait(&[self.signals.as_fd()], Some(0)).unwrap();
        !ready.stdin && !ready.stdout && !ready.from_master && !ready.to_master
    }
}

/// What can be read without waiting.
fn all_of(file: &mut File) -> Vec<u8> {
    let (mut out, mut buffer) = (Vec::new(), [0; 65536]);
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        out.extend_from_slice(&buffer[..count]);
    }
    out
}

#[test]
fn output_is_shown_with_its_line_ends_as_they_are() {
    let Some(mut bench) = bench() else { return };
    bench.peer.write_all(b"one\ntwo\n").unwrap();
    bench.expect_seen(b"one\ntwo\n");
}

#[test]
fn a_typed_line_reaches_the_program() {
    let Some(mut bench) = bench() else { return };
    bench.type_in(b"hello\n");
    assert_eq!(bench.program_reads(), b"hello\n");
    bench.expect_seen(b"hello\n"); // the terminal's echo
}

#[test]
fn the_end_of_input_is_the_end_of_a_line_and_of_the_file() {
    for (text, lines) in [("", &[][..]), ("one\n", &["one\n"]), ("one\ntwo", &["one\n", "two"])] {
        let Some(mut bench) = bench() else { return };
        bench.type_in(text.as_bytes());
        bench.typed = None;
        for line in lines {
            assert_eq!(bench.program_reads(), line.as_bytes());
        }
        for _ in 0..3 {
            assert_eq!(bench.program_reads(), b"", "the end of the file after {text:?}, for each who reads");
        }
    }
}

#[test]
fn a_program_that_does_not_read_blocks_nobody() {
    let Some(mut bench) = bench() else { return };
    let _raw = raw_mode(&bench.peer).unwrap();
    set_nonblocking(bench.typed.as_ref().unwrap(), true).unwrap();
    let text: Vec<u8> = (0..200_000u32).map(|i| b'a' + (i % 26) as u8).collect();
    let (mut typed, mut got, mut rounds) = (0, Vec::new(), 0);
    bench.until(|bench| {
        if let Ok(count) = bench.typed.as_mut().unwrap().write(&text[typed..]) {
            typed += count;
        }
        let _ = bench.peer.write(b"."); // it may still say something
        all_of(bench.seen.as_mut().unwrap());
        rounds += 1;
        if rounds > 50 {
            got.extend(all_of(&mut bench.peer)); // and reads after a while
        }
        got.len() == text.len()
    });
    assert!(got == text);
}

#[test]
fn output_waits_for_a_reader_and_is_not_lost() {
    let Some(mut bench) = bench() else { return };
    let mut written = 0;
    while bench.relay.output.piece.is_empty()
        || bench.relay.wait(&[bench.signals.as_fd()], Some(0)).unwrap().stdout
    {
        written += bench.peer.write(&[b'x'; 4096]).unwrap_or(0);
        bench.relay.step(&[bench.signals.as_fd()], Some(0)).unwrap(); // until nobody takes any more
    }
    let mut got = 0;
    bench.until(|bench| {
        got += all_of(bench.seen.as_mut().unwrap()).len();
        got == written
    });
}

#[test]
fn the_terminal_is_hung_up_when_nobody_sees_it() {
    let Some(mut bench) = bench() else { return };
    bench.seen = None;
    bench.peer.write_all(b"lost\n").unwrap();
    bench.until(|bench| bench.relay.master.is_none());
    assert_eq!(bench.peer.write(b"x").unwrap_err().raw_os_error(), Some(5), "EIO");
    assert!(bench.is_idle());
}

#[test]
fn a_program_that_closed_its_terminal_is_waited_for_in_peace() {
    let Some(mut bench) = bench() else { return };
    drop(std::mem::replace(&mut bench.peer, File::open("/dev/null").unwrap()));
    bench.until(|bench| bench.relay.output.ended);
    bench.type_in(b"too late\n");
    assert!(bench.is_idle(), "nothing wakes us again and again");
}

#[test]
fn what_was_written_last_is_still_shown() {
    let Some(mut bench) = bench() else { return };
    bench.peer.write_all(&[b'x'; 3000]).unwrap();
    let Bench { relay, peer, seen, signals, .. } = bench;
    drop(peer);
    relay.finish(&signals, |_| false).unwrap();
    assert_eq!(all_of(&mut seen.unwrap()).len(), 3000);
}

#[test]
fn what_is_left_behind_with_the_terminal_does_not_keep_us() {
    let Some(mut bench) = bench() else { return };
    bench.peer.write_all(b"bye\n").unwrap();
    bench.type_in(b"nobody reads this\n");
    let Bench { relay, peer, seen, signals, .. } = bench;
    relay.finish(&signals, |_| false).unwrap();
    assert_eq!(all_of(&mut seen.unwrap()), b"bye\n");
    drop(peer);
}

#[test]
fn the_programs_terminal_gets_the_size_of_ours() {
    let Some(bench) = bench() else { return };
    let size = Terminal::default().size();
    assert_eq!(size, None);
    bench.relay.resize(); // without a terminal of ours nothing happens
    assert_eq!(window_size(&bench.peer).unwrap(), (0, 0));
}
