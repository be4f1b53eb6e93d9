//! Pods of Kubernetes (v1): each container is a configuration, with what the Pod says for all.

use super::compose::{lose_host, lose_own};
use super::part::{full, Losses, Part};
use super::units::quantity;
use crate::{
    ContainerConfig, Error, HealthCheck, Kind, Mount, MountType, NetworkConfig, NetworkMode, Period,
    PortMapping, PortProtocol, ResourceLimits, RestartPolicy, Result, Volume,
};
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, HashMap};

/// A volume of the Pod, to be mounted by name.
enum Known {
    Bind(String),
    Tmpfs(Option<u64>),
    Claim(String),
}

/// What the Pod says for all of its containers.
struct Shared {
    config: ContainerConfig,
    network: NetworkConfig,
    volumes: HashMap<String, Known>,
}

pub(super) fn import(tree: Value, losses: &Losses) -> Result<Vec<ContainerConfig>> {
    if tree.get("kind").and_then(Value::as_str) != Some("Pod") {
        let kind = tree.get("kind").and_then(Value::as_str).unwrap_or("nothing of Kubernetes").to_owned();
        return Err(Error::new(Kind::Content, format!("it is {kind}, not a Pod; give the Pod itself")));
    }
    let mut pod = Part::new("", tree, losses);
    pod.ignore(&["apiVersion", "kind", "status"]);
    let (mut name, mut config) = (None, ContainerConfig::default());
    if let Some(mut metadata) = pod.part("metadata") {
        name = metadata.text("name");
        config.labels = metadata.pairs("labels");
        config.annotations = metadata.pairs("annotations");
        metadata.ignore(&["creationTimestamp", "uid", "resourceVersion"]);
    }
    let missing = || Error::new(Kind::Content, "the Pod has no spec");
    let mut spec = pod.part("spec").ok_or_else(missing)?;
    let shared = shared(&mut spec, config);
    let containers = spec.parts("containers");
    let single = containers.len() == 1;
    let configs = containers.into_iter().map(|part| {
        let config = container(part, &shared);
        let own = config.name.clone();
        // The only container of a Pod is known by the Pod's name.
        let name = if single { name.clone().or(own) } else { own };
        ContainerConfig { name, ..config }
    });
    Ok(configs.collect())
}

fn shared(spec: &mut Part, mut config: ContainerConfig) -> Shared {
    config.restart = spec.read("restartPolicy", |text| match text {
        "Always" => Ok(RestartPolicy::Always),
        "OnFailure" => Ok(RestartPolicy::OnFailure(None)),
        "Never" => Ok(RestartPolicy::No),
        _ => Err(format!("{text:?} is none of Always, OnFailure and Never")),
    });
    config.stop_grace_period = seconds(spec, "terminationGracePeriodSeconds");
    let host = |spec: &mut Part, key: &str| spec.boolean(key).filter(|host| *host).map(|_| "host".to_owned());
    config.pid = host(spec, "hostPID");
    config.ipc = host(spec, "hostIPC");
    let mut network = NetworkConfig { hostname: spec.text("hostname"), ..NetworkConfig::default() };
    if spec.boolean("hostNetwork") == Some(true) {
        network.mode = NetworkMode::Host;
    }
    if spec.text("dnsPolicy").is_some_and(|policy| policy != "None" && policy != "Default") {
        spec.lose("dnsPolicy", "there is no cluster whose names could be found");
    }
    if let Some(mut dns) = spec.part("dnsConfig") {
        network.dns = dns.texts("nameservers");
        network.dns_search = dns.texts("searches");
    }
    let mut hosts = HashMap::new();
    for mut alias in spec.parts("hostAliases") {
        let address = alias.text("ip").unwrap_or_default();
        hosts.extend(
            alias.texts("hostnames").unwrap_or_default().into_iter().map(|name| (name, address.clone())),
        );
    }
    network.extra_hosts = (!hosts.is_empty()).then_some(hosts);
    if let Some(mut security) = spec.part("securityContext") {
        config.user = user(&mut security);
        config.group_add = security.texts("supplementalGroups");
        let sysctls = security
            .parts("sysctls")
            .into_iter()
            .filter_map(|mut one| Some((one.text("name")?, one.text("value")?)));
        let sysctls: HashMap<_, _> = sysctls.collect();
        config.sysctls = (!sysctls.is_empty()).then_some(sysctls);
    }
    let volumes = spec.parts("volumes").into_iter().filter_map(volume).collect();
    Shared { config, network, volumes }
}

