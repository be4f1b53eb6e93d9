//! Where a container's own changes go: a directory of its own, whose size a project quota may bound, or a file system of
//! limited size in a file.

use super::mount::make_directory;
use super::{Disk, Upper, disk, quota};
use crate::error::{During, Error, Kind, Result};
use crate::lifecycle::in_user_namespace;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file, what it is called until it is whole, and where it is mounted.
pub(super) const FILE: &str = "disk.img";
const UNFINISHED: &str = "disk.img.new";
pub(super) const POINT: &str = "disk";

/// What the directory that has the changes is called.
pub(super) const UPPER: &str = "upper";

/// What the directory that overlayfs works in is called.
pub(super) const WORK: &str = "work";

/// The smallest file system that is made, in bytes: it has a journal.
const BYTES_MIN: u64 = 16 << 20;

/// overlayfs' two directories.
pub(super) struct Places {
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

impl Upper {
    /// Makes what has to be there before it is mounted, as far as it is missing.
    ///
    /// # Errors
    /// Too little room is asked for; `mkfs.ext4` is missing or fails; the system's.
    pub fn prepare(&mut self) -> Result<()> {
        let Some(bytes) = self.disk_bytes.filter(|_| self.project.is_none()) else { return Ok(()) };
        if !self.directory.join(FILE).exists() && is_machine_root() {
            self.project = quota::take(&self.directory, bytes).during(|| format!("disk_bytes: {bytes}"))?;
        }
        match self.project {
            Some(_) => self.make_directory(&self.directory.join(WORK), 0o700),
            None => self.make_file(),
        }
    }

    /// Makes the file with the file system unless it is there.
    fn make_file(&self) -> Result<()> {
        let Some(bytes) = self.disk_bytes else { return Ok(()) };
        if self.directory.join(FILE).exists() {
            return Ok(());
        }
        if !is_machine_root() {
            let message = "disk_bytes: a limit takes a project quota or a file system of its own, which only root of the machine can have; leave it out";
            return Err(Error::new(Kind::Unsupported, message));
        }
        make_file(&self.directory, bytes).during(|| format!("disk_bytes: {bytes}"))
    }

    /// Whether its changes are in a file system in a file.
    pub(super) fn is_file(&self) -> bool {
        self.disk_bytes.is_some() && self.project.is_none()
    }

    /// Makes a directory for changes, unless it is there: what is in it counts.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn make_directory(&self, path: &Path, mode: u32) -> Result<()> {
        make_directory(path, mode)?;
        let Some(project) = self.project else { return Ok(()) };
        let made = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(forgeone_sys::quota::set_project(made, project)?)
    }
}

fn is_machine_root() -> bool {
    process::geteuid() == 0 && !in_user_namespace()
}

/// The directories for an overlay above `lowers`, made if they are missing.
pub(super) fn places(upper: &Upper, lowers: &[PathBuf], mounted: &mut Vec<PathBuf>) -> Result<Places> {
    let mut directory = upper.directory.clone();
    if upper.is_file() {
        upper.make_file()?;
        directory.push(POINT);
        make_directory(&directory, 0o700)?;
        let file = upper.directory.join(FILE);
        let disk = Disk { file, offset: 0, size: None, filesystem: "ext4".into(), read_only: false };
        disk::mount(&disk, &directory, false)?;
        mounted.push(directory.clone());
    }
    let places = Places { upper: directory.join(UPPER), work: directory.join(WORK) };
    upper.make_directory(&places.work, 0o700)?;
    if !places.upper.exists() {
        // Beside, and renamed: what is there has the attributes of what is below.
        let made = directory.join("upper.new");
        upper.make_directory(&made, 0o755)?;
        if let Some(top) = lowers.first() {
            like(top, &made)?;
        }
        fs::renameat(fs::CWD, &made, fs::CWD, &places.upper)?;
    }
    Ok(places)
}

/// Gives a directory the owner and mode of another: the root directory of an overlay is the upper one.
fn like(from: &Path, to: &Path) -> Result<()> {
    let found = fs::statat(fs::CWD, from, fs::AtFlags::empty())?;
    let made = fs::open(to, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    fs::fchown(&made, found.st_uid, found.st_gid)?;
    Ok(fs::fchmod(&made, found.st_mode & 0o7777)?)
}

/// Makes a sparse file with an empty ext4.
fn make_file(directory: &Path, bytes: u64) -> Result<()> {
    if bytes < BYTES_MIN {
        let message = format!("a file system has {BYTES_MIN} bytes at least");
        return Err(Error::new(Kind::Config, message));
    }
    let (file, made) = (directory.join(FILE), directory.join(UNFINISHED));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
    let sparse = std::fs::File::from(fs::open(&made, flags, Mode::from_raw_mode(0o600))?);
    sparse.set_len(bytes).map_err(|e| Error::new(Kind::System, format!("{}: {e}", made.display())))?;
    let mut command = Command::new("mkfs.ext4");
    // All of it is the container's: nothing is kept for root, and tables are written when they are needed.
    command
        .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"])
        .arg(&made);
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = process::spawn(&mut command).and_then(|child| child.wait_with_output());
    let output = output.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let message = "mkfs.ext4 is missing; install e2fsprogs, or leave the limit out";
            Error::new(Kind::Unsupported, message)
        }
        _ => Error::new(Kind::System, format!("mkfs.ext4: {e}")),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it failed without a word").to_owned();
        return Err(Error::new(Kind::System, format!("mkfs.ext4: {said}")));
    }
    Ok(fs::renameat(fs::CWD, &made, fs::CWD, &file)?)
}
