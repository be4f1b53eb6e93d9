//! Podman with the door as its runtime, as its users call it: exit statuses, output, terminals, limits.
//!
//! Everything of Podman's is in a directory of the test: storage, run directories, configuration. Networks are `none`
//! and `host`: a bridge would leave firewall chains.

mod keeping;
mod limits;
mod options;
mod pods;
mod rootless;
mod run;
mod systemd;

use crate::client::Client;
use crate::group::Group;
use crate::image;
use crate::room::Room;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Door, eventually, names, privileged, skip};

/// Hard limits that a container asks for must be below the machine's, which can't be raised everywhere.
const CONFIGURATION: &str = r#"
[containers]
default_ulimits = ["nofile=512:512", "nproc=512:512"]
[engine]
events_logger = "file"
"#;

/// The ordinary user's id, and the first of the ids that /etc/subuid gives to them and to others.
const USER: u32 = 40_000;
const SUBORDINATE: u32 = 200_000;

/// Podman on directories of its own, with an image `bb` of busybox.
struct Podman {
    /// Where there are other users.
    room: Option<Room>,
    /// Whether it is the ordinary user's, who is in the room only.
    rootless: bool,
    /// Whether groups are systemd's to make.
    systemd: bool,
    /// Whose it is in place of root's: a user of this machine with a systemd of their own, by id.
    session: Option<u32>,
    runtime: PathBuf,
    group: Group,
    door: Door,
}

impl Podman {
    /// Root's. `None`, with the skip noted, where something is missing.
    fn new() -> Option<Self> {
        Self::installed()?.with_image()
    }

    /// Root's, in a room in which /etc/subuid has ranges for `--userns=auto`.
    fn among_users() -> Option<Self> {
        let mut podman = Self::installed()?;
        podman.make_room()?;
        podman.with_image()
    }

    /// Root's, with groups of systemd's.
    fn with_systemd() -> Option<Self> {
        if !privileged::systemd() {
            return None;
        }
        let mut podman = Self::installed()?;
        podman.systemd = true;
        podman.with_image()
    }

    /// That of the user `guest` of the machine, with groups of their own systemd's.
    fn of_session() -> Option<Self> {
        if !privileged::systemd() || !privileged::program("newuidmap", "uidmap") {
            return None;
        }
        let mut podman = Self::installed()?;
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let Some(id) = users.lines().find_map(|line| line.strip_prefix("guest:x:")?.split(':').next()) else {
            skip("needs the user guest");
            return None;
        };
        let lingers = Command::new("loginctl").args(["enable-linger", "guest"]).status().unwrap();
        assert!(lingers.success());
        let bus = Path::new("/run/user").join(id).join("bus");
        eventually("the user's bus is there", || bus.exists());
        podman.session = id.parse().ok();
        podman.systemd = true;
        for name in ["storage", "run", "tmp"] {
            fs::create_dir(podman.dir().join(name)).unwrap();
            chown(podman.dir().join(name), podman.session, podman.session).unwrap();
        }
        podman.with_image()
    }

