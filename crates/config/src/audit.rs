//! The log of a file's changes: who changed what, and when.
//!
//! It is the file `NAME.audit` beside the configuration, a JSON object a line:
//!
//! ```text
//! {"sequence":2,"time":"2026-11-22T09:00:00Z","user":"ann","uid":1000,"login_uid":1000,"command":"edit",
//!  "before":"sha256:…","after":"sha256:…","changes":[…],"previous":"sha256:…","hash":"sha256:…"}
//! ```
//!
//! `before` and `after` are of the configuration's bytes. `hash` is of the line up to it, closed by a brace, and
//! `previous` is the hash of the line before, so that no line can be changed, taken out, put in or moved unseen. What is
//! taken away at the end is seen by `after`, which then isn't the file's; only who also puts back the file of that time,
//! or writes the whole log anew, isn't found out by the log alone, but by a hash that was noted elsewhere.
//!
//! Of `env`, and of what is encrypted, it is told that it changed, never the values.

use crate::{Change, Error, Kind, Result};
use forgeone_distribution::calendar;
use serde_json::{json, Map, Value};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a line ends in, but for the 64 digits.
const HASH: (&str, &str) = (",\"hash\":\"sha256:", "\"}");

/// What was before the first line.
const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A line is at most so long: a whole configuration comes and another goes.
const MAX_LINE: u64 = 32 << 20;

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number, from 1.
    pub sequence: u64,
    /// When: UTC, as RFC 3339 writes it.
    pub time: String,
    /// Who by name; who logged in, where that is known, and otherwise who the process runs as.
    pub user: Option<String>,
    /// Who the process ran as: the real user id.
    pub uid: u32,
    /// The command: `start`, `edit`, `migrate` …; `elsewhere` for a change that was found and isn't the log's own.
    pub command: String,
    /// SHA-256 of the file before; absent if there was none.
    pub before: Option<String>,
    /// SHA-256 of the file afterwards.
    pub after: String,
    /// What changed, as JSON; absent if it couldn't be told, since the file was encrypted or no configuration.
    pub changes: Option<Vec<Value>>,
    /// The hash of the record.
    pub hash: String,
}

/// The path of a configuration's log.
pub fn audit_path(config_path: &str) -> String {
    format!("{config_path}.audit")
}

/// A log that is open, and locked until it is dropped; every record of it was verified.
#[derive(Debug)]
pub struct AuditLog {
    path: String,
    config: String,
    file: File,
    records: Vec<Record>,
}

impl AuditLog {
    /// Begins the log of a configuration, with a record of the file as it is.
    ///
    /// # Errors
    /// There is one already; a file that can't be read or made.
    pub fn start(config_path: &str) -> Result<Self> {
        let path = audit_path(config_path);
        let digest = digest_of(config_path)?;
        let digest = digest.ok_or_else(|| system(config_path, std::io::ErrorKind::NotFound.into()))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| system(&path, e))?;
        file.lock().map_err(|e| system(&path, e))?;
        let mut log = Self { path, config: config_path.to_owned(), file, records: Vec::new() };
        log.append("start", None, &digest, Some(Vec::new()))?;
        Ok(log)
    }

    /// Opens the log of a configuration and verifies it; `None` if it has none.
    ///
    /// # Errors
    /// A log that can't be read; a line that was changed, put in, taken out or moved.
    pub fn open(config_path: &str) -> Result<Option<Self>> {
        let path = audit_path(config_path);
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(system(&path, e)),
        };
        file.lock().map_err(|e| system(&path, e))?;
        let records = read(&path, &file)?;
        Ok(Some(Self { path, config: config_path.to_owned(), file, records }))
    }

    /// The records, the oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The log as it stands in its file.
    ///
    /// # Errors
    /// It can't be read.
    pub fn lines(&self) -> Result<String> {
        std::fs::read_to_string(&self.path).map_err(|e| system(&self.path, e))
    }

    /// The hash of the newest record: noted elsewhere, it shows later that nothing up to it was changed.
    pub fn head(&self) -> &str {
        self.records.last().map_or(NOTHING, |record| &record.hash)
    }

    /// Whether the file is what the newest record says, and the log still has a record with the hash `noted`.
    ///
    /// # Errors
    /// It isn't: records are missing at the end, or the file was changed without the log.
    pub fn verify(&self, noted: Option<&str>) -> Result<()> {
        let fault =
            |message: &str| Err(Error::new(Kind::Content, format!("verify {}: {message}", self.path)));
        if noted.is_some_and(|noted| !self.records.iter().any(|record| record.hash == noted)) {
            return fault(
                "no record has the hash that was noted: records are missing, or all were written anew",
            );
        }
        if digest_of(&self.config)?.as_deref() != self.records.last().map(|record| record.after.as_str()) {
            return fault(
                "the file isn't what the last record says: it was changed without the log, or records are missing \
                 at its end",
            );
        }
        Ok(())
    }

    /// Has `change` change the configuration's file, and writes it down; `changes` tells afterwards what it did. That
    /// the file was changed without the log meanwhile is written down before.
    ///
    /// # Errors
    /// Those of `change`, after which nothing is written down; a log that can't be written.
    pub fn record<T, E: From<Error>>(
        &mut self,
        command: &str,
        change: impl FnOnce() -> Result<T, E>,
        changes: impl FnOnce() -> Option<Vec<Value>>,
    ) -> Result<T, E> {
        let before = digest_of(&self.config)?;
        let known = self.records.last().map(|record| record.after.clone());
        if let Some(found) = before.as_deref().filter(|found| known.as_deref() != Some(*found)) {
            self.append("elsewhere", known.as_deref(), found, None)?;
        }
        let changed = change()?;
        let after = digest_of(&self.config)?
            .ok_or_else(|| system(&self.config, std::io::ErrorKind::NotFound.into()))?;
        self.append(command, before.as_deref(), &after, changes())?;
        Ok(changed)
    }

    fn append(
        &mut self,
        command: &str,
        before: Option<&str>,
        after: &str,
        changes: Option<Vec<Value>>,
    ) -> Result<()> {
        let (uid, login) = who();
        let body = json!({
            "sequence": self.records.len() + 1,
            "time": now(),
            "user": name_of(login.unwrap_or(uid)),
            "uid": uid,
            "login_uid": login,
            "command": command,
            "before": before,
            "after": after,
            "changes": changes,
            "previous": self.head(),
        });
        let line = sealed(&body.to_string());
        let record = record(&line, self.records.len(), self.head());
        let record = record.map_err(|e| Error::new(Kind::Content, format!("write {}: {e}", self.path)))?;
        let written = self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|e| system(&self.path, e))?;
        self.records.push(record);
        Ok(())
    }
}

