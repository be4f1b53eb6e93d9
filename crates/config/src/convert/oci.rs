//! `config.json` of the OCI runtime specification: a bundle's, whose root file system is there already.

use super::compose::{lose_host, lose_own};
use super::part::{full, Losses, Part};
use super::units::docker_bytes;
use crate::{
    ContainerConfig, Device, Error, Kind, Mount, MountType, NetworkConfig, NetworkMode, ResourceLimits,
    Result, Ulimit,
};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap};

/// What a container has unless something else is asked for.
const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Where every container has the kernel's file systems, whether a configuration says so or not.
const OWN_MOUNTS: [&str; 7] =
    ["/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// Options of these mounts that a flag of ours says.
const RO: &str = "ro";

const PERIOD: u64 = 100_000;

/// The size of `/dev/shm` where nothing is said.
const SHM: u64 = 64 << 20;

pub(super) fn import(tree: Value, losses: &Losses) -> Result<ContainerConfig> {
    if !tree.get("ociVersion").is_some_and(Value::is_string) {
        return Err(Error::new(
            Kind::Content,
            "it has no ociVersion: it is no config.json of the OCI runtime specification",
        ));
    }
    let mut spec = Part::new("", tree, losses);
    spec.ignore(&["ociVersion"]);
    let mut config = ContainerConfig { annotations: spec.pairs("annotations"), ..ContainerConfig::default() };
    let mut network = NetworkConfig {
        hostname: spec.text("hostname"),
        domain_name: spec.text("domainname"),
        ..NetworkConfig::default()
    };
    if let Some(mut root) = spec.part("root") {
        config.image = root.text("path").unwrap_or_default();
        if !config.image.starts_with('/') {
            root.lose("path", "it counts from the bundle: make it an absolute path, or name an image");
            config.image.clear();
        }
        config.read_only = root.boolean("readonly").filter(|only| *only);
    }
    if let Some(process) = spec.part("process") {
        self::process(process, &mut config);
    }
    mounts(&mut spec, &mut config);
    if let Some(linux) = spec.part("linux") {
        self::linux(linux, &mut config, &mut network);
    }
    config.network = (network != NetworkConfig::default()).then_some(network);
    Ok(config)
}

fn process(mut part: Part, config: &mut ContainerConfig) {
    let mut args = part.texts("args").unwrap_or_default().into_iter();
    config.command = args.next();
    let rest: Vec<_> = args.collect();
    config.args = (!rest.is_empty()).then_some(rest);
    config.env = part.pairs("env");
    config.working_dir = part.text("cwd");
    config.tty = part.boolean("terminal").filter(|tty| *tty);
    if let Some(mut user) = part.part("user") {
        let (uid, gid) = (user.number("uid").unwrap_or(0), user.number("gid").unwrap_or(0));
        config.user = Some(format!("{uid}:{gid}"));
        config.group_add = user.texts("additionalGids");
    }
    if part.boolean("noNewPrivileges") == Some(true) {
        config.security_opt.get_or_insert_default().push("no-new-privileges".to_owned());
    }
    if let Some(profile) = part.text("apparmorProfile") {
        config.security_opt.get_or_insert_default().push(format!("apparmor={profile}"));
    }
    if let Some(mut capabilities) = part.part("capabilities") {
        let bounding = capabilities.texts("bounding").unwrap_or_default();
        let bare = |name: &String| name.trim_start_matches("CAP_").to_owned();
        let bounding: Vec<_> = bounding.iter().map(bare).collect();
        let known = |name: &String| CAPABILITIES.contains(&name.as_str());
        let add: Vec<_> = bounding.iter().filter(|name| !known(name)).cloned().collect();
        let drop = CAPABILITIES.iter().map(|name| (*name).to_owned());
        let drop: Vec<_> = drop.filter(|name| !bounding.contains(name)).collect();
        config.cap_add = (!add.is_empty()).then_some(add);
        config.cap_drop = (!drop.is_empty()).then_some(drop);
        // They follow from what the program may have at most, and from its user.
        capabilities.ignore(&["effective", "permitted", "inheritable", "ambient"]);
    }
    let mut limits = HashMap::new();
    for mut limit in part.parts("rlimits") {
        let name = limit.text("type").unwrap_or_default();
        if let (Some(soft), Some(hard)) = (limit.number("soft"), limit.number("hard")) {
            limits.insert(name.trim_start_matches("RLIMIT_").to_ascii_lowercase(), Ulimit { soft, hard });
        }
    }
    config.ulimits = (!limits.is_empty()).then_some(limits);
}

fn mounts(spec: &mut Part, config: &mut ContainerConfig) {
    let mut mounts = Vec::new();
    for mut part in spec.parts("mounts") {
        let destination = part.text("destination").unwrap_or_default();
        let (kind, source) = (part.text("type").unwrap_or_default(), part.text("source").unwrap_or_default());
        let options = part.texts("options").unwrap_or_default();
        if OWN_MOUNTS.contains(&destination.as_str()) && kind != "bind" {
            let size = options.iter().find_map(|option| docker_bytes(option.strip_prefix("size=")?).ok());
            if destination == "/dev/shm" {
                config.shm_size = size.filter(|size| *size != SHM);
            }
            continue;
        }
        let bind = kind == "bind" || options.iter().any(|option| option == "bind" || option == "rbind");
        let read_only = options.iter().any(|option| option == RO);
        let said = [RO, "rw", "bind", "rbind"];
        let rest: Vec<_> = options.into_iter().filter(|option| !said.contains(&option.as_str())).collect();
        let (mount_type, source) = match kind.as_str() {
            _ if bind => (MountType::Bind, source),
            "tmpfs" => (MountType::Tmpfs, String::new()),
            _ => (MountType::Custom, kind),
        };
        let options = (!rest.is_empty()).then_some(rest);
        mounts.push(Mount { source, destination, mount_type, options, read_only });
    }
    config.mounts = (!mounts.is_empty()).then_some(mounts);
}

fn linux(mut part: Part, config: &mut ContainerConfig, network: &mut NetworkConfig) {
    // What every container has is ForgeOne's own choice.
    part.ignore(&["maskedPaths", "readonlyPaths", "cgroupsPath"]);
    config.sysctls = part.pairs("sysctl");
    let mut own = Vec::new();
    for mut namespace in part.parts("namespaces") {
        let kind = namespace.text("type").unwrap_or_default();
        if kind == "user" {
            namespace.lose("type", "a user namespace of its own");
        }
        own.push(kind);
    }
    let has = |kind: &str| own.iter().any(|known| known == kind);
    network.mode = if has("network") { NetworkMode::None } else { NetworkMode::Host };
    let host = |own: bool| (!own).then(|| "host".to_owned());
    (config.pid, config.ipc) = (host(has("pid")), host(has("ipc")));
    let devices = part.parts("devices").into_iter().filter_map(|mut device| {
        device.ignore(&["type", "major", "minor", "fileMode", "uid", "gid"]);
        let source = device.text("path")?;
        Some(Device { source, ..Device::default() })
    });
    let devices: Vec<_> = devices.collect();
    config.devices = (!devices.is_empty()).then_some(devices);
    let Some(mut resources) = part.part("resources") else { return };
    // The devices that are allowed follow from the list of them.
    resources.ignore(&["devices"]);
    let mut limits = ResourceLimits::default();
    if let Some(mut memory) = resources.part("memory") {
        limits.memory_bytes = memory.number("limit");
    }
    if let Some(mut cpu) = resources.part("cpu") {
        let period = cpu.number("period").unwrap_or(PERIOD).max(1);
        limits.cpu_cores = cpu.number("quota").map(|quota| quota as f64 / period as f64);
    }
    if let Some(mut pids) = resources.part("pids") {
        config.pids_limit = pids.number("limit");
    }
    config.resource_limits = (limits != ResourceLimits::default()).then_some(limits);
}

/// A `config.json` beside whose bundle `rootfs` lies, unless the image is a path.
pub(super) fn export(config: &ContainerConfig, losses: &Losses) -> Value {
    lose(config, losses);
    let path = if config.image.starts_with('/') { &config.image } else { "rootfs" };
    let limits = config.resource_limits.clone().unwrap_or_default();
    let network = config.network.clone().unwrap_or_default();
    let mut args: Vec<_> = config.command.iter().chain(config.args.iter().flatten()).cloned().collect();
    if config.command.is_none() {
        losses.add("command", "the image's own isn't known here: it is sh");
        args.insert(0, "sh".to_owned());
    }
    let own = |value: &Option<String>| value.as_deref() != Some("host");
    let namespaces = [
        ("mount", true),
        ("uts", network.mode != NetworkMode::Host),
        ("cgroup", true),
        ("pid", own(&config.pid)),
        ("ipc", own(&config.ipc)),
        ("network", network.mode != NetworkMode::Host),
    ];
    let namespaces = namespaces.into_iter().filter(|(_, own)| *own).map(|(kind, _)| json!({ "type": kind }));
    let mut env: BTreeMap<_, _> = config.env.iter().flatten().collect();
    let path_variable =
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    env.entry(&path_variable.0).or_insert(&path_variable.1);
    let (uid, gid) = user(config, losses);
    let capabilities = capabilities(config);
    let security =
        |prefix: &str| config.security_opt.iter().flatten().find(|option| option.starts_with(prefix));
    let groups: Vec<u64> = config.group_add.iter().flatten().filter_map(|group| group.parse().ok()).collect();
    let rlimits: BTreeMap<_, _> = config.ulimits.iter().flatten().collect();
    let rlimits = rlimits.into_iter().map(|(name, limit)| {
        json!({ "type": format!("RLIMIT_{}", name.to_ascii_uppercase()), "soft": limit.soft, "hard": limit.hard })
    });
    full(json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": config.tty,
            "user": { "uid": uid, "gid": gid, "additionalGids": (!groups.is_empty()).then_some(groups) },
            "args": args,
            "env": env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "cwd": config.working_dir.as_deref().unwrap_or("/"),
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": list(rlimits.collect()),
            "noNewPrivileges": security("no-new-privileges").map(|_| true),
            "apparmorProfile": security("apparmor=").map(|option| &option["apparmor=".len()..]),
        },
        "root": { "path": path, "readonly": config.read_only },
        "hostname": network.hostname,
        "domainname": network.domain_name,
        "mounts": mounts_of(config),
        "annotations": config.annotations.as_ref().map(|map| map.iter().collect::<BTreeMap<_, _>>()),
        "linux": {
            "namespaces": namespaces.collect::<Vec<_>>(),
            "sysctl": config.sysctls.as_ref().map(|map| map.iter().collect::<BTreeMap<_, _>>()),
            "resources": {
                "memory": { "limit": limits.memory_bytes },
                "cpu": limits.cpu_cores.map(|cores| json!({ "quota": (cores * PERIOD as f64).round() as u64, "period": PERIOD })),
                "pids": { "limit": config.pids_limit },
            },
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }))
}

