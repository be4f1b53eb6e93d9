//! `logs`: what a container has written, in the log's order.

use super::list::moment;
use crate::here::Here;
use forgeone_cli::{Call, usage};
use forgeone_runtime::clock;
use forgeone_runtime::error::During;
use forgeone_runtime::monitor::log::{self, Stream, parse};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, stderr, stdout};
use forgeone_sys::inotify::Inotify;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// What is shown of it.
struct Wanted {
    timestamps: bool,
    since: Option<Duration>,
    until: Option<Duration>,
}

pub(super) fn logs(here: &Here, call: &Call) -> Result<u8> {
    let container = here.register.find(call.text(0)?)?;
    if container.config().logging.as_ref().and_then(|logging| logging.driver.as_deref()) == Some("none") {
        let message = format!("container {:?} keeps no log (--log-driver none)", container.name());
        return Err(Error::new(Kind::State, message));
    }
    let flags = &call.flags;
    let tail = match flags.text("tail")? {
        None | Some("all" | "-1") => None,
        Some(text) => Some(
            text.parse::<usize>().map_err(|_| usage(format!("option --tail is a number, not {text:?}")))?,
        ),
    };
    let wanted = Wanted {
        timestamps: flags.switch("timestamps"),
        since: moment("since", flags.text("since")?)?,
        until: moment("until", flags.text("until")?)?,
    };
    // Watched before the first line is read, so that nothing comes unseen between.
    let watch = flags.switch("follow").then(Inotify::new).transpose().during(|| "log")?;
    if let Some(watch) = &watch {
        watch.add(&container.dir()).during(|| "log")?;
    }
    let mut reader = Reader { dir: container.dir(), file: None, line: Vec::new() };
    reader.past(&wanted, tail)?;
    let Some(watch) = watch else { return Ok(0) };
    loop {
        // Asked before the rest is read: one that has ended writes no more.
        let ended = !super::is_active(&container)?;
        let gone = !container.dir().exists();
        while reader.more(&wanted)? {}
        if ended || gone {
            return Ok(0);
        }
        watch.wait(None).during(|| "log")?;
    }
}

/// The log's files, one after the other.
struct Reader {
    dir: PathBuf,
    /// The newest, as far as it was read.
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end isn't written yet.
    line: Vec<u8>,
}

impl Reader {
    /// Shows what there is, or the last lines of it.
    fn past(&mut self, wanted: &Wanted, tail: Option<usize>) -> Result<()> {
        let dir = fs::open(&*self.dir, fs::OFlags::PATH | fs::OFlags::DIRECTORY, fs::Mode::empty())?;
        let mut last = VecDeque::new();
        let mut files = log::files(&dir)?;
        if let Some(at) = files.iter().position(|name| name == log::FILE) {
            files.truncate(at + 1);
        }
        for name in files {
            let Ok(file) = File::open(self.dir.join(&name)) else { continue };
            let mut file = BufReader::new(file);
            loop {
                let mut line = Vec::new();
                let count = file.read_until(b'\n', &mut line).map_err(failed)?;
                if count == 0 {
                    break;
                }
                if !line.ends_with(b"\n") {
                    self.line = line;
                    break;
                }
                match tail {
                    None => show(&line, wanted)?,
                    Some(count) => {
                        last.push_back(line);
                        if last.len() > count {
                            last.pop_front();
                        }
                    }
                }
            }
            self.file = (name == log::FILE).then_some(file);
        }
        last.iter().try_for_each(|line| show(line, wanted))
    }

    /// Shows the next line, if there is one whole.
    fn more(&mut self, wanted: &Wanted) -> Result<bool> {
        let Some(file) = &mut self.file else {
            self.file = self.newest()?.map(BufReader::new);
            return Ok(self.file.is_some());
        };
        if file.read_until(b'\n', &mut self.line).map_err(failed)? > 0 {
            if self.line.ends_with(b"\n") {
                show(&std::mem::take(&mut self.line), wanted)?;
            }
            return Ok(true);
        }
        // The end of a file that has become an older one is followed by the newest.
        let own = file.get_ref().metadata().map_err(failed)?.ino();
        match self.newest()? {
            Some(newest) if newest.metadata().map_err(failed)?.ino() != own => {
                self.file = Some(BufReader::new(newest));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn newest(&self) -> Result<Option<File>> {
        match File::open(self.dir.join(log::FILE)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(failed),
        }
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::new(Kind::System, format!("log: {e}"))
}

/// A line, on the stream that it was written to. What is no line of a log is passed over.
fn show(line: &[u8], wanted: &Wanted) -> Result<()> {
    let Some(record) = parse(line.strip_suffix(b"\n").unwrap_or(line)) else { return Ok(()) };
    let time = clock::since_epoch(record.time);
    let early = wanted.since.is_some_and(|since| time.is_some_and(|time| time < since));
    let late = wanted.until.is_some_and(|until| time.is_some_and(|time| time > until));
    if early || late {
        return Ok(());
    }
    let mut text = Vec::with_capacity(record.content.len() + 40);
    if wanted.timestamps {
        text.extend_from_slice(record.time.as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(record.content);
    if record.full {
        text.push(b'\n');
    }
    let to = if record.stream == Stream::Stderr { stderr() } else { stdout() };
    match fs::write_all(to, &text) {
        // Who reads has gone away.
        Err(e) if e.errno() == Errno::PIPE => std::process::exit(0),
        written => written.during(|| "write output"),
    }
}