fn user(security: &mut Part) -> Option<String> {
    match (security.text("runAsUser"), security.text("runAsGroup")) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user),
        (None, None) => None,
        (None, Some(_)) => {
            security.lose("runAsGroup", "a group needs a user (runAsUser)");
            None
        }
    }
}

fn volume(mut part: Part) -> Option<(String, Known)> {
    let name = part.text("name")?;
    if let Some(mut host) = part.part("hostPath") {
        host.ignore(&["type"]);
        return Some((name, Known::Bind(host.text("path")?)));
    }
    if let Some(mut claim) = part.part("persistentVolumeClaim") {
        return Some((name, Known::Claim(claim.text("claimName")?)));
    }
    let mut empty = part.part("emptyDir")?;
    if empty.text("medium").as_deref() == Some("Memory") {
        return Some((name, Known::Tmpfs(empty.read("sizeLimit", |text| quantity(text, false)))));
    }
    empty.lose("medium", "an empty directory on the disk goes with the Pod; use Memory, or a claim");
    None
}

fn seconds(part: &mut Part, key: &str) -> Option<Period> {
    part.number(key).map(|seconds| Period::from_millis(seconds.saturating_mul(1000)))
}

fn container(mut part: Part, shared: &Shared) -> ContainerConfig {
    part.ignore(&["imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"]);
    let mut config = shared.config.clone();
    config.name = part.text("name");
    config.image = part.text("image").unwrap_or_default();
    let (command, args) = (part.texts("command").unwrap_or_default(), part.texts("args"));
    let mut command = command.into_iter();
    config.command = command.next();
    let rest: Vec<_> = command.collect();
    config.args = if rest.is_empty() { args } else { Some([rest, args.unwrap_or_default()].concat()) };
    config.working_dir = part.text("workingDir");
    config.tty = part.boolean("tty");
    config.stdin_open = part.boolean("stdin");
    let mut env = HashMap::new();
    for mut variable in part.parts("env") {
        match (variable.text("name"), variable.text("value")) {
            (Some(name), Some(value)) => drop(env.insert(name, value)),
            (Some(_), None) => variable.lose("value", "its value isn't in the Pod"),
            _ => {}
        }
    }
    config.env = (!env.is_empty()).then_some(env);
    let ports = ports(&mut part);
    let network = NetworkConfig { ports, ..shared.network.clone() };
    config.network = (network != NetworkConfig::default()).then_some(network);
    if let Some(mut resources) = part.part("resources") {
        if let Some(mut limits) = resources.part("limits") {
            let limits = ResourceLimits {
                cpu_cores: limits.read("cpu", |text| quantity(text, true)).map(|milli| milli as f64 / 1000.0),
                memory_bytes: limits.read("memory", |text| quantity(text, false)),
                disk_bytes: limits.read("ephemeral-storage", |text| quantity(text, false)),
                network_bps: None,
            };
            config.resource_limits = (limits != ResourceLimits::default()).then_some(limits);
        }
    }
    if let Some(security) = part.part("securityContext") {
        confinement(security, &mut config);
    }
    config.healthcheck = part.part("livenessProbe").and_then(probe);
    mounts(&mut part, shared, &mut config);
    config
}

fn ports(part: &mut Part) -> Option<Vec<PortMapping>> {
    let mut ports = Vec::new();
    for mut port in part.parts("ports") {
        port.ignore(&["name"]);
        let number = |port: &mut Part, key: &str| {
            port.read(key, |text| text.parse().map_err(|_| format!("{text:?} is no port")))
        };
        let (inside, host) = (number(&mut port, "containerPort"), number(&mut port, "hostPort"));
        let protocol = port.read("protocol", |text| match text {
            "TCP" => Ok(PortProtocol::TCP),
            "UDP" => Ok(PortProtocol::UDP),
            "SCTP" => Ok(PortProtocol::SCTP),
            _ => Err(format!("{text:?} is none of TCP, UDP and SCTP")),
        });
        match (inside, host) {
            (Some(container_port), Some(host_port)) => ports.push(PortMapping {
                host_port,
                container_port,
                protocol: protocol.unwrap_or_default(),
                host_ip: port.text("hostIP"),
            }),
            _ => port
                .lose("containerPort", "a port without hostPort is reached from outside by a Service alone"),
        }
    }
    (!ports.is_empty()).then_some(ports)
}

