//! What the host has to say to a container's `config.json`: devices by number, namespaces of others, what this machine can.
//! Looked up when the container is made, to refuse what can't be, and again at each start.

use super::places::Places;
use super::record::Record;
use super::register::Register;
use super::rootfs::in_user_namespace;
use super::spec::namespaces::{self, Whose};
use super::spec::{capabilities, read_profile};
use super::volumes::{Bound, Volumes};
use crate::error::{During, Error, Kind, Result};
use crate::spec::{Device, DeviceRule, Seccomp};
use forgeone_config::MountType;
use forgeone_sys::fs::{self, FileType, Mode, OFlags};
use forgeone_sys::{credentials, process, rlimit};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The copy of a profile of the user's, in the container's directory.
pub(super) const PROFILE: &str = "seccomp.json";

/// Who has this capability raises limits beyond his own (capabilities(7)).
const SYS_RESOURCE: u64 = 1 << 24;

/// Of `/dev` what every container has its own of.
const OWN: [&str; 12] = [
    "/dev/console",
    "/dev/full",
    "/dev/fd",
    "/dev/mqueue",
    "/dev/null",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/random",
    "/dev/shm",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The container's directory.
    pub(super) directory: PathBuf,
    /// The program that is also an init.
    pub(super) init: PathBuf,
    /// The host's name.
    pub(super) hostname: String,
    /// Whether the machine's root isn't ours.
    pub(super) rootless: bool,
    /// Whether there is cgroup v2 alone.
    pub(super) cgroup2: bool,
    /// Whether SELinux is switched on.
    pub(super) selinux: bool,
    /// How many open files a process can be allowed.
    pub(super) nofile: u64,
    /// The devices that the container gets.
    pub(super) devices: Vec<HostDevice>,
    /// Numbers of the block devices that rates are for, by path.
    pub(super) numbers: BTreeMap<String, (i64, i64)>,
    /// Namespaces of others.
    pub(super) joined: Vec<Joined>,
    /// Volumes, as they are mounted.
    pub(super) volumes: Vec<Bound>,
    /// The user's own profile.
    pub(super) filter: Option<Seccomp>,
}

/// A namespace of another container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    /// As the specification calls it.
    pub(super) kind: &'static str,
    pub(super) path: String,
    /// That container's init.
    pub(super) pid: i32,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostDevice {
    /// Its path inside.
    pub(super) path: String,
    /// `b` or `c`.
    pub(super) kind: &'static str,
    pub(super) major: i64,
    pub(super) minor: i64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Of `r`, `w`, `m`.
    pub(super) access: String,
}

impl HostDevice {
    /// The node.
    pub(super) fn node(&self) -> Device {
        Device {
            path: self.path.clone(),
            kind: self.kind.to_owned(),
            major: self.major,
            minor: self.minor,
            file_mode: Some(self.mode),
            uid: Some(self.uid),
            gid: Some(self.gid),
            ..Device::default()
        }
    }

    /// That it may be used.
    pub(super) fn rule(&self) -> DeviceRule {
        DeviceRule {
            allow: true,
            kind: self.kind.to_owned(),
            major: Some(self.major),
            minor: Some(self.minor),
            access: self.access.clone(),
            ..DeviceRule::default()
        }
    }
}

impl Found {
    /// Looks everything up for a container. Others whose namespaces it shares have to be there, and to run if it is about
    /// to start.
    ///
    /// # Errors
    /// What isn't there, by its field.
    pub(super) fn look(register: &Register, record: &Record, starting: bool) -> Result<Self> {
        let places = register.places();
        let rootless = is_rootless();
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let number = |text: String, default| text.parse().unwrap_or(default);
        let nofile = match !rootless && credentials::capget()?.effective & SYS_RESOURCE != 0 {
            true => number(read("/proc/sys/fs/nr_open"), 1 << 20),
            false => rlimit::getrlimit("RLIMIT_NOFILE").during(|| "nofile")?.1,
        };
        sources(record)?;
        Ok(Self {
            directory: places.container(&record.id),
            init: places.monitor.clone(),
            hostname: read("/proc/sys/kernel/hostname"),
            rootless,
            cgroup2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            nofile,
            devices: devices(record, rootless)?,
            numbers: numbers(record)?,
            joined: joined(register, record, starting)?,
            volumes: Volumes::of(places).bound(record)?,
            filter: filter(places, record)?,
        })
    }
}

/// Whether the machine's root isn't ours.
pub(super) fn is_rootless() -> bool {
    process::geteuid() != 0 || in_user_namespace()
}

/// What bind mounts show has to be there: a directory that is made by itself hides a mistyped path.
fn sources(record: &Record) -> Result<()> {
    for mount in record.config.mounts.iter().flatten().filter(|mount| mount.mount_type == MountType::Bind) {
        fs::open(mount.source.as_str(), OFlags::PATH, Mode::empty()).map_err(|e| {
            let cause = forgeone_sys::describe(e.errno());
            let message =
                format!("mount {}: {}: {cause}; make it, or name another", mount.destination, mount.source);
            Error::new(Kind::Config, message)
        })?;
    }
    Ok(())
}

