//! Records of the log, as Kubernetes' CRI has them (kubernetes/design-proposals, "kubelet-cri-logging"):
//!
//! ```text
//! 2026-11-22T10:00:00.123456789Z stdout F a whole line
//! 2026-11-22T10:00:01.000000000Z stdout P the beginning of a line
//! ```
//!
//! A line that isn't ended yet is written as far as it goes: a prompt is in the log as soon as it is on the terminal, and
//! a line without end takes no memory.

use super::Stream;
use crate::error::Result;

/// So much is written at once.
const AT_ONCE: usize = 4 << 10;

impl Stream {
    /// As records name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Gives the records of a piece to `out`, some at a time.
pub(super) fn write(
    bytes: &[u8],
    stream: Stream,
    time: &str,
    mut out: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut text = Vec::with_capacity(AT_ONCE.min(bytes.len() + 64));
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (content, tag) = match line.strip_suffix(b"\n") {
            Some(content) => (content, b" F "),
            None => (line, b" P "),
        };
        let parts: [&[u8]; 6] = [time.as_bytes(), b" ", stream.name().as_bytes(), tag, content, b"\n"];
        for part in parts {
            if text.len() + part.len() > AT_ONCE {
                out(&text)?;
                text.clear();
            }
            // A long one by itself, without a copy.
            if part.len() > AT_ONCE { out(part)? } else { text.extend_from_slice(part) }
        }
    }
    if text.is_empty() { Ok(()) } else { out(&text) }
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was written: RFC 3339, UTC, nanoseconds.
    pub time: &'a str,
    /// Of which stream it is.
    pub stream: Stream,
    /// Whether a line ends with it.
    pub full: bool,
    /// What the container wrote, without the line's end.
    pub content: &'a [u8],
}

/// Reads a line of a log, with or without its end; `None` if it is none.
pub fn parse(line: &[u8]) -> Option<Record<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let stream = match fields.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let full = match fields.next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Record { time, stream, full, content: fields.next()? })
}
