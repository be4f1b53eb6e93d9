//! Files of the Compose specification: each service is a configuration. `docker run` goes through here, too, since it has
//! the same nouns.

use super::part::{full, Losses, Part};
use super::units::{docker_bytes, split};
use crate::{
    ContainerConfig, Device, Error, HealthCheck, Kind, Mount, MountType, NetworkConfig, NetworkMode,
    PortMapping, PortProtocol, ResourceLimits, Result, Secret, Ulimit, Volume,
};
use serde_json::{json, Map, Value};
use std::collections::HashMap;

/// What a file has beside its services.
#[derive(Default)]
struct Shared {
    volumes: HashMap<String, Volume>,
    secrets: HashMap<String, Secret>,
}

/// The services, in order.
pub(super) fn import(tree: Value, losses: &Losses) -> Result<Vec<ContainerConfig>> {
    if !tree.get("services").is_some_and(Value::is_object) {
        let message = "it has no services: it is no Compose file".to_owned();
        return Err(Error::new(Kind::Content, message));
    }
    let mut file = Part::new("", dollars(tree, "", losses), losses);
    file.ignore(&["version"]);
    let shared = shared(&mut file);
    for (name, mut network) in file.named("networks") {
        // A network that isn't made here is used by its name, as ours are.
        network.ignore(&["external"]);
        drop((name, network));
    }
    let services = file.named("services").into_iter();
    Ok(services.map(|(name, service)| self::service(name, service, &shared)).collect())
}

/// What Compose writes as `$$` is `$`; a variable stays as it is.
fn dollars(value: Value, path: &str, losses: &Losses) -> Value {
    match value {
        Value::String(text) => {
            let plain = text.replace("$$", "");
            if plain.contains('$') {
                losses.add(path, "its variables stay as they are: fill them in (docker compose config does)");
            }
            Value::String(text.replace("$$", "$"))
        }
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(at, item)| dollars(item, &format!("{path}[{at}]"), losses)).collect()
        }
        Value::Object(map) => {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            let item = |(key, item)| {
                let item = dollars(item, &format!("{prefix}{key}"), losses);
                (key, item)
            };
            Value::Object(map.into_iter().map(item).collect())
        }
        other => other,
    }
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

fn service(name: String, mut part: Part, shared: &Shared) -> ContainerConfig {
    let mut config = ContainerConfig {
        name: Some(part.text("container_name").unwrap_or(name)),
        image: part.text("image").unwrap_or_default(),
        env: part.pairs("environment"),
        working_dir: part.text("working_dir"),
        resource_limits: limits(&mut part),
        labels: part.pairs("labels"),
        annotations: part.pairs("annotations"),
        user: part.text("user"),
        group_add: part.texts("group_add"),
        tty: part.boolean("tty"),
        stdin_open: part.boolean("stdin_open"),
        init: part.boolean("init"),
        read_only: part.boolean("read_only"),
        privileged: part.boolean("privileged"),
        cap_add: part.texts("cap_add"),
        cap_drop: part.texts("cap_drop"),
        security_opt: part.texts("security_opt"),
        sysctls: part.pairs("sysctls"),
        ulimits: ulimits(&mut part),
        devices: devices(&mut part),
        secrets: secrets(&mut part, shared),
        shm_size: part.read("shm_size", docker_bytes),
        pid: namespace(&mut part, "pid"),
        ipc: namespace(&mut part, "ipc"),
        restart: part.read("restart", str::parse),
        stop_signal: part.text("stop_signal"),
        stop_grace_period: part.read("stop_grace_period", str::parse),
        healthcheck: part.part("healthcheck").and_then(healthcheck),
        ..ContainerConfig::default()
    };
    program(&mut part, &mut config);
    // After resource_limits, which may say it as well.
    if let Some(pids) = deploy(&mut part, &mut config) {
        config.pids_limit = Some(pids);
    }
    config.pids_limit = part.number("pids_limit").or(config.pids_limit);
    mounts(&mut part, shared, &mut config);
    config.network = network(&mut part);
    config
}

