//! `docker run` command lines. Options become the keys of a Compose service that mean the same, and the other way round.

use super::compose;
use super::part::Losses;
use super::units::{field, fields, quoted, split};
use super::Lost;
use crate::{ContainerConfig, Error, Kind, Result};
use serde_json::{json, Map, Value};

/// What an option becomes.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// True or false: a key of the service.
    Switch(&'static str),
    /// A text: a key of the service.
    Text(&'static str),
    /// An item of a list: a key of the service.
    Item(&'static str),
    /// A key of the health check.
    Health(&'static str),
    /// Something of its own.
    Own,
    /// Nothing of a configuration, without or with a value, for whoever starts it.
    Start,
    StartValue,
    /// Nothing that a configuration has, with a value or without.
    Loses,
    LosesValue,
}
use Shape::{Health, Item, Loses, LosesValue, Own, Start, StartValue, Switch, Text};

/// Options by their long name, with the short one.
const OPTIONS: &[(&str, Option<char>, Shape)] = &[
    ("add-host", None, Item("extra_hosts")),
    ("annotation", None, Item("annotations")),
    ("attach", Some('a'), StartValue),
    ("blkio-weight", None, Own),
    ("cap-add", None, Item("cap_add")),
    ("cap-drop", None, Item("cap_drop")),
    ("cidfile", None, StartValue),
    ("cgroupns", None, Text("cgroup")),
    ("cpu-period", None, Text("cpu_period")),
    ("cpu-quota", None, Text("cpu_quota")),
    ("cpu-shares", Some('c'), Text("cpu_shares")),
    ("cpus", None, Text("cpus")),
    ("cpuset-cpus", None, Text("cpuset")),
    ("detach", Some('d'), Start),
    ("detach-keys", None, StartValue),
    ("device", None, Item("devices")),
    ("device-read-bps", None, Own),
    ("device-read-iops", None, Own),
    ("device-write-bps", None, Own),
    ("device-write-iops", None, Own),
    ("dns", None, Item("dns")),
    ("dns-search", None, Item("dns_search")),
    ("domainname", None, Text("domainname")),
    ("entrypoint", None, Own),
    ("env", Some('e'), Item("environment")),
    ("group-add", None, Item("group_add")),
    ("health-cmd", None, Health("test")),
    ("health-interval", None, Health("interval")),
    ("health-retries", None, Health("retries")),
    ("health-start-period", None, Health("start_period")),
    ("health-timeout", None, Health("timeout")),
    ("hostname", Some('h'), Text("hostname")),
    ("init", None, Switch("init")),
    ("interactive", Some('i'), Switch("stdin_open")),
    ("ip", None, Own),
    ("ip6", None, Own),
    ("ipc", None, Text("ipc")),
    ("label", Some('l'), Item("labels")),
    ("log-driver", None, Own),
    ("log-opt", None, Own),
    ("mac-address", None, Own),
    ("memory", Some('m'), Text("mem_limit")),
    ("memory-reservation", None, Text("mem_reservation")),
    ("mount", None, Own),
    ("name", None, Text("container_name")),
    ("net", None, Own),
    ("network", None, Own),
    ("network-alias", None, Own),
    ("no-healthcheck", None, Own),
    ("oom-kill-disable", None, Switch("oom_kill_disable")),
    ("oom-score-adj", None, Text("oom_score_adj")),
    ("pid", None, Text("pid")),
    ("pids-limit", None, Text("pids_limit")),
    ("privileged", None, Switch("privileged")),
    ("publish", Some('p'), Item("ports")),
    ("publish-all", Some('P'), Own),
    ("platform", None, Text("platform")),
    ("pull", None, Text("pull_policy")),
    ("quiet", Some('q'), Start),
    ("read-only", None, Switch("read_only")),
    ("restart", None, Text("restart")),
    ("rm", None, Start),
    ("security-opt", None, Item("security_opt")),
    ("shm-size", None, Text("shm_size")),
    ("sig-proxy", None, Loses),
    ("stop-signal", None, Text("stop_signal")),
    ("stop-timeout", None, Own),
    ("storage-opt", None, Own),
    ("sysctl", None, Item("sysctls")),
    ("tmpfs", None, Item("tmpfs")),
    ("tty", Some('t'), Switch("tty")),
    ("ulimit", None, Item("ulimits")),
    ("user", Some('u'), Text("user")),
    ("userns", None, Text("userns_mode")),
    ("uts", None, Text("uts")),
    ("volume", Some('v'), Item("volumes")),
    ("workdir", Some('w'), Text("working_dir")),
    ("cgroup-parent", None, LosesValue),
    ("cpuset-mems", None, LosesValue),
    ("device-cgroup-rule", None, LosesValue),
    ("dns-option", None, LosesValue),
    ("env-file", None, LosesValue),
    ("expose", None, LosesValue),
    ("gpus", None, LosesValue),
    ("label-file", None, LosesValue),
    ("link", None, LosesValue),
    ("memory-swap", None, LosesValue),
    ("memory-swappiness", None, LosesValue),
    ("runtime", None, LosesValue),
    ("volume-driver", None, LosesValue),
    ("volumes-from", None, LosesValue),
];

/// A container as the options of `docker run` describe it, gathered one by one.
///
/// ```
/// use forgeone_config::RunOptions;
/// let mut options = RunOptions::default();
/// options.add("memory", "512m")?;
/// options.add("env", "DEBUG=1")?;
/// let (config, lost) = options.finish("nginx:1.27", &["nginx".to_owned(), "-t".to_owned()]).unwrap();
/// assert_eq!(config.resource_limits.and_then(|limits| limits.memory_bytes), Some(512 << 20));
/// assert!(lost.is_empty());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Default)]
pub struct RunOptions {
    service: Map<String, Value>,
    volumes: Map<String, Value>,
    /// The mode of the network, where it has none of its own.
    mode: Option<String>,
    /// The networks by name, with what was said of each.
    networks: Map<String, Value>,
    /// What was said of the first of them.
    first: Map<String, Value>,
    publish_all: bool,
    losses: Losses,
}

impl RunOptions {
    /// One more option, by its long name without dashes; the value of a switch is `true` or `false`.
    ///
    /// # Errors
    /// A name that isn't known.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        let found = OPTIONS.iter().find(|(known, ..)| *known == name);
        let (name, _, shape) = found.ok_or_else(|| format!("--{name} isn't known"))?;
        self.option(name, *shape, value.to_owned())
    }

    /// The configuration, with the image and what follows it: the arguments of the image's program. What a configuration
    /// has nothing like, or what can't be read, is lost.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn finish(mut self, image: &str, arguments: &[String]) -> Result<(ContainerConfig, Vec<Lost>)> {
        self.service.insert("image".to_owned(), image.into());
        if !arguments.is_empty() {
            self.service.insert("command".to_owned(), arguments.into());
        }
        self.networks();
        let named = self.service.contains_key("container_name");
        let file = json!({ "services": { "": self.service }, "volumes": self.volumes });
        let found = Losses::default();
        let mut config = compose::services(file, &found)?.pop().unwrap_or_default();
        if self.publish_all {
            let network = config.network.get_or_insert_default();
            network.options.get_or_insert_default().insert("publish_all".to_owned(), "true".to_owned());
        }
        if !named {
            config.name = None;
        }
        for lost in found.all() {
            self.losses.add(option_of(&lost.path), lost.reason);
        }
        Ok((config, self.losses.all()))
    }
}

pub(super) fn import(text: &str, losses: &Losses) -> Result<Vec<ContainerConfig>> {
    let wrong = |reason: String| Error::new(Kind::Content, format!("the command line: {reason}"));
    let words = split(text).map_err(wrong)?;
    let begins = words.iter().position(|word| word == "run" || word == "create");
    let begins = begins.filter(|at| *at > 0).ok_or_else(|| wrong("it isn't docker run …".to_owned()))?;
    let mut words = words.into_iter().skip(begins + 1).peekable();
    let mut line = RunOptions::default();
    while let Some(word) = words.next_if(|word| word.starts_with('-') && word != "-") {
        if word == "--" {
            break;
        }
        let mut next = || words.next();
        match word.strip_prefix("--") {
            Some(long) => line.long(long, &mut next).map_err(wrong)?,
            None => line.short(&word[1..], &mut next).map_err(wrong)?,
        }
    }
    let image = words.next().ok_or_else(|| wrong("it names no image".to_owned()))?;
    let (config, lost) = line.finish(&image, &words.collect::<Vec<_>>())?;
    lost.into_iter().for_each(|lost| losses.add(lost.path, lost.reason));
    Ok(vec![config])
}

/// The option that a key of the service came from.
fn option_of(path: &str) -> String {
    let rest = path.strip_prefix("services..").unwrap_or(path);
    let key = rest.split(['.', '[']).next().unwrap_or_default();
    let from = |shape: &Shape| match shape {
        Switch(name) | Text(name) | Item(name) => *name == key,
        _ => false,
    };
    match OPTIONS.iter().find(|(_, _, shape)| from(shape)) {
        Some((name, ..)) => format!("--{name}{}", &rest[key.len()..]),
        None => rest.to_owned(),
    }
}

/// Whether no value has to follow.
fn is_alone(name: &str, shape: Shape) -> bool {
    matches!(shape, Switch(_) | Start | Loses) || matches!(name, "no-healthcheck" | "publish-all")
}

impl RunOptions {
    fn long(&mut self, word: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), String> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let Some((name, _, shape)) = OPTIONS.iter().find(|(known, ..)| *known == name) else {
            return Err(format!("--{name} isn't known, nor whether a value follows it; leave it out"));
        };
        let value = match (is_alone(name, *shape), value) {
            (true, value) => value.unwrap_or("true").to_owned(),
            (false, Some(value)) => value.to_owned(),
            (false, None) => next().ok_or_else(|| format!("--{name} needs a value"))?,
        };
        self.option(name, *shape, value)
    }

    /// `-it`, `-p80:80`, `-p 80:80`.
    fn short(&mut self, word: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), String> {
        for (at, c) in word.char_indices() {
            let found = OPTIONS.iter().find(|(_, short, _)| *short == Some(c));
            let Some((name, _, shape)) = found else { return Err(format!("-{c} isn't known")) };
            if is_alone(name, *shape) {
                self.option(name, *shape, "true".to_owned())?;
                continue;
            }
            let rest = word[at + c.len_utf8()..].trim_start_matches('=');
            let value = if rest.is_empty() {
                next().ok_or_else(|| format!("-{c} needs a value"))?
            } else {
                rest.to_owned()
            };
            return self.option(name, *shape, value);
        }
        Ok(())
    }

    fn option(&mut self, name: &str, shape: Shape, value: String) -> Result<(), String> {
        match shape {
            Switch(key) => drop(self.service.insert(key.to_owned(), value.into())),
            Text(key) => drop(self.service.insert(key.to_owned(), value.into())),
            Item(key) => self.item(key, value.into()),
            Health(key) => self.health(key, value.into()),
            Start | StartValue => {}
            Loses | LosesValue => self.losses.add(format!("--{name}"), "a configuration has nothing like it"),
            Own => self.own(name, value)?,
        }
        Ok(())
    }

    fn item(&mut self, key: &str, value: Value) {
        let list = self.service.entry(key).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(value);
        }
    }

    fn health(&mut self, key: &str, value: Value) {
        let check = self.service.entry("healthcheck").or_insert_with(|| json!({}));
        check[key] = value;
    }

    fn own(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "entrypoint" => drop(self.service.insert("entrypoint".to_owned(), json!([value]))),
            "network" | "net" => self.network(&value),
            "ip" => drop(self.first.insert("ipv4_address".to_owned(), value.into())),
            "ip6" => drop(self.first.insert("ipv6_address".to_owned(), value.into())),
            "mac-address" => drop(self.first.insert("mac_address".to_owned(), value.into())),
            "network-alias" => alias(&mut self.first, &value),
            "publish-all" => self.publish_all = value == "true",
            "no-healthcheck" => self.health("disable", value.into()),
            "stop-timeout" => {
                drop(self.service.insert("stop_grace_period".to_owned(), format!("{value}s").into()))
            }
            "storage-opt" => match value.strip_prefix("size=") {
                Some(size) => drop(self.service.insert("storage_opt".to_owned(), json!({ "size": size }))),
                None => {
                    self.losses.add("--storage-opt", format!("a configuration has nothing like {value:?}"))
                }
            },
            "mount" => self.mount(&value),
            _ => self.nested(name, &value),
        }
        Ok(())
    }

    /// What stands below a key of the service: block devices and the log.
    fn nested(&mut self, name: &str, value: &str) {
        let key = if name.starts_with("log-") { "logging" } else { "blkio_config" };
        let part = self.service.entry(key).or_insert_with(|| json!({}));
        match name {
            "log-driver" => part["driver"] = value.into(),
            "log-opt" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                part["options"][name] = value.into();
            }
            "blkio-weight" => part["weight"] = value.into(),
            _ => {
                let (path, rate) = value.rsplit_once(':').unwrap_or((value, ""));
                let item = json!({ "path": path, "rate": rate });
                match &mut part[name.replace('-', "_")] {
                    Value::Array(items) => items.push(item),
                    nothing => *nothing = json!([item]),
                }
            }
        }
    }

    /// `type=bind,source=/a,target=/b,readonly`.
    fn mount(&mut self, text: &str) {
        let (mut mount, mut bind, mut tmpfs) = (Map::new(), Map::new(), Map::new());
        let (mut driver, mut options) = (Value::Null, Map::new());
        mount.insert("type".to_owned(), "volume".into());
        for field in fields(text) {
            let (key, value) = field.split_once('=').unwrap_or((&field, "true"));
            match key {
                "type" => drop(mount.insert("type".to_owned(), value.into())),
                "source" | "src" => drop(mount.insert("source".to_owned(), value.into())),
                "target" | "destination" | "dst" => drop(mount.insert("target".to_owned(), value.into())),
                "readonly" | "ro" => {
                    let value = if value == "1" { "true" } else { value };
                    mount.insert("read_only".to_owned(), value.into());
                }
                "bind-propagation" => drop(bind.insert("propagation".to_owned(), value.into())),
                "tmpfs-size" => drop(tmpfs.insert("size".to_owned(), value.into())),
                "tmpfs-mode" => drop(tmpfs.insert("mode".to_owned(), value.into())),
                "volume-driver" => driver = value.into(),
                "volume-opt" => {
                    let (name, value) = value.split_once('=').unwrap_or((value, ""));
                    options.insert(name.to_owned(), value.into());
                }
                _ => self.losses.add("--mount", format!("a configuration has nothing like {field:?}")),
            }
        }
        if let (Some(Value::String(name)), false) =
            (mount.get("source"), driver.is_null() && options.is_empty())
        {
            let options = if options.is_empty() { Value::Null } else { options.into() };
            self.volumes.insert(name.clone(), json!({ "driver": driver, "driver_opts": options }));
        }
        for (key, part) in [("bind", bind), ("tmpfs", tmpfs)] {
            if !part.is_empty() {
                mount.insert(key.to_owned(), part.into());
            }
        }
        self.item("volumes", mount.into());
    }

    /// `MODE`, or `NAME[:ip=…,ip6=…,mac=…,alias=…,interface_name=…]`; what stands before the equals sign may be as Docker
    /// has it, too: `name=NAME,ip=…`.
    fn network(&mut self, value: &str) {
        let modes = ["host", "none", "bridge", "default"];
        if modes.contains(&value) || value.starts_with("container:") {
            self.mode = Some(value.to_owned());
            return;
        }
        let (name, rest) = match value.strip_prefix("name=") {
            Some(rest) => rest.split_once(',').unwrap_or((rest, "")),
            None => value.split_once(':').unwrap_or((value, "")),
        };
        let name = if modes.contains(&name) { "default" } else { name };
        let mut about = Map::new();
        for field in rest.split(',').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            match key {
                "ip" => drop(about.insert("ipv4_address".to_owned(), value.into())),
                "ip6" => drop(about.insert("ipv6_address".to_owned(), value.into())),
                "mac" | "mac-address" => drop(about.insert("mac_address".to_owned(), value.into())),
                "interface_name" => drop(about.insert("interface_name".to_owned(), value.into())),
                "alias" => alias(&mut about, value),
                _ => self.losses.add("--network", format!("a configuration has nothing like {field:?}")),
            }
        }
        self.networks.insert(name.to_owned(), about.into());
    }

    fn networks(&mut self) {
        let (mode, mut networks) = (self.mode.take(), std::mem::take(&mut self.networks));
        let first = std::mem::take(&mut self.first);
        let bridge = matches!(mode.as_deref(), None | Some("bridge" | "default"));
        if !bridge || (networks.is_empty() && first.is_empty()) {
            let mode = mode.filter(|mode| mode != "default");
            if let Some(mode) = mode {
                self.service.insert("network_mode".to_owned(), mode.into());
            }
            let said =
                networks.keys().map(|name| format!("--network {name}")).chain(first.keys().map(|key| {
                    let option = KEYS
                        .iter()
                        .find(|(own, ..)| own == key)
                        .map_or(key.as_str(), |(_, option, _)| option);
                    format!("--{option}")
                }));
            for option in said {
                self.losses.add(option, "the mode of the network has none of its own");
            }
            return;
        }
        if networks.is_empty() || mode.is_some() {
            let named = std::mem::replace(&mut networks, Map::from_iter([("default".to_owned(), json!({}))]));
            networks.extend(named);
        }
        if let Some(Value::Object(about)) = networks.values_mut().next() {
            about.extend(first);
        }
        self.service.insert("networks".to_owned(), networks.into());
    }
}

