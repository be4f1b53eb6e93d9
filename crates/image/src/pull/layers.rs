//! The layers of an image, several at once: fetched into a file, which is unpacked while it grows.

use super::follow::{Followed, Writer};
use super::{Broken, Pull};
use crate::image::Config;
use crate::parallel;
use crate::progress::Progress;
use crate::store::{Begun, Made};
use forgeone_distribution::{Descriptor, Digest};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// How many come at once.
const AT_ONCE: usize = 4;

impl Pull<'_> {
    /// Fetches and unpacks what is missing; what all take, in bytes.
    pub(super) fn layers(&self, layers: &[Descriptor], config: &Config) -> Result<u64, Broken> {
        let layers = config.layers(layers);
        layers.iter().for_each(|(layer, _)| self.progress.expect(layer.size));
        let made = parallel::each(&layers, AT_ONCE, |(layer, diff_id)| self.layer(layer, diff_id))?;
        self.store.settle(made.into_iter().flatten().collect())?;
        Ok(self.store.size(config)?)
    }

    /// Nothing if it is unpacked already.
    fn layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<Option<Made>, Broken> {
        if let Some(begun) = self.store.begin(layer)? {
            return self.fetch(begun, layer, diff_id);
        }
        self.progress.add(layer.size);
        if self.store.unpacked(diff_id).is_some() {
            return Ok(None);
        }
        let made = self.store.blob(&layer.digest).and_then(|blob| self.store.make_layer(diff_id, blob));
        Ok(made.map(Some).map_err(|failure| failure.during(format_args!("layer {}", layer.digest)))?)
    }

    /// Fetches the rest of a layer. What came before may be damaged, if the machine went down: then all of it, once.
    fn fetch(&self, begun: Begun, layer: &Descriptor, diff_id: &Digest) -> Result<Option<Made>, Broken> {
        let known = self.known(&begun)?;
        match self.fetch_from(&begun, known, layer, diff_id) {
            Ok(made) => {
                begun.finish(&layer.digest)?;
                Ok(made)
            }
            Err(broken) if broken.later => Err(broken),
            Err(_) if known > 0 => {
                begun.file().set_len(0).map_err(unreadable)?;
                self.fetch(begun, layer, diff_id)
            }
            Err(broken) => {
                begun.discard();
                Err(broken)
            }
        }
    }

    fn known(&self, begun: &Begun) -> Result<u64, Broken> {
        Ok(begun.file().metadata().map_err(unreadable)?.len())
    }

    fn fetch_from(
        &self,
        begun: &Begun,
        known: u64,
        layer: &Descriptor,
        diff_id: &Digest,
    ) -> Result<Option<Made>, Broken> {
        let (file, followed) = (begun.file(), Followed::of(known));
        let mut before = file;
        before.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let unpack = || self.store.make_layer(diff_id, followed.reader(file));
        std::thread::scope(|scope| {
            let wanted = self.store.unpacked(diff_id).is_none();
            let unpacking = wanted.then(|| scope.spawn(unpack));
            self.progress.add(known);
            let mut out = Counted { out: followed.writer(file), progress: self.progress };
            let mut before = before.take(known);
            let repository = self.source.repository();
            let came = self.client.rest_of_blob(repository, layer, &mut before, &mut out);
            followed.end(came.is_ok());
            let made = unpacking.map(|thread| thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            // Bytes that aren't the layer's can't be unpacked, either.
            came?;
            let made = made.transpose();
            Ok(made.map_err(|failure| failure.during(format_args!("layer {}", layer.digest)))?)
        })
    }
}

/// Tells what comes.
struct Counted<'p> {
    out: Writer<'p>,
    progress: &'p Progress,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.progress.add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn unreadable(error: io::Error) -> Broken {
    crate::failure::Failure::new(format_args!("store: {error}")).into()
}