fn list(items: Vec<Value>) -> Value {
    if items.is_empty() {
        Value::Null
    } else {
        items.into()
    }
}

/// The user's and the group's number; there are no names before there is a root file system.
fn user(config: &ContainerConfig, losses: &Losses) -> (u64, u64) {
    let text = config.user.as_deref().unwrap_or("0");
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    match (user.parse(), group.parse()) {
        (Ok(user), Ok(group)) => (user, group),
        _ => {
            losses.add("user", format!("{text:?} isn't numbers: it is 0:0"));
            (0, 0)
        }
    }
}

fn capabilities(config: &ContainerConfig) -> Vec<String> {
    let bare = |name: &String| name.trim_start_matches("CAP_").to_ascii_uppercase();
    let drop: Vec<_> = config.cap_drop.iter().flatten().map(bare).collect();
    let all = drop.iter().any(|name| name == "ALL");
    let mut names: Vec<_> = CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
    names.retain(|name| !all && !drop.contains(name));
    names.extend(config.cap_add.iter().flatten().map(bare).filter(|name| name != "ALL"));
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("CAP_{name}")).collect()
}

/// The kernel's file systems, and the configuration's own mounts.
fn mounts_of(config: &ContainerConfig) -> Vec<Value> {
    let shm = format!("size={}", config.shm_size.unwrap_or(SHM));
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", shm] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }),
    ];
    for mount in config.mounts.iter().flatten() {
        let mut options = mount.options.clone().unwrap_or_default();
        let (kind, source) = match mount.mount_type {
            MountType::Bind => {
                options.insert(0, "rbind".to_owned());
                ("bind", mount.source.as_str())
            }
            MountType::Tmpfs => ("tmpfs", "tmpfs"),
            MountType::Custom => (mount.source.as_str(), mount.source.as_str()),
            MountType::Volume => continue,
        };
        if mount.read_only {
            options.push(RO.to_owned());
        }
        let options = (!options.is_empty()).then_some(options);
        mounts.push(full(
            json!({ "destination": mount.destination, "type": kind, "source": source, "options": options }),
        ));
    }
    mounts
}

