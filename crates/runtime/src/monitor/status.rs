//! `status.json`: how a container fares, written by its monitor alone and read by everybody, without asking anyone.
//!
//! ```text
//! created ──► running ──► exited          paused: running, and the door's state says paused
//!               ▲  └──► restarting ─┐     unknown: it ran, and nobody saw how it ended
//!               └───────────────────┘
//! ```
//!
//! It is replaced whole. What it says of a container that runs holds for the boot that it names, and as long as a
//! monitor lives: see [`Status::read`].

use super::lives;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::path::Path;

/// The file's name in the container's directory.
pub const FILE: &str = "status.json";

/// The version that is written.
const VERSION: u32 = 1;

/// The file is read up to this size; the outputs of health checks are bounded.
const FILE_MAX: usize = 1 << 20;

/// What a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was never started.
    #[default]
    Created,
    /// It runs.
    Running,
    /// It is frozen. `status.json` says running: the cgroup is asked by whoever wants to know.
    Paused,
    /// It has ended and is about to be started again.
    Restarting,
    /// It has ended.
    Exited,
    /// It ran when its monitor was lost, and nobody looks after it now.
    Unknown,
}

impl State {
    /// Whether something of it runs, is about to, or may.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Created | Self::Exited)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Unknown => "unknown",
        }
    }
}

/// What health checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Healthy {
    /// None has succeeded yet, and failures don't count yet.
    #[default]
    Starting,
    /// The last one succeeded, or too few have failed since.
    Healthy,
    /// As many in a row as are allowed have failed.
    Unhealthy,
}

impl Healthy {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The health of a container that is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What holds.
    pub status: Healthy,
    /// How many checks in a row have failed.
    pub failing: u32,
    /// The last checks, the newest last.
    pub log: Vec<Check>,
}

/// A health check that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// When it began: RFC 3339, UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// Its exit status; none where it took too long or could not be started.
    pub exit: Option<i32>,
    /// The beginning of what it wrote.
    pub output: String,
}

/// How a container fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The format's version.
    pub version: u32,
    /// What it does.
    pub state: State,
    /// Process id of its init on the host; 0 if it doesn't run.
    pub pid: i32,
    /// The boot that the process id belongs to.
    pub boot_id: String,
    /// When it was started last: RFC 3339, UTC.
    pub started: Option<String>,
    /// When it ended last.
    pub finished: Option<String>,
    /// How it ended last: the exit status, 128 and the number for a signal. None if nobody saw it.
    pub exit: Option<i32>,
    /// Whether it ran out of memory since it was started last.
    pub oom: bool,
    /// How often it was started again by itself since it was started by hand.
    pub restarts: u32,
    /// Whether it was stopped by hand: `unless-stopped` then leaves it stopped when the machine starts.
    pub stopped: bool,
    /// Its health; none where it isn't checked.
    pub health: Option<Health>,
    /// What went wrong: why it could not be started again, that its log can't be written.
    pub error: Option<String>,
}

impl Status {
    /// What is known of the container whose directory this is. Where no monitor lives, a container that the file says
    /// runs isn't looked after: it may run ([`State::Unknown`], `Client::spawn` finds out), or the machine was started
    /// anew since ([`State::Exited`]).
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the file can't be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let fd = fs::open(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).during(|| "status")?;
        // Asked first: a monitor that ends meanwhile has written the file before.
        let lives = lives(&fd)?;
        Ok(Self::written(&fd)?.judged(lives, &boot_id()?))
    }

    /// What the file says, as it is; created if there is none.
    pub(super) fn written(dir: impl AsFd) -> Result<Self> {
        let bytes = match fs::read_regular_at(&dir, FILE, FILE_MAX) {
            Err(e) if e.errno() == Errno::NOENT => return Ok(Self::default()),
            read => read.during(|| FILE)?,
        };
        // A power cut may leave it empty: then it isn't known what became of the container.
        if bytes.is_empty() {
            return Ok(Self { state: State::Exited, ..Self::default() });
        }
        let status: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(Kind::Damaged, format!("{FILE} can't be read: {e}")))?;
        match status.version {
            VERSION => Ok(status),
            version => Err(Error::new(Kind::Damaged, format!("{FILE}: version {version} is not known here"))),
        }
    }

    /// What it means, decided from what else is known.
    fn judged(self, lives: bool, boot_id: &str) -> Self {
        let active = matches!(self.state, State::Running | State::Paused | State::Restarting);
        match (active && !lives, self.boot_id == boot_id) {
            (false, _) => self,
            (true, true) => Self { state: State::Unknown, ..self },
            (true, false) => Self { state: State::Exited, pid: 0, exit: None, ..self },
        }
    }

    /// Replaces the file.
    pub(super) fn write(&mut self, dir: impl AsFd) -> Result<()> {
        const NEW: &str = ".status.json";
        self.version = VERSION;
        let text = serde_json::to_vec(self).map_err(|e| Error::new(Kind::System, format!("{FILE}: {e}")))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let file = fs::openat(&dir, NEW, flags, Mode::from_raw_mode(0o600)).during(|| FILE)?;
        fs::write_all(&file, &text).during(|| FILE)?;
        fs::renameat(&dir, NEW, &dir, FILE).during(|| FILE)
    }
}

/// The boot that process ids belong to.
pub(super) fn boot_id() -> Result<String> {
    let text = fs::read_file_at(fs::CWD, "/proc/sys/kernel/random/boot_id", 64).during(|| "boot id")?;
    Ok(String::from_utf8_lossy(text.trim_ascii()).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_without_a_monitor_is_not_said_to_run() {
        let status =
            |state| Status { state, boot_id: "b".into(), pid: 7, exit: Some(1), ..Status::default() };
        let table = [
            (State::Running, true, "b", State::Running),
            (State::Running, false, "b", State::Unknown),
            (State::Restarting, false, "b", State::Unknown),
            (State::Running, false, "c", State::Exited),
            (State::Exited, false, "b", State::Exited),
            (State::Created, false, "c", State::Created),
        ];
        for (state, lives, boot, expected) in table {
            assert_eq!(status(state).judged(lives, boot).state, expected, "{state:?} {lives} {boot}");
        }
        assert_eq!(status(State::Running).judged(false, "c").exit, None, "never invented");
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let temp = testkit::Temp::new("status");
        let dir = fs::open(temp.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert_eq!(Status::written(&dir).unwrap(), Status::default());
        let health = Health { failing: 2, ..Health::default() };
        let mut status = Status { exit: Some(3), health: Some(health), ..Status::default() };
        status.write(&dir).unwrap();
        assert_eq!(Status::written(&dir).unwrap(), status);
        std::fs::write(temp.path().join(FILE), r#"{"version":9}"#).unwrap();
        assert_eq!(Status::written(&dir).unwrap_err().kind(), Kind::Damaged);
    }
}
