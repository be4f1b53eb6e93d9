//! `system`: what everything takes, and removing what isn't used.

use super::stats::machine_memory;
use crate::here::Here;
use forgeone_cli::human::size;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, output, wants_json};
use forgeone_runtime::monitor::State;
use forgeone_runtime::registry::{Places, Removal, Volumes, disk_usage};
use forgeone_runtime::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) fn df(here: &Here, call: &Call) -> Result<u8> {
    let format = Format::parse(call.flags.text("format")?)?;
    let places = here.register.places();
    let images = images(places)?;
    let containers = here.all()?;
    let (active, ended): (Vec<_>, Vec<_>) =
        containers.iter().partition(|container| super::is_active(container).unwrap_or(true));
    let volumes = Volumes::of(places);
    let all = volumes.list()?;
    let (used, unused): (Vec<_>, Vec<_>) =
        all.iter().partition(|volume| volumes.users(&volume.name).map_or(true, |users| !users.is_empty()));
    let rows = [
        row("Images", images),
        row(
            "Containers",
            Usage {
                total: containers.len(),
                active: active.len(),
                size: disk_usage([places.data_root.join("containers")]),
                reclaimable: disk_usage(ended.iter().map(|container| container.dir())),
            },
        ),
        row(
            "Volumes",
            Usage {
                total: all.len(),
                active: used.len(),
                size: disk_usage([places.data_root.join("volumes")]),
                reclaimable: disk_usage(unused.iter().map(|volume| volumes.directory(&volume.name))),
            },
        ),
    ];
    let titles = ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"];
    output::print(&show::rows(&format, &titles, &rows)?)?;
    Ok(0)
}

/// What there is of a kind.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    total: usize,
    /// How many of them are used.
    active: usize,
    /// Bytes.
    size: u64,
    /// Bytes that what isn't used takes.
    reclaimable: u64,
}

fn row(kind: &str, usage: Usage) -> (Vec<String>, Value) {
    let Usage { total, active, size: bytes, reclaimable } = usage;
    let share = reclaimable.saturating_mul(100).checked_div(bytes).unwrap_or(0).min(100);
    let free = format!("{} ({share}%)", size(reclaimable));
    let cells = vec![kind.to_owned(), total.to_string(), active.to_string(), size(bytes), free];
    let value =
        json!({ "Type": kind, "Total": total, "Active": active, "Size": bytes, "Reclaimable": reclaimable });
    (cells, value)
}

/// Of images, which forgeone-image knows.
fn images(places: &Places) -> Result<Usage> {
    let failed = |e: &dyn std::fmt::Display| {
        Error::new(Kind::System, format!("execute {}: {e}", places.image_helper.display()))
    };
    let mut command = Command::new(&places.image_helper);
    command.arg("usage").arg("--data-root").arg(&places.data_root).stdin(Stdio::null());
    let output = command.output().map_err(|e| failed(&e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(Kind::System, said.trim().trim_start_matches("forgeone: ")));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| failed(&e))
}

pub(super) fn info(here: &Here, call: &Call) -> Result<u8> {
    let places = here.register.places();
    let containers = here.all()?;
    let state = |state: State| {
        containers.iter().filter(|c| c.status().is_ok_and(|status| status.state == state)).count()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" };
    let info = json!({
        "Version": forgeone_cli::VERSION, "DataRoot": places.data_root, "StateRoot": places.state_root,
        "Containers": containers.len(), "Running": state(State::Running), "Paused": state(State::Paused),
        "Stopped": state(State::Exited), "Kernel": kernel.trim(), "Cgroups": version,
        "CPUs": std::thread::available_parallelism().map_or(1, usize::from), "Memory": machine_memory(),
        "Programs": { "Door": places.door, "Image": places.image_helper, "Monitor": places.monitor },
    });
    if wants_json(call)? {
        output::print(&show::pretty(&info)?)?;
        return Ok(0);
    }
    let mut text = String::new();
    if let Value::Object(map) = &info {
        for (key, value) in map {
            match value {
                Value::Object(inner) => {
                    inner.iter().for_each(|(key, value)| text.push_str(&line(key, value)))
                }
                value => text.push_str(&line(key, value)),
            }
        }
    }
    output::print(&text)?;
    Ok(0)
}

fn line(key: &str, value: &Value) -> String {
    format!("{key:<11} {}\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Containers that have ended, then images, then volumes.
pub(super) fn prune(here: &Here, call: &Call) -> Result<u8> {
    let flags = &call.flags;
    for container in here.all()? {
        let ended = matches!(container.status()?.state, State::Exited | State::Created);
        if ended {
            let id = container.id().to_owned();
            container.remove(Removal::default())?;
            output::print(&format!("{id}\n"))?;
        }
    }
    if flags.switch("volumes") {
        for name in Volumes::of(here.register.places()).prune(true)? {
            output::print(&format!("{name}\n"))?;
        }
    }
    let places = here.register.places();
    let mut command = Command::new(&places.image_helper);
    command.arg("--data-root").arg(&places.data_root).args(["image", "prune"]);
    if flags.switch("all") {
        command.arg("--all");
    }
    let status = command
        .status()
        .map_err(|e| Error::new(Kind::System, format!("execute {}: {e}", places.image_helper.display())))?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}
