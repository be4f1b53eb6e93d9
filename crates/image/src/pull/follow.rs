//! A file that is read while it is written: a layer is unpacked while it comes, and neither has to wait in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far it was written.
#[derive(Default)]
pub(super) struct Followed {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    written: u64,
    /// Whether it is whole, once nothing more is written.
    end: Option<bool>,
}

/// Writes where the file ends, and tells.
pub(super) struct Writer<'f> {
    followed: &'f Followed,
    file: &'f File,
}

/// Reads from the beginning, as far as is written.
pub(super) struct Reader<'f> {
    followed: &'f Followed,
    file: &'f File,
    position: u64,
}

impl Followed {
    /// A file of which so much is there.
    pub(super) fn of(written: u64) -> Self {
        Self { state: Mutex::new(State { written, end: None }), changed: Condvar::new() }
    }

    pub(super) fn writer<'f>(&'f self, file: &'f File) -> Writer<'f> {
        Writer { followed: self, file }
    }

    pub(super) fn reader<'f>(&'f self, file: &'f File) -> Reader<'f> {
        Reader { followed: self, file, position: 0 }
    }

    /// Nothing more is written.
    pub(super) fn end(&self, whole: bool) {
        self.state().end = Some(whole);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is written, when that is farther than `position`; nothing if it ends there.
    fn beyond(&self, position: u64) -> io::Result<Option<u64>> {
        let waiting = |state: &mut State| state.written <= position && state.end.is_none();
        let state = self.changed.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner);
        match state.end {
            _ if state.written > position => Ok(Some(state.written)),
            Some(true) => Ok(None),
            _ => Err(io::Error::other("the rest didn't come")),
        }
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.followed.state().written;
        let written = self.file.write_at(bytes, position)?;
        self.followed.state().written += written as u64;
        self.followed.changed.notify_all();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(written) = self.followed.beyond(self.position)? else { return Ok(0) };
        let length = usize::try_from(written - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..length], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
