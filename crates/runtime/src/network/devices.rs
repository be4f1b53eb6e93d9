//! `linux.netDevices`: interfaces of the host move into the container's network namespace.
//!
//! An interface that moves goes down and loses its addresses; those that are meant to last and are valid everywhere are
//! given to it again inside, and it is set up (config-linux.md, "Network Devices"). It dies with the namespace, or comes
//! back by the kernel if it is a physical one: nobody brings it back when the container is deleted. But a container
//! that doesn't come into being has not had it: [`Moved::give_back`].
//!
//! The runtime does it all, from outside: init may not have the rights, in a user namespace or in a joined namespace.

use crate::error::{During, Error, Kind, Result};
use crate::spec::NetDevice;
use forgeone_sys::net::{Address, Link, Route};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{Errno, fs};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

/// An interface to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// Its name on the host.
    pub host: String,
    /// Its name inside; with `%d` a template, of which the kernel makes a name that is free.
    pub name: String,
}

impl DevicePlan {
    fn is_template(&self) -> bool {
        self.name.contains('%')
    }

    fn field(&self) -> String {
        format!("linux.netDevices[{:?}]", self.host)
    }
}

/// Plans the moves; `namespace` says whether the container has a network namespace of its own, new or joined.
///
/// # Errors
/// [`Kind::Config`], naming the device.
pub fn plan(devices: &BTreeMap<String, NetDevice>, namespace: bool) -> Result<Vec<DevicePlan>> {
    let mut plans = Vec::<DevicePlan>::with_capacity(devices.len());
    for (host, device) in devices {
        let wrong = |cause: String| Error::new(Kind::Config, format!("linux.netDevices[{host:?}]: {cause}"));
        if !namespace {
            return Err(wrong("needs a network namespace of the container's own (linux.namespaces)".into()));
        }
        let name = if device.name.is_empty() { host } else { &device.name };
        let asked = [(host, false), (name, !device.name.is_empty())];
        if let Some((name, _)) = asked.iter().find(|(name, template)| !is_name(name, *template)) {
            return Err(wrong(format!("{name:?}: is not the name of a network device")));
        }
        if let Some(other) = plans.iter().find(|other| other.name == *name && !other.is_template()) {
            return Err(wrong(format!("name: {name:?}: is taken by {:?}", other.host)));
        }
        plans.push(DevicePlan { host: host.clone(), name: name.clone() });
    }
    Ok(plans)
}

/// Whether an interface can have this name.
pub(crate) fn is_interface_name(name: &str) -> bool {
    is_name(name, false)
}

/// What the kernel takes for a name (`dev_valid_name`) or, with a single `%d`, for a template.
fn is_name(name: &str, template: bool) -> bool {
    let plain = !matches!(name, "" | "." | "..")
        && name.len() < 16
        && !name.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | ':' | '\0' | '\x0b'));
    let percents = name.matches('%').count();
    plain && (percents == 0 || template && percents == 1 && name.contains("%d"))
}

/// One of the two network namespaces.
#[derive(Debug)]
struct Side {
    namespace: OwnedFd,
    route: Route,
}

/// Interfaces that were moved, and the way back.
#[derive(Debug)]
pub struct Moved {
    host: Side,
    container: Side,
    devices: Vec<Device>,
}

/// An interface that was moved, as it was on the host.
#[derive(Debug)]
struct Device {
    /// Its number inside.
    index: u32,
    link: Link,
    addresses: Vec<Address>,
}

/// Moves all of them from the caller's network namespace, `host`, to `container`; those already moved come back if one
/// can't be.
///
/// # Errors
/// [`Kind::Config`] for a device that isn't there, or whose name is taken inside; otherwise the kernel's answer.
pub fn move_in(plans: &[DevicePlan], host: OwnedFd, container: OwnedFd) -> Result<Moved> {
    let same = |stat: &fs::Stat, other: &fs::Stat| (stat.st_dev, stat.st_ino) == (other.st_dev, other.st_ino);
    if same(&fs::fstat(&host)?, &fs::fstat(&container)?) {
        return Err(Error::new(Kind::Config, "linux.netDevices: the network namespace is the host's"));
    }
    let outside = Route::open()?;
    process::setns(&container, Namespaces::NET).during(|| "linux.netDevices")?;
    let inside = Route::open();
    // Before anything else, whatever came of it.
    process::setns(&host, Namespaces::NET).during(|| "linux.netDevices: back to the host's network")?;
    let host = Side { namespace: host, route: outside };
    let mut moved = Moved { host, container: Side { namespace: container, route: inside? }, devices: vec![] };
    for plan in plans {
        if let Err(e) = moved.take(plan).during(|| plan.field()) {
            let errors = [Err(e.clone()), moved.give_back()];
            return Err(Error::all(errors.into_iter().filter_map(Result::err).collect()).unwrap_or(e));
        }
    }
    Ok(moved)
}

