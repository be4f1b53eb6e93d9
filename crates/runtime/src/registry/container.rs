//! A container of the register.

use super::names::short;
use super::places::Places;
use super::record::{self, Record};
use super::register::{Register, replace};
use super::remove;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::{self, Runtime, Settings};
use crate::monitor::{State, Status};
use forgeone_config::ContainerConfig;
use forgeone_sys::OwnedFd;
use std::path::PathBuf;

/// A container that is whole.
#[derive(Debug)]
pub struct Container {
    places: Places,
    dir: OwnedFd,
    record: Record,
    warnings: Vec<String>,
}

/// How a container is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Also one that runs: it is killed.
    pub force: bool,
}

impl Container {
    pub(super) fn new(places: Places, dir: OwnedFd, record: Record) -> Self {
        Self { places, dir, record, warnings: Vec::new() }
    }

    pub(super) fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The first digits of the id, as it is shown.
    pub fn short_id(&self) -> &str {
        short(&self.record.id)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its directory, which is also its bundle.
    pub fn dir(&self) -> PathBuf {
        self.places.container(self.id())
    }

    /// What it is.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What was asked for.
    pub fn config(&self) -> &ContainerConfig {
        &self.record.config
    }

    /// What is to be told to whoever made it just now; empty later.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where everything is.
    pub fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.dir
    }

    /// The door's settings for it.
    pub fn settings(&self) -> Settings {
        settings(&self.places)
    }

    /// How it fares.
    ///
    /// # Errors
    /// If what its monitor wrote can't be read.
    pub fn status(&self) -> Result<Status> {
        let status = Status::read(&self.dir())?;
        let frozen = || {
            let state = Runtime::new(self.settings()).state(self.id());
            state.is_ok_and(|state| state.status == lifecycle::Status::Paused.word())
        };
        let state = if status.state == State::Running && frozen() { State::Paused } else { status.state };
        Ok(Status { state, ..status })
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no name, [`Kind::Exists`] if another container has it.
    pub fn rename(&mut self, name: &str) -> Result<()> {
        check_name(name)?;
        let old = self.record.name.clone();
        if name == old {
            return Err(Error::new(Kind::Usage, format!("container {name:?} has this name already")));
        }
        let register = Register::open(self.places.clone())?;
        register.name(Some(name), &self.record.id)?;
        let renamed = Record { name: name.to_owned(), ..self.record.clone() };
        if let Err(e) = renamed.write(&self.dir) {
            // The name goes back, since the container never had it.
            return Err(Error::all(
                [Some(e.clone()), register.unname(name, self.id()).err()].into_iter().flatten().collect(),
            )
            .unwrap_or(e));
        }
        self.record = renamed;
        register.unname(&old, self.id())
    }

    /// Changes what a running container may be given anew, such as its restart policy.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn change(&mut self, change: impl FnOnce(&mut ContainerConfig)) -> Result<()> {
        let mut changed = self.record.clone();
        change(&mut changed.config);
        changed.write(&self.dir)?;
        self.record = changed;
        Ok(())
    }

    /// Removes it, with what it wrote and the volumes that were made for it alone.
    ///
    /// # Errors
    /// [`Kind::State`] if it runs, and isn't to be removed by force. What couldn't be removed, all of it.
    pub fn remove(self, how: Removal) -> Result<()> {
        remove::remove(&self, how)
    }
}

/// The door's settings for containers of these places.
pub(super) fn settings(places: &Places) -> Settings {
    Settings { root: places.state_root.clone(), systemd_cgroup: false, rootless: None }
}

impl Record {
    pub(super) fn write(&self, dir: &OwnedFd) -> Result<()> {
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|e| Error::new(Kind::System, format!("{}: {e}", record::FILE)))?;
        replace(dir, record::FILE, &text)
    }
}

/// Refuses what is no name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let config = ContainerConfig::builder().image("scratch").name(name).build();
    let wrong = forgeone_config::check_config(&config).into_iter().find(|finding| finding.path == "name");
    match wrong {
        Some(finding) => Err(Error::new(Kind::Usage, format!("name {}: {}", finding.value, finding.reason))),
        None => Ok(()),
    }
}
