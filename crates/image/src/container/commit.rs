//! `commit`: an image out of what a container was made from and what it changed. `import`: one out of a tar archive.

use super::Container;
use crate::config::print;
use crate::failure::Failure;
use crate::images::store;
use crate::pack::{Form, Packer};
use crate::store::{Image, Incoming, Store};
use flate2::Compression;
use flate2::write::GzEncoder;
use forgeone_cli::{Call, Values};
use forgeone_distribution::{Algorithm, Content, Descriptor, Digest, Hasher, Reference, media_type};
use forgeone_runtime::clock;
use forgeone_sys::{AsFd, OwnedFd};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Write};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// `commit [NAME]`: prints the new image's id.
pub(super) fn commit(container: &Container, call: &Call, global: &Values) -> Result<(), Failure> {
    let name = name(call, 0)?;
    let store = store(global)?;
    let of = container.record.image.as_ref().map(|image| store.find(&image.digest)).transpose()?;
    let (mut config, mut layers) = match &of {
        Some(image) => existing(&store, image)?,
        None => (Map::new(), Vec::new()),
    };
    let (layer, diff_id) = match of {
        Some(_) => match container.changes()? {
            Some(found) => pack(&store, &found.changes, Form::Changes)?,
            None => return Err(Failure::new("it has never run, so it has changed nothing")),
        },
        // What has no image becomes one whole.
        None => {
            let (root, _mounted) = container.look()?;
            pack(&store, &root, Form::Whole)?
        }
    };
    layers.push(layer);
    change(&mut config, call)?;
    keep(&store, config, layers, &diff_id, call, "forgeone commit", name.as_ref())
}

/// `import FILE [NAME]`: prints the image's id.
pub(crate) fn import(call: &Call, global: &Values) -> Result<(), Failure> {
    let (file, name) = (call.text(0)?, name(call, 1)?);
    let store = store(global)?;
    let mut incoming = store.incoming()?;
    match file {
        "-" => incoming.take_in(io::stdin().lock())?,
        file => {
            let opened = File::open(file).map_err(|e| Failure::new(format_args!("{file}: {e}")))?;
            incoming.take_in(opened)?;
        }
    }
    let taken = (|| {
        let mut layer = incoming.finish(LAYER, |_| Ok(()))?;
        let diff_id = store.unpack_archive(store.blob(&layer.digest)?)?;
        if diff_id != layer.digest {
            // Readers tell the compression by the content; the name says that there is one.
            layer.media_type = format!("{LAYER}+gzip");
            if !is_gzip(&store, &layer)? {
                layer = compressed(&store, &layer)?;
            }
        }
        let mut config = Map::new();
        change(&mut config, call)?;
        keep(&store, config, vec![layer], &diff_id, call, "forgeone import", name.as_ref())
    })();
    taken.inspect_err(|_| store.tidy()).map_err(|failure| failure.during(file))
}

fn is_gzip(store: &Store, layer: &Descriptor) -> Result<bool, Failure> {
    use std::io::Read;
    let mut start = [0; 2];
    let read = store.blob(&layer.digest)?.read(&mut start).map_err(Failure::new)?;
    Ok(start[..read] == [0x1f, 0x8b])
}

/// The same layer by gzip, which every other program reads.
fn compressed(store: &Store, layer: &Descriptor) -> Result<Descriptor, Failure> {
    let mut content = crate::compression::reader(store.blob(&layer.digest)?).map_err(Failure::new)?;
    let mut out = GzEncoder::new(store.incoming()?, Compression::fast());
    io::copy(&mut content, &mut out).map_err(Failure::new)?;
    let incoming = out.finish().map_err(Failure::new)?;
    incoming.finish(&format!("{LAYER}+gzip"), |_| Ok(()))
}

fn name(call: &Call, index: usize) -> Result<Option<Reference>, Failure> {
    if call.words.len() <= index {
        return Ok(None);
    }
    let word = call.text(index)?;
    let name: Reference = word.parse().map_err(|e| Failure::new(format_args!("name {word:?}: {e}")))?;
    match name.digest() {
        Some(_) => Err(Failure::new(format_args!("name {word:?}: a digest can't be given; leave @… out"))),
        None => Ok(Some(name)),
    }
}

/// The config and the layers of the image that a container was made from.
fn existing(store: &Store, image: &Image) -> Result<(Map<String, Value>, Vec<Descriptor>), Failure> {
    let (manifest, config) = store.manifest(image)?;
    let config = serde_json::from_slice(&store.document(&config.digest)?).map_err(Failure::new)?;
    Ok((config, manifest.layers.unwrap_or_default()))
}

/// Both ends of a layer that is being written: hashed as it is, kept compressed.
struct Layer<'s> {
    hasher: Hasher,
    out: GzEncoder<Incoming<'s>>,
}