/// Entry point and command: our `command` is one word, what follows it comes before the arguments.
fn program(part: &mut Part, config: &mut ContainerConfig) {
    let mut words = |key: &str| match part.take(key)? {
        Value::String(line) => split(&line).map_err(|reason| part.lose(key, reason)).ok(),
        Value::Array(items) => Some(items.iter().filter_map(super::part::scalar).collect::<Vec<_>>()),
        _ => {
            part.lose(key, "it is neither a text nor a list");
            None
        }
    };
    let (entry, command) = (words("entrypoint"), words("command"));
    config.args = command;
    let Some(mut entry) = entry.filter(|entry| !entry.is_empty()) else { return };
    config.command = Some(entry.remove(0));
    if !entry.is_empty() {
        entry.extend(config.args.take().unwrap_or_default());
        config.args = Some(entry);
    }
}

fn cores(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|cores: &f64| cores.is_finite())
        .ok_or_else(|| format!("{text:?} is no number of CPUs"))
}

fn limits(part: &mut Part) -> Option<ResourceLimits> {
    let disk_bytes = part.part("storage_opt").and_then(|mut options| options.read("size", docker_bytes));
    let limits = ResourceLimits {
        cpu_cores: part.read("cpus", cores),
        memory_bytes: part.read("mem_limit", docker_bytes),
        disk_bytes,
        network_bps: None,
    };
    (limits != ResourceLimits::default()).then_some(limits)
}

/// `deploy.resources.limits`; how many processes there may be.
fn deploy(part: &mut Part, config: &mut ContainerConfig) -> Option<u64> {
    let mut deploy = part.part("deploy")?;
    let mut resources = deploy.part("resources")?;
    let mut found = resources.part("limits")?;
    let limits = config.resource_limits.get_or_insert_default();
    limits.cpu_cores = found.read("cpus", cores).or(limits.cpu_cores);
    limits.memory_bytes = found.read("memory", docker_bytes).or(limits.memory_bytes);
    found.number("pids")
}

fn ulimits(part: &mut Part) -> Option<HashMap<String, Ulimit>> {
    let mut limits = HashMap::new();
    let path = part.at("ulimits");
    let losses = part.losses();
    let value = |number: &str| match number {
        "-1" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let pair = |text: &str| {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        Some(Ulimit { soft: value(soft)?, hard: value(hard)? })
    };
    let found: Vec<(String, String)> = match part.take("ulimits")? {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| match value {
                Value::Object(both) => {
                    let side = |key| both.get(key).and_then(super::part::scalar).unwrap_or_default();
                    (name, format!("{}:{}", side("soft"), side("hard")))
                }
                other => (name, super::part::scalar(&other).unwrap_or_default()),
            })
            .collect(),
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items
                .map(|item| item.split_once('=').unwrap_or((item, "")))
                .map(|(a, b)| (a.into(), b.into()))
                .collect()
        }
        _ => Vec::new(),
    };
    for (name, text) in found {
        match pair(&text) {
            Some(limit) => drop(limits.insert(name, limit)),
            None => losses.add(format!("{path}.{name}"), format!("{text:?} is no limit such as 1024:2048")),
        }
    }
    Some(limits)
}

fn devices(part: &mut Part) -> Option<Vec<Device>> {
    let device = |text: String| {
        let mut words = text.splitn(3, ':').map(str::to_owned);
        let (source, target, permissions) = (words.next().unwrap_or_default(), words.next(), words.next());
        // /dev/x:rwm has no path inside.
        match target {
            Some(target) if !target.starts_with('/') && permissions.is_none() => {
                Device { source, target: None, permissions: Some(target) }
            }
            target => Device { target: target.filter(|target| *target != source), source, permissions },
        }
    };
    Some(part.texts("devices")?.into_iter().map(device).collect())
}

