//! `volume`: named directories that outlive containers.

use crate::here::Here;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, output, usage};
use forgeone_runtime::Result;
use forgeone_runtime::registry::{Volume, Volumes};
use serde_json::{Value, json};

pub(super) fn run(here: &Here, call: &Call) -> Result<u8> {
    let volumes = Volumes::of(here.register.places());
    match call.command.name {
        "volume create" => create(&volumes, call)?,
        "volume ls" => list(&volumes, call)?,
        "volume inspect" => inspect(&volumes, call)?,
        "volume rm" => {
            super::remove_each(call, |name| volumes.remove(name).map(|()| name.to_owned()))?;
        }
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
    let flags = &call.flags;
    let volume = volumes.create(name, flags.text("driver")?, &flags.pairs("opt")?, &flags.pairs("label")?)?;
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
