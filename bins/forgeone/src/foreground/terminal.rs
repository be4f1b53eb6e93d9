//! The terminal that we were started from, if there is one.

use forgeone_runtime::spec::ConsoleSize;
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
        let stream = stream();
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

/// A standard stream that is a terminal, whichever is.
fn stream() -> Option<BorrowedFd<'static>> {
    [stdin(), stdout(), stderr()].into_iter().find(|stream| is_terminal(stream))
}

/// The size of our caller's terminal, for a program's that is about to be made: from the start, not only when we join
/// them. Unknown without a terminal, or one that has no size.
pub(crate) fn console_size() -> Option<ConsoleSize> {
    let (rows, columns) = stream().and_then(|stream| window_size(stream).ok())?;
    let size = ConsoleSize { height: rows.into(), width: columns.into(), ..ConsoleSize::default() };
    (rows > 0 && columns > 0).then_some(size)
}