/// One more name of a network.
fn alias(about: &mut Map<String, Value>, name: &str) {
    match about.entry("aliases").or_insert_with(|| json!([])) {
        Value::Array(aliases) => aliases.push(name.into()),
        other => *other = json!([name]),
    }
}

/// A command line, an option a line.
pub(super) fn export(config: &ContainerConfig, losses: &Losses) -> Result<String> {
    if config.image.is_empty() {
        return Err(Error::new(Kind::Content, "there is no image, which docker run needs"));
    }
    let found = Losses::default();
    let file = compose::file(std::slice::from_ref(config), &found)?;
    for lost in found.all() {
        losses.add(lost.path, lost.reason);
    }
    let services = file["services"].as_object();
    let Some(service) = services.and_then(|services| services.values().next()) else {
        return Ok(String::new());
    };
    let mut lines = vec!["docker run".to_owned()];
    let mut say = |name: &str, value: &str| match value {
        "true" => lines.push(format!("--{name}")),
        value if value.starts_with('-') => lines.push(quoted(&format!("--{name}={value}"))),
        value => lines.push(format!("--{name} {}", quoted(value))),
    };
    for (name, _, shape) in OPTIONS {
        match shape {
            Switch(key) => match service.get(*key) {
                Some(Value::Bool(true)) => say(name, "true"),
                Some(Value::Bool(false)) => say(&format!("{name}=false"), "true"),
                _ => {}
            },
            Text(key) => {
                if let Some(value) = service.get(*key).filter(|value| !value.is_null()) {
                    say(name, &super::part::scalar(value).unwrap_or_default());
                }
            }
            Item(key) if *key != "volumes" && *key != "ports" => {
                for item in items(service.get(*key)) {
                    say(name, &item);
                }
            }
            _ => {}
        }
    }
    let blkio = &service["blkio_config"];
    if let Some(weight) = blkio["weight"].as_u64() {
        say("blkio-weight", &weight.to_string());
    }
    for name in ["device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops"] {
        for rate in blkio[name.replace('-', "_")].as_array().into_iter().flatten() {
            say(name, &format!("{}:{}", rate["path"].as_str().unwrap_or_default(), rate["rate"]));
        }
    }
    if let Some(driver) = service["logging"]["driver"].as_str() {
        say("log-driver", driver);
    }
    for item in items(service["logging"].get("options")) {
        say("log-opt", &item);
    }
    for volume in service["volumes"].as_array().into_iter().flatten() {
        say("mount", &mount(volume, &file["volumes"]));
    }
    for port in service["ports"].as_array().into_iter().flatten() {
        let side = |key: &str| super::part::scalar(&port[key]).unwrap_or_default();
        let address = match side("host_ip") {
            ip if ip.is_empty() => String::new(),
            ip if ip.contains(':') => format!("[{ip}]:"),
            ip => format!("{ip}:"),
        };
        say("publish", &format!("{address}{}:{}/{}", side("published"), side("target"), side("protocol")));
    }
    network(service, &mut say);
    health(service, config, &mut say, losses);
    if let Some(size) = service["storage_opt"]["size"].as_u64() {
        say("storage-opt", &format!("size={size}"));
    }
    if let Some(period) = config.stop_grace_period {
        let millis = period.duration().as_millis();
        say("stop-timeout", &millis.div_ceil(1000).to_string());
        if !millis.is_multiple_of(1000) {
            losses.add("stop_grace_period", "whole seconds alone: it is rounded up");
        }
    }
    if config.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty()) {
        losses.add("secrets", "docker run has none");
    }
    if let Some(command) = &config.command {
        say("entrypoint", command);
    }
    let mut last = vec![quoted(&config.image)];
    last.extend(config.args.iter().flatten().map(|word| quoted(word)));
    lines.push(last.join(" "));
    Ok(lines.join(" \\\n  ") + "\n")
}

