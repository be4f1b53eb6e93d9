//! Mounts and volumes of a service, in their short and their long form.

use super::super::part::{full, Losses, Part};
use super::super::units::docker_bytes;
use super::Shared;
use crate::{ContainerConfig, Mount, MountType, Volume};
use serde_json::{json, Map, Value};

/// Options of bind mounts that are carried over as they are.
const BIND_OPTIONS: [&str; 8] = ["private", "rprivate", "shared", "rshared", "slave", "rslave", "z", "Z"];

pub(super) fn read(part: &mut Part, shared: &Shared, config: &mut ContainerConfig) {
    let losses = part.losses();
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    for (path, item) in part.items("volumes").unwrap_or_default() {
        let mount = match item {
            Value::String(text) => short_mount(&text, &path, losses),
            value => long_mount(Part::new(path.clone(), value, losses)),
        };
        match mount {
            Some(mount)
                if mount.mount_type == MountType::Volume && !mount.read_only && mount.options.is_none() =>
            {
                let known = shared.volumes.get(&mount.source).cloned();
                let known = known.unwrap_or_else(|| Volume { name: mount.source, ..Volume::default() });
                volumes.push(Volume { path: mount.destination, ..known });
            }
            mount => mounts.extend(mount),
        }
    }
    for text in part.texts("tmpfs").unwrap_or_default() {
        let (destination, options) = text.split_once(':').unwrap_or((&text, ""));
        let (only, options): (Vec<_>, Vec<_>) = options
            .split(',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .partition(|word| word == "ro");
        mounts.push(Mount {
            destination: destination.to_owned(),
            mount_type: MountType::Tmpfs,
            options: (!options.is_empty()).then_some(options),
            read_only: !only.is_empty(),
            source: String::new(),
        });
    }
    config.mounts = (!mounts.is_empty()).then_some(mounts);
    config.volumes = (!volumes.is_empty()).then_some(volumes);
}

/// `SOURCE:TARGET:OPTIONS`.
fn short_mount(text: &str, path: &str, losses: &Losses) -> Option<Mount> {
    let words: Vec<_> = text.split(':').collect();
    let (source, destination, options) = match words.as_slice() {
        [source, destination] => (*source, *destination, ""),
        [source, destination, options] => (*source, *destination, *options),
        [_] => {
            losses.add(path, "a volume without a name: give it one");
            return None;
        }
        _ => {
            losses.add(path, format!("{text:?} isn't SOURCE:TARGET:OPTIONS"));
            return None;
        }
    };
    let bind = source.starts_with(['/', '.', '~']);
    let mut mount = Mount {
        source: source.to_owned(),
        destination: destination.to_owned(),
        mount_type: if bind { MountType::Bind } else { MountType::Volume },
        ..Mount::default()
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => {}
            option if bind && BIND_OPTIONS.contains(&option) => {
                mount.options.get_or_insert_default().push(option.to_owned());
            }
            option => losses.add(path, format!("a configuration has nothing like the option {option:?}")),
        }
    }
    Some(mount)
}

fn long_mount(mut part: Part) -> Option<Mount> {
    let mut mount = Mount {
        source: part.text("source").unwrap_or_default(),
        destination: part.text("target").unwrap_or_default(),
        read_only: part.boolean("read_only").unwrap_or_default(),
        ..Mount::default()
    };
    let mut options = Vec::new();
    match part.text("type").as_deref() {
        Some("bind") => {
            if let Some(mut bind) = part.part("bind") {
                bind.ignore(&["create_host_path"]);
                options.extend(bind.text("propagation"));
                options.extend(bind.text("selinux"));
            }
        }
        Some("volume") if mount.source.is_empty() => {
            part.lose("source", "a volume without a name: give it one");
            return None;
        }
        Some("volume") => mount.mount_type = MountType::Volume,
        Some("tmpfs") => {
            mount.mount_type = MountType::Tmpfs;
            if let Some(mut tmpfs) = part.part("tmpfs") {
                options.extend(tmpfs.read("size", docker_bytes).map(|size| format!("size={size}")));
                options.extend(tmpfs.text("mode").map(|mode| format!("mode={mode}")));
            }
        }
        _ => {
            part.lose("type", "it is none of bind, volume and tmpfs");
            return None;
        }
    }
    mount.options = (!options.is_empty()).then_some(options);
    Some(mount)
}

/// The same in volumes and what `tmpfs` has.
pub(super) fn write(config: &ContainerConfig, prefix: &str, losses: &Losses) -> (Vec<Value>, Vec<String>) {
    let (mut volumes, mut tmpfs) = (Vec::new(), Vec::new());
    for (at, mount) in config.mounts.iter().flatten().enumerate() {
        let path = format!("{prefix}mounts[{at}]");
        let mut options = mount.options.clone().unwrap_or_default();
        match mount.mount_type {
            MountType::Tmpfs => {
                if mount.read_only {
                    options.push("ro".to_owned());
                }
                let options =
                    if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
                tmpfs.push(format!("{}{options}", mount.destination));
                continue;
            }
            MountType::Custom => {
                losses.add(path, format!("there are no mounts of type {:?}", mount.source));
                continue;
            }
            MountType::Bind | MountType::Volume => {}
        }
        let bind = mount.mount_type == MountType::Bind;
        let mut about = Map::new();
        for option in options {
            match option.as_str() {
                "z" | "Z" if bind => drop(about.insert("selinux".to_owned(), option.into())),
                known if bind && BIND_OPTIONS.contains(&known) => {
                    drop(about.insert("propagation".to_owned(), option.into()))
                }
                _ => losses.add(format!("{path}.options"), format!("{option:?} can't be said there")),
            }
        }
        let kind = if bind { "bind" } else { "volume" };
        let read_only = mount.read_only.then_some(true);
        volumes.push(full(json!({
            "type": kind, "source": mount.source, "target": mount.destination, "read_only": read_only, "bind": about,
        })));
    }
    for volume in config.volumes.iter().flatten() {
        volumes.push(json!({ "type": "volume", "source": volume.name, "target": volume.path }));
    }
    (volumes, tmpfs)
}
