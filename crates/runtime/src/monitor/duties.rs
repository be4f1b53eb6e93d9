//! What a monitor is to do for its container: plain data, made of `container.json`.

use super::log::Limits;
use crate::error::{Error, Kind, Result};
use crate::registry::{Healthcheck, Record};
use forgeone_config::{HealthCheck, Logging, RestartPolicy};
use forgeone_sys::OwnedFd;
use forgeone_sys::signal::signal_number;
use std::path::Path;
use std::time::Duration;

/// How a container is asked to end where nobody says.
const STOP_SIGNAL: &str = "TERM";

/// How long it may take then.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a monitor does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duties {
    /// The container's id.
    pub(super) id: String,
    /// Whether it has a terminal.
    pub(super) terminal: bool,
    /// Whether its standard input is open.
    pub(super) stdin: bool,
    /// When it is started again.
    pub(super) restart: RestartPolicy,
    /// The signal that asks it to end.
    pub(super) stop_signal: i32,
    /// How long it may take to end.
    pub(super) stop_timeout: Duration,
    /// How it is found out whether it works.
    pub(super) probe: Option<Probe>,
    /// What is done about a container that is unhealthy.
    pub(super) unhealthy: Unhealthy,
    /// Whether it is removed when it has ended.
    pub(super) auto_remove: bool,
    /// How much of its log is kept; none where nothing is.
    pub(super) log: Option<Limits>,
}

/// What is done about a container that is unhealthy, besides telling it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unhealthy {
    #[default]
    Nothing,
    /// It is killed; the restart policy decides what follows.
    Kill,
    /// It is stopped and started again, whatever the policy.
    Restart,
    /// It is stopped.
    Stop,
}

/// The annotation that says so: `none`, `kill`, `restart` or `stop`.
pub const ON_FAILURE: &str = "io.forgeone.health.on-failure";

impl Unhealthy {
    fn of(word: Option<&String>) -> Result<Self> {
        Ok(match word.map(String::as_str) {
            None | Some("none") => Self::Nothing,
            Some("kill") => Self::Kill,
            Some("restart") => Self::Restart,
            Some("stop") => Self::Stop,
            Some(word) => {
                let message =
                    format!("annotation {ON_FAILURE}: {word:?} is none of none, kill, restart, stop");
                return Err(Error::new(Kind::Config, message));
            }
        })
    }
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Time between two of them.
    pub(super) interval: Duration,
    /// How long one may take.
    pub(super) timeout: Duration,
    /// How long failures don't count after a start.
    pub(super) start_period: Duration,
    /// After how many failures in a row it counts.
    pub(super) retries: u32,
}

/// Docker's, where nobody says.
const INTERVAL: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

impl Duties {
    /// Reads them from the container's directory.
    pub(super) fn read(dir: &OwnedFd, directory: &Path) -> Result<Self> {
        let id = directory.file_name().unwrap_or_default().to_string_lossy();
        let missing = || Error::new(Kind::NotFound, format!("no container in {}", directory.display()));
        Self::of(&Record::read(dir, &id)?.ok_or_else(missing)?)
    }

    /// Decides them from what the container is.
    pub(super) fn of(record: &Record) -> Result<Self> {
        let (config, image) = (&record.config, &record.image_config);
        let wished = Some(&image.stop_signal).filter(|name| !name.is_empty());
        let signal = config.stop_signal.as_ref().or(wished).map_or(STOP_SIGNAL, String::as_str);
        let wrong = || Error::new(Kind::Config, format!("stop_signal: {signal:?} is no signal"));
        let probe = match &config.healthcheck {
            Some(check) => Probe::of_config(check),
            None => image.healthcheck.as_ref().and_then(Probe::of_image),
        };
        Ok(Self {
            id: record.id.clone(),
            terminal: config.tty.unwrap_or(false),
            stdin: config.stdin_open.unwrap_or(false),
            restart: config.restart.unwrap_or_default(),
            stop_signal: signal_number(signal).ok_or_else(wrong)?,
            stop_timeout: config.stop_grace_period.map_or(STOP_TIMEOUT, |period| period.duration()),
            probe,
            unhealthy: Unhealthy::of(config.annotations.as_ref().and_then(|all| all.get(ON_FAILURE)))?,
            auto_remove: record.auto_remove,
            log: config.logging.as_ref().map_or(Ok(Some(Limits::default())), limits)?,
        })
    }
}

/// What is said about the log, as Docker's users write it.
fn limits(logging: &Logging) -> Result<Option<Limits>> {
    if logging.driver.as_deref() == Some("none") {
        return Ok(None);
    }
    let option = |name: &str| logging.options.as_ref().and_then(|options| options.get(name));
    let wrong = |name: &str, text: &str, what: &str| {
        Error::new(Kind::Config, format!("logging.options: {name}: {text:?} is not {what}"))
    };
    let mut limits = Limits::default();
    if let Some(text) = option("max-size") {
        limits.size = match size(text) {
            _ if text == "-1" => u64::MAX,
            Some(size) if size > 0 => size,
            _ => return Err(wrong("max-size", text, "a size such as 500k, 10m or 1g, or -1 for no limit")),
        };
    }
    if let Some(text) = option("max-file") {
        let files = text.parse().ok().filter(|files| *files > 0);
        limits.files = files.ok_or_else(|| wrong("max-file", text, "a number of files above 0"))?;
    }
    Ok(Some(limits))
}

