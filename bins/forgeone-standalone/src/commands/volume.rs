//! `volume`: named directories that outlive containers.

use crate::here::Here;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, output, usage};
use forgeone_runtime::registry::{Volume, Volumes};
use forgeone_runtime::{Error, Kind, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn run(here: &Here, call: &Call) -> Result<u8> {
    let volumes = Volumes::of(here.register.places());
    match call.command.name {
        "volume create" => create(&volumes, call)?,
        "volume ls" => list(&volumes, call)?,
        "volume inspect" => inspect(&volumes, call)?,
        "volume rm" => remove(&volumes, call)?,
        "volume prune" => {
            for name in volumes.prune(true)? {
                output::print(&format!("{name}\n"))?;
            }
        }
        _ => return Err(usage("no such command")),
    }
    Ok(0)
}

fn create(volumes: &Volumes, call: &Call) -> Result<()> {
    let name = call.words.first().map(|_| call.text(0)).transpose()?;
    let pairs = |option: &str| -> Result<BTreeMap<String, String>> {
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Ok(call.flags.texts(option)?.into_iter().map(pair).collect())
    };
    let volume = volumes.create(name, call.flags.text("driver")?, &pairs("opt")?, &pairs("label")?)?;
    output::print(&format!("{}\n", volume.name))
}

fn list(volumes: &Volumes, call: &Call) -> Result<()> {
    let format = Format::parse(call.flags.text("format")?)?;
    let all = volumes.list()?;
    if call.flags.switch("quiet") {
        let names: String = all.iter().map(|volume| format!("{}\n", volume.name)).collect();
        return output::print(&names);
    }
    let row = |volume: &Volume| (vec![volume.driver.clone(), volume.name.clone()], shown(volumes, volume));
    let rows: Vec<_> = all.iter().map(row).collect();
    output::print(&show::rows(&format, &["DRIVER", "VOLUME NAME"], &rows)?)
}

fn inspect(volumes: &Volumes, call: &Call) -> Result<()> {
    let found = call.texts()?.into_iter().map(|name| Ok(shown(volumes, &volumes.find(name)?)));
    output::print(&show::pretty(&Value::Array(found.collect::<Result<_>>()?))?)
}

/// As Docker's users know it.
fn shown(volumes: &Volumes, volume: &Volume) -> Value {
    json!({
        "Name": volume.name, "Driver": volume.driver, "Mountpoint": volumes.directory(&volume.name),
        "CreatedAt": volume.created, "Labels": volume.labels, "Options": volume.options, "Scope": "local",
        "Anonymous": volume.anonymous,
    })
}

fn remove(volumes: &Volumes, call: &Call) -> Result<()> {
    let mut failures = Vec::new();
    for name in call.texts()? {
        match volumes.remove(name) {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(e) if e.kind() == Kind::NotFound && call.flags.switch("force") => {}
            Err(e) => failures.push(e),
        }
    }
    Error::all(failures).map_or(Ok(()), Err)
}
