//! Podman with the door as its runtime, as its users call it: exit statuses, output, terminals, limits.
//!
//! Everything of Podman's is in a directory of the test: storage, run directories, configuration. Networks are `none`
//! and `host`: a bridge would leave firewall chains.

mod keeping;
mod options;
mod pods;
mod rootless;
mod run;

use crate::client::Client;
use crate::group::Group;
use crate::image;
use crate::room::Room;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Door, names, privileged};

/// Hard limits that a container asks for must be below the machine's, which can't be raised everywhere.
const CONFIGURATION: &str = r#"
[containers]
default_ulimits = ["nofile=512:512", "nproc=512:512"]
[engine]
cgroup_manager = "cgroupfs"
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

    /// That of an ordinary user, who exists in a room only.
    fn rootless() -> Option<Self> {
        let mut podman = Self::installed()?;
        if !privileged::program("newuidmap", "uidmap") || !privileged::program("setpriv", "util-linux") {
            return None;
        }
        podman.make_room()?;
        podman.rootless = true;
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
        Some(Self { room: None, rootless: false, runtime: testkit::forgeone(), group, door })
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
        let mut command = match &self.room {
            None => Command::new("podman"),
            Some(room) if self.rootless => self.as_user(room),
            Some(room) => room.command("podman"),
        };
        if !self.rootless {
            for (option, name) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
                command.arg(option).arg(self.dir().join(name));
            }
        }
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "vfs"]);
        command.arg("--runtime").arg(&self.runtime).args(args);
        command.env("CONTAINERS_CONF", self.dir().join("containers.conf"));
        command.env("FORGEONE_TEST", names::process_prefix()).stdin(Stdio::null());
        command
    }

    /// Words of `podman run`, with a cgroup of ours (which a user can't have) and no network.
    fn run_words<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        let ours: &[&str] = match self.rootless {
            false => &["run", "--network=none", "--cgroup-parent", self.group.path()],
            true => &["run", "--network=none"],
        };
        [ours, options, &["bb"], command].concat()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let pods = self.answer(["pod", "rm", "--all", "--force", "--time", "0"]);
        let containers = self.answer(["rm", "--all", "--force", "--time", "0"]);
        let said = pods.stderr + &containers.stderr;
        if !said.is_empty() && !std::thread::panicking() {
            panic!("podman: {said}");
        }
    }
}
