//! Where a container's group is, as it is kept in the container's state.

use super::plan::{Place, Plan};
use super::systemd::Unit;
use crate::error::{self, During};
use crate::object;
use forgeone_sys::Errno;
use forgeone_sys::fs::{self, AtFlags};
use std::collections::BTreeMap;

object! {
    /// The places of a container's group: all that is needed to use and to remove it later.
    pub struct Paths {
        /// v1: absolute path by controllers (`cpu,cpuacct`, `name=systemd`).
        pub v1: BTreeMap<String, String> = "v1",
        /// cgroup2: absolute path.
        pub v2: Option<String> = "v2",
        /// Levels above that were made for this container, outer ones first: removed with it, if they are empty.
        pub parents: Vec<String> = "parents",
        /// The unit of systemd that the group is; empty without.
        pub unit: String = "unit",
        /// Whether it is the user's own systemd's.
        pub user: bool = "user",
    }
}

impl Paths {
    /// What [`super::Group::create`] is going to make, for the record that is written before it does.
    ///
    /// A place that is there already is left out: should the runtime die before it has looked whether others are in
    /// it, whoever deletes the container must not kill them. Beside that, levels that are missing are looked for, one
    /// call for each hierarchy, and none for a group that is right below the top or the caller's own group's level.
    ///
    /// # Errors
    /// When a hierarchy can't be looked at.
    pub fn survey(plan: &Plan) -> error::Result<Self> {
        let mut paths = Self::default();
        let mut ours = true;
        for place in plan.places() {
            if exists(&place.path())? {
                ours = false;
                continue;
            }
            paths.insert(place);
            let parents: Vec<&str> = place.parents().collect();
            let mut missing = parents.len();
            while missing > 0 && !exists(&place.level(parents[missing - 1]))? {
                missing -= 1;
            }
            paths.parents.extend(parents[missing..].iter().map(|level| place.level(level)));
        }
        if let Some(unit) = plan.unit.as_ref().filter(|_| ours) {
            paths.set_unit(unit);
        }
        Ok(paths)
    }

    /// All places of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut paths = Self::default();
        plan.places().for_each(|place| paths.insert(place));
        paths
    }

    /// Sets the unit.
    pub(super) fn set_unit(&mut self, unit: &Unit) {
        self.unit.clone_from(&unit.name);
        self.user = unit.user;
    }

    /// Adds a place.
    pub(super) fn insert(&mut self, place: &Place) {
        if place.controllers.is_empty() {
            self.v2 = Some(place.path());
        } else {
            self.v1.insert(place.controllers.clone(), place.path());
        }
    }

    /// Takes a place out; whether it was there.
    pub(super) fn remove(&mut self, place: &Place) -> bool {
        if place.controllers.is_empty() {
            self.v2.take().is_some()
        } else {
            self.v1.remove(&place.controllers).is_some()
        }
    }

    /// Whether there is no place at all.
    pub fn is_empty(&self) -> bool {
        self.v1.is_empty() && self.v2.is_none()
    }

    /// The v1 place of this controller: an absolute path.
    pub fn controller(&self, name: &str) -> Option<&str> {
        let has = |controllers: &&String| controllers.split(',').any(|c| c == name);
        self.v1.iter().find(|(controllers, _)| has(controllers)).map(|(_, path)| path.as_str())
    }

    /// The place that says who is in the group: cgroup2 where there is one, otherwise v1's freezer or another.
    pub fn primary(&self) -> Option<&str> {
        let v1 = || self.controller("freezer").or_else(|| self.v1.values().next().map(String::as_str));
        self.v2.as_deref().or_else(v1)
    }
}

fn exists(path: &str) -> error::Result<bool> {
    match fs::statat(fs::CWD, path, AtFlags::empty()) {
        Ok(_) => Ok(true),
        Err(e) if e.errno() == Errno::NOENT => Ok(false),
        Err(e) => Err(e).during(|| "cgroup"),
    }
}
