//! Writes the id maps of a new user namespace, from the runtime's side.
//!
//! A process with the rights over its own user namespace writes any map. An ordinary user may map their own id
//! alone, and only with `setgroups` denied; for ranges out of /etc/subuid the set-user-id programs `newuidmap`
//! and `newgidmap` (shadow-utils) do it.

use crate::error::{During, Error, Kind, Result};
use crate::fs::Procfs;
use crate::plan::namespaces::NamespacePlan;
use crate::spec::{IdMapping, map_lines};
use forgeone_sys::process::{self, Namespaces};
use std::process::{Child, Command, Stdio};

/// How the maps get written; decided before the clone, since it decides what init may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// There are none to write.
    None,
    /// By the runtime, which has the rights.
    Runtime,
    /// By the runtime, for an ordinary user's own ids: `setgroups` is denied.
    OwnIds,
    /// By `newuidmap` and `newgidmap`.
    Helpers,
}

impl Writer {
    /// Chooses for the caller.
    pub(super) fn choose(plan: &NamespacePlan) -> Self {
        if !plan.new.contains(Namespaces::USER) {
            return Self::None;
        }
        if process::geteuid() == 0 {
            return Self::Runtime;
        }
        let own = |maps: &[IdMapping], id| matches!(maps, [map] if map.size == 1 && map.host_id == id);
        let only_own =
            own(&plan.uid_mappings, process::geteuid()) && own(&plan.gid_mappings, process::getegid());
        if only_own { Self::OwnIds } else { Self::Helpers }
    }

    /// Whether the files in `/proc` that the maps are written to have to belong to init's user: newuidmap(1) and the
    /// kernel look at that, unless root writes.
    pub(super) fn needs_dumpable(self) -> bool {
        matches!(self, Self::OwnIds | Self::Helpers)
    }

    /// Whether init can set supplementary groups afterwards.
    pub(super) fn leaves_setgroups(self) -> bool {
        self != Self::OwnIds
    }

    /// Writes the maps of process `pid`.
    pub(super) fn write(self, pid: i32, plan: &NamespacePlan, procfs: &Procfs) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Helpers => {
                helper("newuidmap", pid, &plan.uid_mappings)?;
                helper("newgidmap", pid, &plan.gid_mappings)
            }
            Self::Runtime | Self::OwnIds => {
                if self == Self::OwnIds {
                    procfs.write(&format!("{pid}/setgroups"), b"deny").during(|| "linux.gidMappings")?;
                }
                let (uids, gids) = (map_lines(&plan.uid_mappings), map_lines(&plan.gid_mappings));
                procfs.write(&format!("{pid}/uid_map"), uids.as_bytes()).during(|| "linux.uidMappings")?;
                procfs.write(&format!("{pid}/gid_map"), gids.as_bytes()).during(|| "linux.gidMappings")
            }
        }
    }
}

fn helper(program: &str, pid: i32, maps: &[IdMapping]) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.to_string()).stdin(Stdio::null());
    for map in maps {
        command.args([map.container_id, map.host_id, map.size].map(|number| number.to_string()));
    }
    let failed = |cause: &str| {
        let message =
            format!("{program}: {cause} (ranges need /etc/subuid, /etc/subgid and the package uidmap)");
        Error::new(Kind::Permission, message)
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = process::spawn(&mut command).and_then(Child::wait_with_output);
    let output = output.map_err(|e| failed(&e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")))
}
