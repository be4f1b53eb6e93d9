//! Standard output. A reader that has gone away is no failure; a full disk is one.

use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::{Errno, fs};

/// Writes all of `text`.
pub fn print(text: &str) -> Result<()> {
    offer(text).map(drop)
}

/// The same; whether there still is a reader.
pub fn offer(text: &str) -> Result<bool> {
    match fs::write_all(fs::stdout(), text.as_bytes()) {
        Err(e) if e.errno() == Errno::PIPE => Ok(false),
        Err(e) => {
            let cause = std::io::Error::from(e.errno());
            Err(Error::new(Kind::System, format!("write to standard output: {cause}")))
        }
        Ok(()) => Ok(true),
    }
}

/// The message on one line, without anything that a terminal would obey.
pub fn printable(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(printable("a\nb\u{1b}[2Jc"), "a\\nb\\u{1b}[2Jc");
    }
}
