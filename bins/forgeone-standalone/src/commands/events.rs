//! `events`: what has happened to containers, and with `--follow` what happens.

use super::list::moment;
use crate::here::Here;
use forgeone_cli::{Call, output, usage, wants_json};
use forgeone_runtime::Result;
use forgeone_runtime::clock;
use forgeone_runtime::error::During;
use forgeone_runtime::monitor::events::FILE;
use forgeone_runtime::registry::Container;
use forgeone_sys::inotify::Inotify;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

/// Events of a container, with where it was read up to.
#[derive(Default)]
struct Place {
    name: String,
    offset: u64,
}

/// What is shown.
struct Wanted {
    words: Vec<String>,
    since: Option<Duration>,
    until: Option<Duration>,
    filters: Vec<(String, String)>,
    json: bool,
}

pub(super) fn events(here: &Here, call: &Call) -> Result<u8> {
    let flags = &call.flags;
    let pair = |text: &String| match text.split_once('=') {
        Some((key @ ("container" | "event" | "label"), value)) => Ok((key.to_owned(), value.to_owned())),
        _ => Err(usage(format!("option --filter: {text:?} is no container=, event= or label="))),
    };
    let wanted = Wanted {
        words: call.texts()?.iter().map(|word| (*word).to_owned()).collect(),
        since: moment("since", flags.text("since")?)?,
        until: moment("until", flags.text("until")?)?,
        filters: flags.texts("filter")?.iter().map(pair).collect::<Result<_>>()?,
        json: wants_json(call)?,
    };
    // Named ones must exist.
    here.find_all(&wanted.words.iter().map(String::as_str).collect::<Vec<_>>())?;
    let follow = flags.switch("follow");
    let watch = Inotify::new().during(|| "events")?;
    let containers = here.register.places().data_root.join("containers");
    watch.add(&containers).during(|| "events")?;
    let mut known: BTreeMap<String, Place> = BTreeMap::new();
    loop {
        let mut lines = Vec::new();
        for container in here.all()? {
            if wanted.fits(&container) {
                // Watched before it is read; a second time changes nothing.
                let _ = watch.add(&container.dir());
                let read = known.entry(container.id().to_owned()).or_default();
                read.name = container.name().to_owned();
                lines.extend(new(&container, read)?);
            }
        }
        lines.sort_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()));
        for line in lines.iter().filter(|line| wanted.shows(line)) {
            if !output::offer(&(wanted.line(line) + "\n"))? {
                return Ok(0);
            }
        }
        if !follow {
            return Ok(0);
        }
        watch.wait(None).during(|| "events")?;
    }
}

/// The events that a container has had since it was read last.
fn new(container: &Container, read: &mut Place) -> Result<Vec<Value>> {
    let path = container.dir().join(FILE);
    let Ok(mut file) = File::open(&path) else { return Ok(Vec::new()) };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if length < read.offset {
        // It has become the older one, and this is a new file.
        read.offset = 0;
    }
    let mut text = String::new();
    let read_all = file.seek(SeekFrom::Start(read.offset)).and_then(|_| file.read_to_string(&mut text));
    if read_all.is_err() {
        return Ok(Vec::new());
    }
    // A line that isn't whole yet is read the next time.
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    read.offset += whole as u64;
    let event = |line: &str| {
        let mut event: Value = serde_json::from_str(line).ok()?;
        event["id"] = container.id().into();
        event["name"] = container.name().into();
        Some(event)
    };
    Ok(text[..whole].lines().filter_map(event).collect())
}

impl Wanted {
    fn fits(&self, container: &Container) -> bool {
        let is = |word: &String| container.name() == word || container.id().starts_with(word.as_str());
        let label = |value: &str| {
            let (key, text) = value.split_once('=').map_or((value, None), |(key, text)| (key, Some(text)));
            let labels = container.config().labels.iter().flatten();
            labels.into_iter().any(|(k, v)| k == key && text.is_none_or(|text| v == text))
        };
        (self.words.is_empty() || self.words.iter().any(is))
            && self.filters.iter().all(|(key, value)| match key.as_str() {
                "container" => is(value),
                "label" => label(value),
                _ => true,
            })
    }

    fn shows(&self, event: &Value) -> bool {
        let time = event["time"].as_str().and_then(clock::since_epoch);
        let early = self.since.is_some_and(|since| time.is_some_and(|time| time < since));
        let late = self.until.is_some_and(|until| time.is_some_and(|time| time > until));
        let named =
            self.filters.iter().all(|(key, value)| key != "event" || event["event"] == value.as_str());
        !early && !late && named
    }

    /// JSON, or the time, what happened, to whom, and what else is known of it.
    fn line(&self, event: &Value) -> String {
        if self.json {
            return event.to_string();
        }
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let mut line = format!("{} container {} {}", text("time"), text("event"), text("name"));
        if let Value::Object(map) = event {
            let known = ["time", "event", "name", "id"];
            let details = map.iter().filter(|(key, _)| !known.contains(&key.as_str()));
            details.for_each(|(key, value)| line.push_str(&format!(" {key}={value}")));
        }
        output::printable(&line)
    }
}
