//! Files of the Compose specification: each service is a configuration. `docker run` goes through here, too, since it has
//! the same nouns.

mod host;
mod mounts;
mod network;
mod service;

use super::part::{full, Losses, Part};
use super::variables::Variables;
use crate::{
    ContainerConfig, Error, Kind, MountType, NetworkConfig, Result, Secret, Volume, DEFAULT_NETWORK,
};
pub(super) use host::lose as lose_host;
use serde_json::{json, Map, Value};
pub(super) use service::lose_own;
use std::collections::HashMap;

/// What a file has beside its services.
#[derive(Default)]
struct Shared {
    volumes: HashMap<String, Volume>,
    secrets: HashMap<String, Secret>,
}

/// The services of a file, in order.
pub(super) fn import(
    mut tree: Value,
    variables: &Variables,
    losses: &Losses,
) -> Result<Vec<ContainerConfig>> {
    if let Value::Object(file) = &mut tree {
        // Compose reads nothing there; what is used of it stands where its anchors are.
        file.retain(|key, _| !key.starts_with("x-"));
    }
    services(variables.fill(tree, losses)?, losses)
}

/// The same of a tree in which `$` is no more than that.
pub(super) fn services(tree: Value, losses: &Losses) -> Result<Vec<ContainerConfig>> {
    if !tree.get("services").is_some_and(Value::is_object) {
        let message = "it has no services: it is no Compose file".to_owned();
        return Err(Error::new(Kind::Content, message));
    }
    let mut file = Part::new("", tree, losses);
    file.ignore(&["version"]);
    let shared = shared(&mut file);
    for (name, mut network) in file.named("networks") {
        // A network that isn't made here is used by its name, as ours are.
        network.ignore(&["external"]);
        drop((name, network));
    }
    let services = file.named("services").into_iter();
    Ok(services.map(|(name, service)| service::read(name, service, &shared)).collect())
}

fn shared(file: &mut Part) -> Shared {
    let mut shared = Shared::default();
    for (name, mut volume) in file.named("volumes") {
        volume.ignore(&["external"]);
        let (driver, options) = (volume.text("driver"), volume.pairs("driver_opts"));
        // Compose puts the project's name before it otherwise.
        let real = volume.text("name").unwrap_or_else(|| name.clone());
        shared.volumes.insert(name, Volume { name: real, path: String::new(), driver, options });
    }
    for (name, mut secret) in file.named("secrets") {
        let (file, environment) = (secret.text("file"), secret.text("environment"));
        shared.secrets.insert(name.clone(), Secret { name, file, environment, target: None });
    }
    shared
}

/// A Compose file of these configurations, each a service.
pub(super) fn export(configs: &[ContainerConfig], losses: &Losses) -> Result<Value> {
    file(configs, losses).map(doubled)
}

/// The same in which `$` is no more than that.
pub(super) fn file(configs: &[ContainerConfig], losses: &Losses) -> Result<Value> {
    let (mut services, mut volumes, mut networks, mut secrets) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    for (at, config) in configs.iter().enumerate() {
        let name = config
            .name
            .clone()
            .unwrap_or_else(|| format!("service{}", if at == 0 { String::new() } else { at.to_string() }));
        let prefix = if configs.len() == 1 { String::new() } else { format!("{name}.") };
        let service = service::write(config, &prefix, losses);
        if services.insert(name.clone(), full(service)).is_some() {
            let message = format!("two configurations have the name {name:?}; give them names of their own");
            return Err(Error::new(Kind::Content, message));
        }
        for volume in config.volumes.iter().flatten() {
            let about = json!({ "driver": volume.driver, "driver_opts": sorted(&volume.options), "name": volume.name });
            volumes.insert(volume.name.clone(), about);
        }
        for mount in config.mounts.iter().flatten().filter(|mount| mount.mount_type == MountType::Volume) {
            volumes.entry(&mount.source).or_insert(json!({ "name": mount.source }));
        }
        for connection in config.network.iter().flat_map(NetworkConfig::connections) {
            if connection.network != DEFAULT_NETWORK {
                networks.insert(connection.network, json!({ "external": true }));
            }
        }
        for secret in config.secrets.iter().flatten() {
            let about = json!({ "file": secret.file, "environment": secret.environment });
            secrets.insert(secret.name.clone(), about);
        }
    }
    let file = json!({ "services": services, "volumes": volumes, "networks": networks, "secrets": secrets });
    Ok(full(file))
}

/// Every `$` written as Compose wants it.
fn doubled(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(items) => items.into_iter().map(doubled).collect(),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, item)| (key, doubled(item))).collect())
        }
        other => other,
    }
}

/// Names and texts in order.
fn sorted(map: &Option<HashMap<String, String>>) -> Value {
    let Some(map) = map else { return Value::Null };
    let map: std::collections::BTreeMap<_, _> = map.iter().collect();
    json!(map)
}
