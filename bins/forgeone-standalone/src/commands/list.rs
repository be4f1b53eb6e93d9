//! `ps` and `inspect`.

use super::network;
use crate::here::Here;
use forgeone_cli::show::{self, Format};
use forgeone_cli::{Call, human, output, usage};
use forgeone_runtime::clock;
use forgeone_runtime::monitor::{State, Status};
use forgeone_runtime::registry::{Container, short};
use forgeone_runtime::{Error, Kind, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TITLES: [&str; 7] = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];

/// How much of a command is shown.
const COMMAND: usize = 20;

pub(super) fn ps(here: &Here, call: &Call) -> Result<u8> {
    let flags = &call.flags;
    let format = Format::parse(flags.text("format")?)?;
    let filters =
        flags.texts("filter")?.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    let last = if flags.switch("latest") { Some(1) } else { flags.number("last")? };
    let by_state = filters.iter().any(|filter| matches!(filter, Filter::Status(_)));
    let all = flags.switch("all") || last.is_some() || by_state;
    let whole = flags.switch("no-trunc");
    let ids = flags.switch("quiet") && filters.is_empty();
    let mut rows = Vec::new();
    for container in here.all()? {
        // Whether it is frozen, which only its cgroup knows, isn't told by an id.
        let status = if ids { Status::read(&container.dir())? } else { container.status()? };
        let shown = all || status.state.is_active();
        if shown && filters.iter().all(|filter| filter.fits(&container, &status)) {
            rows.push((container, status));
        }
    }
    rows.truncate(last.map_or(usize::MAX, |last| usize::try_from(last).unwrap_or(usize::MAX)));
    if flags.switch("quiet") {
        let id = |container: &Container| {
            if whole { container.id().to_owned() } else { container.short_id().to_owned() }
        };
        let ids: String = rows.iter().map(|(container, _)| id(container) + "\n").collect();
        output::print(&ids)?;
        return Ok(0);
    }
    let published = network::published(here)?;
    let ports = |container: &Container| {
        let ports =
            published.get(container.id()).map(|ports| ports.iter().map(network::arrow).collect::<Vec<_>>());
        ports.unwrap_or_default().join(", ")
    };
    let rows: Vec<_> =
        rows.iter().map(|(container, status)| row(container, status, ports(container), whole)).collect();
    output::print(&show::rows(&format, &TITLES, &rows)?)?;
    Ok(0)
}

fn row(container: &Container, status: &Status, ports: String, whole: bool) -> (Vec<String>, Value) {
    let record = container.record();
    let command = command(container).join(" ");
    let cut = |text: &str, most: usize| match whole || text.chars().count() <= most {
        true => text.to_owned(),
        false => text.chars().take(most - 1).chain(['…']).collect(),
    };
    let id = if whole { container.id() } else { container.short_id() };
    let created = ago(&record.created);
    let told = told(status);
    let cells = vec![
        id.to_owned(),
        image(container),
        output::printable(&cut(&command, COMMAND)),
        created.clone(),
        told.clone(),
        ports.clone(),
        container.name().to_owned(),
    ];
    let labels = labels(container);
    let value = json!({
        "Id": container.id(), "ID": short(container.id()), "Image": image(container), "ImageID": image_id(container),
        "Command": command, "Created": record.created, "CreatedAt": record.created, "RunningFor": created,
        "Status": told, "State": status.state.word(), "Names": container.name(), "Labels": labels, "Ports": ports,
        "ExitCode": status.exit, "Pid": status.pid, "Restarts": status.restarts,
        "Health": status.health.as_ref().map(|health| health.status.word()),
    });
    (cells, value)
}

/// The image by its name, or the path that the container is made from.
fn image(container: &Container) -> String {
    let record = container.record();
    match &record.image {
        Some(image) if !image.name.is_empty() => image.name.clone(),
        Some(image) => short(image.id.strip_prefix("sha256:").unwrap_or(&image.id)).to_owned(),
        None => record.config.image.clone(),
    }
}

fn image_id(container: &Container) -> Option<String> {
    container.record().image.as_ref().map(|image| image.id.clone())
}

/// The program with its arguments, as it is started.
fn command(container: &Container) -> Vec<String> {
    let (config, image) = (container.config(), &container.record().image_config);
    let entry = match &config.command {
        Some(command) => vec![command.clone()],
        None => image.entrypoint.clone(),
    };
    let args = match (&config.args, &config.command) {
        (Some(args), _) => args.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => image.cmd.clone(),
    };
    entry.into_iter().chain(args).collect()
}

/// The image's labels below the configuration's.
fn labels(container: &Container) -> Value {
    let mut labels = container.record().image_config.labels.clone();
    labels.extend(container.config().labels.clone().unwrap_or_default());
    json!(labels)
}

/// `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
fn told(status: &Status) -> String {
    let exit = status.exit.map_or("unknown".to_owned(), |exit| exit.to_string());
    let since =
        |time: &Option<String>| time.as_deref().map_or("some time".to_owned(), |time| span(age(time)));
    match status.state {
        State::Created => "Created".to_owned(),
        State::Running | State::Paused => {
            let paused = if status.state == State::Paused { " (Paused)" } else { "" };
            let health =
                status.health.as_ref().map_or(String::new(), |health| format!(" ({})", health.status.word()));
            format!("Up {}{paused}{health}", since(&status.started))
        }
        State::Restarting => format!("Restarting ({exit}) {} ago", since(&status.finished)),
        State::Exited if status.oom => {
            format!("Exited ({exit}, out of memory) {} ago", since(&status.finished))
        }
        State::Exited => format!("Exited ({exit}) {} ago", since(&status.finished)),
        State::Unknown => "Unknown (without monitor)".to_owned(),
    }
}

