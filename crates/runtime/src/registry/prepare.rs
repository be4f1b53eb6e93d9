//! What is done at each start, by the monitor, in its mount namespace, once the root file system is mounted: names of
//! users become numbers by the container's own files, new volumes are filled, secrets are put into memory, and
//! `config.json` is written for the door.

use super::container::Container;
use super::found::{Found, Joined};
use super::given::{self, Given};
use super::record::Record;
use super::register::{Register, replace};

use super::spec::user::{self, User};
use super::spec::{self, Inputs};
use super::volumes::Volumes;
use crate::error::{During, Error, Kind, Result};
use forgeone_config::Secret;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::mount::{self, MountFlags, OpenTreeFlags};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{AsFd, OwnedFd};

/// Where secrets are in the container's directory: a file system in memory of the monitor's own mount namespace.
pub(super) const SECRETS: &str = "secrets";

/// Where another container's shared memory is in it.
pub(super) const SHM: &str = "shm";

/// The group of terminals, which `/dev/pts` is mounted with.
const TTY: u64 = 5;

/// The largest secret, in bytes.
const SECRET_MAX: usize = 1 << 20;

impl Container {
    /// Makes `config.json` for the next start, with what networks have given. The root file system is mounted at `rootfs` in the container's directory,
    /// in the mount namespace of the caller, who has one thread; secrets that come from variables are of the caller's
    /// environment.
    ///
    /// # Errors
    /// What the container can't have, by the field.
    pub fn prepare(&self, given: &Given) -> Result<()> {
        let register = Register::open(self.places().clone())?;
        let record = self.record();
        let root = fs::openat(self.fd(), "rootfs", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let user = user_of(&root, record)?;
        let found = Found::look(&register, record, true)?;
        Volumes::of(self.places()).fill(root.as_fd(), &found.volumes)?;
        let mut spec = spec::make(&Inputs { record, user: &user, found: &found, given })?;
        if !maps_group(TTY) {
            let option = format!("gid={TTY}");
            spec.mounts.iter_mut().for_each(|mount| mount.options.retain(|own| *own != option));
        }
        let hostname = if spec.hostname.is_empty() { &found.hostname } else { &spec.hostname };
        for (name, text) in files(&register, record, given, &found.joined, hostname)? {
            replace(self.fd(), name, text.as_bytes())?;
            fs::fchmodat(self.fd(), name, 0o644)?;
        }
        secrets(self.fd(), record, &user)?;
        if let Some(joined) = found.joined.iter().find(|joined| joined.kind == "ipc") {
            shared_memory(self.fd(), joined.pid)?;
        }
        let text =
            serde_json::to_vec(&spec).map_err(|e| Error::new(Kind::System, format!("config.json: {e}")))?;
        replace(self.fd(), "config.json", &text)
    }
}

/// Whether a group is one of the user namespace, which may have one id alone.
fn maps_group(group: u64) -> bool {
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    let holds = |line: &str| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(count))) = (fields.next(), fields.nth(1)) else { return false };
        (first..first.saturating_add(count)).contains(&group)
    };
    map.lines().any(holds)
}

/// Whom the program runs as, by the container's own passwd and group.
fn user_of(root: &OwnedFd, record: &Record) -> Result<User> {
    let image = Some(&record.image_config.user).filter(|user| !user.is_empty());
    let text = record.config.user.as_ref().or(image).map_or("0", String::as_str);
    user::resolve(root.as_fd(), text, record.config.group_add.as_deref().unwrap_or_default())
}