/// Items of a list, and names and texts as `NAME=TEXT`; both sides of a limit as `SOFT:HARD`.
fn items(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(super::part::scalar).collect(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| match value {
                Value::Object(both) => format!("{name}={}:{}", both["soft"], both["hard"]),
                value => format!("{name}={}", super::part::scalar(value).unwrap_or_default()),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn mount(volume: &Value, volumes: &Value) -> String {
    let text = |value: &Value| super::part::scalar(value).unwrap_or_default();
    let (kind, source) = (text(&volume["type"]), text(&volume["source"]));
    let mut parts = vec![
        format!("type={kind}"),
        format!("source={source}"),
        format!("target={}", text(&volume["target"])),
    ];
    if volume["read_only"] == true {
        parts.push("readonly".to_owned());
    }
    if let Some(propagation) = volume["bind"]["propagation"].as_str() {
        parts.push(format!("bind-propagation={propagation}"));
    }
    if let (true, Some(about)) = (kind == "volume", volumes.get(&source)) {
        parts.extend(about["driver"].as_str().map(|driver| format!("volume-driver={driver}")));
        parts
            .extend(items(about.get("driver_opts")).into_iter().map(|option| format!("volume-opt={option}")));
    }
    parts.iter().map(|part| field(part)).collect::<Vec<_>>().join(",")
}

fn network(service: &Value, say: &mut dyn FnMut(&str, &str)) {
    if let Some(mode) = service["network_mode"].as_str() {
        say("network", mode);
    }
    match &service["networks"] {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "default")
            .for_each(|name| say("network", name)),
        Value::Object(map)
            if map.len() == 1 && map.values().all(|about| about["interface_name"].is_null()) =>
        {
            for (name, about) in map {
                if name != "default" {
                    say("network", name);
                }
                for (option, _, value) in wishes(about) {
                    say(option, &value);
                }
            }
        }
        Value::Object(map) => {
            for (name, about) in map {
                let wishes = wishes(about).into_iter().map(|(_, key, value)| format!(",{key}={value}"));
                say("network", &format!("name={name}{}", wishes.collect::<String>()));
            }
        }
        _ => {}
    }
}

/// The wishes that a service may have of a network: the option for them, and their key in `--network`.
const KEYS: [(&str, &str, &str); 5] = [
    ("ipv4_address", "ip", "ip"),
    ("ipv6_address", "ip6", "ip6"),
    ("mac_address", "mac-address", "mac-address"),
    ("interface_name", "network", "interface_name"),
    ("aliases", "network-alias", "alias"),
];

/// What a network of the service says: the option, its key in `--network`, and the value.
fn wishes(about: &Value) -> Vec<(&'static str, &'static str, String)> {
    let values = |(key, option, word): &(&str, &'static str, &'static str)| {
        let (option, word) = (*option, *word);
        let values = match &about[*key] {
            Value::Array(_) => items(about.get(*key)),
            value => value.as_str().map(str::to_owned).into_iter().collect(),
        };
        values.into_iter().map(move |value| (option, word, value)).collect::<Vec<_>>()
    };
    KEYS.iter().flat_map(values).collect()
}

fn health(service: &Value, config: &ContainerConfig, say: &mut dyn FnMut(&str, &str), losses: &Losses) {
    let Some(check) = &config.healthcheck else { return };
    match check.test.as_slice() {
        [] => return say("no-healthcheck", "true"),
        [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => say("health-cmd", line),
        words => {
            losses.add("healthcheck.test", "docker run has it carried out by a shell, /bin/sh -c");
            say("health-cmd", &words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
        }
    }
    for (key, name) in [
        ("interval", "health-interval"),
        ("timeout", "health-timeout"),
        ("retries", "health-retries"),
        ("start_period", "health-start-period"),
    ] {
        if let Some(value) = super::part::scalar(&service["healthcheck"][key]) {
            say(name, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_there_once() {
        for (at, (name, short, _)) in OPTIONS.iter().enumerate() {
            let others = &OPTIONS[at + 1..];
            assert!(others
                .iter()
                .all(|(other, other_short, _)| other != name && (short.is_none() || other_short != short)));
        }
    }
}
