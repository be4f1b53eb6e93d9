//! The end of our input, told to a program that reads a terminal.
//!
//! A file that has ended stays so for everyone who reads it; a terminal has only the end-of-file character, which
//! ends one read, and which a program that sets its terminal anew may lose. So it is typed again whenever the
//! program has read all that was typed before, less and less often.

use forgeone_sys::Result;
use forgeone_sys::pty::open_peer;
use forgeone_sys::signal::{PollFd, poll};
use std::fs::File;
use std::time::{Duration, Instant};

/// The end-of-file character of a new terminal (Control-D).
pub(super) const END_OF_FILE: u8 = 4;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// When it is typed next.
#[derive(Debug)]
pub(super) struct EndOfInput {
    next: Instant,
    pause: Duration,
}

impl EndOfInput {
    /// Our input has ended just now.
    pub(super) fn now() -> Self {
        Self { next: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Whether its time has come.
    pub(super) fn is_due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// Milliseconds until then.
    pub(super) fn wait_ms(&self) -> i32 {
        let left = self.next.saturating_duration_since(Instant::now());
        i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    }

    /// The next time is after a pause, which is twice as long each time.
    pub(super) fn again(&mut self) {
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the program has read all that was typed. Its end is opened for a moment: from ours it can't be seen.
pub(super) fn is_read(master: &File) -> Result<bool> {
    let peer = open_peer(master)?;
    Ok(poll(&mut [PollFd::readable(&peer)], Some(0))? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        let mut end = EndOfInput::now();
        assert!(end.is_due() && end.wait_ms() == 0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pauses.push(end.pause.as_millis());
            end.again();
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!end.is_due() && (900..=1000).contains(&end.wait_ms()));
    }
}
