//! Making a place: its directory, what it needs before it can be used, and its limits.
//!
//! The order: directory, and the levels above that are missing; nobody may be in it; CPUs and memory nodes (v1's
//! cpuset) or controllers (cgroup2), without which the files of the limits aren't there; limits; device rules.

use super::change::Ledger;
use super::devices::DeviceRules;
use super::freezer::is_frozen;
use super::members;
use super::plan::{Cpuset, Devices, Place};
use super::step::{Absent, Step, Write};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::bpf::{self, BpfInstruction};
use forgeone_sys::fs::{self, AtFlags, CWD, Mode, OFlags};
use forgeone_sys::{AsFd, Errno, OwnedFd};

/// A level that disappears while one below it is made (its last container was deleted) is made again this often.
const MKDIR_TRIES: usize = 8;

/// How a place's directory came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It is new.
    New,
    /// It was there.
    Found,
}

/// Makes the directory, and those above that are missing; these are added to `parents`.
pub(super) fn directory(place: &Place, parents: &mut Vec<String>) -> Result<Made> {
    let path = place.path();
    for _ in 0..MKDIR_TRIES {
        match mkdir(&path) {
            Err(e) if e.errno() == Errno::NOENT => {}
            made => return rights(made),
        }
        for level in place.parents().map(|level| place.level(level)) {
            match mkdir(&level) {
                // Its own parent was just removed: from the top again.
                Err(e) if e.errno() == Errno::NOENT => break,
                made => {
                    if rights(made)? == Made::New && !parents.contains(&level) {
                        parents.push(level);
                    }
                }
            }
        }
    }
    rights(mkdir(&path))
}

fn mkdir(path: &str) -> forgeone_sys::Result<Made> {
    match fs::mkdirat(CWD, path, 0o755) {
        Ok(()) => Ok(Made::New),
        Err(e) if e.errno() == Errno::EXIST => Ok(Made::Found),
        Err(e) => Err(e),
    }
}

/// A read-only mount is a lack of rights, too.
fn rights<T>(result: forgeone_sys::Result<T>) -> Result<T> {
    result.map_err(|e| match e.errno() {
        Errno::ROFS => Error::from(e).into_kind(Kind::Permission),
        _ => e.into(),
    })
}

