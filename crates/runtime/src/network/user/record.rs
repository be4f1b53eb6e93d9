//! What connects a container, kept in its directory: by it whoever comes later ends the process.

use super::Connected;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::started;
use crate::registry::replace;
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::process::{kill, pidfd_open, wait_nohang};
use forgeone_sys::signal::{signal_number, wait_readable};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

const FILE: &str = "user-network.json";
const FILE_MAX: usize = 1 << 20;
/// How long a killed process may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process, which no other one is mistaken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pid: i32,
    /// Clock ticks since boot.
    started: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    process: Process,
    /// Of which boot.
    boot: String,
    connected: Connected,
}

impl Process {
    pub(super) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, started: started(pid)? })
    }

    fn lives(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Ends it, and waits for that.
    pub(super) fn end(self) {
        if !self.lives() {
            return;
        }
        // It has the container's packets alone, and pasta is the first process of a PID namespace: nothing less ends it.
        let pidfd = pidfd_open(self.pid).ok();
        let _ = kill(self.pid, signal_number("KILL").unwrap_or(9));
        let deadline = Instant::now() + PATIENCE;
        while self.lives() && Instant::now() < deadline {
            match &pidfd {
                Some(pidfd) => drop(wait_readable(pidfd, Some(1000))),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        // It may be a child of ours.
        let _ = wait_nohang(self.pid);
    }
}

pub(super) fn keep(directory: &Path, process: Process, connected: &Connected) -> Result<()> {
    let record = Record { process, boot: boot(), connected: connected.clone() };
    let text = serde_json::to_vec_pretty(&record).map_err(|e| Error::new(Kind::System, e.to_string()))?;
    let directory = fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    replace(&directory, FILE, &text)
}

fn read(directory: &Path) -> Result<Option<Record>> {
    let path = directory.join(FILE);
    let text = match fs::read_regular_at(CWD, &path, FILE_MAX) {
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        text => text?,
    };
    let damaged = |e| Error::new(Kind::Damaged, format!("{}: {e}", path.display()));
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

pub(super) fn connected(directory: &Path) -> Result<Option<Connected>> {
    let record = read(directory)?.filter(|record| record.boot == boot() && record.process.lives());
    Ok(record.map(|record| record.connected))
}

pub(super) fn end(directory: &Path) -> Result<()> {
    let Some(record) = read(directory)? else { return Ok(()) };
    if record.boot == boot() {
        record.process.end();
    }
    let path = directory.join(FILE);
    std::fs::remove_file(&path).map_err(|e| Error::new(Kind::System, format!("{}: {e}", path.display())))
}

/// Which boot of the machine this is.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