/// A number of bytes, with a unit of 1024 or none.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let text = lower.strip_suffix('b').unwrap_or(&lower);
    let units = [("k", 10), ("m", 20), ("g", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl Probe {
    fn of_config(check: &HealthCheck) -> Option<Self> {
        let or = |period: Option<forgeone_config::Period>, default| {
            period.map(|period| period.duration()).filter(|period| !period.is_zero()).unwrap_or(default)
        };
        (!check.test.is_empty()).then(|| Self {
            words: check.test.clone(),
            interval: or(check.interval, INTERVAL),
            timeout: or(check.timeout, INTERVAL),
            start_period: or(check.start_period, Duration::ZERO),
            retries: check.retries.filter(|retries| *retries > 0).unwrap_or(RETRIES),
        })
    }

    fn of_image(check: &Healthcheck) -> Option<Self> {
        let words = match check.test.split_first() {
            Some((kind, words)) if kind == "CMD" => words.to_vec(),
            Some((kind, line)) if kind == "CMD-SHELL" => {
                let line = line.first().cloned().unwrap_or_default();
                vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
            }
            _ => return None,
        };
        let or = |nanoseconds: u64, default| match nanoseconds {
            0 => default,
            nanoseconds => Duration::from_nanos(nanoseconds),
        };
        (!words.is_empty()).then(|| Self {
            words,
            interval: or(check.interval, INTERVAL),
            timeout: or(check.timeout, INTERVAL),
            start_period: or(check.start_period, Duration::ZERO),
            retries: if check.retries == 0 { RETRIES } else { check.retries },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(config: &str, image: &str) -> Record {
        let text = format!(
            r#"{{"version":1,"id":"a","name":"web","created":"","image":null,"image_config":{image},
                "config":{config},"rootfs":{{"base":{{"directory":"/srv"}},"upper":null}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_nobody_says_is_dockers_default() {
        let duties = Duties::of(&record("{}", "{}")).unwrap();
        assert_eq!((duties.stop_signal, duties.stop_timeout), (15, Duration::from_secs(10)));
        assert_eq!((duties.restart, duties.probe, duties.terminal), (RestartPolicy::No, None, false));
    }

    #[test]
    fn the_caller_is_heard_before_the_image() {
        let image = r#"{"StopSignal":"SIGQUIT","Healthcheck":{"Test":["CMD-SHELL","test -e /ok"],"Interval":2000000000}}"#;
        let duties = Duties::of(&record("{}", image)).unwrap();
        let probe = duties.probe.unwrap();
        assert_eq!((duties.stop_signal, probe.interval), (3, Duration::from_secs(2)));
        assert_eq!(probe.words, ["/bin/sh", "-c", "test -e /ok"]);
        let config = r#"{"stop_signal":"INT","healthcheck":{"test":["true"],"retries":5}}"#;
        let duties = Duties::of(&record(config, image)).unwrap();
        let probe = duties.probe.unwrap();
        assert_eq!((duties.stop_signal, probe.retries, probe.interval), (2, 5, INTERVAL));
        let annotated =
            |word: &str| record(&format!(r#"{{"annotations":{{"{ON_FAILURE}":"{word}"}}}}"#), "{}");
        assert_eq!(Duties::of(&annotated("restart")).unwrap().unhealthy, Unhealthy::Restart);
        assert!(Duties::of(&annotated("x")).is_err());
        let off = Duties::of(&record(r#"{"healthcheck":{"test":[]}}"#, image)).unwrap();
        assert_eq!(off.probe, None);
        assert!(Duties::of(&record(r#"{"stop_signal":"NOPE"}"#, "{}")).is_err());
    }

    #[test]
    fn how_much_of_the_log_is_kept_is_written_as_dockers_users_do() {
        let log = |options: &str| {
            let config = format!(r#"{{"logging":{{"options":{{{options}}}}}}}"#);
            Duties::of(&record(&config, "{}")).map(|duties| duties.log.map(|log| (log.size, log.files)))
        };
        let default = Limits::default();
        assert_eq!(log(""), Ok(Some((default.size, default.files))));
        for (text, size) in [("10m", 10 << 20), ("3", 3), ("2kb", 2048), ("1G", 1 << 30), ("-1", u64::MAX)] {
            assert_eq!(log(&format!(r#""max-size":"{text}""#)), Ok(Some((size, default.files))), "{text}");
        }
        assert_eq!(log(r#""max-file":"2""#), Ok(Some((default.size, 2))));
        for bad in [r#""max-size":"""#, r#""max-size":"0""#, r#""max-size":"1x""#, r#""max-file":"0""#] {
            assert!(log(bad).is_err(), "{bad}");
        }
        let none = Duties::of(&record(r#"{"logging":{"driver":"none"}}"#, "{}")).unwrap();
        assert_eq!(none.log, None);
    }
}