/// The files that are bound inside.
fn files(
    register: &Register,
    record: &Record,
    given: &Given,
    joined: &[Joined],
    hostname: &str,
) -> Result<[(&'static str, String); 3]> {
    let shared = joined.iter().any(|joined| joined.kind == "network");
    let name = record.config.network.as_ref().and_then(|network| network.name.as_deref());
    let other = match name.filter(|_| shared) {
        Some(word) => Some(register.find(word)?.dir()),
        None => None,
    };
    let (hosts, resolver) = given::files(record, given, other.as_deref(), hostname);
    Ok([("resolv.conf", resolver), ("hosts", hosts), ("hostname", format!("{hostname}\n"))])
}

/// Puts the secrets into memory, for the program's user alone.
fn secrets(dir: &OwnedFd, record: &Record, user: &User) -> Result<()> {
    let Some(asked) = record.config.secrets.as_deref().filter(|secrets| !secrets.is_empty()) else {
        return Ok(());
    };
    match fs::mkdirat(dir, SECRETS, 0o700) {
        Err(e) if e.errno() == forgeone_sys::Errno::EXIST => {}
        made => made.during(|| SECRETS)?,
    }
    let open =
        || fs::openat(dir, SECRETS, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
    let mut place = open().during(|| SECRETS)?;
    if !fs::is_tmpfs(&place)? || !fs::is_mount_root(&place)? {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount::mount("secrets", fs::fd_path(&place), "tmpfs", flags, Some(c"mode=0700"))
            .during(|| SECRETS)?;
        place = open().during(|| SECRETS)?;
    }
    for secret in asked {
        let value = value(secret)?;
        // Anew each time: the one before belongs to whoever the program ran as then.
        match fs::unlinkat(&place, secret.name.as_str(), AtFlags::empty()) {
            Err(e) if e.errno() == forgeone_sys::Errno::NOENT => {}
            gone => gone.during(|| SECRETS)?,
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file =
            fs::openat(&place, secret.name.as_str(), flags, Mode::from_raw_mode(0o400)).during(|| SECRETS)?;
        fs::write_all(&file, &value).during(|| SECRETS)?;
        fs::fchown(&file, user.uid, user.gid).during(|| SECRETS)?;
    }
    Ok(())
}

/// Mounts another container's `/dev/shm` in this one's directory, from where it is bound. It is in that one's mount
/// namespace, which is entered for it: a mount of another namespace can't be bound, but a copy of it can be moved.
fn shared_memory(dir: &OwnedFd, pid: i32) -> Result<()> {
    match fs::mkdirat(dir, SHM, 0o700) {
        Err(e) if e.errno() == forgeone_sys::Errno::EXIST => {}
        made => made.during(|| SHM)?,
    }
    let namespace = |pid: &str| fs::open(format!("/proc/{pid}/ns/mnt"), OFlags::RDONLY, Mode::empty());
    let (ours, theirs) = (namespace("self")?, namespace(&pid.to_string())?);
    let here = fs::open(".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    process::setns(&theirs, Namespaces::MOUNT).during(|| SHM)?;
    let tree = mount::open_tree(fs::CWD, "/dev/shm", OpenTreeFlags::OPEN_TREE_CLONE);
    process::setns(&ours, Namespaces::MOUNT).during(|| SHM)?;
    process::fchdir(&here)?;
    let place = fs::openat(dir, SHM, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    mount::move_mount(tree.during(|| SHM)?, place).during(|| SHM)
}

/// The secret itself.
pub(super) fn value(secret: &Secret) -> Result<Vec<u8>> {
    let wrong = |cause: String| Error::new(Kind::Config, format!("secret {:?}: {cause}", secret.name));
    match (&secret.file, &secret.environment) {
        (Some(file), _) => {
            let file = fs::open(file.as_str(), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
            fs::read_to_end(file.map_err(|e| wrong(e.to_string()))?, SECRET_MAX)
                .map_err(|e| wrong(e.to_string()))
        }
        (None, Some(name)) => {
            use std::os::unix::ffi::OsStringExt;
            let value = std::env::var_os(name).map(OsStringExt::into_vec);
            value.ok_or_else(|| wrong(format!("variable {name} isn't set")))
        }
        (None, None) => Err(wrong("it comes from nowhere; name a file or a variable".to_owned())),
    }
}
