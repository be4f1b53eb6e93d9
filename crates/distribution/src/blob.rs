//! Pulling blobs: written as they come, hashed on the way, gone on with where a connection broke.

use crate::auth::Access;
use crate::client::refusal;
use crate::http::{Request, Response, failure};
use crate::{Client, Descriptor, Digest, Error, Hasher, Kind, Repository, Result};
use std::io::{Read, Write};
use ureq::http::Method;

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// A blob on its way.
struct Coming<'a> {
    descriptor: &'a Descriptor,
    hasher: Hasher,
    /// How much was written, or known before.
    written: u64,
    out: &'a mut dyn Write,
}

impl Client {
    /// Pulls a blob into a writer. Memory doesn't depend on its size. What was written is to be thrown away if this fails.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; another digest or size than the descriptor's; a writer that fails; what any request may end with.
    pub fn blob(&self, repository: &Repository, descriptor: &Descriptor, out: &mut dyn Write) -> Result<()> {
        self.rest_of_blob(repository, descriptor, &mut std::io::empty(), out)
    }

    /// Pulls what is missing of a blob whose beginning came before: `known` has that, and is read to its end. What was
    /// written stays good if the failure is [`Kind::Unavailable`]; otherwise it is to be thrown away, and what was known.
    ///
    /// # Errors
    /// As [`Client::blob`]; a beginning that can't be read or isn't one.
    pub fn rest_of_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        known: &mut dyn Read,
        out: &mut dyn Write,
    ) -> Result<()> {
        let hasher = Hasher::new(descriptor.digest.algorithm());
        let mut coming = Coming { descriptor, hasher, written: 0, out };
        let outcome = coming.know(known).and_then(|()| self.missing_parts(repository, &mut coming));
        let whole = outcome.and_then(|()| coming.verify());
        whole.map_err(|e| e.during(format_args!("pull {repository}@{}", descriptor.digest)))
    }

    /// As many requests as it takes.
    fn missing_parts(&self, repository: &Repository, coming: &mut Coming) -> Result<()> {
        let (mut attempt, mut before) = (0, coming.written);
        while coming.written < coming.descriptor.size {
            let Err(error) = self.part_of_blob(repository, coming) else { break };
            // What made progress counts as a new start.
            attempt = if coming.written > before { 1 } else { attempt + 1 };
            before = coming.written;
            if !error.is_transient() || !self.patience().wait(attempt, None) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// One request for what is missing yet.
    fn part_of_blob(&self, repository: &Repository, coming: &mut Coming) -> Result<()> {
        let url = self.url(repository, &format!("blobs/{}", coming.descriptor.digest))?;
        let mut request = Request::get(url);
        if coming.written > 0 {
            request = request.header("range", format!("bytes={}-", coming.written));
        }
        let mut answer = self.send(&Access::to(repository, "pull"), &request, None)?;
        let skip = match answer.status() {
            206 if coming.written > 0 => {
                if range_start(&answer) != Some(coming.written) {
                    return Err(Error::new(Kind::Content, "another part came than was asked for"));
                }
                0
            }
            200 => coming.written,
            404 => return Err(Error::new(Kind::NotFound, "the registry has no such blob")),
            _ => return Err(refusal(answer)),
        };
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        let left = coming.descriptor.size - coming.written + skip;
        if let Some(length) = length.filter(|length| *length != left) {
            return Err(coming.wrong_size(format_args!("{}", length + coming.written - skip)));
        }
        coming.take(&mut answer.reader(), skip)
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// What any request may end with.
    pub fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        self.find_blob(&Access::to(repository, "pull"), digest)
            .map_err(|e| e.during(format_args!("look for {repository}@{digest}")))
    }

    pub(crate) fn find_blob(&self, access: &Access, digest: &Digest) -> Result<bool> {
        let request = Request::new(Method::HEAD, self.url(&access.repository, &format!("blobs/{digest}"))?);
        let answer = self.send(access, &request, None)?;
        match answer.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(refusal(answer)),
        }
    }
}

impl Coming<'_> {
    /// Takes in what came before.
    fn know(&mut self, known: &mut dyn Read) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let system = |e| Error::new(Kind::System, format_args!("read what came before: {e}"));
            let length = known.read(&mut buffer).map_err(system)?;
            self.written += length as u64;
            if length == 0 {
                return Ok(());
            }
            if self.written > self.descriptor.size {
                return Err(self.wrong_size("more"));
            }
            self.hasher.update(&buffer[..length]);
        }
    }

    /// Takes a body; its first `skip` bytes were written before.
    fn take(&mut self, body: &mut impl Read, mut skip: u64) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = body.read(&mut buffer).map_err(failure::of_io)?;
            if length == 0 {
                break;
            }
            let known = skip.min(length as u64) as usize;
            skip -= known as u64;
            let piece = &buffer[known..length];
            if self.written + piece.len() as u64 > self.descriptor.size {
                return Err(self.wrong_size("more"));
            }
            self.hasher.update(piece);
            let system = |e| Error::new(Kind::System, format_args!("write it: {e}"));
            self.out.write_all(piece).map_err(system)?;
            self.written += piece.len() as u64;
        }
        match self.written < self.descriptor.size {
            true => {
                Err(Error::transient(Kind::Unavailable, "the connection broke off")
                    .or_help("try again later"))
            }
            false => Ok(()),
        }
    }

    fn wrong_size(&self, size: impl std::fmt::Display) -> Error {
        let message = format!("it has {size} bytes, not {} as its manifest says", self.descriptor.size);
        Error::new(Kind::Content, message).or_help("don't trust this registry, or what is in between")
    }

    fn verify(self) -> Result<()> {
        let (digest, expected) = (self.hasher.finish(), &self.descriptor.digest);
        if digest == *expected {
            return Ok(());
        }
        let message = format!("what came has the digest {digest}");
        Err(Error::new(Kind::Content, message).or_help("don't trust this registry, or what is in between"))
    }
}

/// Where the part of an answer begins: `bytes 5-9/10`.
fn range_start(answer: &Response) -> Option<u64> {
    answer.header("content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
