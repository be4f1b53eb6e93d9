//! What all commands need: the register of this machine's containers, and the door for what is the OCI runtime's.

use forgeone_cli::settings::{StateRoot, Surroundings, data_root, make_runtime_dir, state_root};
use forgeone_cli::{Call, Log, Values};
use forgeone_runtime::error::During;
use forgeone_runtime::lifecycle::{Runtime, Settings, in_user_namespace};
use forgeone_runtime::monitor::Client;
use forgeone_runtime::registry::{Container, Places, Register};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process::{Namespaces, fchdir, geteuid, pidfd_open, setns};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// See the module.
pub(crate) struct Here<'a> {
    /// The containers.
    pub(crate) register: Register,
    /// Where is said what does no harm.
    pub(crate) log: &'a Log,
    settings: Settings,
    root: StateRoot,
}

impl<'a> Here<'a> {
    /// As the global options and the environment say.
    ///
    /// Nothing is made by asking for a container where there is none.
    pub(crate) fn open(call: &Call, global: &Values, log: &'a Log) -> Result<Self> {
        let (root, places) = places(global)?;
        if let (
            "state" | "kill" | "pause" | "resume" | "delete" | "exec" | "update" | "events" | "start",
            Some(word),
        ) = (call.command.name, call.words.first())
            && !places.data_root.join("containers").exists()
        {
            let message =
                format!("container {word:?} does not exist; 'forgeone list' shows those of bundles");
            return Err(Error::new(Kind::NotFound, message));
        }
        let settings = Settings {
            root: root.path.clone(),
            systemd_cgroup: global.switch("systemd-cgroup"),
            rootless: match global.text("rootless")? {
                None | Some("auto") => None,
                Some(mode) => Some(mode == "true"),
            },
        };
        Ok(Self { register: Register::open(places)?, log, settings, root })
    }

    /// The runtime, for what neither clones nor starts a program.
    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::new(self.settings.clone())
    }

    /// The containers of these words.
    pub(crate) fn find_all(&self, words: &[&str]) -> Result<Vec<Container>> {
        words.iter().map(|word| self.register.find(word)).collect()
    }

    /// Every container that can be read; of the others the log is told.
    pub(crate) fn all(&self) -> Result<Vec<Container>> {
        let mut all = Vec::new();
        for found in self.register.list()? {
            match found {
                Ok(container) => all.push(container),
                Err(e) => self.log.warn(&e.to_string()),
            }
        }
        Ok(all)
    }

    /// Enters the user namespace that a container of a user other than root is in, where its rights are: its monitor's.
    /// There is nothing to enter for root, or for one whose monitor is gone.
    pub(crate) fn enter(&self, container: &Container) -> Result<()> {
        if geteuid() == 0 {
            return Ok(());
        }
        let Some(monitor) = Client::connect(&container.dir())? else { return Ok(()) };
        let namespaces = pidfd_open(monitor.pid()?).during(|| "monitor")?;
        // Entering takes the current directory away.
        let here =
            fs::open(".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).during(|| "current directory")?;
        let entered = setns(&namespaces, Namespaces::USER | Namespaces::MOUNT);
        entered.during(|| "enter the container's user namespace")?;
        fchdir(&here).during(|| "current directory")
    }

    /// Makes the directory of states where it is the user's.
    pub(crate) fn make_state_root(&self) -> Result<()> {
        make_runtime_dir(&self.root)
    }

    /// Becomes the door with this command. Comes back only if it can't be executed.
    pub(crate) fn become_door<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Error {
        let door = &self.register.places().door;
        let failed = self.door_command().args(words).exec();
        Error::new(Kind::System, format!("execute {}: {failed}", door.display()))
    }

    /// The door, with this program's settings.
    pub(crate) fn door_command(&self) -> Command {
        let mut command = Command::new(&self.register.places().door);
        command.arg("--root").arg(&self.settings.root);
        if self.settings.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        if let Some(rootless) = self.settings.rootless {
            command.arg(format!("--rootless={rootless}"));
        }
        command
    }
}

/// Where everything is.
pub(crate) fn places(global: &Values) -> Result<(StateRoot, Places)> {
    let variable = |name: &str| std::env::var_os(name);
    let around = Surroundings { variable: &variable, euid: geteuid(), in_user_namespace: &in_user_namespace };
    let root = state_root(global, &around)?;
    let places = Places::of_machine()?.data_root(data_root(global, &around)?).state_root(root.path.clone());
    Ok((root, places))
}