/// Changes as they are written down: values of `env` and what `secret` says (by path and text) aren't.
pub fn recorded_changes(changes: &[Change], secret: impl Fn(&str, &str) -> bool) -> Vec<Value> {
    let recorded = |change: &Change| {
        let path = change.path();
        let what = match (&change.old, &change.new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let mut map = Map::from_iter([("path".to_owned(), json!(path)), ("change".to_owned(), json!(what))]);
        let environment = path == "env" || path.starts_with("env.");
        let hidden = |value: &Option<Value>| value.as_ref().is_some_and(|value| secret(&path, &plain(value)));
        if !environment && !hidden(&change.old) && !hidden(&change.new) {
            map.extend(change.old.clone().map(|old| ("old".to_owned(), old)));
            map.extend(change.new.clone().map(|new| ("new".to_owned(), new)));
        }
        Value::Object(map)
    };
    changes.iter().map(recorded).collect()
}

/// All texts of a value, as they are.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}\n{}", plain(value))).collect(),
        other => format!("{other}\n"),
    }
}

/// A body, an object, with its hash behind all else.
fn sealed(body: &str) -> String {
    let (open, close) = HASH;
    format!("{}{open}{}{close}", body.strip_suffix('}').unwrap_or(body), hex(body.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All records of a log, each verified.
fn read(path: &str, file: &File) -> Result<Vec<Record>> {
    let mut reader = BufReader::new(file);
    let mut records: Vec<Record> = Vec::new();
    loop {
        let mut line = String::new();
        let length = reader.by_ref().take(MAX_LINE).read_line(&mut line).map_err(|e| system(path, e))?;
        if length == 0 {
            break;
        }
        let previous = records.last().map_or(NOTHING, |record| &record.hash);
        let number = records.len();
        let read = line.strip_suffix('\n').ok_or("the line has no end".to_owned());
        let read = read.and_then(|line| record(line, number, previous));
        records
            .push(read.map_err(|e| Error::new(Kind::Content, format!("verify {path}:{}: {e}", number + 1)))?);
    }
    if records.is_empty() {
        return Err(Error::new(
            Kind::Content,
            format!("verify {path}: it is empty; its records are missing"),
        ));
    }
    Ok(records)
}

/// A line that follows `number` others.
fn record(line: &str, number: usize, previous: &str) -> Result<Record, String> {
    let (open, close) = HASH;
    let changed = || "the record was changed: its hash isn't that of what it says".to_owned();
    let end = line.len().checked_sub(open.len() + 64 + close.len()).ok_or_else(changed)?;
    let body = format!("{}}}", line.get(..end).ok_or_else(changed)?);
    if sealed(&body) != line {
        return Err(changed());
    }
    let value: Value = serde_json::from_str(line).map_err(|_| changed())?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let sequence = value["sequence"].as_u64().unwrap_or_default();
    if sequence != number as u64 + 1 || value["previous"] != previous {
        return Err(format!(
            "record {sequence} doesn't follow the one before: some were removed, added or moved"
        ));
    }
    Ok(Record {
        sequence,
        time: text("time").ok_or_else(changed)?,
        user: text("user"),
        uid: value["uid"].as_u64().and_then(|uid| u32::try_from(uid).ok()).ok_or_else(changed)?,
        command: text("command").ok_or_else(changed)?,
        before: text("before"),
        after: text("after").ok_or_else(changed)?,
        changes: value["changes"].as_array().cloned(),
        hash: text("hash").ok_or_else(changed)?,
    })
}

/// SHA-256 of a file, if there is one.
fn digest_of(path: &str) -> Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(system(path, e)),
    };
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).map_err(|e| system(path, e))? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(format!("sha256:{digits}")))
}

fn system(path: &str, e: std::io::Error) -> Error {
    let hint = if e.kind() == std::io::ErrorKind::AlreadyExists { "; it has a log already" } else { "" };
    Error::new(Kind::System, format!("audit {path}: {e}{hint}"))
}

/// The real user id of this process, and who logged in, which sudo doesn't change.
fn who() -> (u32, Option<u32>) {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/self").join(name)).unwrap_or_default();
    let status = read("status");
    let uid =
        status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
    let login = read("loginuid").trim().parse().ok().filter(|login| *login != u32::MAX);
    (uid.unwrap_or(u32::MAX), login)
}

/// A user's name, by /etc/passwd.
fn name_of(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = fields.find(|fields| fields.get(2).and_then(|number| number.parse().ok()) == Some(uid))?;
    user.first().map(|name| (*name).to_owned())
}

/// Now, in UTC, as RFC 3339 writes it.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    time(seconds)
}

/// Seconds since 1970 as a date and time.
fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = calendar::date(days as i64);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn seconds_are_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(seconds), date);
        }
    }
}
