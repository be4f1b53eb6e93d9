//! A container's group on the machine: made by a plan, or found again by its paths.

use super::birth::{Attach, Birth};
use super::change::{Changed, Ledger};
use super::freezer::{self, Freezer};
use super::make::{self, Made, open};
use super::paths::Paths;
use super::plan::{Entry, Place, Plan};
use super::systemd::{self, Manager};
use super::{inside, kill, layout, members, remove};
use crate::error::{During, Error, Kind, Result};
use crate::faults;
use forgeone_sys::{OwnedFd, fs};
use std::time::Duration;

/// A container's group.
#[derive(Debug, Default)]
pub struct Group {
    paths: Paths,
    /// The cgroup2 directory, opened when it was made; the first birth takes it.
    v2: Option<OwnedFd>,
}

impl Group {
    /// Makes the group with its limits; nobody is in it. One that systemd makes ([`Entry::Moved`]) isn't made yet: that is
    /// [`Group::move_in`]'s.
    ///
    /// Where the plan bears a lack of rights, hierarchies without limits are left out; the group may be empty then.
    /// Nothing was asked for that is missing, so there is no warning: it would stand in the container's own output,
    /// which is where the standard error of a runtime goes under Podman.
    ///
    /// # Errors
    /// When something can't be made, or is there and has processes, or a limit can't be set; the field that asks for
    /// it is named, and what was made is removed again.
    pub fn create(plan: &Plan) -> Result<Self> {
        let mut group = Self::default();
        if plan.entry == Entry::Moved {
            return Ok(group);
        }
        // Places that are new: what was there before is not ours to remove when the rest fails.
        let mut ours = Paths::default();
        for place in plan.places() {
            let made = group.make(place, plan, &mut ours);
            let Err(e) = made else { continue };
            if plan.tolerant && e.kind() == Kind::Permission && place.limit().is_none() {
                group.paths.remove(place);
                if ours.remove(place) {
                    make::rmdir(&place.path()).during(|| "cgroup")?;
                }
                continue;
            }
            ours.parents = std::mem::take(&mut group.paths.parents);
            let errors = [Some(e.clone()), remove::remove(&ours, remove::WAIT).err()];
            return Err(Error::all(errors.into_iter().flatten().collect()).unwrap_or(e));
        }
        Ok(group)
    }

    fn make(&mut self, place: &Place, plan: &Plan, ours: &mut Paths) -> Result<()> {
        let what = || place.limit().unwrap_or("cgroup").to_owned();
        let made = make::directory(place, &mut self.paths.parents).during(what)?;
        if made == Made::New {
            ours.insert(place);
        }
        self.paths.insert(place);
        faults::at("cgroup/made")?;
        if made == Made::New && place.is_bare() {
            return Ok(());
        }
        let dir = open(&place.path()).during(what)?;
        let moved = plan.entry == Entry::Moved;
        if made == Made::Found && !moved {
            make::vacant(place, &dir)?;
        }
        make::fill(place, &dir, made)?;
        faults::at("cgroup/limited")?;
        // systemd's own program stays beside ours: it allows no less.
        match make::devices(&place.devices, &dir, if moved { Made::New } else { made }) {
            // As runc and crun: it is so at each start of every container of an ordinary user.
            Err(e) if plan.devices_may_fail && e.kind() == Kind::Permission => {}
            done => done?,
        }
        // Last, so that a container's user never owns a group that is not limited yet.
        if let Some(owner) = place.owner {
            make::own(&dir, owner).during(|| "cgroup: owner")?;
        }
        self.v2 = Some(dir).filter(|_| place.controllers.is_empty());
        Ok(())
    }

    /// Has systemd make the group with process `pid` in it, which has to wait meanwhile, and adds what systemd doesn't
    /// do.
    ///
    /// # Errors
    /// When systemd can't be asked, or refuses; when a limit can't be set. What was made is removed again, and the
    /// process killed if it was moved.
    pub fn move_in(manager: &mut Manager, plan: &Plan, pid: i32) -> Result<Self> {
        let mut group = Self::default();
        let Some(unit) = &plan.unit else { return Ok(group) };
        manager.start(unit, pid)?;
        group.paths.set_unit(unit);
        match group.moved(plan, pid) {
            Ok(()) => Ok(group),
            Err(e) => {
                let undone = [kill::kill(&group.paths), remove::remove(&group.paths, remove::WAIT)];
                let errors = std::iter::once(e.clone()).chain(undone.into_iter().filter_map(Result::err));
                Err(Error::all(errors.collect()).unwrap_or(e))
            }
        }
    }