fn secrets(part: &mut Part, shared: &Shared) -> Option<Vec<Secret>> {
    let losses = part.losses();
    let mut secrets = Vec::new();
    for (path, value) in part.items("secrets")? {
        let (name, target) = match value {
            Value::String(name) => (name, None),
            value => {
                let mut secret = Part::new(path.clone(), value, losses);
                (secret.text("source").unwrap_or_default(), secret.text("target"))
            }
        };
        match shared.secrets.get(&name) {
            Some(known) => secrets.push(Secret { target, ..known.clone() }),
            None => losses.add(path, format!("secrets has no {name:?}")),
        }
    }
    Some(secrets)
}

/// Whose processes or objects are seen; another service's name is no container's.
fn namespace(part: &mut Part, key: &str) -> Option<String> {
    part.read(key, |text| match text {
        "private" | "host" => Ok(text.to_owned()),
        _ if text.starts_with("container:") => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is none of private, host and container:NAME")),
    })
}

fn healthcheck(mut part: Part) -> Option<HealthCheck> {
    let disabled = part.boolean("disable") == Some(true);
    let test = match part.take("test") {
        Some(Value::String(line)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
        Some(Value::Array(items)) => {
            let mut words: Vec<_> = items.iter().filter_map(super::part::scalar).collect();
            let kind = if words.is_empty() { String::new() } else { words.remove(0) };
            match kind.as_str() {
                "CMD" => words,
                "CMD-SHELL" => [vec!["/bin/sh".to_owned(), "-c".to_owned()], words].concat(),
                "NONE" => Vec::new(),
                _ => {
                    part.lose("test", "it doesn't begin with CMD, CMD-SHELL or NONE");
                    return None;
                }
            }
        }
        _ if disabled => Vec::new(),
        _ => {
            part.lose("test", "the image's test with other times: name the test");
            return None;
        }
    };
    Some(HealthCheck {
        test: if disabled { Vec::new() } else { test },
        interval: part.read("interval", str::parse),
        timeout: part.read("timeout", str::parse),
        retries: part.read("retries", |text| text.parse().map_err(|_| format!("{text:?} is no number"))),
        start_period: part.read("start_period", str::parse),
    })
}

/// Options of bind mounts that are carried over as they are.
const BIND_OPTIONS: [&str; 8] = ["private", "rprivate", "shared", "rshared", "slave", "rslave", "z", "Z"];

fn mounts(part: &mut Part, shared: &Shared, config: &mut ContainerConfig) {
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

fn network(part: &mut Part) -> Option<NetworkConfig> {
    let mut network = NetworkConfig {
        dns: part.texts("dns"),
        dns_search: part.texts("dns_search"),
        hostname: part.text("hostname"),
        domain_name: part.text("domainname"),
        extra_hosts: hosts(part),
        ports: ports(part),
        ..NetworkConfig::default()
    };
    let mode = part.text("network_mode");
    let named = match part.take("networks") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(super::part::scalar).map(|name| (name, None)).collect()
        }
        Some(Value::Object(map)) => {
            let path = part.at("networks");
            let losses = part.losses();
            map.into_iter()
                .map(|(name, value)| {
                    let mut network = Part::new(format!("{path}.{name}"), value, losses);
                    (name, network.text("ipv4_address").or_else(|| network.text("ipv6_address")))
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let mut named = named.into_iter();
    match mode.as_deref() {
        None => match named.next() {
            Some((name, address)) => {
                // Compose's own default network is a bridge.
                let default = name == "default";
                network.mode = if default { NetworkMode::Bridge } else { NetworkMode::Custom };
                network.name = (!default).then_some(name);
                network.ip_address = address;
            }
            None if network == NetworkConfig::default() => return None,
            None => {}
        },
        Some("bridge") => network.mode = NetworkMode::Bridge,
        Some("host") => network.mode = NetworkMode::Host,
        Some("none") => network.mode = NetworkMode::None,
        Some(other) => match other.strip_prefix("container:") {
            Some(name) => {
                (network.mode, network.name) = (NetworkMode::Container, Some(name.to_owned()));
            }
            None => {
                part.lose("network_mode", format!("{other:?} is none of bridge, host, none, container:NAME"))
            }
        },
    }
    for (name, _) in named {
        part.lose("networks", format!("a configuration has one network; {name} isn't it"));
    }
    Some(network)
}

fn hosts(part: &mut Part) -> Option<HashMap<String, String>> {
    let path = part.at("extra_hosts");
    let losses = part.losses();
    let lines: Vec<(String, String)> = match part.take("extra_hosts")? {
        Value::Object(map) => {
            map.into_iter().filter_map(|(name, value)| Some((name, super::part::scalar(&value)?))).collect()
        }
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items.filter_map(|item| item.split_once(['=', ':'])).map(|(a, b)| (a.into(), b.into())).collect()
        }
        _ => Vec::new(),
    };
    let mut hosts = HashMap::new();
    for (name, address) in lines {
        match address.as_str() {
            "host-gateway" => {
                losses.add(format!("{path}.{name}"), "the host's address isn't known before: write it")
            }
            _ => drop(hosts.insert(name, address.trim_matches(['[', ']']).to_owned())),
        }
    }
    Some(hosts)
}

fn ports(part: &mut Part) -> Option<Vec<PortMapping>> {
    let losses = part.losses();
    let mut ports = Vec::new();
    for (path, item) in part.items("ports")? {
        let found = match item {
            Value::Object(map) => long_port(Part::new(path.clone(), Value::Object(map), losses)),
            other => short_port(&super::part::scalar(&other).unwrap_or_default()),
        };
        match found {
            Ok(found) => ports.extend(found),
            Err(reason) => losses.add(path, reason),
        }
    }
    Some(ports)
}

fn protocol(text: &str) -> Result<PortProtocol, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "tcp" => PortProtocol::TCP,
        "udp" => PortProtocol::UDP,
        "sctp" => PortProtocol::SCTP,
        _ => return Err(format!("{text:?} is none of tcp, udp and sctp")),
    })
}

