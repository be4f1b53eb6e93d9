//! Device nodes and links of `/dev`: which there are, and how they come into the container.
//!
//! A node is made beneath a directory's descriptor, where no link is followed, and looked at afterwards. A user
//! namespace may not make devices; there the host's are bound, after a look at the descriptor that is bound: a file
//! that was put in a device's place gets nowhere.

use super::mounting::Changes;
use super::plan::{Symlink, clean_inside};
use super::resolve::{Links, Make};
use super::rootfs::Rootfs;
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::spec::Device;
use forgeone_sys::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use forgeone_sys::{Errno, Error as SysError, Result as SysResult};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A device node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// Absolute path inside, cleaned.
    pub path: String,
    /// Character device, block device or FIFO.
    pub kind: FileType,
    /// Major number; 0 for a FIFO.
    pub major: u32,
    /// Minor number; 0 for a FIFO.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner, in the container's user namespace.
    pub uid: u32,
    /// Group, in the container's user namespace.
    pub gid: u32,
}

/// config-linux.md, "Default Devices": name in `/dev`, major, minor.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

/// The default devices, each unless the config has one for its path, and then the config's.
pub(super) fn plan(devices: &[Device]) -> Result<Vec<DevicePlan>> {
    let asked = devices
        .iter()
        .enumerate()
        .map(|(i, device)| plan_device(&format!("linux.devices[{i}]"), device))
        .collect::<Result<Vec<_>>>()?;
    let defaults = DEFAULTS.iter().filter(|(path, ..)| !asked.iter().any(|d| d.path == *path)).map(
        |&(path, major, minor)| DevicePlan {
            path: path.to_owned(),
            kind: FileType::CharacterDevice,
            major,
            minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
        },
    );
    let mut out = defaults.collect::<Vec<_>>();
    // /dev/ptmx is a link to the container's own devpts, whatever the config says.
    out.extend(asked.into_iter().filter(|d| d.path != "/dev/ptmx"));
    Ok(out)
}