    fn moved(&mut self, plan: &Plan, pid: i32) -> Result<()> {
        let actual = layout::of_process(&pid.to_string())?;
        let alone = plan.v1.is_empty();
        for place in plan.places() {
            let at = actual.own(&place.controllers);
            let there = at == Some(place.group.as_str());
            if !there && (alone || place.controllers == "name=systemd") {
                let why = format!(
                    "systemd: it put the process into {:?}, not into {:?}",
                    at.unwrap_or_default(),
                    place.group
                );
                return Err(Error::new(Kind::System, why));
            }
            self.make(place, plan, &mut Paths::default())?;
            if !there {
                let file = if place.controllers.is_empty() { "cgroup.procs" } else { "tasks" };
                let file = format!("{}/{file}", place.path());
                let entered = fs::write_file_at(fs::CWD, file, pid.to_string().as_bytes());
                entered.during(|| "entering the cgroup")?;
            }
        }
        Ok(())
    }

    /// The group at these places; nothing is looked at.
    pub fn open(paths: Paths) -> Self {
        Self { paths, ..Self::default() }
    }

    /// The places, for the container's state.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The group's id on cgroup2, as `bpf_get_current_cgroup_id` and file handles have it; 0 without cgroup2.
    ///
    /// # Errors
    /// When it can't be looked at.
    pub fn id(&self) -> Result<u64> {
        self.v2.as_ref().map_or(Ok(0), |dir| Ok(fs::fstat(dir)?.st_ino))
    }

    /// What a new process needs to get in.
    ///
    /// # Errors
    /// When the group is gone, or the caller has no rights over it.
    pub fn birth(&mut self) -> Result<Birth> {
        Birth::new(&self.paths, self.v2.take())
    }

    /// The same for one that is to be beside process `pid` where that has moved into a group of its own inside the
    /// container's, as an init system does: on cgroup2 the outer one then takes no process (`EBUSY` from
    /// `clone3`).
    ///
    /// # Errors
    /// As [`Group::birth`], and when the process is not in the group.
    pub fn birth_beside(&self, pid: i32) -> Result<Birth> {
        let Some(v2) = &self.paths.v2 else { return Birth::new(&self.paths, None) };
        let Some(path) = members::find(v2, pid).during(|| "cgroup")? else {
            return Err(Error::new(Kind::State, format!("cgroup {v2}: process {pid} is not in it")));
        };
        if self.paths.user && !members::may_enter(&path)? {
            let inside = path[v2.len()..].trim_start_matches('/').to_owned();
            return Ok(Birth::moved(Attach { unit: self.paths.unit.clone(), inside }));
        }
        Birth::new(&self.paths, Some(open(&path).during(|| "cgroup")?))
    }

    /// The same in groups inside that exist: `[CONTROLLERS:]PATH`, as `exec --cgroup` takes them.
    ///
    /// # Errors
    /// As [`Group::birth_beside`]; [`Kind::Usage`] for what names no group inside.
    pub fn birth_inside(&self, asked: &[String], pid: i32) -> Result<Birth> {
        if asked.is_empty() {
            return self.birth_beside(pid);
        }
        let (paths, v2) = inside::choose(&self.paths, asked)?;
        let birth = if v2 { Birth::new(&paths, None) } else { Self::open(paths).birth_beside(pid) };
        birth.during(|| "--cgroup")
    }

    /// The limit of processes and threads, if it is reached: nobody may be made or, on cgroup2, come in.
    ///
    /// # Errors
    /// When the group can't be read.
    pub fn full(&self) -> Result<Option<u64>> {
        members::full(&self.paths)
    }