fn ago(time: &str) -> String {
    format!("{} ago", span(age(time)))
}

/// How long something has been: `3 minutes`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => "Less than a second".to_owned(),
        seconds => human::span(seconds),
    }
}

/// How long ago this was.
fn age(time: &str) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    clock::since_epoch(time).map_or(Duration::ZERO, |then| now.saturating_sub(then))
}

/// What `--filter` asks for.
enum Filter {
    Id(String),
    Name(String),
    Label(String, Option<String>),
    Status(String),
    Ancestor(String),
    Health(String),
    Volume(String),
    Exited(String),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let (key, value) =
            text.split_once('=').ok_or_else(|| usage(format!("option --filter: {text:?} has no =")))?;
        let value = value.to_owned();
        Ok(match key {
            "id" => Self::Id(value),
            "name" => Self::Name(value),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "status" => Self::Status(value),
            "ancestor" => Self::Ancestor(value),
            "health" => Self::Health(value),
            "volume" => Self::Volume(value),
            "exited" => Self::Exited(value),
            _ => {
                let known = "id, name, label, status, ancestor, health, volume, exited";
                return Err(usage(format!("option --filter: {key:?} is none of {known}")));
            }
        })
    }

    fn fits(&self, container: &Container, status: &Status) -> bool {
        match self {
            Self::Id(id) => container.id().starts_with(id.as_str()),
            Self::Name(name) => container.name().contains(name.as_str()),
            Self::Label(name, value) => {
                let labels = labels(container);
                labels
                    .get(name)
                    .is_some_and(|found| value.as_ref().is_none_or(|value| found == value.as_str()))
            }
            Self::Status(word) => status.state.word() == word,
            Self::Ancestor(image) => {
                let name = self::image(container);
                let path = name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last);
                name == *image || path == image || path.split(':').next() == Some(image)
            }
            Self::Health(word) => {
                status.health.as_ref().map_or("none", |health| health.status.word()) == word
            }
            Self::Volume(word) => {
                let config = container.config();
                let volumes = config
                    .volumes
                    .iter()
                    .flatten()
                    .any(|volume| volume.name == *word || volume.path == *word);
                let mounts = config.mounts.iter().flatten();
                volumes || mounts.into_iter().any(|mount| mount.source == *word || mount.destination == *word)
            }
            Self::Exited(exit) => {
                status.state == State::Exited && status.exit.is_some_and(|status| status.to_string() == *exit)
            }
        }
    }
}

pub(super) fn inspect(here: &Here, call: &Call) -> Result<u8> {
    let format = Format::parse(call.flags.text("format")?)?;
    let mut values = Vec::new();
    for container in here.find_all(&call.texts()?)? {
        values.push(whole(&container)?);
    }
    let text = match &format {
        Format::Template(template) => {
            values.iter().map(|value| Ok(template.render(value)? + "\n")).collect::<Result<String>>()?
        }
        _ => show::pretty(&Value::Array(values))?,
    };
    output::print(&text)?;
    Ok(0)
}

/// All that is known of a container, with the names that Docker's users know.
fn whole(container: &Container) -> Result<Value> {
    let (record, status) = (container.record(), container.status()?);
    let words = command(container);
    let (path, args) = words.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    let file = |name: &str| read_json(&container.dir(), name);
    let spec = file("config.json");
    Ok(json!({
        "Id": container.id(), "Name": container.name(), "Created": record.created, "Path": path, "Args": args,
        "State": {
            "Status": status.state.word(),
            "Running": matches!(status.state, State::Running | State::Paused),
            "Paused": status.state == State::Paused, "Restarting": status.state == State::Restarting,
            "OOMKilled": status.oom, "Pid": status.pid, "ExitCode": status.exit, "Error": status.error,
            "StartedAt": status.started, "FinishedAt": status.finished,
            "Health": status.health.as_ref().map(|health| json!({
                "Status": health.status.word(), "FailingStreak": health.failing, "Log": health.log,
            })),
        },
        "Image": image_id(container), "ImageName": image(container),
        "ImageDigest": record.image.as_ref().map(|image| image.digest.clone()),
        "RestartCount": status.restarts, "LogPath": container.dir().join("log"), "Bundle": container.dir(),
        "Config": record.config, "ImageConfig": record.image_config, "Labels": labels(container),
        "Rootfs": record.rootfs, "Mounts": spec.get("mounts").cloned().unwrap_or_default(),
        "NetworkSettings": network::settings(&container.endpoints()?), "DNA": file("dna.json"), "Contract": file("contract.json"),
    }))
}

/// A document of a container's; nothing where there is none yet.
fn read_json(dir: &Path, name: &str) -> Value {
    let text = std::fs::read(dir.join(name)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Moments as `--since` and `--until` write them: RFC 3339, seconds since 1970, or how long ago, such as `10m`.
pub(super) fn moment(name: &str, text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = || text.parse::<u64>().ok().map(Duration::from_secs);
    let ago = || {
        let period: forgeone_config::Period = text.parse().ok()?;
        Some(now.saturating_sub(period.duration()))
    };
    let wrong = || {
        Error::new(
            Kind::Usage,
            format!(
                "option --{name}: {text:?} is neither a time such as 2026-01-31T12:00:00Z nor a span such as 10m"
            ),
        )
    };
    clock::since_epoch(text).or_else(seconds).or_else(ago).map(Some).ok_or_else(wrong)
}