fn plan_device(field: &str, device: &Device) -> Result<DevicePlan> {
    let wrong = |part: &str, cause: String| Error::new(Kind::Config, format!("{field}.{part}: {cause}"));
    let path = clean_inside(&format_args!("{field}.path"), &device.path)?;
    if path == "/" {
        return Err(wrong("path", "\"/\": the root itself".to_owned()));
    }
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(wrong("type", format!("{other:?}: must be c, b, u or p"))),
    };
    let number = |part: &str, value: i64| match kind {
        FileType::Fifo => Ok(0),
        _ => u32::try_from(value).map_err(|_| wrong(part, format!("{value}: not a device number"))),
    };
    Ok(DevicePlan {
        path,
        kind,
        major: number("major", device.major)?,
        minor: number("minor", device.minor)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

/// Makes all planned nodes, and then the links of `/dev`.
pub(super) fn make(rootfs: &Rootfs) -> Result<()> {
    // Nearly all are in one directory, which is looked up once.
    let mut last: Option<Directory> = None;
    for device in &rootfs.plan.devices {
        let path = device.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let dir = match last.take() {
            Some(dir) if dir.path == path => dir,
            _ => {
                let (fd, _) =
                    rootfs.mounting.resolver.parent(&rootfs.root, &device.path).during(|| &device.path)?;
                Directory { path, fd, fitting: None }
            }
        };
        last = Some(make_one(rootfs, dir, device).during(|| format!("device {}", device.path))?);
    }
    link(rootfs, last.filter(|dir| dir.path == "/dev").map(|dir| dir.fd))
}

/// Where nodes are made.
struct Directory<'p> {
    path: &'p str,
    fd: OwnedFd,
    /// A node that was born with its owner and mode here. Others that are to have the same are as well: what a directory
    /// hands down is the same for all.
    fitting: Option<&'p DevicePlan>,
}

impl DevicePlan {
    fn is_born_as(&self, other: &Self) -> bool {
        (self.kind, self.mode, self.uid, self.gid) == (other.kind, other.mode, other.uid, other.gid)
    }
}

fn make_one<'p>(rootfs: &Rootfs, mut dir: Directory<'p>, device: &'p DevicePlan) -> SysResult<Directory<'p>> {
    if dir.fitting.is_some_and(|fitting| fitting.is_born_as(device)) {
        let name = device.path.rsplit_once('/').map_or("", |(_, name)| name);
        match fs::mknodat(&dir.fd, name, device.kind, device.mode, device.major, device.minor) {
            Err(e) if e.errno() == Errno::EXIST => {}
            made => return made.map(|()| dir),
        }
    }
    if make_node(rootfs, dir.fd.as_fd(), device)? {
        dir.fitting = Some(device);
    }
    Ok(dir)
}

/// Makes a node; whether it was born as it is to be.
fn make_node(rootfs: &Rootfs, dir: BorrowedFd, device: &DevicePlan) -> SysResult<bool> {
    let name = device.path.rsplit_once('/').map_or("", |(_, name)| name);
    let may_bind = device.kind != FileType::Fifo;
    if rootfs.plan.user_namespace && may_bind {
        return bind(rootfs, device).map(|()| false);
    }
    match fs::mknodat(dir, name, device.kind, device.mode, device.major, device.minor) {
        Ok(()) => settle(rootfs, dir, name, device),
        Err(e) if e.errno() == Errno::EXIST => {
            check(&fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?, device).map(|()| false)
        }
        // The runtime itself is in a user namespace.
        Err(e) if e.errno() == Errno::PERM && may_bind => bind(rootfs, device).map(|()| false),
        Err(e) => Err(e),
    }
}

/// Major and minor number of a device node.
pub(super) fn number(stat: &Stat) -> (u32, u32) {
    (fs::major(stat.st_rdev), fs::minor(stat.st_rdev))
}

/// That a node is the one that was asked for.
fn check(stat: &Stat, device: &DevicePlan) -> SysResult<()> {
    let same_number = device.kind == FileType::Fifo || number(stat) == (device.major, device.minor);
    if FileType::from_raw_mode(stat.st_mode) == device.kind && same_number || faults::without("device") {
        return Ok(());
    }
    let (major, minor) = (device.major, device.minor);
    let call = format!("{:?}: something else than the device {major}:{minor} is there", device.path);
    Err(SysError::new(call, Errno::EXIST))
}

/// Gives a fresh node its owner and mode, which it may not have by birth: directories can hand down both. Whether it had
/// them.
fn settle(rootfs: &Rootfs, dir: BorrowedFd, name: &str, device: &DevicePlan) -> SysResult<bool> {
    let fits = |stat: &Stat| {
        stat.st_mode & 0o7777 == device.mode && (stat.st_uid, stat.st_gid) == (device.uid, device.gid)
    };
    let stat = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    check(&stat, device)?;
    if fits(&stat) {
        return Ok(true);
    }
    let node = fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    check(&fs::fstat(&node)?, device)?;
    fs::fchown(&node, device.uid, device.gid)?;
    if !fits(&fs::fstat(&node)?) {
        // By the descriptor's own name, since opening a device in earnest may have an effect.
        let own = fs::fd_path(&node);
        let number = own.file_name().unwrap_or_default();
        fs::fchmodat(rootfs.mounting.procfs.descriptors()?, number, device.mode)?;
    }
    Ok(false)
}

/// Binds the host's node of the same path.
fn bind(rootfs: &Rootfs, device: &DevicePlan) -> SysResult<()> {
    let source = fs::openat(CWD, Path::new(&device.path), OFlags::PATH, Mode::empty())?;
    check(&fs::fstat(&source)?, device)?;
    let place = rootfs.place_node(&device.path, 0)?;
    let tree = rootfs.mounting.tree_of(source.as_fd(), false)?;
    rootfs.spend([rootfs.mounting.attach(tree, Changes::default(), &place)?, place.fd, source]);
    Ok(())
}

/// Makes the links of `/dev`, which was found already or is looked up.
fn link(rootfs: &Rootfs, dev: Option<OwnedFd>) -> Result<()> {
    if rootfs.plan.symlinks.is_empty() {
        return Ok(());
    }
    let make = Make::Directory(0o755);
    let find = || rootfs.mounting.resolver.make(&rootfs.root, "/dev", Links::Follow, make);
    let dev = dev.map_or_else(|| find().map(|(dev, _)| dev), Ok).during(|| "/dev")?;
    for link in &rootfs.plan.symlinks {
        if link.needs_proc.is_some_and(|name| !rootfs.mounting.procfs.has(name)) {
            continue;
        }
        link_one(&dev, link).during(|| format!("link /dev/{}", link.name))?;
    }
    rootfs.spend([dev]);
    Ok(())
}

fn link_one(dev: &OwnedFd, link: &Symlink) -> SysResult<()> {
    match fs::symlinkat(link.target, dev, link.name) {
        Err(e) if e.errno() == Errno::EXIST => {}
        result => return result,
    }
    if !link.replace {
        return Ok(());
    }
    match fs::unlinkat(dev, link.name, AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => Err(e),
        _ => fs::symlinkat(link.target, dev, link.name),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn device(path: &str, kind: &str, major: i64, minor: i64) -> Device {
        Device { path: path.to_owned(), kind: kind.to_owned(), major, minor, ..Device::default() }
    }

    #[test]
    fn defaults_come_first_and_give_way() {
        let own = Device {
            file_mode: Some(0o020_600),
            uid: Some(7),
            gid: Some(8),
            ..device("/dev//null", "c", 1, 3)
        };
        let all = plan(&[own, device("/dev/fuse", "u", 10, 229), device("/dev/ptmx", "c", 5, 2)]).unwrap();
        let paths = all.iter().map(|d| d.path.as_str()).collect::<Vec<_>>();
        let expected =
            ["/dev/random", "/dev/full", "/dev/tty", "/dev/zero", "/dev/urandom", "/dev/null", "/dev/fuse"];
        assert_eq!(paths, expected);
        assert_eq!((all[5].mode, all[5].uid, all[5].gid), (0o600, 7, 8));
        assert_eq!((all[6].kind, all[6].mode), (FileType::CharacterDevice, 0o666));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (device, message) in [
            (device("dev/x", "c", 1, 3), "linux.devices[0].path: \"dev/x\": must be absolute"),
            (
                device("/dev/../x", "c", 1, 3),
                "linux.devices[0].path: \"/dev/../x\": must not have \"..\" in it",
            ),
            (device("/", "c", 1, 3), "linux.devices[0].path: \"/\": the root itself"),
            (device("/dev/x", "z", 1, 3), "linux.devices[0].type: \"z\": must be c, b, u or p"),
            (device("/dev/x", "c", -1, 3), "linux.devices[0].major: -1: not a device number"),
            (device("/dev/x", "b", 1, 1 << 40), "linux.devices[0].minor: 1099511627776: not a device number"),
        ] {
            assert_eq!(plan(&[device]).unwrap_err().to_string(), message);
        }
        assert!(plan(&[device("/run/pipe", "p", -1, -1)]).is_ok());
    }
}
