//! `events`: what a container uses, and when it runs out of memory, a line of JSON for each.

use super::Door;
use forgeone_cli::output;
use forgeone_cli::{Call, usage};
use forgeone_runtime::lifecycle::{Happened, Watch};
use forgeone_runtime::{Error, Kind, Result};
use std::time::{Duration, Instant};

/// Time between two lines of numbers where nobody says.
const INTERVAL: Duration = Duration::from_secs(5);

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let interval = match call.flags.text("interval")? {
        None => INTERVAL,
        Some(text) => duration(text).filter(|interval| !interval.is_zero()).ok_or_else(|| {
            usage(format!("option --interval: {text:?} is not a time above 0 such as 500ms or 1m30s"))
        })?,
    };
    let id = call.id()?;
    let mut watch = door.runtime.watch(id)?;
    if call.flags.switch("stats") {
        output::print(&stats(id, &watch)?)?;
        return Ok(0);
    }
    if !watch.sees_memory() {
        door.log.warn("events: the container has no group with the memory controller: lack of it isn't seen");
    }
    let mut due = Instant::now() + interval;
    loop {
        let line = match watch.next(due.saturating_duration_since(Instant::now()))? {
            Happened::Ended => return Ok(0),
            Happened::OutOfMemory => format!("{{\"type\":\"oom\",\"id\":{}}}\n", quoted(id)),
            Happened::Nothing if Instant::now() < due => continue,
            Happened::Nothing => {
                due = Instant::now() + interval;
                // It may be taken away while we look.
                match stats(id, &watch) {
                    Err(_) if watch.next(Duration::ZERO)? == Happened::Ended => return Ok(0),
                    line => line?,
                }
            }
        };
        if !output::offer(&line)? {
            return Ok(0);
        }
    }
}

fn stats(id: &str, watch: &Watch) -> Result<String> {
    let stats = serde_json::to_string(&watch.stats()?)
        .map_err(|e| Error::new(Kind::System, format!("statistics: {e}")))?;
    Ok(format!("{{\"type\":\"stats\",\"id\":{},\"data\":{stats}}}\n", quoted(id)))
}

fn quoted(id: &str) -> serde_json::Value {
    id.into()
}

/// A duration as Go writes it: numbers with units, `1h`, `1m30s`, `1.5s`, `100ms`.
fn duration(text: &str) -> Option<Duration> {
    let units =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("5s", Some(5000)),
            ("100ms", Some(100)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("1500us", Some(1)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("5 s", None),
            ("5x", None),
            ("1.2.3s", None),
            ("9e9s", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), milliseconds, "{text:?}");
        }
    }
}
