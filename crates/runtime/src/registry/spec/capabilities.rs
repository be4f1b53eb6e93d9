//! Capabilities: few by default, as Docker's documentation lists them.

use super::{Inputs, refuse};
use crate::error::Result;
use crate::spec::Capabilities;
use forgeone_config::ContainerConfig;
use forgeone_sys::credentials::{CAPABILITIES, capability_number, last_capability};

/// What every container has: enough to install and run services that give up root by themselves, nothing that reaches
/// beyond the container.
const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The sets. Root has them all; another user none, but those that were added by name, which he keeps (ambient).
pub(super) fn make(inputs: &Inputs) -> Result<Capabilities> {
    let (all, added) = effective(inputs.config())?;
    if inputs.user.uid == 0 {
        let (bounding, effective, permitted) = (all.clone(), all.clone(), all);
        return Ok(Capabilities { bounding, effective, permitted, ..Capabilities::default() });
    }
    Ok(Capabilities {
        bounding: all,
        effective: added.clone(),
        permitted: added.clone(),
        inheritable: added.clone(),
        ambient: added,
        ..Capabilities::default()
    })
}

/// The capabilities that the container has at most, in order, and those that were added by name.
pub(in super::super) fn effective(config: &ContainerConfig) -> Result<(Vec<String>, Vec<String>)> {
    let known = || CAPABILITIES.iter().enumerate().filter(|(number, _)| *number as u32 <= last_capability());
    let every = || known().map(|(_, name)| (*name).to_owned()).collect::<Vec<_>>();
    if config.privileged == Some(true) {
        return Ok((every(), Vec::new()));
    }
    let add = names("cap_add", config.cap_add.as_deref())?;
    let drop = names("cap_drop", config.cap_drop.as_deref())?;
    if let Some(both) = add.iter().find(|name| drop.contains(name)) {
        let name = both.trim_start_matches("CAP_");
        return Err(refuse("cap_add", format!("{name}: cap_drop names it, too; leave one out")));
    }
    let mut all = match (add.iter().any(|name| name == ALL), drop.iter().any(|name| name == ALL)) {
        (true, _) => every(),
        (_, true) => Vec::new(),
        _ => DEFAULT.map(str::to_owned).to_vec(),
    };
    all.retain(|name| !drop.contains(name));
    let added: Vec<String> = add.into_iter().filter(|name| name != ALL).collect();
    all.extend(added.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>());
    all.sort_by_key(|name| capability_number(name));
    Ok((all, added))
}

const ALL: &str = "ALL";

/// In capital letters, with `CAP_` but for `ALL`.
fn names(field: &str, names: Option<&[String]>) -> Result<Vec<String>> {
    let name = |name: &String| {
        let upper = name.to_ascii_uppercase();
        let full = if upper.starts_with("CAP_") || upper == ALL { upper } else { format!("CAP_{upper}") };
        match capability_number(&full) {
            None if full != ALL => Err(refuse(field, format!("{name:?}: there is no such capability"))),
            Some(number) if number > last_capability() => {
                Err(refuse(field, format!("{name:?}: this kernel doesn't have it")))
            }
            _ => Ok(full),
        }
    };
    let mut all = names.unwrap_or_default().iter().map(name).collect::<Result<Vec<_>>>()?;
    all.sort();
    all.dedup();
    Ok(all)
}