/// Opens the directory of a group.
pub(super) fn open(path: &str) -> forgeone_sys::Result<OwnedFd> {
    fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Refuses a group that was there and has processes, or is frozen: the container would share its fate with others.
pub(super) fn vacant(place: &Place, dir: &OwnedFd) -> Result<()> {
    let pids = members::list(dir)?;
    // In runc's words, which its users look for.
    let refuse = |why: String| Err(Error::new(Kind::State, format!("cgroup {}: {why}", place.path())));
    if !pids.is_empty() {
        return refuse(format!("the container's cgroup is not empty: it has {}", members::name(&pids)));
    }
    if is_frozen(dir)? {
        return refuse("the container's cgroup unexpectedly frozen".into());
    }
    Ok(())
}

/// What the group needs before it can be used, and its limits.
pub(super) fn fill(place: &Place, dir: &OwnedFd, made: Made) -> Result<()> {
    if let Some(cpuset) = &place.cpuset {
        inherit(place, cpuset, dir, made)?;
    }
    enable(place, dir)?;
    steps(&place.steps, dir, &mut |file, value| fs::write_file_at(dir, file, value.as_bytes()))
}

/// Gives the group the CPUs and memory nodes of its parent, where the bundle leaves them open.
fn inherit(place: &Place, cpuset: &Cpuset, dir: &OwnedFd, made: Made) -> Result<()> {
    if made == Made::Found && cpuset.inherit != [false; 2] {
        return cpus_and_mems(place, cpuset, &place.group).map(drop);
    }
    // The parent must have some in any case: what the bundle asks for has to be among them.
    let parent = place.parents().last().unwrap_or_default();
    let values = cpus_and_mems(place, cpuset, parent)?;
    for (i, value) in values.iter().enumerate().filter(|(i, _)| cpuset.inherit[*i]) {
        fs::write_file_at(dir, cpuset.files[i], value.as_bytes()).during(|| "cgroup")?;
    }
    Ok(())
}

/// CPUs and memory nodes of a level; where it has none, it gets its parent's.
fn cpus_and_mems(place: &Place, cpuset: &Cpuset, level: &str) -> Result<[String; 2]> {
    let path = |file| format!("{}/{file}", place.level(level));
    let read = |file| members::text(CWD, &path(file)).during(|| "cgroup");
    let mut values = [read(cpuset.files[0])?, read(cpuset.files[1])?];
    if level.is_empty() || values.iter().all(|value| !value.trim().is_empty()) {
        return Ok(values);
    }
    let parent = level.rsplit_once('/').map_or("", |(parent, _)| parent);
    let inherited = cpus_and_mems(place, cpuset, parent)?;
    for (i, value) in inherited.into_iter().enumerate() {
        if values[i].trim().is_empty() {
            fs::write_file_at(CWD, path(cpuset.files[i]), value.as_bytes()).during(|| "cgroup")?;
            values[i] = value;
        }
    }
    Ok(values)
}

/// Has the levels above pass on the controllers that the group is to have.
fn enable(place: &Place, dir: &OwnedFd) -> Result<()> {
    let enable = &place.enable;
    if !enable.all && enable.needed.is_empty() {
        return Ok(());
    }
    let file = format!("{}/cgroup.controllers", place.level(""));
    let available = members::text(CWD, &file).during(|| "cgroup")?;
    let mut wanted: Vec<&str> = available.split_whitespace().collect();
    for (controller, field) in &enable.needed {
        if !wanted.contains(&controller.as_str()) {
            let why = format!("the {controller} controller is not available in {}", place.mount);
            return Err(Error::new(
                Kind::Unsupported,
                format!("{field}: {why} (there are: {})", available.trim()),
            ));
        }
    }
    let needed = |controller: &str| enable.needed.iter().find(|(name, _)| name == controller);
    wanted.retain(|controller| enable.all || needed(controller).is_some());
    // To write what holds already would wait: the kernel first lets all groups go that were removed a moment ago, which
    // takes it an RCU grace period, and nobody else makes a group meanwhile.
    let own = members::text(dir, "cgroup.controllers").during(|| "cgroup")?;
    if wanted.iter().all(|controller| own.split_whitespace().any(|has| has == *controller)) {
        return Ok(());
    }
    if pass_on(place, place.parents().last().unwrap_or_default(), &wanted).is_ok() {
        return Ok(());
    }
    // One by one: what can't be had is only missed where a limit needs it.
    for controller in wanted {
        if let (Err(e), Some((_, field))) = (pass_down(place, controller), needed(controller)) {
            return Err(e).during(|| field);
        }
    }
    join_threads(place, dir)
}

/// Has all levels above pass on a controller. It counts whether the last one does; the error is the first one's, which
/// the others only follow.
fn pass_down(place: &Place, controller: &str) -> forgeone_sys::Result<()> {
    let mut first = None;
    for level in std::iter::once("").chain(place.parents()) {
        match pass_on(place, level, &[controller]) {
            // Levels that are not the caller's may have it already.
            Ok(()) => first = None,
            Err(e) => drop(first.get_or_insert(e)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// `+a +b` into a level's `cgroup.subtree_control`.
fn pass_on(place: &Place, level: &str, controllers: &[&str]) -> forgeone_sys::Result<()> {
    let line: String = controllers.iter().flat_map(|controller| [" +", controller]).collect();
    let path = format!("{}/cgroup.subtree_control", place.level(level));
    fs::write_file_at(CWD, path, line.trim_start().as_bytes())
}

/// Below a group in threaded mode a new one is of no use ("domain invalid") until it is threaded as well.
fn join_threads(place: &Place, dir: &OwnedFd) -> Result<()> {
    if members::text(dir, "cgroup.type").during(|| "cgroup")?.trim() != "domain invalid" {
        return Ok(());
    }
    fs::write_file_at(dir, "cgroup.type", b"threaded").during(|| format!("cgroup {}", place.path()))
}

/// Writes one file of a group.
type Put<'a> = &'a mut dyn FnMut(&str, &str) -> forgeone_sys::Result<()>;

/// Writes limits by `put`.
fn steps(steps: &[Step], dir: &OwnedFd, put: Put) -> Result<()> {
    for step in steps {
        match step {
            Step::Write(write) => put_one(write, put).map_err(|e| refused(write, e))?,
            Step::Together(writes) => {
                let mut again = Vec::new();
                for write in writes {
                    match put_one(write, put) {
                        Err(e) if e.errno() == Errno::INVAL => again.push(write),
                        result => result.map_err(|e| refused(write, e))?,
                    }
                }
                for write in again {
                    put_one(write, put).map_err(|e| refused(write, e))?;
                }
            }
            Step::Below { field, file, limit } => below(dir, field, file, *limit)?,
        }
    }
    Ok(())
}

/// Changes the limits of a group that is in use; what is written is noted.
pub(super) fn change(place: &Place, ledger: &mut Ledger) -> Result<()> {
    enable(place, ledger.dir())?;
    let dir = fs::dup(ledger.dir())?;
    steps(&place.steps, &dir, &mut |file, value| ledger.write(file, value))
}

fn put_one(write: &Write, put: Put) -> forgeone_sys::Result<()> {
    match (put(&write.file, &write.value), &write.absent) {
        (Err(e), Absent::Ignore) if e.errno() == Errno::NOENT => Ok(()),
        (Err(e), Absent::Instead(file, value)) if e.errno() == Errno::NOENT => put(file, value),
        (result, _) => result,
    }
}

fn refused(write: &Write, e: forgeone_sys::Error) -> Error {
    match e.errno() {
        Errno::NOENT => Error::new(
            Kind::Unsupported,
            format!("{}: there is no {} in the group: this machine can't limit it", write.field, write.file),
        ),
        Errno::BUSY if write.file.starts_with("memory.") => {
            let e = Error::from(e);
            Error::new(e.kind(), format!("{}: {e}: more than that is in use", write.field))
        }
        _ => Error::from(e).during(&write.field),
    }
}

fn below(dir: &OwnedFd, field: &str, file: &str, limit: u64) -> Result<()> {
    let text = members::text(dir, file).during(|| field)?;
    match text.trim().parse::<u64>() {
        Ok(used) if used < limit => Ok(()),
        _ => Err(Error::new(
            Kind::Config,
            format!("{field}: {limit} is not above what is in use, {}", text.trim()),
        )),
    }
}

/// Sets the device rules.
pub(super) fn devices(devices: &Devices, dir: &OwnedFd, made: Made) -> Result<()> {
    match devices {
        Devices::None => Ok(()),
        Devices::Rules(rules) => write_rules(rules, dir),
        Devices::Program(program) => attach(program, dir, made),
    }
    .during(|| "linux.resources.devices")
}

/// Puts a program in the place of whatever programs the group has.
fn attach(program: &[BpfInstruction], dir: &OwnedFd, made: Made) -> forgeone_sys::Result<()> {
    let program = bpf::device_program_load(program)?;
    let old = if made == Made::New { Vec::new() } else { bpf::device_programs(dir)? };
    if let [only] = old.as_slice() {
        match bpf::device_program_attach(dir, &program, Some(only.as_fd())) {
            // Before Linux 5.6 there is no replacing.
            Err(e) if e.errno() == Errno::INVAL => {}
            replaced => return replaced,
        }
    }
    // All programs of a group have to agree, so the old ones go, and not before the new one is there.
    bpf::device_program_attach(dir, &program, None)?;
    old.into_iter().try_for_each(|old| bpf::device_program_detach(dir, old))
}

/// One rule for each write, into files that are opened once.
fn write_rules(rules: &DeviceRules, dir: &OwnedFd) -> forgeone_sys::Result<()> {
    let mut open: Option<(&str, OwnedFd)> = None;
    for (file, line) in rules.lines() {
        let fd = match open.take() {
            Some((name, fd)) if name == file => fd,
            _ => fs::openat(dir, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?,
        };
        fs::write_all(&fd, line.as_bytes())?;
        open = Some((file, fd));
    }
    Ok(())
}

/// Gives the directory, and the files in it that the kernel says can be delegated, to `owner`.
pub(super) fn own(dir: &OwnedFd, owner: u32) -> forgeone_sys::Result<()> {
    let listed = fs::read_file_at(CWD, "/sys/kernel/cgroup/delegate", 4096);
    let listed =
        listed.unwrap_or_else(|_| b"cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".to_vec());
    let listed = String::from_utf8_lossy(&listed);
    let give = |fd: &OwnedFd| fs::fchown(fd, owner, fs::fstat(fd)?.st_gid);
    for file in listed.lines() {
        match fs::openat(dir, file, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => {}
            fd => give(&fd?)?,
        }
    }
    give(dir)
}

/// `rmdir`; a group that is not there is no error.
pub(super) fn rmdir(path: &str) -> forgeone_sys::Result<()> {
    let gone = || matches!(fs::statat(CWD, path, AtFlags::empty()), Err(e) if e.errno() == Errno::NOENT);
    match fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        // A read-only mount says so before it looks.
        Err(e) if e.errno() == Errno::ROFS && gone() => Ok(()),
        removed => removed,
    }
}