impl Write for Layer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A tree as a layer of the store: its descriptor and its diff ID.
fn pack(store: &Store, tree: &OwnedFd, form: Form) -> Result<(Descriptor, Digest), Failure> {
    let out = GzEncoder::new(store.incoming()?, Compression::fast());
    let layer = Layer { hasher: Hasher::new(Algorithm::Sha256), out };
    let mut packer = Packer::new(layer, form);
    packer.tree(tree.as_fd())?;
    let Layer { hasher, out } = packer.finish()?;
    let incoming = out.finish().map_err(Failure::new)?;
    Ok((incoming.finish(&format!("{LAYER}+gzip"), |_| Ok(()))?, hasher.finish()))
}

/// Makes `--change` true, each an instruction of a Dockerfile.
fn change(config: &mut Map<String, Value>, call: &Call) -> Result<(), Failure> {
    let object = config.entry("config").or_insert_with(|| json!({}));
    if object.is_null() {
        *object = json!({});
    }
    let Some(object) = object.as_object_mut() else {
        return Err(Failure::new("the image's config is no object"));
    };
    for change in call.flags.texts("change")? {
        let wrong = || {
            Failure::new(format_args!(
                "option --change {change:?}: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR can be changed: \
                --change 'CMD [\"/bin/sh\"]'"
            ))
        };
        let (word, value) = change.split_once([' ', '=']).ok_or_else(wrong)?;
        let value = value.trim();
        match word.to_ascii_uppercase().as_str() {
            "CMD" => drop(object.insert("Cmd".into(), command(value).ok_or_else(wrong)?)),
            "ENTRYPOINT" => drop(object.insert("Entrypoint".into(), command(value).ok_or_else(wrong)?)),
            "USER" => drop(object.insert("User".into(), value.into())),
            "WORKDIR" => drop(object.insert("WorkingDir".into(), value.into())),
            "STOPSIGNAL" => drop(object.insert("StopSignal".into(), value.into())),
            "EXPOSE" => put(object, "ExposedPorts", value, json!({})),
            "VOLUME" => put(object, "Volumes", value, json!({})),
            "LABEL" => {
                let (name, value) = value.split_once('=').ok_or_else(wrong)?;
                put(object, "Labels", name, value.into());
            }
            "ENV" => {
                let (name, _) = value.split_once('=').ok_or_else(wrong)?;
                let list = object.entry("Env").or_insert_with(|| json!([]));
                let list = list.as_array_mut().ok_or_else(wrong)?;
                let same = |old: &Value| old.as_str().and_then(|old| old.split('=').next()) == Some(name);
                list.retain(|old| !same(old));
                list.push(value.into());
            }
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

/// A list as JSON, or a line for the shell.
fn command(value: &str) -> Option<Value> {
    match value.starts_with('[') {
        true => serde_json::from_str::<Vec<String>>(value).ok().map(Value::from),
        false => Some(json!(["/bin/sh", "-c", value])),
    }
}

fn put(object: &mut Map<String, Value>, field: &str, name: &str, value: Value) {
    if let Some(map) = object.entry(field).or_insert_with(|| json!({})).as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// Makes the image, unpacks what of it isn't, and gives it its name.
fn keep(
    store: &Store,
    mut config: Map<String, Value>,
    layers: Vec<Descriptor>,
    diff_id: &Digest,
    call: &Call,
    by: &str,
    name: Option<&Reference>,
) -> Result<(), Failure> {
    let (now, here) = (clock::now(), crate::image::host());
    config.entry("architecture").or_insert_with(|| here.architecture.into());
    config.entry("os").or_insert_with(|| here.os.into());
    config.insert("created".into(), now.clone().into());
    if let Some(author) = call.flags.text("author")? {
        config.insert("author".into(), author.into());
    }
    let mut entry = json!({ "created": now, "created_by": by });
    if let Some(message) = call.flags.text("message")? {
        entry["comment"] = message.into();
    }
    let wrong = || Failure::new("the image's config is damaged");
    let history = config.entry("history").or_insert_with(|| json!([])).as_array_mut();
    history.ok_or_else(wrong)?.push(entry);
    let rootfs = config.entry("rootfs").or_insert_with(|| json!({ "type": "layers", "diff_ids": [] }));
    rootfs["diff_ids"].as_array_mut().ok_or_else(wrong)?.push(diff_id.as_str().into());
    let bytes = serde_json::to_vec(&config).map_err(Failure::new)?;
    let known = crate::image::Config::parse(&bytes)?;
    let mut manifest = Content::of_type(media_type::MANIFEST);
    let config = Descriptor::of(CONFIG, &bytes);
    store.copy(&config, &bytes[..])?;
    let unpacked = store.unpack(&layers, &known)?;
    manifest.config = Some(config.clone());
    manifest.layers = Some(layers);
    let bytes = manifest.to_bytes().map_err(Failure::new)?;
    let descriptor = Descriptor::of(media_type::MANIFEST, &bytes);
    store.copy(&descriptor, &bytes[..])?;
    store.add(descriptor, name, unpacked)?;
    print(&format!("{}\n", config.digest))
}
