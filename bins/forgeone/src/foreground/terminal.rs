//! The terminal that we were started from, if there is one.

use forgeone_sys::fs::{stderr, stdin, stdout};
use forgeone_sys::pty::{RawGuard, in_foreground, is_terminal, raw_mode, window_size};
use std::os::fd::BorrowedFd;

/// Our caller's terminal, its input in raw mode for as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    /// A standard stream that is a terminal, whichever is.
    stream: Option<BorrowedFd<'static>>,
    /// Kept for its end.
    _raw: Option<RawGuard>,
}

impl Terminal {
    /// Looks for it. Its input is made raw only if it is our input and we are in its foreground: a shell's
    /// background job leaves the shell's terminal alone.
    pub(super) fn find() -> Self {
        let stream = [stdin(), stdout(), stderr()].into_iter().find(|stream| is_terminal(stream));
        let ours = is_terminal(stdin()) && in_foreground(stdin());
        // Without raw mode the program is still usable: lines go to it whole.
        let raw = if ours { raw_mode(stdin()).ok() } else { None };
        Self { stream, _raw: raw }
    }

    /// Rows and columns; unknown without a terminal.
    pub(super) fn size(&self) -> Option<(u16, u16)> {
        self.stream.and_then(|stream| window_size(stream).ok())
    }
}
