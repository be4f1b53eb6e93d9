//! A service, which is a configuration.

use super::super::part::{full, scalar, Losses, Part};
use super::super::units::{docker_bytes, split};
use super::{host, mounts, network, sorted, Shared};
use crate::{ContainerConfig, Device, HealthCheck, ResourceLimits, Secret, Ulimit};
use serde_json::{json, Value};
use std::collections::HashMap;

/// A configuration of a service.
pub(super) fn read(name: String, mut part: Part, shared: &Shared) -> ContainerConfig {
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
    host::read(&mut part, &mut config);
    // After resource_limits, which may say it as well.
    if let Some(pids) = deploy(&mut part, &mut config) {
        config.pids_limit = Some(pids);
    }
    config.pids_limit = part.number("pids_limit").or(config.pids_limit);
    mounts::read(&mut part, shared, &mut config);
    config.network = network::read(&mut part);
    config
}

/// Entry point and command: our `command` is one word, what follows it comes before the arguments.
fn program(part: &mut Part, config: &mut ContainerConfig) {
    let mut words = |key: &str| match part.take(key)? {
        Value::String(line) => split(&line).map_err(|reason| part.lose(key, reason)).ok(),
        Value::Array(items) => Some(items.iter().filter_map(scalar).collect::<Vec<_>>()),
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
                    let side = |key| both.get(key).and_then(scalar).unwrap_or_default();
                    (name, format!("{}:{}", side("soft"), side("hard")))
                }
                other => (name, scalar(&other).unwrap_or_default()),
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
            let mut words: Vec<_> = items.iter().filter_map(scalar).collect();
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

/// Fields that neither Compose nor `docker run` have.
pub(in super::super) fn lose_own(config: &ContainerConfig, prefix: &str, losses: &Losses) {
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

/// A configuration as a service.
pub(super) fn write(config: &ContainerConfig, prefix: &str, losses: &Losses) -> Value {
    lose_own(config, prefix, losses);
    let limits = config.resource_limits.clone().unwrap_or_default();
    let ulimits = config.ulimits.iter().flatten();
    let ulimits: std::collections::BTreeMap<_, _> = ulimits
        .map(|(name, limit)| (name, json!({ "soft": ulimit(limit.soft), "hard": ulimit(limit.hard) })))
        .collect();
    let (volumes, tmpfs) = mounts::write(config, prefix, losses);
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
    if let (Value::Object(map), Value::Object(host)) = (&mut service, host::write(config)) {
        map.extend(host);
    }
    if let (Some(network), Value::Object(map)) = (&config.network, &mut service) {
        network::write(network, map, prefix, losses);
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

fn device(device: &Device) -> String {
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
