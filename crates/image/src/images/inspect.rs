//! `image inspect` and `image history`, with the names that Docker's and Podman's JSON have.

use super::{list, store};
use crate::config::print;
use crate::failure::Failure;
use crate::store::{Image, Store};
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, Values, human};
use forgeone_distribution::Reference;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A config with what is shown of it alone.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    history: Vec<Step>,
}

/// How a layer was made (image specification, "history").
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Step {
    created: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    empty_layer: bool,
}

pub(super) fn inspect(call: &Call, global: &Values) -> Result<(), Failure> {
    let format = Format::parse(call.flags.text("format")?)?;
    let store = store(global)?;
    let shown = |word| shown(&store, &store.find(word)?);
    let images: Vec<Value> = call.texts()?.into_iter().map(shown).collect::<Result<_, _>>()?;
    print(&match format {
        Format::Table => show::pretty(&Value::Array(images))?,
        format => show::rows(
            &format,
            &[],
            &images.into_iter().map(|image| (Vec::new(), image)).collect::<Vec<_>>(),
        )?,
    })
}

/// All that is known of an image.
fn shown(store: &Store, image: &Image) -> Result<Value, Failure> {
    let (manifest, descriptor) = store.manifest(image)?;
    let bytes = store.document(&descriptor.digest)?;
    let config = crate::image::Config::parse(&bytes)?;
    let shown: Shown = read(&bytes)?;
    let same = |other: &Image| other.manifest.digest == image.manifest.digest;
    let names: Vec<Reference> =
        store.images()?.into_iter().filter(same).filter_map(|image| image.name).collect();
    let tags = names.iter().filter(|name| name.digest().is_none()).map(Reference::to_string);
    let mut digests: Vec<String> = names
        .iter()
        .map(|name| match name.digest() {
            Some(_) => name.to_string(),
            None => name.repository().with_digest(&image.manifest.digest).to_string(),
        })
        .collect();
    digests.dedup();
    Ok(json!({
        "Id": descriptor.digest,
        "Digest": image.manifest.digest,
        "RepoTags": tags.collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Created": config.created,
        "Author": shown.author,
        "Os": config.platform.os,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Size": image.unpacked(),
        "ManifestType": image.manifest.media_type,
        "Config": shown.config,
        "RootFS": { "Type": "layers", "Layers": config.rootfs.diff_ids },
        "Layers": manifest.layers,
    }))
}

pub(super) fn history(call: &Call, global: &Values) -> Result<(), Failure> {
    let format = Format::parse(call.flags.text("format")?)?;
    let store = store(global)?;
    let image = store.find(call.text(0)?)?;
    let whole = call.flags.switch("no-trunc");
    let row = |(step, size): &(Step, u64)| {
        let by = step.created_by.as_deref().unwrap_or_default();
        let cells = vec![
            list::told(step.created.as_deref()),
            line(by, whole),
            human::size(*size),
            line(step.comment.as_deref().unwrap_or_default(), whole),
        ];
        let value = json!({ "Created": step.created, "CreatedBy": step.created_by, "Size": size, "Comment": step.comment });
        (cells, value)
    };
    let rows: Vec<_> = steps(&store, &image)?.iter().map(row).collect();
    print(&show::rows(&format, &["CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows)?)
}

/// The steps that made an image, the last first, each with what its layer takes, in bytes.
fn steps(store: &Store, image: &Image) -> Result<Vec<(Step, u64)>, Failure> {
    let bytes = store.document(&store.manifest(image)?.1.digest)?;
    let diff_ids = crate::image::Config::parse(&bytes)?.rootfs.diff_ids;
    let mut sizes = diff_ids.iter().map(|diff_id| store.unpacked(diff_id).unwrap_or(0));
    let told = read::<Shown>(&bytes)?.history;
    let mut steps: Vec<_> = told
        .into_iter()
        .map(|step| {
            let size = if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) };
            (step, size)
        })
        .collect();
    // Layers that no step tells of.
    steps.extend(sizes.map(|size| (Step::default(), size)));
    steps.reverse();
    Ok(steps)
}

fn read<T: for<'de> Deserialize<'de>>(config: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(config).map_err(|e| Failure::new(format_args!("it is no image's config: {e}")))
}

/// Foreign text in a table: in a line, and not too long.
fn line(text: &str, whole: bool) -> String {
    const LENGTH: usize = 45;
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match whole || plain.chars().count() <= LENGTH {
        true => plain,
        false => plain.chars().take(LENGTH - 1).chain(['…']).collect(),
    }
}
