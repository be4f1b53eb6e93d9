//! The event file: one JSON object a line, append only, numbered.
//!
//! `{"seq":1,"time":"…","boot":"…","cgroup":4711,"event":"created","pid":42}`
//!
//! A container's exit is written once, by whoever sees it first: its parent, who knows the status, or a later
//! command that finds it gone, with `"status":null`.

use super::Dir;
use crate::clock;
use crate::error::{During, Result};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, Mode, OFlags};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;

/// Its name in the container's directory.
const FILE: &str = "events";

/// Reading stops here; an event is about 150 bytes.
const FILE_MAX: usize = 64 << 20;

/// What happened, beside its name.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `created`, `started`, `exec`, `paused`, `resumed`, `updated`, `exited`.
    pub name: &'a str,
    /// Boot that process ids belong to.
    pub boot_id: &'a str,
    /// The container's id in the cgroup2 hierarchy (an inode number); 0 without one.
    pub cgroup: u64,
    /// The process that it is about.
    pub pid: i32,
}

/// Writes the first event into a new file.
pub fn begin(dir: &Dir, event: &Event) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
    let file = fs::openat(dir, FILE, flags, Mode::from_raw_mode(0o600)).during(|| "events")?;
    write(&file, &[], event, None).during(|| "events")
}

/// Appends an event. Nobody hears of a container that was deleted meanwhile.
pub fn append(dir: &Dir, event: &Event) -> Result<()> {
    let Some(file) = open(dir)? else { return Ok(()) };
    write(&file, &read(&file)?, event, None).during(|| "events")
}

/// Appends the exit, unless it is there already. `status` is `None` where the caller wasn't the parent.
pub fn append_exit(dir: &Dir, event: &Event, status: Option<i32>) -> Result<()> {
    let Some(file) = open(dir)? else { return Ok(()) };
    let written = read(&file)?;
    if written.windows(EXITED.len()).any(|window| window == EXITED) {
        return Ok(());
    }
    let event = Event { name: "exited", ..*event };
    write(&file, &written, &event, Some(status.map_or(Value::Null, Value::from))).during(|| "events")
}

const EXITED: &[u8] = br#""event":"exited""#;

/// Locked; `None` if there is none any more. It isn't made anew: a directory that is being removed would not be empty.
fn open(dir: &Dir) -> Result<Option<OwnedFd>> {
    match fs::openat(dir, FILE, OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW, Mode::empty()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(None),
        opened => {
            let file = opened.during(|| "events")?;
            fs::flock_exclusive(&file).during(|| "events")?;
            Ok(Some(file))
        }
    }
}

fn read(file: &OwnedFd) -> Result<Vec<u8>> {
    fs::read_regular(file, FILE_MAX).during(|| "events")
}

/// Writes an event behind those that are `written`.
fn write(file: &OwnedFd, written: &[u8], event: &Event, status: Option<Value>) -> Result<()> {
    let seq = 1 + written.iter().filter(|byte| **byte == b'\n').count();
    let mut line = json!({
        "seq": seq,
        "time": clock::now(),
        "boot": event.boot_id,
        "cgroup": event.cgroup,
        "event": event.name,
        "pid": event.pid,
    });
    if let (Some(status), Some(object)) = (status, line.as_object_mut()) {
        object.insert("status".to_owned(), status);
    }
    Ok(fs::write_all(file, format!("{line}\n").as_bytes())?)
}
