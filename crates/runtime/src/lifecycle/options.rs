//! What the commands can be told, and what they answer: plain data.

use super::Notify;
use crate::spec::{ConsoleSize, Resources};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Settings that hold for all commands.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// State root, such as `/run/forgeone`.
    pub root: PathBuf,
    /// Let systemd make the cgroups.
    pub systemd_cgroup: bool,
    /// Whether lacking rights over cgroups is borne; `None` decides by the caller's user
    /// and user namespace.
    pub rootless: Option<bool>,
}

/// How a container is created.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Directory with `config.json`.
    pub bundle: PathBuf,
    /// Unix socket that receives the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives init's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// File that receives init's process id.
    pub pid_file: Option<PathBuf>,
    /// Use chroot and a moved mount in place of pivot_root (needed on ramfs).
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on are passed to the program as sockets that it is activated by (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// How many descriptors behind these are passed to the program.
    pub preserve_fds: u32,
    /// The service manager's socket (sd_notify(3)), which the program is to get one of its own for.
    pub notify_socket: Option<OsString>,
    /// Whether the caller of `run` goes away at once, so that nobody relays a terminal; `create` always does.
    pub detach: bool,
    /// Size of the terminal that the program's is joined to, whatever the config says; unknown without one.
    pub console_size: Option<ConsoleSize>,
}

/// How another program is started in a container.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// Unix socket that receives the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Groups inside the container's own for the process, `[CONTROLLERS:]PATH`; none for the container's.
    pub cgroups: Vec<String>,
    /// File that receives the process id.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on are passed to the program.
    pub preserve_fds: u32,
    /// Whether the caller goes away at once, so that nobody relays a terminal.
    pub detach: bool,
    /// Whether a frozen container is no error; the program waits until it is thawed.
    pub ignore_paused: bool,
}

/// How a container's limits are changed.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    /// The limits to change, as in `linux.resources`; what is absent stays.
    pub resources: Resources,
    /// Share of the L3 cache (Intel RDT/CAT), such as `L3:0=ffff`.
    pub l3_cache_schema: Option<String>,
    /// Share of the memory bandwidth (Intel RDT/MBA), such as `MB:0=20`.
    pub mem_bw_schema: Option<String>,
}

/// A process that was just made.
#[derive(Debug)]
pub struct Started {
    /// Process id in the caller's PID namespace.
    pub pid: i32,
    /// Its pidfd; absent before Linux 5.3.
    pub pidfd: Option<OwnedFd>,
    /// The terminal's master, where one was asked for and no console socket was given.
    pub terminal: Option<OwnedFd>,
    /// Where the program says that it is ready, and who is to be told; not after `create`.
    pub notify: Option<Notify>,
    /// What the specification says to warn about, and what could not be had without harm to the program.
    pub warnings: Vec<String>,
}

/// A row of `list`.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Specification version of the bundle.
    pub version: String,
    /// Id.
    pub id: String,
    /// Process id of init; 0 when stopped.
    pub pid: i32,
    /// Status word.
    pub status: String,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root file system.
    pub rootfs: String,
    /// When it was created: RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// As in `config.json`.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// User id of whoever created it.
    pub owner: u32,
}