fn confinement(mut security: Part, config: &mut ContainerConfig) {
    config.privileged = security.boolean("privileged");
    config.read_only = security.boolean("readOnlyRootFilesystem");
    if let Some(mut capabilities) = security.part("capabilities") {
        config.cap_add = capabilities.texts("add");
        config.cap_drop = capabilities.texts("drop");
    }
    config.user = user(&mut security).or(config.user.take());
    if security.boolean("allowPrivilegeEscalation") == Some(false) {
        config.security_opt = Some(vec!["no-new-privileges".to_owned()]);
    }
}

fn probe(mut part: Part) -> Option<HealthCheck> {
    let mut exec = part.part("exec").or_else(|| {
        part.lose("exec", "a probe that executes nothing");
        None
    })?;
    let test = exec.texts("command")?;
    Some(HealthCheck {
        test,
        interval: seconds(&mut part, "periodSeconds"),
        timeout: seconds(&mut part, "timeoutSeconds"),
        retries: part
            .read("failureThreshold", |text| text.parse().map_err(|_| format!("{text:?} is no number"))),
        start_period: seconds(&mut part, "initialDelaySeconds"),
    })
}

fn mounts(part: &mut Part, shared: &Shared, config: &mut ContainerConfig) {
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    for mut mount in part.parts("volumeMounts") {
        let name = mount.text("name").unwrap_or_default();
        let destination = mount.text("mountPath").unwrap_or_default();
        let read_only = mount.boolean("readOnly").unwrap_or_default();
        let of = |source: &str, mount_type, options| Mount {
            source: source.to_owned(),
            destination: destination.clone(),
            mount_type,
            options,
            read_only,
        };
        match shared.volumes.get(&name) {
            Some(Known::Bind(path)) => mounts.push(of(path, MountType::Bind, None)),
            Some(Known::Tmpfs(size)) => {
                mounts.push(of("", MountType::Tmpfs, size.map(|size| vec![format!("size={size}")])));
            }
            Some(Known::Claim(claim)) if read_only => mounts.push(of(claim, MountType::Volume, None)),
            Some(Known::Claim(claim)) => {
                volumes.push(Volume { name: claim.clone(), path: destination.clone(), ..Volume::default() });
            }
            None => {
                mount.lose("name", format!("the volume {name:?} is none that a configuration could have"))
            }
        }
    }
    config.mounts = (!mounts.is_empty()).then_some(mounts);
    config.volumes = (!volumes.is_empty()).then_some(volumes);
}