fn devices(record: &Record, rootless: bool) -> Result<Vec<HostDevice>> {
    let mut all = Vec::new();
    if record.config.privileged == Some(true) && !rootless {
        walk(Path::new("/dev"), "/dev", "rwm", &mut all);
        all.retain(|device| !OWN.contains(&device.path.as_str()));
    }
    for (at, asked) in record.config.devices.iter().flatten().enumerate() {
        let wrong =
            |cause: String| Error::new(Kind::Config, format!("devices[{at}]: {}: {cause}", asked.source));
        let stat =
            std::fs::metadata(&asked.source).map_err(|e| wrong(format!("{e}; name a device of the host")))?;
        let target = asked.target.as_ref().unwrap_or(&asked.source);
        let access = asked.permissions.as_deref().unwrap_or("rwm");
        all.retain(|device| device.path != *target);
        if stat.is_dir() {
            walk(Path::new(&asked.source), target, access, &mut all);
        } else {
            all.push(device(&stat, target, access).ok_or_else(|| wrong("is no device".to_owned()))?);
        }
    }
    Ok(all)
}

/// The devices in a directory and below it, but for those of file systems of their own and links.
fn walk(directory: &Path, target: &str, access: &str, all: &mut Vec<HostDevice>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(stat) = entry.metadata() else { continue };
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else { continue };
        let inside = format!("{target}/{name}");
        if stat.is_dir() && !OWN.contains(&inside.as_str()) {
            walk(&path, &inside, access, all);
        } else {
            all.extend(device(&stat, &inside, access));
        }
    }
}

fn device(stat: &std::fs::Metadata, path: &str, access: &str) -> Option<HostDevice> {
    let kind = match stat.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        _ => return None,
    };
    let (major, minor) = (i64::from(fs::major(stat.rdev())), i64::from(fs::minor(stat.rdev())));
    let (mode, uid, gid) = (stat.mode() & 0o7777, stat.uid(), stat.gid());
    Some(HostDevice { path: path.to_owned(), kind, major, minor, mode, uid, gid, access: access.to_owned() })
}

/// The numbers of the block devices whose rate is limited.
fn numbers(record: &Record) -> Result<BTreeMap<String, (i64, i64)>> {
    let Some(asked) = &record.config.blkio_config else { return Ok(BTreeMap::new()) };
    let lists =
        [&asked.device_read_bps, &asked.device_write_bps, &asked.device_read_iops, &asked.device_write_iops];
    let mut numbers = BTreeMap::new();
    for rate in lists.into_iter().flatten().flatten() {
        let wrong = |cause: String| Error::new(Kind::Config, format!("blkio_config: {}: {cause}", rate.path));
        let stat = fs::statat(fs::CWD, rate.path.as_str(), fs::AtFlags::empty());
        let stat = stat.map_err(|e| wrong(forgeone_sys::describe(e.errno())))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
            return Err(wrong("is no block device; name a whole disk".to_owned()));
        }
        let number = (i64::from(fs::major(stat.st_rdev)), i64::from(fs::minor(stat.st_rdev)));
        numbers.insert(rate.path.clone(), number);
    }
    Ok(numbers)
}

fn joined(register: &Register, record: &Record, starting: bool) -> Result<Vec<Joined>> {
    let mut all = Vec::new();
    for (kind, file, field, whose) in namespaces::all(&record.config) {
        let Whose::Container(word) = whose else { continue };
        let other = register.find(word).during(|| field)?;
        if is_rootless() {
            let message =
                format!("{field}: container:{word}: only root can share another container's namespaces");
            return Err(Error::new(Kind::Unsupported, message));
        }
        let pid = other.status()?.pid;
        if pid == 0 && starting {
            let message = format!("{field}: container {word:?} doesn't run; start it first");
            return Err(Error::new(Kind::State, message));
        }
        let (ours, path) = (format!("/proc/self/ns/{file}"), format!("/proc/{pid}/ns/{file}"));
        let inode = |path: &str| std::fs::metadata(path).map(|stat| stat.ino()).ok();
        // Its namespace may be the host's: then so is ours, and there is nothing to join.
        if kind == "user" && inode(&ours) == inode(&path) {
            continue;
        }
        all.push(Joined { kind, path, pid });
    }
    Ok(all)
}

/// The user's own profile: the container's copy, or before there is one the file.
fn filter(places: &Places, record: &Record) -> Result<Option<Seccomp>> {
    let Some(file) = super::spec::profile_file(record.config.security_opt.as_deref()) else {
        return Ok(None);
    };
    let (capabilities, _) = capabilities::effective(&record.config)?;
    let copy = places.container(&record.id).join(PROFILE);
    read_profile(if copy.exists() { &copy } else { Path::new(file) }, &capabilities).map(Some)
}
