//! Processes of ours that outlive who starts them: monitors of containers, resolvers of networks.
//!
//! One says what is wrong with it on its standard output, and closes that when it is ready; the process that was started is
//! only the parent of it, and ends.

use crate::error::{During, Error, Kind, Result};
use crate::mountinfo::unescape;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::mount::{self, UnmountFlags};
use forgeone_sys::{process, signal};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one says is wrong is read up to this size.
const ERROR_MAX: usize = 16 << 10;

/// The mount table is read up to this size.
const MOUNTINFO_MAX: usize = 64 << 20;

/// Starts a program with these words and waits until what it makes is ready.
pub(crate) fn start(program: &Path, words: &[OsString], step: &str) -> Result<()> {
    let failed = |cause: String| Error::new(Kind::System, format!("{step}: {cause}"));
    let (reader, writer) = fs::pipe()?;
    let mut command = Command::new(program);
    command.args(words).current_dir("/");
    // Whoever this program is a service of is told by itself.
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::from(writer)).stderr(Stdio::null());
    signal::reset_all_in(&mut command);
    let child = process::spawn(&mut command);
    drop(command);
    let mut child = child.map_err(|e| failed(format!("{}: {e}", program.display())))?;
    let said = fs::read_up_to(&reader, ERROR_MAX).during(|| step.to_owned())?;
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&said);
    match said.trim_end() {
        "" if status.success() => Ok(()),
        "" => Err(failed(status.to_string())),
        line => Err(Error::new(Kind::System, line.to_owned())),
    }
}

/// Says that this process is ready: closes the streams of whoever started it.
pub(crate) fn ready() -> Result<()> {
    let null = fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    Ok((0..3).try_for_each(|number| fs::dup2_stdio(&null, number))?)
}

/// Unmounts all that is mounted in a directory, in this mount namespace.
pub(crate) fn unmount_below(directory: &Path) -> Result<()> {
    // As the table has it.
    let directory = std::fs::canonicalize(directory)
        .map_err(|e| Error::new(Kind::System, format!("mounts: {}: {e}", directory.display())))?;
    let table = fs::read_file_at(fs::CWD, "/proc/self/mountinfo", MOUNTINFO_MAX).during(|| "mounts")?;
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let points = points.map(|point| PathBuf::from(OsString::from_vec(unescape(point))));
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(&directory)).collect();
    // The last one is on top.
    below.reverse();
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    below.iter().try_for_each(|point| mount::umount(point, flags)).during(|| "mounts")
}