/// A Pod with one container.
pub(super) fn export(config: &ContainerConfig, losses: &Losses) -> Result<Value> {
    lose(config, losses);
    let name = config.name.as_deref().unwrap_or("app");
    let (mounts, volumes) = export_mounts(config, losses);
    let network = config.network.clone().unwrap_or_default();
    let limits = config.resource_limits.clone().unwrap_or_default();
    let (user, group) = ids(config, losses);
    let no_new = config.security_opt.iter().flatten().any(|option| option.starts_with("no-new-privileges"));
    let env: BTreeMap<_, _> = config.env.iter().flatten().collect();
    let probe = config.healthcheck.as_ref().filter(|check| !check.test.is_empty());
    let probe = probe.map(|check| {
        let whole = |key: &str, period: Option<Period>| period.map(|period| seconds_of(key, period, losses));
        json!({
            "exec": { "command": check.test },
            "periodSeconds": whole("healthcheck.interval", check.interval),
            "timeoutSeconds": whole("healthcheck.timeout", check.timeout),
            "failureThreshold": check.retries,
            "initialDelaySeconds": whole("healthcheck.start_period", check.start_period),
        })
    });
    let container = json!({
        "name": name,
        "image": config.image,
        "command": config.command.as_ref().map(|command| [command]),
        "args": config.args,
        "workingDir": config.working_dir,
        "env": env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        "ports": network.ports.iter().flatten().map(port).collect::<Vec<_>>(),
        "resources": { "limits": {
            "cpu": limits.cpu_cores.map(|cores| format!("{}m", (cores * 1000.0).round())),
            "memory": limits.memory_bytes.map(|bytes| bytes.to_string()),
            "ephemeral-storage": limits.disk_bytes.map(|bytes| bytes.to_string()),
        } },
        "volumeMounts": mounts,
        "livenessProbe": probe,
        "securityContext": {
            "privileged": config.privileged,
            "readOnlyRootFilesystem": config.read_only,
            "capabilities": { "add": config.cap_add, "drop": config.cap_drop },
            "runAsUser": user,
            "runAsGroup": group,
            "allowPrivilegeEscalation": no_new.then_some(false),
        },
        "stdin": config.stdin_open,
        "tty": config.tty,
    });
    let host = |value: &Option<String>| (value.as_deref() == Some("host")).then_some(true);
    let mut aliases: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (name, address) in network.extra_hosts.iter().flatten() {
        aliases.entry(address).or_default().push(name);
    }
    aliases.values_mut().for_each(|names| names.sort());
    let aliases: Vec<_> =
        aliases.into_iter().map(|(ip, names)| json!({ "ip": ip, "hostnames": names })).collect();
    let sysctls: BTreeMap<_, _> = config.sysctls.iter().flatten().collect();
    let sysctls: Vec<_> =
        sysctls.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let groups =
        config.group_add.iter().flatten().filter_map(|group| group.parse::<u64>().ok()).collect::<Vec<_>>();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": sorted(&config.labels), "annotations": sorted(&config.annotations) },
        "spec": {
            "restartPolicy": config.restart.map(|restart| restart_policy(restart, losses)),
            "terminationGracePeriodSeconds":
                config.stop_grace_period.map(|period| seconds_of("stop_grace_period", period, losses)),
            "hostNetwork": (network.mode == NetworkMode::Host).then_some(true),
            "hostPID": host(&config.pid),
            "hostIPC": host(&config.ipc),
            "hostname": network.hostname,
            "dnsPolicy": network.dns.as_ref().map(|_| "None"),
            "dnsConfig": { "nameservers": network.dns, "searches": network.dns_search },
            "hostAliases": filled(aliases),
            "securityContext": { "supplementalGroups": filled(groups), "sysctls": filled(sysctls) },
            "containers": [without_empty_lists(full(container))],
            "volumes": filled(volumes),
        },
    });
    Ok(full(pod))
}

fn filled<T: Into<Value>>(list: Vec<T>) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        list.into_iter().map(Into::into).collect()
    }
}

/// Lists that hold nothing say nothing here, but those that stand for themselves.
fn without_empty_lists(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let keep = |key: &str, value: &Value| !value.as_array().is_some_and(Vec::is_empty) || key == "args";
    Value::Object(map.into_iter().filter(|(key, value)| keep(key, value)).collect::<Map<_, _>>())
}

fn sorted(map: &Option<HashMap<String, String>>) -> Value {
    map.as_ref().map_or(Value::Null, |map| json!(map.iter().collect::<BTreeMap<_, _>>()))
}

fn seconds_of(path: &str, period: Period, losses: &Losses) -> u64 {
    let millis = period.duration().as_millis();
    if !millis.is_multiple_of(1000) {
        losses.add(path, "whole seconds alone: it is rounded up");
    }
    millis.div_ceil(1000) as u64
}

fn restart_policy(restart: RestartPolicy, losses: &Losses) -> &'static str {
    match restart {
        RestartPolicy::No => "Never",
        RestartPolicy::Always => "Always",
        RestartPolicy::UnlessStopped => {
            losses.add("restart", "a Pod that is stopped is gone: it is Always");
            "Always"
        }
        RestartPolicy::OnFailure(times) => {
            if times.is_some() {
                losses.add("restart", "without a number of times");
            }
            "OnFailure"
        }
    }
}

fn port(port: &PortMapping) -> Value {
    let protocol = match port.protocol {
        PortProtocol::TCP => "TCP",
        PortProtocol::UDP => "UDP",
        PortProtocol::SCTP => "SCTP",
    };
    full(json!({
        "containerPort": port.container_port, "hostPort": port.host_port, "protocol": protocol, "hostIP": port.host_ip,
    }))
}

