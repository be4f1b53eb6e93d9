//! What confines the program beside namespaces and capabilities: no new privileges, the filter, labels, hidden paths.

use super::{Inputs, capabilities, filter, refuse};
use crate::error::Result;
use crate::spec::{Linux, Spec};

/// What of the kernel tells too much of the host, or hangs it.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/security",
];

/// What of the kernel isn't the container's to write.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What `security_opt` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'a> {
    no_new_privileges: Option<bool>,
    unconfined: bool,
    apparmor: Option<&'a str>,
    label: Label<'a>,
}

/// Parts of an SELinux label.
#[derive(Debug, Default, PartialEq, Eq)]
struct Label<'a> {
    disabled: bool,
    parts: [Option<&'a str>; 4],
}

const PARTS: [&str; 4] = ["user", "role", "type", "level"];

pub(super) fn apply(inputs: &Inputs, spec: &mut Spec, linux: &mut Linux) -> Result<()> {
    let options = options(inputs.config().security_opt.as_deref().unwrap_or_default())?;
    let Some(process) = spec.process.as_mut() else { return Ok(()) };
    process.no_new_privileges = options.no_new_privileges.unwrap_or(!inputs.privileged());
    process.apparmor_profile = match options.apparmor {
        None | Some("unconfined") => String::new(),
        Some(profile) => profile.to_owned(),
    };
    label(inputs, &options.label, &mut process.selinux_label, &mut linux.mount_label)?;
    if inputs.privileged() {
        return Ok(());
    }
    if !options.unconfined {
        linux.seccomp = Some(match &inputs.found.filter {
            Some(profile) => profile.clone(),
            None => filter::default(&capabilities::effective(inputs.config())?.0),
        });
    }
    linux.masked_paths = MASKED.map(str::to_owned).to_vec();
    linux.readonly_paths = READ_ONLY.map(str::to_owned).to_vec();
    Ok(())
}

/// The file of `seccomp=FILE`.
pub(in super::super) fn profile_file(options: Option<&[String]>) -> Option<&str> {
    let words = options.unwrap_or_default().iter();
    let mut values = words.filter_map(|word| word.strip_prefix("seccomp")?.strip_prefix(['=', ':']));
    values.next_back().filter(|file| *file != "unconfined")
}

fn options(words: &[String]) -> Result<Options<'_>> {
    let mut options = Options::default();
    for word in words {
        let (key, value) = match word.find(['=', ':']) {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word.as_str(), "true"),
        };
        match (key, value) {
            ("no-new-privileges", value) => options.no_new_privileges = Some(value == "true"),
            ("seccomp", value) => options.unconfined = value == "unconfined",
            ("apparmor", value) => options.apparmor = Some(value),
            ("label", "disable") => options.label.disabled = true,
            ("label", value) => {
                let part = value
                    .split_once(':')
                    .and_then(|(name, value)| Some((PARTS.iter().position(|p| *p == name)?, value)));
                let Some((at, value)) = part else {
                    let cause =
                        format!("{word:?}: a label is disable, or user:, role:, type: or level: and a value");
                    return Err(refuse("security_opt", cause));
                };
                options.label.parts[at] = Some(value);
            }
            _ => return Err(refuse("security_opt", format!("{word:?} isn't known"))),
        }
    }
    Ok(options)
}

/// The labels of SELinux, which has to be there for one that was asked for.
fn label(inputs: &Inputs, label: &Label, process: &mut String, mounts: &mut String) -> Result<()> {
    let asked = label.parts.iter().any(Option::is_some);
    if asked && !inputs.found.selinux {
        return Err(refuse("security_opt", "label: SELinux isn't switched on here; leave it out"));
    }
    if label.disabled || !asked {
        return Ok(());
    }
    let [user, role, kind, level] = label.parts;
    let (user, level) = (user.unwrap_or("system_u"), level.unwrap_or("s0"));
    *process = format!("{user}:{}:{}:{level}", role.unwrap_or("system_r"), kind.unwrap_or("container_t"));
    *mounts = format!("system_u:object_r:container_file_t:{level}");
    Ok(())
}