    /// Freezes all processes, and waits until they are.
    ///
    /// # Errors
    /// When there is no freezer, or a process doesn't freeze within ten seconds; all go on then.
    pub fn freeze(&self) -> Result<()> {
        Freezer::get(&self.paths)?.freeze()
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When there is no freezer, or the caller has no rights over it.
    pub fn thaw(&self) -> Result<()> {
        Freezer::get(&self.paths)?.thaw()
    }

    /// Whether they are frozen. A group that is gone, or can't be frozen, is not.
    ///
    /// # Errors
    /// When the group can't be read.
    pub fn frozen(&self) -> Result<bool> {
        freezer::is_frozen_at(&self.paths)
    }

    /// All processes, also those in groups inside, as the caller's PID namespace numbers them, in order.
    ///
    /// # Errors
    /// When the group can't be read; one that is gone has no processes.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.paths.primary().map_or(Ok(Vec::new()), members::at)
    }

    /// Whether anybody is in it, or in a group inside.
    ///
    /// # Errors
    /// When the group can't be read; one that is gone has no processes.
    pub fn populated(&self) -> Result<bool> {
        members::populated(&self.paths)
    }

    /// Sends SIGKILL to all processes, frozen or not, also to those that are being forked. They may still be on their
    /// way out when it returns. After it the group is only good for being removed: on some kernels whoever is born into
    /// it dies at once.
    ///
    /// # Errors
    /// When a process can't be signalled.
    pub fn kill(&self) -> Result<()> {
        kill::kill(&self.paths)
    }

    /// Sends a signal to all processes, also to those that are being forked.
    ///
    /// # Errors
    /// When a process can't be signalled.
    pub fn signal(&self, signal: i32) -> Result<()> {
        kill::signal(&self.paths, signal)
    }

    /// Removes the group and all groups inside, and waits for processes that are on their way out. What is gone
    /// already is no error.
    ///
    /// # Errors
    /// All that couldn't be removed, with the processes that are in it; the rest is removed.
    pub fn delete(&self) -> Result<()> {
        self.delete_within(remove::WAIT)
    }

    /// The same, with how long is waited, for all places together.
    ///
    /// # Errors
    /// As [`Group::delete`].
    pub fn delete_within(&self, wait: Duration) -> Result<()> {
        remove::remove(&self.paths, wait)
    }

    /// The same for a group that should have nobody in it any more; `false` if something is left, which somebody may be
    /// in. Its processes needn't be looked for: a group that is in use isn't removed.
    pub fn delete_vacant(&self) -> bool {
        remove::remove_vacant(&self.paths)
    }

    /// Writes the limits of `plan` into the group as it is. Device rules stay: others
    /// add theirs behind our back (the hooks of GPU vendors), which must not be lost when a memory limit is changed. So does
    /// what `plan` doesn't name.
    ///
    /// # Errors
    /// The first limit that can't be set, by field, with everything put back as it was; or one for a hierarchy in which
    /// the container has no group.
    pub fn update(&self, plan: &Plan) -> Result<Changed> {
        let mut changed = Changed::default();
        for place in plan.places() {
            if let Err(e) = self.change(place, &mut changed) {
                return Err(changed.taken_back(e));
            }
        }
        Ok(changed)
    }

    /// Gives the unit, if it is one, the same limits, all or none; then writes the files once more: systemd writes them
    /// too, and rounds.
    ///
    /// # Errors
    /// When systemd can't be asked, or refuses.
    pub fn tell_systemd(&self, plan: &Plan) -> Result<()> {
        if self.paths.unit.is_empty() {
            return Ok(());
        }
        let steps = plan.places().flat_map(|place| &place.steps);
        systemd::update(&self.paths.unit, self.paths.user, steps)?;
        plan.places().try_for_each(|place| self.change(place, &mut Changed::default()))
    }

    fn change(&self, place: &Place, changed: &mut Changed) -> Result<()> {
        let Some(field) = place.limit() else { return Ok(()) };
        let path = match place.controllers.as_str() {
            "" => self.paths.v2.as_ref(),
            controllers => self.paths.v1.get(controllers),
        };
        let Some(path) = path else {
            let why = format!("{field}: the container has no group in {}", place.mount);
            return Err(Error::new(Kind::Unsupported, why));
        };
        let mut ledger = Ledger::new(open(path).during(|| field)?, &place.steps);
        let done = make::change(place, &mut ledger);
        changed.0.push(ledger);
        done
    }
}
