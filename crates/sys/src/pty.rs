//! Terminals: a container's own pty, and the state of the caller's.

use crate::error::{Errno, Error, Fail, Result, check};
use crate::fs::{self, FileType, Mode, OFlags};
use crate::show;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, OutputModes, Termios, Winsize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// The device number of `ptmx`.
const PTMX: (u32, u32) = (5, 2);
/// The first of the eight major numbers of pty peers.
const PTS_MAJOR: u32 = 136;

/// A new pty.
#[derive(Debug)]
pub struct Pty {
    /// The end that a terminal emulator or log reader holds.
    pub master: OwnedFd,
    /// The end that is a program's terminal.
    pub peer: OwnedFd,
}

/// Opens a new pty of the devpts whose root `devpts` is. It does not become the caller's controlling
/// terminal.
///
/// Nothing is opened by a name that the container controls: `ptmx` must be the device it is called, on a
/// devpts, and the peer comes by `TIOCGPTPEER` (Linux 4.13); where that is refused, from the same directory
/// by number, with the same checks.
pub fn open_pty(devpts: impl AsFd) -> Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let master = open_device(&devpts, "ptmx", flags, |device| device == PTMX)?;
    rustix::pty::unlockpt(&master).fail(|| format!("ioctl({}, TIOCSPTLCK, 0)", show::fd(&master)))?;
    let peer = match open_peer(&master) {
        Err(e) if matches!(e.errno(), Errno::NOTTY | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
            let number = pty_number(&master)?.to_string();
            open_device(&devpts, &number, flags, |(major, _)| (PTS_MAJOR..PTS_MAJOR + 8).contains(&major))?
        }
        result => result?,
    };
    Ok(Pty { master, peer })
}

/// Opens a device in a devpts and checks that it is one of those expected, and really there.
fn open_device(
    dir: &impl AsFd,
    name: &str,
    flags: OFlags,
    expected: impl Fn((u32, u32)) -> bool,
) -> Result<OwnedFd> {
    // First as a mere place: opening a foreign device may already have an effect.
    let place = fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    check_device(&place, name, &expected)?;
    let device = fs::openat(dir, name, flags, Mode::empty())?;
    check_device(&device, name, &expected)?;
    Ok(device)
}

fn check_device(fd: &OwnedFd, name: &str, expected: &impl Fn((u32, u32)) -> bool) -> Result<()> {
    let stat = fs::fstat(fd)?;
    let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && expected(device) && fs::fstatfs(fd)?.f_type as u64 == DEVPTS_SUPER_MAGIC {
        return Ok(());
    }
    Err(Error::new(format!("{}: not the terminal device {name:?} of a devpts", show::fd(fd)), Errno::NODEV))
}

/// `TIOCGPTPEER` (Linux 4.13): opens the peer of a master, wherever it is mounted.
pub fn open_peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(&master, flags)
        .fail(|| format!("ioctl({}, TIOCGPTPEER, O_RDWR|O_NOCTTY)", show::fd(&master)))
}

/// The pty's number: its peer's name in the devpts (`TIOCGPTN`).
pub fn pty_number(master: impl AsFd) -> Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: this request writes one `unsigned int`, which outlives the call.
    check(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTN, &raw mut number) })
        .fail(|| format!("ioctl({}, TIOCGPTN)", show::fd(&master)))?;
    Ok(number)
}

/// `TIOCSCTTY`: makes a terminal the controlling one; the caller is a session leader that has none yet.
pub fn set_controlling_terminal(fd: impl AsFd) -> Result<()> {
    rustix::process::ioctl_tiocsctty(&fd).fail(|| format!("ioctl({}, TIOCSCTTY, 0)", show::fd(&fd)))
}

/// `TIOCSWINSZ`: the size in characters.
pub fn set_window_size(fd: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&fd, size)
        .fail(|| format!("ioctl({}, TIOCSWINSZ, {rows} rows, {columns} columns)", show::fd(&fd)))
}

/// `TIOCGWINSZ`: rows and columns, in characters.
pub fn window_size(fd: impl AsFd) -> Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(&fd).fail(|| format!("ioctl({}, TIOCGWINSZ)", show::fd(&fd)))?;
    Ok((size.ws_row, size.ws_col))
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// Whether the caller belongs to the terminal's foreground process group, the one that may read from it.
pub fn in_foreground(fd: impl AsFd) -> bool {
    rustix::termios::tcgetpgrp(fd).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Lets a pty's programs write line ends as they are, without a carriage return (`ONLCR` off). The terminal that
/// the output is shown on adds it, and a file that the output is kept in has none.
pub fn keep_line_ends(fd: impl AsFd) -> Result<()> {
    let mut mode = rustix::termios::tcgetattr(&fd).fail(|| format!("ioctl({}, TCGETS)", show::fd(&fd)))?;
    mode.output_modes.remove(OutputModes::ONLCR);
    rustix::termios::tcsetattr(&fd, OptionalActions::Now, &mode)
        .fail(|| format!("ioctl({}, TCSETS, ~ONLCR)", show::fd(&fd)))
}

/// Puts a terminal's input into raw mode until the guard is dropped. Its output is processed as before: another
/// pty's output is shown on it as [`keep_line_ends`] leaves it.
pub fn raw_mode(fd: impl AsFd) -> Result<RawGuard> {
    let before = rustix::termios::tcgetattr(&fd).fail(|| format!("ioctl({}, TCGETS)", show::fd(&fd)))?;
    let terminal = fs::dup(&fd)?;
    let mut raw = before.clone();
    raw.make_raw();
    raw.output_modes = before.output_modes;
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &raw)
        .fail(|| format!("ioctl({}, TCSETS, raw)", show::fd(&fd)))?;
    Ok(RawGuard { terminal, before })
}

/// A terminal in raw mode, which gets its state back when this is dropped.
#[derive(Debug)]
pub struct RawGuard {
    terminal: OwnedFd,
    before: Termios,
}

impl Drop for RawGuard {
    fn drop(&mut self) {
        // The terminal may be gone by now; there is nobody to tell. Output that waits is processed as before either
        // way, so there is nothing to wait for (which on a stopped terminal would be for ever).
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
