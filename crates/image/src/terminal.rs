//! What is typed at a terminal and isn't to be seen there.

use crate::failure::Failure;
use forgeone_config::encryption::Zeroizing;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

/// Asks at the terminal, which doesn't show what is typed.
pub(crate) fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(format_args!(
            "ask for the {}: /dev/tty: {e}",
            question.trim_end_matches(": ").to_lowercase()
        ))
    };
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    let line = {
        let _raw = forgeone_sys::pty::raw_mode(&terminal).map_err(Failure::new)?;
        terminal.write_all(question.as_bytes()).map_err(failed)?;
        typed(&mut terminal).map_err(failed)
    };
    terminal.write_all(b"\n").map_err(failed)?;
    line
}

/// A line from a terminal in raw mode.
fn typed(terminal: &mut File) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::with_capacity(1024));
    let mut byte = [0];
    loop {
        match (terminal.read(&mut byte)?, byte[0]) {
            (0, _) | (_, b'\r' | b'\n' | 4) => break,
            (_, 3) => return Err(std::io::ErrorKind::Interrupted.into()),
            (_, 0x08 | 0x7f) => {
                // The whole of a character goes, of which the later bytes begin with 10.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            (_, 21) => line.clear(),
            (_, byte) if line.len() < 1024 => line.push(byte),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| std::io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}