impl Moved {
    fn take(&mut self, plan: &DevicePlan) -> Result<()> {
        let (host, container) = (&self.host.route, &self.container.route);
        let wrong = |cause: &str| Error::new(Kind::Config, cause);
        let link = find(host, &plan.host)?.ok_or_else(|| wrong("the host has no such network device"))?;
        if !plan.is_template() && find(container, &plan.name)?.is_some() {
            return Err(wrong(&format!("name: {:?}: is taken in the container's network", plan.name)));
        }
        let addresses = host.addresses(link.index)?;
        let name = self.arrival(plan);
        let device = Device { index: 0, link, addresses };
        // A device that is up can't be renamed; and nobody shall see it half-way.
        let gone = host
            .set_link_up(device.link.index, false)
            .and_then(|()| host.move_link(device.link.index, self.container.namespace.as_fd(), &name));
        if let Err(e) = gone {
            let errors = [Err(e.into()), device.restore(host, device.link.index)];
            let errors: Vec<_> = errors.into_iter().filter_map(Result::err).collect();
            return Err(Error::all(errors).unwrap_or_else(|| wrong("can't be moved")));
        }
        let index = container.link(&name)?.index;
        self.devices.push(Device { index, ..device });
        let container = &self.container.route;
        if plan.is_template() {
            container.rename_link(index, &plan.name)?;
        }
        let device = self.devices.last().into_iter().flat_map(|device| &device.addresses);
        for address in device.filter(|address| address.is_permanent() && address.is_global()) {
            container.add_address(index, address)?;
        }
        Ok(container.set_link_up(index, true)?)
    }

    /// The name under which a device comes in: of a template the kernel makes a name that nobody would know.
    fn arrival(&self, plan: &DevicePlan) -> String {
        match plan.is_template() {
            true => format!("f1.{:x}.{:x}", process::getpid(), self.devices.len()),
            false => plan.name.clone(),
        }
    }

    /// Brings the devices back to where they were, with their addresses; routes over them are gone.
    ///
    /// # Errors
    /// All that failed, together.
    pub fn give_back(self) -> Result<()> {
        let back = |device: &Device| -> Result<()> {
            self.container.route.set_link_up(device.index, false)?;
            self.container.route.move_link(device.index, self.host.namespace.as_fd(), &device.link.name)?;
            let index = self.host.route.link(&device.link.name)?.index;
            device.restore(&self.host.route, index)
        };
        let named =
            |device: &Device| back(device).during(|| format!("network device {:?}", device.link.name));
        let errors = self.devices.iter().rev().map(named).filter_map(Result::err).collect();
        Error::all(errors).map_or(Ok(()), Err)
    }
}

impl Device {
    /// Gives it the addresses and the state that it had.
    fn restore(&self, route: &Route, index: u32) -> Result<()> {
        for address in self.addresses.iter().filter(|address| address.is_permanent()) {
            match route.add_address(index, address) {
                // It has not lost it, or the kernel has given it anew.
                Err(e) if e.errno() == Errno::EXIST => {}
                result => result?,
            }
        }
        match self.link.up {
            true => Ok(route.set_link_up(index, true)?),
            false => Ok(()),
        }
    }
}

fn find(route: &Route, name: &str) -> Result<Option<Link>> {
    match route.link(name) {
        Err(e) if e.errno() == Errno::NODEV => Ok(None),
        found => Ok(found.map(Some)?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn planned(devices: &[(&str, &str)], namespace: bool) -> Result<Vec<DevicePlan>> {
        let device = |name: &str| NetDevice { name: name.to_owned(), ..NetDevice::default() };
        let devices = devices.iter().map(|(host, name)| ((*host).to_owned(), device(name)));
        plan(&devices.collect(), namespace)
    }

    #[test]
    fn a_device_keeps_its_name_or_gets_another() {
        let plans = planned(&[("a", ""), ("b", "eth0"), ("c", "net%d"), ("d", "net%d")], true).unwrap();
        let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["a", "eth0", "net%d", "net%d"]);
        assert!(planned(&[], false).unwrap().is_empty());
    }

    #[test]
    fn what_can_not_be_is_named() {
        for (devices, cause) in [
            (&[("", "")][..], r#"linux.netDevices[""]: "": is not the name of a network device"#),
            (&[("a/b", "")], r#"linux.netDevices["a/b"]: "a/b": is not the name of a network device"#),
            (&[("eth%d", "")], r#"linux.netDevices["eth%d"]: "eth%d": is not the name of a network device"#),
            (&[("a", "..")], r#"linux.netDevices["a"]: "..": is not the name of a network device"#),
            (&[("a", "b c")], r#"linux.netDevices["a"]: "b c": is not the name of a network device"#),
            (&[("a", "b:c")], r#"linux.netDevices["a"]: "b:c": is not the name of a network device"#),
            (&[("a", "%d%d")], r#"linux.netDevices["a"]: "%d%d": is not the name of a network device"#),
            (&[("a", "x%s")], r#"linux.netDevices["a"]: "x%s": is not the name of a network device"#),
            (
                &[("a", "0123456789abcdef")],
                r#"linux.netDevices["a"]: "0123456789abcdef": is not the name of a network device"#,
            ),
            (&[("a", "x"), ("b", "x")], r#"linux.netDevices["b"]: name: "x": is taken by "a""#),
            (&[("a", "b"), ("b", "")], r#"linux.netDevices["b"]: name: "b": is taken by "a""#),
        ] {
            let e = planned(devices, true).unwrap_err();
            assert_eq!((e.kind(), e.to_string().as_str()), (Kind::Config, cause));
        }
        let e = planned(&[("a", "")], false).unwrap_err();
        assert!(e.to_string().starts_with(r#"linux.netDevices["a"]: needs a network namespace"#), "{e}");
    }
}
