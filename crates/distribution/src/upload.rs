//! Pushing blobs: not at all where the registry has them, from another repository of it where that has them, otherwise
//! whole or in pieces.
//!
//! ```text
//! HEAD ──► there                                        Existed
//! POST ?mount&from ──► 201                              Mounted
//!      └─► 202 Location ──► PUT ?digest (whole)         Pushed
//!                     └──► PATCH … PATCH, PUT ?digest   Pushed, in pieces
//! ```

use crate::auth::Access;
use crate::client::refusal;
pub use crate::http::Source;
use crate::http::{Request, Response, Url};
use crate::manifest::{TIME, said_digest};
use crate::{Client, Descriptor, Error, Kind, Repository, Result};
use std::io::{Read, Seek, SeekFrom};
use ureq::http::Method;

/// The largest piece that a registry may ask for.
const MAX_PIECE: u64 = 1 << 30;

/// How a blob came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Existed,
    /// From another repository of the registry.
    Mounted,
    /// It was sent.
    Pushed,
}

/// A part of a source.
struct Part<'a> {
    source: &'a mut dyn Source,
    start: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.source.read(buffer)
    }
}

impl Seek for Part<'_> {
    /// To its beginning: nothing else is asked of it.
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match to {
            SeekFrom::Start(offset) => {
                Ok(self.source.seek(SeekFrom::Start(self.start + offset))? - self.start)
            }
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Client {
    /// Pushes a blob, unless the registry has it. `from` is a repository that may have it; it counts if it is of the same
    /// registry. The registry verifies the digest.
    ///
    /// # Errors
    /// A source that fails or has other bytes than the descriptor says; what any request may end with.
    pub fn put_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: Option<&Repository>,
        source: &mut dyn Source,
    ) -> Result<Uploaded> {
        let from = from.filter(|from| from.registry() == repository.registry() && *from != repository);
        let access = Access::to(repository, "pull,push");
        let mut put = || {
            if self.find_blob(&access, &descriptor.digest)? {
                return Ok(Uploaded::Existed);
            }
            for attempt in 1.. {
                match self.upload(&access, descriptor, from, source) {
                    Err(e) if e.is_transient() && self.patience().wait(attempt, None) => {}
                    outcome => return outcome,
                }
            }
            Err(Error::new(Kind::Unavailable, "no attempt was made"))
        };
        put().map_err(|e| e.during(format_args!("push {repository}@{}", descriptor.digest)))
    }

    /// One upload from its beginning.
    fn upload(
        &self,
        access: &Access,
        descriptor: &Descriptor,
        from: Option<&Repository>,
        source: &mut dyn Source,
    ) -> Result<Uploaded> {
        let mut url = self.url(&access.repository, "blobs/uploads/")?;
        let mut beginning = access.clone();
        if let Some(from) = from {
            url = url.with("mount", descriptor.digest.as_str()).with("from", from.path());
            beginning = beginning.and_pull(from);
        }
        // An upload that was begun twice is one that nobody goes on with: registries forget it.
        let answer = self.send(&beginning, &Request::new(Method::POST, url).within(TIME).again(), None)?;
        match answer.status() {
            201 if from.is_some() => return Ok(Uploaded::Mounted),
            202 => {}
            _ => return Err(refusal(answer)),
        }
        let smallest = answer.header("oci-chunk-min-length").and_then(|length| length.parse::<u64>().ok());
        let mut place = location(&answer)?;
        let sent = match self.piece {
            Some(piece) if piece < descriptor.size => {
                let piece = piece.max(smallest.unwrap_or(0)).min(MAX_PIECE);
                self.send_pieces(access, descriptor, source, piece, &mut place)
            }
            _ => self.finish(access, descriptor, &place, Some((source, descriptor.size))),
        };
        if sent.is_err() {
            // It may be gone already; registries forget it anyway.
            let _ = self.send(access, &Request::new(Method::DELETE, place).within(TIME).once(), None);
        }
        sent.map(|()| Uploaded::Pushed)
    }

    fn send_pieces(
        &self,
        access: &Access,
        descriptor: &Descriptor,
        source: &mut dyn Source,
        piece: u64,
        place: &mut Url,
    ) -> Result<()> {
        let (mut sent, mut attempt) = (0, 0);
        while sent < descriptor.size {
            let length = piece.min(descriptor.size - sent);
            let request = Request::new(Method::PATCH, place.clone())
                .header("content-type", "application/octet-stream")
                .header("content-range", format!("{sent}-{}", sent + length - 1))
                .once();
            let mut part = Part { source: &mut *source, start: sent };
            let outcome = self.send(access, &request, Some((&mut part, length)));
            let again = match outcome {
                Ok(answer) if answer.status() == 202 => {
                    *place = location(&answer)?;
                    let has = received(&answer).unwrap_or(sent + length);
                    if has <= sent || has > descriptor.size {
                        return Err(Error::new(
                            Kind::Content,
                            format_args!("the registry says that it has {has} bytes"),
                        ));
                    }
                    (sent, attempt) = (has, 0);
                    continue;
                }
                // It has another part than we think.
                Ok(answer) if answer.status() == 416 || answer.status() >= 500 => refusal(answer),
                Ok(answer) => return Err(refusal(answer)),
                Err(e) if e.is_transient() => e,
                Err(e) => return Err(e),
            };
            attempt += 1;
            if !self.patience().wait(attempt, None) {
                return Err(again);
            }
            let answer = self.send(access, &Request::get(place.clone()).within(TIME), None)?;
            if answer.status() != 204 {
                return Err(again);
            }
            sent = received(&answer).unwrap_or(0).min(descriptor.size);
            if let Ok(next) = location(&answer) {
                *place = next;
            }
        }
        self.finish(access, descriptor, place, None)
    }

    /// Says which digest the upload has, and sends all of it or what is left: nothing.
    fn finish(
        &self,
        access: &Access,
        descriptor: &Descriptor,
        place: &Url,
        body: Option<(&mut dyn Source, u64)>,
    ) -> Result<()> {
        let url = place.clone().with("digest", descriptor.digest.as_str());
        // Sent once: what broke off may be done, so that it is begun anew.
        let request =
            Request::new(Method::PUT, url).header("content-type", "application/octet-stream").once();
        let answer = self.send(access, &request, body)?;
        if answer.status() >= 500 {
            let refused = refusal(answer);
            return Err(Error::transient(refused.kind(), refused));
        }
        if !answer.is_success() {
            return Err(refusal(answer));
        }
        let algorithm = descriptor.digest.algorithm();
        match said_digest(&answer)?.filter(|said| said.algorithm() == algorithm && *said != descriptor.digest)
        {
            Some(said) => Err(Error::new(Kind::Content, format_args!("the registry has {said}"))),
            None => Ok(()),
        }
    }
}

/// Where an upload goes on.
fn location(answer: &Response) -> Result<Url> {
    let location = answer.header("location");
    let location =
        location.ok_or_else(|| Error::new(Kind::Content, "the registry doesn't say where to send it"))?;
    let next = answer.url().join(location)?;
    match answer.url().is_https() && !next.is_https() {
        true => Err(Error::new(
            Kind::Insecure,
            format_args!("the upload is to go to {next}, which has no TLS: refused"),
        )),
        false => Ok(next),
    }
}

/// How many bytes of an upload the registry has: `0-99` are 100.
fn received(answer: &Response) -> Option<u64> {
    let range = answer.header("range")?;
    let end: u64 = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?.parse().ok()?;
    Some(if end == 0 { 0 } else { end + 1 })
}
