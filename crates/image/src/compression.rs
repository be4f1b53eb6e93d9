//! How an archive is compressed: told by its first bytes, not by its name, and undone while it is read.
//!
//! All decoders are written in Rust. What they may allocate is bounded, whatever the archive asks for.

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, BufReader, Read};

/// What a decoder may allocate for its window, in KiB: the most that `xz -9` and `zstd -19` ask for.
const WINDOW_KIB: u32 = 128 << 10;

/// How much is read from the archive at once, in bytes.
const CHUNK: usize = 256 << 10;

/// A method of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// None.
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Compression {
    /// Of an archive that begins so.
    pub(crate) fn of(start: &[u8]) -> Self {
        // The magic numbers: RFC 1952 2.3.1, RFC 8878 3.1.1 (and 3.1.2: frames to be skipped), xz-file-format 2.1.1.1, bzip2's.
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }
}

/// Reads what an archive holds; several that are concatenated are read as one.
///
/// # Errors
/// The archive can't be read.
pub(crate) fn reader<'a>(archive: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut archive = BufReader::with_capacity(CHUNK, archive);
    Ok(match Compression::of(archive.fill_buf()?) {
        Compression::Plain => Box::new(archive),
        Compression::Gzip => Box::new(MultiGzDecoder::new(archive)),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(archive)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(archive, true, WINDOW_KIB)),
        Compression::Zstd => Box::new(Zstd::new(archive)),
    })
}

/// Zstandard's frames, one after the other; those that carry no content are skipped (RFC 8878 3.1.2).
struct Zstd<R> {
    archive: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(archive: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(u64::from(WINDOW_KIB) << 10);
        Self { archive, decoder, within: false }
    }

    /// Begins the next frame; whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.archive.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.archive) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.archive).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(io::Error::other(e)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBytes;
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.within && self.decoder.is_finished() {
                let (said, found) =
                    (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
                if said.is_some() && said != found {
                    return Err(io::Error::other("a zstd frame has another checksum than it says"));
                }
                self.within = false;
            }
            if !self.within {
                self.within = self.begin()?;
                if !self.within {
                    return Ok(0);
                }
            }
            self.decoder.decode_blocks(&mut self.archive, UptoBytes(CHUNK)).map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn through(program: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        testkit::privileged::program(program[0], program[0]).then(|| {
            let mut child = Command::new(program[0])
                .args(&program[1..])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            let bytes = bytes.to_vec();
            let writer = std::thread::spawn(move || input.write_all(&bytes));
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap().unwrap();
            output.stdout
        })
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        reader(bytes)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_a_program_compressed_is_read_even_in_pieces() {
        let text: Vec<u8> = (0..150_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        assert_eq!(read(&text).unwrap(), text);
        for program in [&["gzip"][..], &["bzip2"], &["xz"], &["zstd", "-19", "--check"], &["zstd", "-1"]] {
            let Some(packed) = through(program, &text) else { continue };
            assert!(packed.len() < text.len(), "{program:?}");
            assert_eq!(read(&packed).unwrap(), text, "{program:?}");
            assert_eq!(read(&[&packed[..], &packed].concat()).unwrap().len(), 2 * text.len(), "{program:?}");
            assert!(read(&packed[..packed.len() / 2]).is_err(), "{program:?}: half of it");
            let mut wrong = packed.clone();
            wrong[packed.len() / 2] ^= 0x55;
            assert!(read(&wrong).is_err(), "{program:?}: one byte is another one");
        }
    }

    #[test]
    fn frames_of_zstd_without_content_are_skipped() {
        let Some(packed) = through(&["zstd"], b"content") else { return };
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        assert_eq!(read(&[&skipped[..], &packed, &skipped].concat()).unwrap(), b"content");
        assert!(read(&skipped[..10]).is_err());
    }

    #[test]
    fn a_window_larger_than_memory_is_refused() {
        // A frame with a window of 2 GiB (RFC 8878 3.1.1.1.2), and its last block, of no bytes; then one of 8 MiB.
        let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
        assert!(read(&frame(21)).is_err());
        assert_eq!(read(&frame(13)).unwrap(), b"");
    }
}
