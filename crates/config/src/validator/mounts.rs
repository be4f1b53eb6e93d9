//! Mounts, volumes, devices and secrets: what is where inside, and from where.

use super::names::{self, is_name};
use super::report::Report;
use crate::{ContainerConfig, Device, Mount, MountType, Secret, Volume};

/// The kernel's directories: nothing is mounted over or below them.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

pub(super) fn check(config: &ContainerConfig, report: &mut Report) {
    let mounts = config.mounts.as_deref().unwrap_or_default();
    let volumes = config.volumes.as_deref().unwrap_or_default();
    let devices = config.devices.as_deref().unwrap_or_default();
    let secrets = config.secrets.as_deref().unwrap_or_default();
    report.each("mounts", mounts, |report, _, mount| check_mount(mount, report));
    report.each("volumes", volumes, |report, _, volume| check_volume(volume, report));
    report.each("devices", devices, |report, _, device| check_device(device, report));
    report.each("secrets", secrets, |report, _, secret| check_secret(secret, report));
    let inside = |device: &Device| device.target.clone().unwrap_or_else(|| device.source.clone());
    let places =
        mounts.iter().enumerate().map(|(n, m)| (format!("mounts[{n}].destination"), m.destination.clone()));
    let places =
        places.chain(volumes.iter().enumerate().map(|(n, v)| (format!("volumes[{n}].path"), v.path.clone())));
    let places = places.chain(devices.iter().enumerate().map(|(n, d)| (format!("devices[{n}]"), inside(d))));
    let places = places.chain(secrets.iter().enumerate().map(|(n, s)| (format!("secrets[{n}]"), target(s))));
    twice(places, report);
}

/// Where a secret is inside.
fn target(secret: &Secret) -> String {
    secret.target.clone().unwrap_or_else(|| format!("/run/secrets/{}", secret.name))
}

/// Tells of each that is at the place of an earlier one.
fn twice(places: impl Iterator<Item = (String, String)>, report: &mut Report) {
    let mut first = std::collections::HashMap::new();
    for (path, place) in places {
        match first.get(&place) {
            Some(earlier) => {
                let reason = format!("{earlier} is there, too: one would hide the other");
                report.error(&path, "mounts.duplicate", &place, reason, "keep one, or move it");
            }
            None => drop(first.insert(place, path)),
        }
    }
}

/// A place inside where something is mounted.
fn destination(key: &str, path: &str, report: &mut Report) {
    const CODE: &str = "mounts.destination";
    if !names::path(report, key, CODE, path) {
        return;
    }
    let below = |directory: &&str| path == *directory || path.starts_with(&format!("{directory}/"));
    if path == "/" {
        report.error(key, CODE, path, "it would hide the image", "name a directory below /");
    } else if path == "/dev" || KERNEL.iter().any(below) {
        let reason = "this directory is the kernel's, and the runtime's to fill";
        report.error(
            key,
            "mounts.kernel",
            path,
            reason,
            "choose another place; sysctls and devices have fields",
        );
    }
}

fn check_mount(mount: &Mount, report: &mut Report) {
    destination("destination", &mount.destination, report);
    let source = mount.source.as_str();
    match mount.mount_type {
        MountType::Bind => {
            if source.is_empty() {
                let reason = "a bind mount needs what it shows";
                report.error("source", "mounts.source", source, reason, "name a path of the host");
            } else if names::path(report, "source", "mounts.source", source)
                && source == "/"
                && !mount.read_only
            {
                let reason = "the container can write the whole host";
                report.warning("source", "mounts.host", source, reason, "name a directory, or set read_only");
            }
        }
        MountType::Volume => names::name(report, "source", "mounts.source", source),
        MountType::Custom if source.is_empty() || source.contains(['/', ' ']) => {
            let reason = "the source of a custom mount is its file-system type";
            report.error("source", "mounts.source", source, reason, "name one of /proc/filesystems");
        }
        MountType::Custom => names::argument(report, "source", "mounts.source", source, false),
        MountType::Tmpfs => names::argument(report, "source", "mounts.source", source, true),
    }
    let options = mount.options.iter().flatten();
    report.each("options", options.map(String::as_str), |report, _, option: &str| {
        if option.is_empty() || option.contains([',', '\0', ' ']) {
            let reason = "an option is one word; a comma would make two of it";
            report.error("", "mounts.option", option, reason, "write each as an item of its own");
        } else if option == "rw" && mount.read_only {
            report.error("", "mounts.option", option, "read_only says the opposite", "leave one out");
        }
    });
}

fn check_volume(volume: &Volume, report: &mut Report) {
    names::name(report, "name", "volumes.name", &volume.name);
    destination("path", &volume.path, report);
    if let Some(driver) = volume.driver.as_deref().filter(|driver| !is_name(driver)) {
        report.error(
            "driver",
            "volumes.driver",
            driver,
            "it is no name of a driver",
            "leave it out for local",
        );
    }
}

fn check_device(device: &Device, report: &mut Report) {
    names::path(report, "source", "devices.path", &device.source);
    if let Some(target) = &device.target {
        names::path(report, "target", "devices.path", target);
    }
    let permissions = device.permissions.as_deref().unwrap_or("rwm");
    let twice = permissions.char_indices().any(|(at, c)| permissions[..at].contains(c));
    if permissions.is_empty() || twice || permissions.chars().any(|c| !"rwm".contains(c)) {
        let reason = "permissions are of r, w and m, each once";
        report.error("permissions", "devices.permissions", permissions, reason, "leave it out for rwm");
    }
}

fn check_secret(secret: &Secret, report: &mut Report) {
    names::name(report, "name", "secrets.name", &secret.name);
    match (&secret.file, &secret.environment) {
        (Some(file), None) => names::argument(report, "file", "secrets.source", file, false),
        (None, Some(name)) if name.is_empty() || name.contains(['=', '\0']) => {
            let reason = "it is no name of a variable";
            report.error("environment", "secrets.source", name, reason, "name one without =");
        }
        (None, Some(_)) => {}
        _ => {
            let reason = "a secret comes either from a file or from a variable of the environment";
            report.error("", "secrets.source", &secret.name, reason, "set one of file and environment");
        }
    }
    if let Some(target) = &secret.target {
        destination("target", target, report);
    }
}
