//! Passphrases that are asked for at a terminal.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use testkit::{Temp, privileged};

/// What comes out of a terminal up to these words, or up to its end.
fn up_to(terminal: &mut File, words: &str) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&said).ends_with(words) {
        // A terminal that nobody has open any more fails.
        match terminal.read(&mut byte) {
            Ok(1) => said.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// `config WORDS` at a terminal of its own, its ioctls and writes in `calls`.
fn at_terminal(place: &Path, words: &[&str]) -> (Child, File) {
    let pty = forgeone_sys::pty::open_pty(File::open("/dev/pts").unwrap()).unwrap();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "strace", "-qq", "-e", "trace=ioctl,write", "-o", "calls"]);
    command.arg(env!("CARGO_BIN_EXE_forgeone-image")).arg("config").args(words);
    command.current_dir(place).stdin(pty.peer).stdout(Stdio::null()).stderr(Stdio::null());
    (command.spawn().unwrap(), File::from(pty.master))
}

#[test]
fn a_passphrase_isnt_shown_however_quickly_it_is_typed() {
    if !privileged::program("strace", "strace") || !privileged::program("setsid", "util-linux") {
        return;
    }
    let place = Temp::new("prompt");
    fs::write(place.path().join("web.yaml"), "image: a\n").unwrap();
    let words = ["encrypt", "--passphrase", "-o", "sealed.yaml", "web.yaml"];
    let (mut child, mut terminal) = at_terminal(place.path(), &words);
    for question in ["passphrase: ", "again: "] {
        let said = up_to(&mut terminal, question);
        assert!(said.ends_with(question), "{said:?}");
        terminal.write_all(b"geheim\r").unwrap();
    }
    let said = up_to(&mut terminal, "no such words");
    assert!(child.wait().unwrap().success() && !said.contains("geheim"), "{said:?}");
    // Whoever sees the question may type: nothing is shown from then on.
    let calls = fs::read_to_string(place.path().join("calls")).unwrap();
    let terminal = |line: &&str| line.contains("TCSETS") || line.contains(": \"");
    let calls: Vec<_> = calls.lines().filter(terminal).collect();
    // As strace writes it, and as older ones did.
    let shows = |line: &str| line.contains("|ECHO|") || line.contains(" echo ");
    let [off, question, on, off_again, again, on_again] = calls.as_slice() else { panic!("{calls:#?}") };
    assert!(question.contains("passphrase: ") && again.contains("again: "), "{calls:#?}");
    assert!(!shows(off) && shows(on) && !shows(off_again) && shows(on_again), "{calls:#?}");
    let sealed = fs::read_to_string(place.path().join("sealed.yaml")).unwrap();
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{sealed}");
}
