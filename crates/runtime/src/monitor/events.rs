//! `events`: what happened to a container, a line of JSON each, in the container's directory.
//!
//! `{"time":"…","event":"die","status":3}`
//!
//! The file is only appended to; one that has grown large becomes `events.1`, in the place of an earlier one.

use crate::clock;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{AsFd, Errno};
use serde_json::{Map, Value};

/// The file's name.
pub const FILE: &str = "events";

/// The one before.
const OLD: &str = "events.1";

/// How large it may become, in bytes.
const MOST: u64 = 1 << 20;

/// Appends an event with these details.
pub fn append(dir: impl AsFd, event: &str, details: &[(&str, Value)]) -> Result<()> {
    let mut line = Map::new();
    line.insert("time".to_owned(), clock::now().into());
    line.insert("event".to_owned(), event.into());
    line.extend(details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let text = format!("{}\n", Value::Object(line));
    match fs::statat(&dir, FILE, fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if u64::try_from(stat.st_size).unwrap_or(0) >= MOST => {
            fs::renameat(&dir, FILE, &dir, OLD).during(|| FILE)?;
        }
        Err(e) if e.errno() != Errno::NOENT => return Err(e).during(|| FILE),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
    let file = fs::openat(&dir, FILE, flags, Mode::from_raw_mode(0o600)).during(|| FILE)?;
    fs::write_once(&file, text.as_bytes()).during(|| FILE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_and_the_file_does_not_grow_for_ever() {
        let temp = testkit::Temp::new("events");
        let dir = fs::open(temp.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        append(&dir, "start", &[("pid", 7.into())]).unwrap();
        append(&dir, "die", &[("status", Value::Null)]).unwrap();
        let file = temp.path().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&events[0]["event"], &events[0]["pid"]), (&"start".into(), &7.into()));
        assert_eq!((&events[1]["event"], &events[1]["status"]), (&"die".into(), &Value::Null));
        std::fs::File::options().write(true).open(&file).unwrap().set_len(MOST).unwrap();
        append(&dir, "start", &[]).unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() < 100);
        assert_eq!(std::fs::metadata(temp.path().join(OLD)).unwrap().len(), MOST);
    }
}