/// `[ADDRESS:]HOST:CONTAINER[/PROTOCOL]`, each side a number or a range.
fn short_port(text: &str) -> Result<Vec<PortMapping>, String> {
    let (rest, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol(name)?;
    let (rest, inside) = rest.rsplit_once(':').ok_or("the host's port would be any: name one")?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (Some(address.trim_matches(['[', ']']).to_owned()), host),
        None => (None, rest),
    };
    if host.is_empty() {
        return Err("the host's port would be any: name one".to_owned());
    }
    let (host, inside) = (range(host)?, range(inside)?);
    if host.len() != inside.len() {
        return Err(format!("{text:?}: both sides have to have as many ports"));
    }
    let mapping = |(host_port, container_port)| PortMapping {
        host_port,
        container_port,
        protocol,
        host_ip: address.clone().filter(|address| !address.is_empty()),
    };
    Ok(host.zip(inside).map(mapping).collect())
}

fn range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let wrong = || format!("{text:?} is no port and no range of ports");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first <= last {
        Ok(first..=last)
    } else {
        Err(wrong())
    }
}

fn long_port(mut part: Part) -> Result<Vec<PortMapping>, String> {
    part.ignore(&["name", "app_protocol"]);
    if part.text("mode").is_some_and(|mode| mode != "ingress") {
        part.lose("mode", "ports of the host alone");
    }
    let target = part.text("target").unwrap_or_default();
    let host = part.text("published").ok_or("the host's port would be any: name one (published)")?;
    let protocol = part.text("protocol").unwrap_or_else(|| "tcp".to_owned());
    let mut found = short_port(&format!("{host}:{target}/{protocol}"))?;
    let address = part.text("host_ip");
    found.iter_mut().for_each(|port| port.host_ip = address.clone());
    Ok(found)
}

