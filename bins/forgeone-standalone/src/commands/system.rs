//! `system`: what everything takes, and removing what isn't used.

use super::stats::machine_memory;
use crate::here::Here;
use crate::show::{self, Format};
use forgeone_cli::human::size;
use forgeone_cli::{Call, output, wants_json};
use forgeone_runtime::monitor::State;
use forgeone_runtime::registry::{Removal, Volumes};
use forgeone_runtime::{Error, Kind, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

pub(super) fn df(here: &Here, call: &Call) -> Result<u8> {
    let format = if wants_json(call)? { Format::Json } else { Format::Table };
    let places = here.register.places();
    let containers = here.all()?;
    let active = containers.iter().filter(|container| super::is_active(container).unwrap_or(false)).count();
    let volumes = Volumes::of(places);
    let all = volumes.list()?;
    let used =
        all.iter().filter(|volume| volumes.users(&volume.name).is_ok_and(|users| !users.is_empty())).count();
    let images = fs::read_dir(places.data_root.join("images/blobs/sha256")).map_or(0, Iterator::count);
    let row = |kind: &str, count: usize, active: usize, directory: &str| {
        let bytes = disk_usage(&places.data_root.join(directory));
        let cells = vec![kind.to_owned(), count.to_string(), active.to_string(), size(bytes)];
        (cells, json!({ "Type": kind, "Total": count, "Active": active, "Size": bytes }))
    };
    let rows = [
        row("Image blobs", images, images, "images"),
        row("Containers", containers.len(), active, "containers"),
        row("Volumes", all.len(), used, "volumes"),
    ];
    output::print(&show::rows(&format, &["TYPE", "TOTAL", "ACTIVE", "SIZE"], &rows)?)?;
    Ok(0)
}

/// What is on the disk below a directory, in bytes: links that are hard once, other file systems not at all.
fn disk_usage(root: &Path) -> u64 {
    let Ok(top) = fs::symlink_metadata(root) else { return 0 };
    let (mut sum, mut seen, mut open) = (0, BTreeSet::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != top.dev()
                || (metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert(metadata.ino()))
            {
                continue;
            }
            sum += metadata.blocks() * 512;
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    sum
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