    /// That of an ordinary user, who exists in a room only.
    fn rootless() -> Option<Self> {
        let mut podman = Self::installed()?;
        if !privileged::program("newuidmap", "uidmap") || !privileged::program("setpriv", "util-linux") {
            return None;
        }
        podman.make_room()?;
        podman.rootless = true;
        // In the room there is none.
        podman.systemd = false;
        // The build's directory needn't be open to everybody.
        let runtime = podman.dir().join("forgeone");
        fs::copy(&podman.runtime, &runtime).unwrap();
        podman.runtime = runtime;
        for name in ["home", "session"] {
            let dir = podman.dir().join(name);
            fs::create_dir(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
            chown(&dir, Some(USER), Some(USER)).unwrap();
        }
        podman.with_image()
    }

    fn installed() -> Option<Self> {
        let there = privileged::root() && privileged::program("podman", "podman");
        if !(there && privileged::program("conmon", "conmon")) {
            return None;
        }
        let (door, group) = (Door::new(), Group::new("podman"));
        fs::write(door.directory().join("containers.conf"), CONFIGURATION).unwrap();
        let (runtime, systemd) = (testkit::forgeone(), privileged::systemd_driver());
        Some(Self { room: None, rootless: false, systemd, session: None, runtime, group, door })
    }

    /// Users are made in copies of the files in /etc, which only the room sees.
    fn make_room(&mut self) -> Option<()> {
        let etc = self.dir().join("etc");
        fs::create_dir(&etc).unwrap();
        let home = self.dir().join("home");
        let append = |name: &str, line: String| {
            let before = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            fs::write(etc.join(name), before + &line).unwrap();
        };
        append("passwd", format!("forgeone-test:x:{USER}:{USER}::{}:/bin/sh\n", home.display()));
        append("group", format!("forgeone-test:x:{USER}:\n"));
        let range = |name: &str, first: u32| format!("{name}:{first}:65536\n");
        let ranges = range("forgeone-test", SUBORDINATE) + &range("containers", SUBORDINATE + 65536);
        fs::write(etc.join("subuid"), &ranges).unwrap();
        fs::write(etc.join("subgid"), &ranges).unwrap();
        let files = "for file in passwd group subuid subgid";
        let etc = etc.display();
        let setup =
            format!("{files}; do touch /etc/$file && mount --bind {etc}/$file /etc/$file || exit; done");
        self.room = Some(Room::new(&setup)?);
        Some(())
    }

    fn with_image(self) -> Option<Self> {
        let tar = image::tar(self.dir());
        self.ok(["import", tar.to_str().unwrap(), "bb"]);
        Some(self)
    }

    fn dir(&self) -> &Path {
        self.door.directory()
    }

    /// The option for a cgroup of ours, which a user can't have; systemd's are where Podman has them.
    fn parent(&self) -> Vec<&str> {
        if self.rootless || self.systemd { Vec::new() } else { vec!["--cgroup-parent", self.group.path()] }
    }

    /// As a user of the machine, in their session.
    fn in_session(&self, id: u32) -> Command {
        let (id, runtime) = (id.to_string(), format!("/run/user/{id}"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--init-groups", "--reset-env", "env"]);
        command.arg(format!("XDG_RUNTIME_DIR={runtime}"));
        command.arg(format!("DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus"));
        command.arg(format!("CONTAINERS_CONF={}", self.dir().join("containers.conf").display()));
        command.arg(format!("FORGEONE_TEST={}", names::process_prefix()));
        command.arg("podman");
        command
    }

    /// With a user's environment; their storage is below HOME, so that the options don't name it.
    fn as_user(&self, room: &Room) -> Command {
        let id = USER.to_string();
        let mut command = room.command("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--init-groups", "--reset-env", "env", "-C"]);
        command.arg(self.dir().join("home"));
        let variable = |name: &str, value: &OsStr| format!("{name}={}", value.to_str().unwrap());
        command.arg(variable("XDG_RUNTIME_DIR", self.dir().join("session").as_os_str()));
        command.arg(variable("CONTAINERS_CONF", self.dir().join("containers.conf").as_os_str()));
        command.arg(variable("FORGEONE_TEST", OsStr::new(&names::process_prefix())));
        command.arg("podman");
        command
    }
}

impl Client for Podman {
    fn door(&self) -> &Door {
        &self.door
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = match (&self.room, self.session) {
            (None, None) => Command::new("podman"),
            (None, Some(id)) => self.in_session(id),
            (Some(room), _) if self.rootless => self.as_user(room),
            (Some(room), _) => room.command("podman"),
        };
        if !self.rootless {
            for (option, name) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
                command.arg(option).arg(self.dir().join(name));
            }
        }
        command.args(["--cgroup-manager", if self.systemd { "systemd" } else { "cgroupfs" }]);
        command.args(["--events-backend", "file", "--storage-driver", "vfs"]);
        command.arg("--runtime").arg(&self.runtime).args(args);
        command.env("CONTAINERS_CONF", self.dir().join("containers.conf"));
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }

    /// Words of `podman run`, with a cgroup of ours and no network.
    fn run_words<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        [&["run", "--network=none"], &*self.parent(), options, &["bb"], command].concat()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let pods = self.answer(["pod", "rm", "--all", "--force", "--time", "0"]);
        let containers = self.answer(["rm", "--all", "--force", "--time", "0"]);
        let mut said = pods.stderr + &containers.stderr;
        if self.session.is_some() {
            // The process that holds the user's namespaces.
            said += &self.answer(["system", "migrate"]).stderr;
        }
        if !said.is_empty() && !std::thread::panicking() {
            panic!("podman: {said}");
        }
    }
}
