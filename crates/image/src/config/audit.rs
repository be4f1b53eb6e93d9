//! `audit`: the log of a file's changes.

use super::print;
use crate::arguments::Arguments;
use crate::failure::Failure;
use forgeone_config::audit::{AuditLog, Record, audit_path};
use serde_json::Value;
use std::ffi::OsString;

pub(super) const HELP: &str = "\
audit [start|verify] [options] <file>

start begins the log of a file, FILE.audit beside it. From then on edit, encrypt,
decrypt, migrate and merge write down what they change in that file, and by whom;
values of env and encrypted ones never. Without a word, shows the log.

verify finds records that were changed, removed, added or moved, and a file that
isn't what the last record says. It tells the newest record's hash: noted elsewhere
and given back by --head it shows that the log wasn't written anew.

options:
      --head HASH                a hash that verify told before
      --format FORMAT            text, or json, a record a line (text)
";

pub(super) fn run(words: Vec<OsString>) -> Result<Option<u8>, Failure> {
    let Some(arguments) = Arguments::read(words, &[], &["format", "head"], (1, 2))? else { return Ok(None) };
    let json = arguments.choice("format", &["text", "json"])? == "json";
    let (word, file) = match arguments.words() {
        [file] => ("show", file),
        [word, file] => (word.as_str(), file),
        _ => return Ok(None),
    };
    if word == "start" {
        AuditLog::start(file)?;
        return Ok(Some(0));
    }
    let missing = || {
        let path = audit_path(file);
        Failure::new(format_args!("{path}: there is no log; forgeone config audit start {file} begins one"))
    };
    let log = AuditLog::open(file)?.ok_or_else(missing)?;
    match word {
        "show" if json => print(&log.lines()?)?,
        "show" => print(&log.records().iter().map(shown).collect::<String>())?,
        "verify" => {
            log.verify(arguments.values("head").last())?;
            print(&format!("{file}: {} records, the newest {}\n", log.records().len(), log.head()))?;
        }
        _ => return Err(Failure::new(format_args!("{word:?} is none of start and verify"))),
    }
    Ok(Some(0))
}

/// A record, and its changes below it.
fn shown(record: &Record) -> String {
    let user = record.user.clone().unwrap_or_else(|| record.uid.to_string());
    let mut text = format!("{} {} {user} {}\n", record.sequence, record.time, record.command);
    match &record.changes {
        None => text.push_str("    what changed couldn't be told\n"),
        Some(changes) => changes.iter().for_each(|change| text.push_str(&line(change))),
    }
    text
}

fn line(change: &Value) -> String {
    let path = change["path"].as_str().unwrap_or_default();
    let value = |key: &str| change.get(key).map(ToString::to_string);
    match (value("old"), value("new")) {
        (None, None) => format!("    {path}: {}\n", change["change"].as_str().unwrap_or_default()),
        (old, new) => {
            let none = || "nothing".to_owned();
            format!("    {path}: {} -> {}\n", old.unwrap_or_else(none), new.unwrap_or_else(none))
        }
    }
}