/// The user's numbers; Kubernetes has no names.
fn ids(config: &ContainerConfig, losses: &Losses) -> (Option<u64>, Option<u64>) {
    let Some(text) = &config.user else { return (None, None) };
    let (user, group) =
        text.split_once(':').map_or((text.as_str(), None), |(user, group)| (user, Some(group)));
    match (user.parse(), group.map(str::parse).transpose()) {
        (Ok(user), Ok(group)) => (Some(user), group),
        _ => {
            losses.add("user", format!("{text:?} isn't numbers, which Kubernetes needs"));
            (None, None)
        }
    }
}

fn export_mounts(config: &ContainerConfig, losses: &Losses) -> (Vec<Value>, Vec<Value>) {
    let (mut mounts, mut volumes): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut add = |path: &str, read_only: bool, what: Value| {
        let name = format!("volume-{}", volumes.len());
        mounts.push(full(json!({ "name": name, "mountPath": path, "readOnly": read_only.then_some(true) })));
        let mut volume = json!({ "name": name });
        if let (Value::Object(volume), Value::Object(what)) = (&mut volume, what) {
            volume.extend(what);
        }
        volumes.push(volume);
    };
    for (at, mount) in config.mounts.iter().flatten().enumerate() {
        let options = mount.options.clone().unwrap_or_default();
        let (sizes, options): (Vec<_>, Vec<_>) =
            options.into_iter().partition(|option| option.starts_with("size="));
        let size = sizes.first().and_then(|size| super::units::docker_bytes(&size[5..]).ok());
        let what = match mount.mount_type {
            MountType::Bind => json!({ "hostPath": { "path": mount.source } }),
            MountType::Volume => json!({ "persistentVolumeClaim": { "claimName": mount.source } }),
            MountType::Tmpfs => {
                json!({ "emptyDir": full(json!({ "medium": "Memory", "sizeLimit": size.map(|size| size.to_string()) })) })
            }
            MountType::Custom => {
                losses
                    .add(format!("mounts[{at}]"), format!("there are no mounts of type {:?}", mount.source));
                continue;
            }
        };
        if !options.is_empty() {
            losses.add(format!("mounts[{at}].options"), "Kubernetes has no options of mounts");
        }
        add(&mount.destination, mount.read_only, what);
    }
    for (at, volume) in config.volumes.iter().flatten().enumerate() {
        if volume.driver.is_some() || volume.options.is_some() {
            losses.add(format!("volumes[{at}]"), "what provides it is the claim's there");
        }
        add(&volume.path, false, json!({ "persistentVolumeClaim": { "claimName": volume.name } }));
    }
    (mounts, volumes)
}

/// What a Pod can't say.
fn lose(config: &ContainerConfig, losses: &Losses) {
    lose_own(config, "", losses);
    lose_host(config, "a Pod can't say it", losses);
    let network = config.network.clone().unwrap_or_default();
    let foreign =
        |value: &Option<String>| value.as_ref().is_some_and(|value| value != "host" && value != "private");
    let option = |option: &String| !option.starts_with("no-new-privileges");
    let lost = [
        ("init", config.init.is_some()),
        ("security_opt", config.security_opt.iter().flatten().any(option)),
        ("ulimits", config.ulimits.is_some()),
        ("devices", config.devices.is_some()),
        ("secrets", config.secrets.is_some()),
        ("shm_size", config.shm_size.is_some()),
        ("pids_limit", config.pids_limit.is_some()),
        ("pid", foreign(&config.pid)),
        ("ipc", foreign(&config.ipc)),
        ("stop_signal", config.stop_signal.is_some()),
        ("healthcheck", config.healthcheck.as_ref().is_some_and(|check| check.test.is_empty())),
        ("group_add", config.group_add.iter().flatten().any(|group| group.parse::<u64>().is_err())),
        (
            "network.mode",
            [NetworkMode::None, NetworkMode::Container, NetworkMode::Custom].contains(&network.mode),
        ),
        ("network.name", network.name.is_some()),
        ("network.ip_address", network.ip_address.is_some()),
        ("network.gateway", network.gateway.is_some()),
        ("network.domain_name", network.domain_name.is_some()),
        ("network.options", network.options.is_some()),
    ];
    for (name, _) in lost.into_iter().filter(|(_, there)| *there) {
        losses.add(name, "a Pod can't say it");
    }
}
