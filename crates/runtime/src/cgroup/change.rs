//! Writing limits so that they can be put back: before any file is written all are read, since a write to one may change
//! another.
//!
//! What was written is undone in reverse. Every state on the way was accepted once, so that values that bound each
//! other (memory, and memory and swap together) are put back in an order that the kernel takes.

use super::members::text;
use super::step::Step;
use crate::error::{During, Error};
use forgeone_sys::{OwnedFd, fs};
use std::collections::BTreeMap;

/// What a file had before it was written.
#[derive(Debug)]
struct Before {
    file: String,
    value: String,
}

/// What was written in one group.
#[derive(Debug)]
pub(super) struct Ledger {
    dir: OwnedFd,
    texts: BTreeMap<String, String>,
    before: Vec<Before>,
}

impl Ledger {
    /// For the group at `dir`, in which `steps` are going to be carried out.
    ///
    /// A file that can't be read can't be put back, and is not.
    pub(super) fn new(dir: OwnedFd, steps: &[Step]) -> Self {
        let files = steps.iter().flat_map(Step::files);
        let texts = files.filter_map(|file| Some((file.to_owned(), text(&dir, file).ok()?))).collect();
        Self { dir, texts, before: Vec::new() }
    }

    /// The group.
    pub(super) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Writes `value`, and remembers what was there.
    pub(super) fn write(&mut self, file: &str, value: &str) -> forgeone_sys::Result<()> {
        let before = self.texts.get(file).and_then(|before| earlier(file, value, before));
        fs::write_file_at(&self.dir, file, value.as_bytes())?;
        self.before.extend(before.map(|value| Before { file: file.to_owned(), value }));
        Ok(())
    }

    fn put_back(self) -> impl Iterator<Item = Error> {
        let Self { dir, mut before, .. } = self;
        before.reverse();
        // A group's weight for all devices takes back those for single ones (BFQ): these come after it.
        before.sort_by_key(|before| is_device(&before.value));
        before.into_iter().filter_map(move |Before { file, value }| {
            let written = fs::write_file_at(&dir, file.as_str(), value.as_bytes());
            written.during(|| format!("put back {file}")).err()
        })
    }
}

/// Limits that were changed.
#[derive(Debug, Default)]
#[must_use]
pub struct Changed(pub(super) Vec<Ledger>);

impl Changed {
    /// Puts every file back as it was, because of `cause`; all that failed.
    pub fn taken_back(self, cause: Error) -> Error {
        let errors =
            std::iter::once(cause.clone()).chain(self.0.into_iter().rev().flat_map(Ledger::put_back));
        Error::all(errors.collect()).unwrap_or(cause)
    }
}

/// What to write into `file` to undo the writing of `value`, where it had the text `before`; `None` if that isn't
/// known.
fn earlier(file: &str, value: &str, before: &str) -> Option<String> {
    let before = before.trim_end();
    if file == "memory.oom_control" {
        return before.lines().find_map(|line| line.strip_prefix("oom_kill_disable ")).map(str::to_owned);
    }
    let key = value.split_whitespace().next().unwrap_or_default();
    if is_device(value) || ["rdma.max", "net_prio.ifpriomap", "misc.max"].contains(&file) {
        let line = before.lines().find(|line| line.split_whitespace().next() == Some(key));
        return line.map(str::to_owned).or_else(|| unset(file, key, value));
    }
    match before.lines().collect::<Vec<_>>().as_slice() {
        // An empty write reaches no controller; an empty line does.
        [] => Some("\n".to_owned()),
        [only] => Some((*only).to_owned()),
        [default, ..] if default.starts_with("default ") => Some((*default).to_owned()),
        _ => None,
    }
}

/// Whether a line is for a device, `8:0 …`.
fn is_device(line: &str) -> bool {
    let key = line.split_whitespace().next().and_then(|key| key.split_once(':'));
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    key.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// The line that takes the entry of `key` out of a file that has one line for each.
fn unset(file: &str, key: &str, value: &str) -> Option<String> {
    match file {
        "io.max" | "rdma.max" => {
            let names = value.split_whitespace().filter_map(|pair| pair.split_once('='));
            Some(names.fold(key.to_owned(), |line, (name, _)| format!("{line} {name}=max")))
        }
        "misc.max" => Some(format!("{key} max")),
        "net_prio.ifpriomap" => Some(format!("{key} 0")),
        _ if file.starts_with("blkio.throttle.") => Some(format!("{key} 0")),
        _ if file.contains("weight") => Some(format!("{key} default")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_what_is_put_back() {
        for (file, value, before, expected) in [
            ("memory.limit_in_bytes", "100", "9223372036854771712\n", Some("9223372036854771712")),
            ("cpu.max", "max 100000", "50000 200000\n", Some("50000 200000")),
            ("cpuset.cpus", "0", "\n", Some("\n")),
            ("memory.oom_control", "0", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n", Some("1")),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n8:0 9\n", Some("8:0 9")),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n", Some("8:0 0")),
            ("blkio.bfq.weight_device", "8:0 5", "default 100\n8:16 7\n", Some("8:0 default")),
            ("blkio.bfq.weight", "200", "100\n", Some("100")),
            ("io.weight", "200", "default 100\n8:0 50\n", Some("default 100")),
            ("io.max", "8:0 rbps=5", "8:0 rbps=1 wbps=max\n", Some("8:0 rbps=1 wbps=max")),
            ("io.max", "8:0 rbps=5", "", Some("8:0 rbps=max")),
            ("rdma.max", "mlx hca_handle=1 hca_object=2", "", Some("mlx hca_handle=max hca_object=max")),
            (
                "rdma.max",
                "mlx hca_handle=1",
                "mlx hca_handle=7 hca_object=max\n",
                Some("mlx hca_handle=7 hca_object=max"),
            ),
            ("net_prio.ifpriomap", "eth0 5", "lo 0\neth0 3\n", Some("eth0 3")),
            ("io.cost.model", "8:0 ctrl=auto", "", None),
            ("some.stat", "1", "a 1\nb 2\n", None),
        ] {
            assert_eq!(earlier(file, value, before).as_deref(), expected, "{file} {value} {before:?}");
        }
    }
}
