//! A data root with a register, a root file system of busybox that containers are made from, and this test as their
//! monitor: it mounts, has the configuration made, and starts the door.

use crate::fs::support::need_root;
use forgeone_config::ContainerConfig;
use forgeone_runtime::registry::{Container, Creation, Places, Register, Removal, Volumes};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, Namespaces};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Bundle, Temp, programs};

pub(crate) struct House {
    temp: Temp,
    bundle: Bundle,
    places: Places,
}

/// A container that has run.
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) status: i32,
}

/// A container that runs, until it is dropped.
pub(crate) struct Running<'h> {
    house: &'h House,
    container: Option<Container>,
    pid: i32,
}

impl House {
    pub(crate) fn new() -> Self {
        need_root();
        let temp = Temp::new("house");
        let helper = temp.path().join("image");
        // Answers as `forgeone-image rootfs` does for an image of one layer.
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = --container ] && dir=$2; shift; done\n\
             [ -d $1 ] || {{ echo 'no image \"'$1'\"' > $dir/failure; exit 125; }}\n\
             printf '{{\"image\":null,\"config\":%s,\"base\":{{\"layers\":[\"%s\"]}},\"driver\":\"overlay\"}}' \
             \"$(cat {}/config 2>/dev/null || echo null)\" $1 > $dir/image.json\n",
            temp.path().display()
        );
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
        let places = Places {
            data_root: temp.path().join("data"),
            state_root: temp.path().join("state"),
            door: programs::forgeone(),
            image_helper: helper,
            monitor: PathBuf::from("/nonexistent"),
        };
        // What is mounted here is nobody else's, and goes with this process.
        process::unshare(Namespaces::MOUNT | Namespaces::NET).unwrap();
        mount::mount_propagation("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        Self { temp, bundle: Bundle::busybox(), places }
    }

    /// The same, with an init for containers that ask for one.
    pub(crate) fn with_init(mut self) -> Self {
        self.places.monitor = programs::standalone();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The directory that containers are made from.
    pub(crate) fn base(&self) -> PathBuf {
        self.bundle.rootfs()
    }

    /// What the image says from now on.
    pub(crate) fn image(&self, config: Value) {
        fs::write(self.path("config"), config.to_string()).unwrap();
    }

    pub(crate) fn register(&self) -> Register {
        Register::open(self.places.clone()).unwrap()
    }

    pub(crate) fn volumes(&self) -> Volumes {
        Volumes::of(&self.places)
    }

    fn create(&self, config: Value) -> forgeone_runtime::Result<Container> {
        let mut config: ContainerConfig = serde_json::from_value(config).unwrap();
        config.command.get_or_insert("sh".to_owned());
        self.register().create(self.base().to_str().unwrap(), None, Some(&config), &Creation::default())
    }

    pub(crate) fn made(&self, config: Value) -> Container {
        self.create(config).unwrap()
    }

    /// What is said of a configuration that is refused.
    pub(crate) fn refused(&self, config: Value) -> String {
        self.create(config.clone())
            .map(|container| container.id().to_owned())
            .expect_err(&config.to_string())
            .to_string()
    }

    /// Runs a line of shell in a container and removes it.
    pub(crate) fn shell(&self, config: Value, line: &str) -> Said {
        let said = self.keep(config, line);
        self.register().find(&said.id).unwrap().remove(Removal::default()).unwrap();
        said
    }

    /// The same; the container stays.
    pub(crate) fn keep(&self, mut config: Value, line: &str) -> Said {
        config["args"] = json!(["-c", line]);
        let container = self.made(config);
        let (text, status) = self.run(&container, &["run"]);
        Said { id: container.id().to_owned(), text, status }
    }

    /// The exit status of a container that ends at once.
    pub(crate) fn status_of(&self, config: Value) -> i32 {
        let container = self.made(config);
        let (_, status) = self.run(&container, &["run"]);
        container.remove(Removal::default()).unwrap();
        status
    }

    /// A container that runs.
    pub(crate) fn start(&self, mut config: Value, words: &[&str]) -> Running<'_> {
        config["command"] = words[0].into();
        config["args"] = json!(words[1..]);
        let container = self.made(config);
        let file = self.path("pid");
        self.run(&container, &["run", "--detach", "--pid-file", file.to_str().unwrap()]);
        let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let status = json!({"version": 1, "state": "running", "pid": pid, "boot_id": boot.trim()});
        fs::write(container.dir().join("status.json"), status.to_string()).unwrap();
        Running { house: self, container: Some(container), pid }
    }

    /// Does the monitor's work and starts the door; what the container wrote.
    fn run(&self, container: &Container, words: &[&str]) -> (String, i32) {
        let root = container.dir().join("rootfs");
        let mounted = container.record().rootfs.mount(&root).unwrap();
        container.prepare(&forgeone_runtime::registry::Given::default()).unwrap();
        let output = self.path("output");
        let file = fs::File::create(&output).unwrap();
        let mut door = Command::new(&self.places.door);
        door.arg("--root")
            .arg(&self.places.state_root)
            .args(words)
            .arg("--bundle")
            .arg(container.dir())
            .arg(container.id());
        door.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let status = door.status().unwrap();
        mounted.unmount().unwrap();
        for place in ["secrets", "shm"] {
            let _ = mount::umount(container.dir().join(place), mount::UnmountFlags::DETACH);
        }
        let text = fs::read_to_string(&output).unwrap();
        assert!(status.success() || words == ["run"], "{status}: {text}");
        (text, status.code().unwrap_or(-1))
    }
}

/// What a container writes whose configuration has its program.
pub(crate) fn said(house: &House, config: Value) -> String {
    let container = house.made(config);
    let (text, _) = house.run(&container, &["run"]);
    container.remove(Removal::default()).unwrap();
    text
}

impl Running<'_> {
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else { return };
        if let Err(e) = container.remove(Removal { force: true }) {
            panic!("{}: {e}", self.house.path("data").display());
        }
    }
}

/// The files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all
}
