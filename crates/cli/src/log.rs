//! The log, as runc's users read it: logrus' text or JSON, one entry a line.
//!
//! An error goes to standard error as one plain line, and to the log's file where there is one. Without a file the
//! log is standard error itself; there, asking for JSON turns the plain line into an entry.

use crate::output::printable;
use crate::parse::usage;
use crate::values::Values;
use forgeone_runtime::error::brief;
use forgeone_runtime::{Result, clock};
use forgeone_sys::without_numbers;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// How entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Where entries go.
#[derive(Debug, Default)]
pub struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// The log that the global options ask for.
    pub fn open(global: &Values) -> Result<Self> {
        let format = match global.text("log-format")? {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => return Err(usage(format!("option --log-format is text or json, not {other:?}"))),
        };
        let open = |path: &std::path::Path| {
            // The mode is runc's: others may read it, whatever the umask lets them.
            let file = File::options().create(true).append(true).mode(0o644).open(path);
            file.map_err(|e| usage(format!("option --log: {}: {e}", path.display())))
        };
        let file = global.value("log").map(std::path::Path::new).map(open).transpose()?;
        let asked = matches!(std::env::var("DEBUG").as_deref(), Ok("1" | "true"));
        Ok(Self { file, format, debug: global.choice("debug").unwrap_or(asked) })
    }

    /// Reports a failure.
    pub fn error(&self, message: &str) {
        if self.file.is_some() || self.format == Format::Json {
            self.entry("error", message);
        }
        if self.file.is_some() || self.format == Format::Text {
            to_stderr(&format!("forgeone: {}\n", printable(&without_numbers(message))));
        }
    }

    /// Reports what did no harm to the command's result.
    pub fn warn(&self, message: &str) {
        self.entry("warning", message);
    }

    /// Says what is done, where that was asked for.
    pub fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.entry("debug", &message());
        }
    }

    fn entry(&self, level: &str, message: &str) {
        let message = &brief(without_numbers(message));
        let line = match self.format {
            Format::Text => text(level, message, &clock::now()),
            Format::Json => json(level, message, &clock::now()),
        };
        match &self.file {
            // A log that can't be written is no reason to fail, and there is nowhere to say so.
            Some(file) => drop({ file }.write_all(line.as_bytes())),
            None => to_stderr(&line),
        }
    }
}

fn to_stderr(line: &str) {
    // In one write, so that lines of several processes don't mix. Nobody hears of it if it fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// logrus' text formatter, without colours.
fn text(level: &str, message: &str, time: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    match !message.is_empty() && message.chars().all(plain) {
        true => format!("time=\"{time}\" level={level} msg={message}\n"),
        false => format!("time=\"{time}\" level={level} msg={message:?}\n"),
    }
}

/// logrus' JSON formatter.
fn json(level: &str, message: &str, time: &str) -> String {
    format!("{}\n", serde_json::json!({ "level": level, "msg": message, "time": time }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_logrus_writes_them() {
        let time = "2026-11-21T22:40:26Z";
        let json = json("error", "container \"x\" does not exist", time);
        let want =
            r#"{"level":"error","msg":"container \"x\" does not exist","time":"2026-11-21T22:40:26Z"}"#;
        assert_eq!(json, format!("{want}\n"));
        assert_eq!(text("debug", "done", time), "time=\"2026-11-21T22:40:26Z\" level=debug msg=done\n");
        let want = "time=\"2026-11-21T22:40:26Z\" level=error msg=\"two\\nlines\"\n";
        assert_eq!(text("error", "two\nlines", time), want);
    }
}
