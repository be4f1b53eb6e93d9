//! Decompressing and hashing on one core, while what comes out is used on the other.

use crate::compression;
use forgeone_distribution::{Algorithm, Digest, Hasher};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// How many pieces may wait, and how large one is, in bytes.
const PIECES: usize = 8;
const PIECE: usize = 256 << 10;

type Piece = io::Result<Vec<u8>>;

/// What comes out.
pub(super) struct Content {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    read: usize,
}

/// Starts to read a blob; gives its content without compression, and in the end that content's digest.
pub(super) fn start<'s, 'e>(
    scope: &'s Scope<'s, 'e>,
    blob: impl Read + Send + 's,
) -> (Content, ScopedJoinHandle<'s, Digest>) {
    let (sender, pieces) = sync_channel(PIECES);
    let thread = scope.spawn(move || {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        if let Err(e) = give(blob, &sender, &mut hasher) {
            // Nobody may listen any more.
            let _ = sender.send(Err(e));
        }
        hasher.finish()
    });
    (Content { pieces, piece: Vec::new(), read: 0 }, thread)
}

fn give(blob: impl Read, pieces: &SyncSender<Piece>, hasher: &mut Hasher) -> io::Result<()> {
    let mut content = compression::reader(blob)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if (&mut content).take(PIECE as u64).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        hasher.update(&piece);
        if pieces.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            (self.piece, self.read) = (piece?, 0);
        }
        let read = (&self.piece[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}