/// What a bundle's configuration can't say.
fn lose(config: &ContainerConfig, losses: &Losses) {
    lose_own(config, "", losses);
    lose_host(config, "it isn't carried over", losses);
    let network = config.network.clone().unwrap_or_default();
    let container =
        |value: &Option<String>| value.as_ref().is_some_and(|value| value.starts_with("container:"));
    let volumes = config.mounts.iter().flatten().any(|mount| mount.mount_type == MountType::Volume);
    let option =
        |option: &String| !["no-new-privileges", "apparmor="].iter().any(|known| option.starts_with(known));
    let mode = ![NetworkMode::None, NetworkMode::Host].contains(&network.mode);
    let lost = [
        (
            "image",
            !config.image.is_empty() && !config.image.starts_with('/'),
            "it has to be unpacked into rootfs before",
        ),
        ("name", config.name.is_some(), "the container's name is given to create"),
        ("labels", config.labels.is_some(), "there are annotations alone"),
        (
            "volumes",
            config.volumes.is_some() || volumes,
            "there are no named volumes: mount their directories",
        ),
        (
            "resource_limits.disk_bytes",
            config.resource_limits.as_ref().is_some_and(|l| l.disk_bytes.is_some()),
            "the root file system has it",
        ),
        ("stdin_open", config.stdin_open.is_some(), "whoever starts it has it open or not"),
        ("init", config.init.is_some(), "there is no init"),
        (
            "cap_add",
            config
                .cap_add
                .iter()
                .flatten()
                .any(|name| name.trim_start_matches("CAP_").eq_ignore_ascii_case("all")),
            "capabilities are named one by one there",
        ),
        ("privileged", config.privileged == Some(true), "its parts are said one by one there"),
        ("security_opt", config.security_opt.iter().flatten().any(option), "profiles are whole there"),
        ("devices", config.devices.is_some(), "they have numbers there, which belong to a machine"),
        ("secrets", config.secrets.is_some(), "there are no secrets: mount files"),
        (
            "group_add",
            config.group_add.iter().flatten().any(|group| group.parse::<u64>().is_err()),
            "groups have numbers alone there",
        ),
        ("pid", container(&config.pid), "namespaces have paths there"),
        ("ipc", container(&config.ipc), "namespaces have paths there"),
        ("restart", config.restart.is_some(), "nobody watches it there"),
        ("stop_signal", config.stop_signal.is_some(), "nobody stops it there"),
        ("stop_grace_period", config.stop_grace_period.is_some(), "nobody stops it there"),
        ("healthcheck", config.healthcheck.is_some(), "nobody watches it there"),
        ("network.mode", mode, "there is loopback alone unless a hook sets it up"),
        ("network.name", network.name.is_some(), "networks are set up by hooks there"),
        ("network.ip_address", network.ip_address.is_some(), "networks are set up by hooks there"),
        ("network.gateway", network.gateway.is_some(), "networks are set up by hooks there"),
        ("network.dns", network.dns.is_some(), "mount a resolv.conf"),
        ("network.dns_search", network.dns_search.is_some(), "mount a resolv.conf"),
        ("network.extra_hosts", network.extra_hosts.is_some(), "mount a file of hosts"),
        ("network.ports", network.ports.is_some(), "networks are set up by hooks there"),
        ("network.options", network.options.is_some(), "networks are set up by hooks there"),
    ];
    for (name, _, reason) in lost.into_iter().filter(|(_, there, _)| *there) {
        losses.add(name, reason);
    }
}