/// A Compose file of these configurations, each a service.
pub(super) fn export(configs: &[ContainerConfig], losses: &Losses) -> Result<Value> {
    let (mut services, mut volumes, mut networks, mut secrets) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    for (at, config) in configs.iter().enumerate() {
        let name = config
            .name
            .clone()
            .unwrap_or_else(|| format!("service{}", if at == 0 { String::new() } else { at.to_string() }));
        let prefix = if configs.len() == 1 { String::new() } else { format!("{name}.") };
        let service = export_service(config, &prefix, losses);
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
        if let Some(NetworkConfig { mode: NetworkMode::Custom, name: Some(name), .. }) = &config.network {
            networks.insert(name.clone(), json!({ "external": true }));
        }
        for secret in config.secrets.iter().flatten() {
            let about = json!({ "file": secret.file, "environment": secret.environment });
            secrets.insert(secret.name.clone(), about);
        }
    }
    let file = json!({ "services": services, "volumes": volumes, "networks": networks, "secrets": secrets });
    Ok(doubled(full(file)))
}

/// Every `$` written as Compose wants it.
pub(super) fn doubled(value: Value) -> Value {
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

/// Fields that neither Compose nor `docker run` have.
pub(super) fn lose_own(config: &ContainerConfig, prefix: &str, losses: &Losses) {
    let own = [
        ("trusted_issuers", config.trusted_issuers.is_some()),
        ("minimum_entropy", config.minimum_entropy.is_some()),
        ("exec_mode", config.exec_mode.is_some()),
        ("custom", config.custom.is_some()),
        ("engine_options", config.engine_options.is_some()),
        (
            "resource_limits.network_bps",
            config.resource_limits.as_ref().is_some_and(|l| l.network_bps.is_some()),
        ),
    ];
    for (name, _) in own.into_iter().filter(|(_, there)| *there) {
        losses.add(format!("{prefix}{name}"), "it is ForgeOne's own");
    }
}

fn export_service(config: &ContainerConfig, prefix: &str, losses: &Losses) -> Value {
    lose_own(config, prefix, losses);
    let limits = config.resource_limits.clone().unwrap_or_default();
    let ulimits = config.ulimits.iter().flatten();
    let ulimits: std::collections::BTreeMap<_, _> = ulimits
        .map(|(name, limit)| (name, json!({ "soft": ulimit(limit.soft), "hard": ulimit(limit.hard) })))
        .collect();
    let (volumes, tmpfs) = export_mounts(config, prefix, losses);
    let mut service = json!({
        "image": config.image,
        "container_name": config.name,
        "entrypoint": config.command.as_ref().map(|command| [command]),
        "command": config.args,
        "environment": sorted(&config.env),
        "working_dir": config.working_dir,
        "cpus": limits.cpu_cores,
        "mem_limit": limits.memory_bytes,
        "storage_opt": { "size": limits.disk_bytes },
        "labels": sorted(&config.labels),
        "annotations": sorted(&config.annotations),
        "user": config.user,
        "group_add": config.group_add,
        "tty": config.tty,
        "stdin_open": config.stdin_open,
        "init": config.init,
        "read_only": config.read_only,
        "privileged": config.privileged,
        "cap_add": config.cap_add,
        "cap_drop": config.cap_drop,
        "security_opt": config.security_opt,
        "sysctls": sorted(&config.sysctls),
        "ulimits": ulimits,
        "devices": config.devices.as_ref().map(|devices| devices.iter().map(device).collect::<Vec<_>>()),
        "secrets": config.secrets.as_ref().map(|secrets| {
            secrets.iter().map(|secret| json!({ "source": secret.name, "target": secret.target })).map(full).collect::<Vec<_>>()
        }),
        "shm_size": config.shm_size,
        "pids_limit": config.pids_limit,
        "pid": config.pid,
        "ipc": config.ipc,
        "restart": config.restart.map(|restart| restart.to_string()),
        "stop_signal": config.stop_signal,
        "stop_grace_period": config.stop_grace_period.map(|period| period.to_string()),
        "healthcheck": config.healthcheck.as_ref().map(export_healthcheck),
        "volumes": volumes,
        "tmpfs": tmpfs,
    });
    if let (Some(network), Value::Object(map)) = (&config.network, &mut service) {
        export_network(network, map, prefix, losses);
    }
    // An image that isn't set is no empty text.
    if config.image.is_empty() {
        service["image"] = Value::Null;
    }
    service
}

fn ulimit(value: u64) -> Value {
    if value == u64::MAX {
        json!(-1)
    } else {
        json!(value)
    }
}

pub(super) fn device(device: &Device) -> String {
    let target = device.target.as_ref().unwrap_or(&device.source);
    match &device.permissions {
        Some(permissions) => format!("{}:{target}:{permissions}", device.source),
        None => format!("{}:{target}", device.source),
    }
}

fn export_healthcheck(check: &HealthCheck) -> Value {
    let test = if check.test.is_empty() {
        vec!["NONE".to_owned()]
    } else {
        [vec!["CMD".to_owned()], check.test.clone()].concat()
    };
    json!({
        "test": test,
        "interval": check.interval.map(|period| period.to_string()),
        "timeout": check.timeout.map(|period| period.to_string()),
        "retries": check.retries,
        "start_period": check.start_period.map(|period| period.to_string()),
    })
}

fn export_mounts(config: &ContainerConfig, prefix: &str, losses: &Losses) -> (Vec<Value>, Vec<String>) {
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

fn export_network(network: &NetworkConfig, service: &mut Map<String, Value>, prefix: &str, losses: &Losses) {
    let mut set = |key: &str, value: Value| service.insert(key.to_owned(), value);
    let address = |address: &str| if address.contains(':') { "ipv6_address" } else { "ipv4_address" };
    let named = network.name.as_deref().unwrap_or("default");
    let at = network.ip_address.as_deref().map(|ip| ip.split('/').next().unwrap_or(ip));
    let at = at.map_or(json!({}), |ip| json!({ address(ip): ip }));
    match network.mode {
        NetworkMode::Host => drop(set("network_mode", "host".into())),
        NetworkMode::None => drop(set("network_mode", "none".into())),
        NetworkMode::Container => drop(set("network_mode", format!("container:{named}").into())),
        NetworkMode::Bridge if network.ip_address.is_none() && network.name.is_none() => {
            set("network_mode", "bridge".into());
        }
        NetworkMode::Bridge | NetworkMode::Custom => {
            let value = if network.ip_address.is_none() { json!([named]) } else { json!({ named: at }) };
            set("networks", value);
        }
    }
    let mut ports = Vec::new();
    for port in network.ports.iter().flatten() {
        let protocol = json!(port.protocol);
        ports.push(full(json!({
            "target": port.container_port, "published": port.host_port.to_string(), "protocol": protocol, "host_ip": port.host_ip,
        })));
    }
    if network.ports.is_some() {
        set("ports", ports.into());
    }
    set("dns", json!(network.dns));
    set("dns_search", json!(network.dns_search));
    set("hostname", json!(network.hostname));
    set("domainname", json!(network.domain_name));
    set("extra_hosts", sorted(&network.extra_hosts));
    let lost = [("gateway", network.gateway.is_some()), ("options", network.options.is_some())];
    for (name, _) in lost.into_iter().filter(|(_, there)| *there) {
        losses.add(format!("{prefix}network.{name}"), "the network itself has it there");
    }
    if network.ip_address.as_deref().is_some_and(|ip| ip.contains('/')) {
        losses.add(format!("{prefix}network.ip_address"), "the length of its prefix is the network's there");
    }
}
