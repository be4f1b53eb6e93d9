//! `update`: other limits for a container that lives.

use super::{Runtime, Status, UpdateOptions, start};
use crate::cgroup::{self, Group};
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use crate::fs::Procfs;
use crate::resctrl;
use crate::spec::{Resources, Spec};
use crate::state::{self, Record};
use forgeone_trust as trust;

impl Runtime {
    /// Changes the limits that `options` name; those that they leave out stay. Device rules are never changed.
    ///
    /// The limits as they are afterwards are kept in the container's state, for the next change; the config that it was
    /// created from stays what it was. Gives warnings.
    ///
    /// # Errors
    /// [`Kind::State`] if it doesn't live. The first limit that can't be set, by field, with everything put back as it
    /// was.
    pub fn update(&self, id: &str, options: &UpdateOptions) -> Result<Vec<String>> {
        let container = self.find_locked(id)?;
        let (record, status) = (container.record()?, container.status()?);
        if !matches!(status, Status::Created | Status::Running | Status::Paused) {
            return Err(start::not_running(id, status));
        }
        let shares = shares(options, record, self.procfs()?)?;
        let kept = container.kept()?;
        let current = resources(record, &kept.spec);
        let (layout, change) = (cgroup::detect()?, &options.resources);
        let (update, warnings) = cgroup::plan_update(&layout, &record.cgroup, &current, change)?;
        super::ask(trust::Operation::Update, id, kept, &[])?;
        faults::at("update/planned")?;
        let group = Group::open(record.cgroup.clone());
        let shared = resctrl::change(&record.resctrl, &shares)?;
        let changed = match group.update(&update.plan) {
            Ok(changed) => changed,
            Err(e) => return Err(shared.taken_back(e)),
        };
        let before = record;
        let record = Record { resources: Some(update.after), ..before.clone() };
        let written = faults::at("update/changed").and_then(|()| container.dir.write(&record));
        let written = written.during(|| format!("container \"{id}\""));
        // Last, since it can't be put back: the files and the record can.
        let told = written.and_then(|()| {
            group.tell_systemd(&update.plan).map_err(|e| match container.dir.write(before) {
                Ok(()) => e,
                Err(also) => Error::all(vec![e.clone(), also]).unwrap_or(e),
            })
        });
        if let Err(e) = told {
            return Err(shared.taken_back(changed.taken_back(e)));
        }
        state::append(&container.dir, &super::event(&record, "updated"))?;
        faults::at("update/noted")?;
        Ok(warnings)
    }
}

/// The shares of caches and memory bandwidth (Intel RDT) that are asked for, which only a container that has got one can
/// change; what the machine lacks is told first.
fn shares<'a>(
    options: &'a UpdateOptions,
    record: &Record,
    procfs: &Procfs,
) -> Result<Vec<(&'static str, &'static str, &'a str)>> {
    let asked = [
        ("--l3-cache-schema", "L3", &options.l3_cache_schema),
        ("--mem-bw-schema", "MB", &options.mem_bw_schema),
    ];
    let asked = asked.into_iter().filter_map(|(field, name, line)| Some((field, name, line.as_deref()?)));
    let asked: Vec<_> = asked.collect();
    let Some((field, ..)) = asked.first().filter(|_| record.resctrl.group.is_empty()) else {
        return Ok(asked);
    };
    let known = procfs.read("filesystems", 1 << 16)?;
    let why = match String::from_utf8_lossy(&known).contains("\tresctrl\n") {
        false => "this machine has no resctrl file system (Intel RDT)",
        true => "the container has no linux.intelRdt that could be changed",
    };
    Err(Error::new(Kind::Unsupported, format!("{field}: {why}")))
}

/// The limits of a container: those of its last change, or of its config.
fn resources(record: &Record, spec: &Spec) -> Resources {
    let configured = || spec.linux.as_ref().and_then(|linux| linux.resources.clone());
    record.resources.clone().or_else(configured).unwrap_or_default()
}
