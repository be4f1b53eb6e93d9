//! Removing containers: container.json first, so that what is left of one is never taken for a container.

use super::container::{Container, Removal, settings};
use super::names::short;
use super::places::Places;
use super::prepare::{SECRETS, SHM};
use super::record;
use super::register::Register;
use super::tree;
use super::volumes::Volumes;
use crate::client::Client;
use crate::error::{During, Error, Kind, Result};
use crate::lifecycle::{Runtime, Status};
use crate::monitor;
use forgeone_sys::fs::{self, AtFlags};
use forgeone_sys::process;
use forgeone_sys::{Errno, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Removes a container.
pub(super) fn remove(container: &Container, how: Removal) -> Result<()> {
    let id = container.id();
    let status = match Runtime::new(container.settings()).state(id) {
        Ok(listed) => Some(listed.status),
        Err(e) if e.kind() == Kind::NotFound => None,
        Err(e) if how.force && e.kind() == Kind::Damaged => None,
        Err(e) => return Err(e),
    };
    let stopped = Status::Stopped.word();
    if !how.force && status.as_deref().is_some_and(|status| status != stopped) {
        let name = container.name();
        let message =
            format!("container {name:?} is {}; stop it, or use --force", status.unwrap_or_default());
        return Err(Error::new(Kind::State, message));
    }
    let register = Register::open(container.places().clone())?;
    fs::flock_exclusive(container.fd())?;
    if container.places().state_root.join(id).exists() {
        Client::new(container.places().door.clone(), container.settings()).delete(id, true)?;
    }
    match fs::unlinkat(container.fd(), record::FILE, AtFlags::empty()) {
        Err(e) if e.errno() == Errno::NOENT => {}
        gone => gone.during(|| format!("container {}", short(id)))?,
    }
    let mut errors = Vec::new();
    let volumes = Volumes::of(container.places());
    errors.extend(container.record().anonymous_volumes.iter().filter_map(|v| volumes.discard(&v.name).err()));
    errors.extend(register.unname(container.name(), id).err());
    errors.extend(directory(container.places(), id).err());
    Error::all(errors).map_or(Ok(()), Err)
}

/// Removes a container of which nothing but the id is known. A monitor of it that lives is told to kill it first.
pub(super) fn damaged(register: &Register, id: &str, dir: &OwnedFd) -> Result<()> {
    let places = register.places();
    if let Some(mut monitor) = monitor::Client::connect(&places.container(id))? {
        let kill = forgeone_sys::signal::signal_number("KILL");
        monitor.stop(kill, Some(std::time::Duration::ZERO))?;
    }
    fs::flock_exclusive(dir)?;
    if places.state_root.join(id).exists() {
        Client::new(places.door.clone(), settings(places)).delete(id, true)?;
    }
    let mut errors = Vec::new();
    match fs::unlinkat(dir, record::FILE, AtFlags::empty()) {
        Err(e) if e.errno() != Errno::NOENT => errors.push(Error::from(e).during(record::FILE)),
        _ => errors.extend(register.unname_all(id).err()),
    }
    errors.extend(directory(places, id).err());
    Error::all(errors).map_or(Ok(()), Err)
}

/// Removes a container's directory, whatever is in it.
pub(super) fn directory(places: &Places, id: &str) -> Result<()> {
    let path = places.container(id);
    super::rootfs::release(&path);
    // The monitor sees what it has mounted.
    tree::unmount(&path, &["base", "disk", "rootfs", SECRETS, SHM]);
    files(places, &path)
}

/// Removes what is at a path.
pub(super) fn files(places: &Places, path: &Path) -> Result<()> {
    match tree::remove(path) {
        // Files of ids that are the user's in a user namespace only, which the image's helper makes.
        Err(e) if e.kind() == Kind::Permission && process::geteuid() != 0 => discard(places, path),
        removed => removed.during(|| format!("remove {}", path.display())),
    }
}

fn discard(places: &Places, path: &Path) -> Result<()> {
    let mut command = Command::new(&places.image_helper);
    command.arg("discard").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = process::spawn(&mut command).and_then(Child::wait_with_output);
    let output = output.map_err(|e| {
        let message = format!("execute {}: {e}; make install brings it", places.image_helper.display());
        Error::new(Kind::System, message)
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::new(Kind::System, said.trim().trim_start_matches("forgeone: "))),
    }
}
