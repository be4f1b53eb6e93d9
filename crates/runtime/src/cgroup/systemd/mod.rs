//! The systemd driver: a container's group is a transient scope, which systemd makes and moves the process into.
//!
//! ```text
//!  Manager::connect ── Version, ControlGroup ──► plan: unit, its properties, and where the group will be
//!  clone: init waits ── StartTransientUnit(PIDs=init) ── JobRemoved ── /proc/PID/cgroup is where it was to be
//!                    ── the limits as files, too; v1 groups that systemd doesn't make ── init goes on
//!  delete: kill, StopUnit, JobRemoved, ResetFailedUnit; what is left of the groups is removed by file
//! ```
//!
//! All else (freeze, kill, who is in it, exec) goes by files, as without systemd. Each step takes a bounded time: a bus
//! that hangs is an error.

mod dbus;
mod message;
mod properties;
mod unit;
mod variant;

pub use message::Value;
pub use properties::Property;

use super::devices::Rule;
use super::layout::Mode;
use super::step::Step;
use crate::error::{During, Error, Kind, Result};
use dbus::{Connection, Failure};
use forgeone_sys::{fs, process};
use message::{Incoming, Target};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long systemd may take for a job.
const JOB: Duration = Duration::from_secs(30);

const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// systemd's own socket, for root where there is no bus.
const PRIVATE: &str = "unix:path=/run/systemd/private";

const MANAGER: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const PROPERTIES: Target = Target { interface: "org.freedesktop.DBus.Properties", ..MANAGER };

/// What a plan has to know of the systemd that makes the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether it is the user's own, not the machine's.
    pub user: bool,
    /// 252 for `252.38-1~deb12u1`.
    pub version: u32,
    /// Its own group, below which it makes others.
    pub control_group: String,
}

/// A unit, decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    /// `forgeone-ID.scope`.
    pub name: String,
    /// Whether the user's own systemd makes it.
    pub user: bool,
    /// What it is made with, but for the process: what can't be changed later.
    pub fixed: Vec<Property>,
    /// Limits. They come behind the others, and so count where an annotation sets the same.
    pub limits: Vec<Property>,
}

impl Unit {
    /// The unit without what the bundle asks for, and its group below a hierarchy's mount.
    ///
    /// # Errors
    /// What is wrong in `cgroups_path`, by field.
    pub(super) fn new(facts: &Facts, id: &str, cgroups_path: &str, mode: Mode) -> Result<(Self, String)> {
        if mode == Mode::None || (facts.user && mode != Mode::V2) {
            let why =
                if facts.user { "needs cgroup v2 alone for a user's own systemd" } else { "needs cgroups" };
            return Err(Error::new(Kind::Unsupported, format!("--systemd-cgroup: {why}")));
        }
        let name = unit::Name::new(id, cgroups_path, facts.user)?;
        let group = name.group(&facts.control_group)?;
        let fixed = properties::base(id, &name.slice, mode != Mode::V2);
        Ok((Self { name: name.unit, user: facts.user, fixed, limits: Vec::new() }, group))
    }

    /// Adds what the bundle asks for: limits, device rules, properties by annotations. What this version of systemd
    /// doesn't know is left out.
    ///
    /// # Errors
    /// What is wrong in the annotations.
    pub(super) fn decide<'a>(
        &mut self,
        steps: impl Iterator<Item = &'a Step>,
        devices: &[Rule],
        annotations: &BTreeMap<String, String>,
        version: u32,
        mode: Mode,
    ) -> Result<()> {
        let limits = properties::limits(steps).into_iter().filter(|property| property.since <= version);
        let (fixed, limits) = limits.partition(|property| property.name == properties::OOM_POLICY);
        self.limits = limits;
        self.fixed.extend(properties::devices(devices, mode != Mode::V2));
        self.fixed.extend::<Vec<_>>(fixed);
        self.fixed.extend(properties::annotated(annotations)?);
        Ok(())
    }
}

/// Gives a unit the limits that are written into its files.
pub(super) fn update<'a>(name: &str, user: bool, steps: impl Iterator<Item = &'a Step>) -> Result<()> {
    let limits = properties::limits(steps);
    if limits.is_empty() {
        return Ok(());
    }
    let mut manager = Manager::connect(user)?;
    let version = manager.facts()?.version;
    let known = |property: &Property| property.since <= version && property.name != properties::OOM_POLICY;
    manager.set(name, &limits.into_iter().filter(known).collect::<Vec<_>>())
}

/// Ends a unit, as [`Manager::stop`].
pub(super) fn stop(name: &str, user: bool) -> Result<()> {
    Manager::connect(user)?.stop(name)
}

/// A systemd that answers.
#[derive(Debug)]
pub struct Manager {
    bus: Connection,
    user: bool,
}

impl Manager {
    /// Connects to the machine's systemd, or to the user's own.
    ///
    /// # Errors
    /// When there is none, or it can't be reached: which bus was tried is said.
    pub fn connect(user: bool) -> Result<Self> {
        let bus = if user { Connection::to_bus(&user_bus()) } else { system() };
        let bus = bus.during(|| "systemd");
        Ok(Self { bus: bus.map_err(|e| if user { hint(e) } else { e })?, user })
    }

    /// What a plan has to know.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn facts(&mut self) -> Result<Facts> {
        let version = self.property("Version")?;
        let digits = version.trim_start_matches('v');
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        Ok(Facts {
            user: self.user,
            version: digits[..end].parse().unwrap_or_default(),
            control_group: self.property("ControlGroup")?,
        })
    }

    fn property(&mut self, name: &str) -> Result<String> {
        let arguments = [Value::text(MANAGER.interface), Value::text(name)];
        let answer = self.bus.call(PROPERTIES, "Get", &arguments).map_err(|e| self.failed(name, e))?;
        match answer.body.as_slice() {
            [Value::Variant(value)] => Ok(value.as_text().unwrap_or_default().to_owned()),
            _ => Err(Error::new(Kind::System, format!("systemd: {name} is not a text"))),
        }
    }

    fn failed(&self, what: &str, failure: Failure) -> Error {
        const ABSENT: [&str; 3] = [".ServiceUnknown", ".NameHasNoOwner", ".Spawn."];
        match failure {
            Failure::Answer { error, .. } if ABSENT.iter().any(|name| error.contains(name)) => {
                let why =
                    format!("systemd: it is not on the bus {}: it doesn't run here", self.bus.address());
                Error::new(Kind::Unsupported, why)
            }
            failure => Error::from(failure).during(format_args!("systemd: {what}")),
        }
    }

    /// Makes the unit with process `pid` in it, and waits until it is there. A failed unit of this name, as an earlier
    /// container may have left it, is forgotten for it.
    ///
    /// # Errors
    /// What systemd says, or that it doesn't; what was made is taken away again.
    pub(super) fn start(&mut self, unit: &Unit, pid: i32) -> Result<()> {
        let pids = Value::Array("u".into(), vec![Value::Number(b'u', pid as u64)]);
        let pids = Property { name: "PIDs".into(), value: pids, since: 0 };
        let properties = std::iter::once(&pids).chain(&unit.fixed).chain(&unit.limits);
        let arguments = [
            Value::text(&unit.name),
            Value::text("replace"),
            properties::values(properties),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        self.listen(&unit.name)?;
        let mut answer = self.bus.call(MANAGER, "StartTransientUnit", &arguments);
        if matches!(&answer, Err(Failure::Answer { error, .. }) if error.ends_with(".UnitExists")) {
            self.reset_failed(&unit.name)?;
            answer = self.bus.call(MANAGER, "StartTransientUnit", &arguments);
        }
        let started = match answer {
            Err(Failure::Answer { error, .. }) if error.ends_with(".UnitExists") => {
                let why = format!("systemd: there is a unit {} already", unit.name);
                return Err(Error::new(Kind::Exists, why));
            }
            Err(e) => Err(self.failed(&unit.name, e)),
            Ok(answer) => self.await_job(&unit.name, &answer, JOB).and_then(|result| match result.as_str() {
                "done" => Ok(()),
                other => {
                    Err(Error::new(Kind::System, format!("systemd: {}: starting it {other}", unit.name)))
                }
            }),
        };
        if started.is_err() {
            // Only asked for: the process is killed by whoever made it, and then the unit ends.
            let stop = [Value::text(&unit.name), Value::text("replace")];
            drop(self.bus.call(MANAGER, "StopUnit", &stop).map(|_| self.reset_failed(&unit.name)));
        }
        started
    }

    /// Ends the unit and forgets it; it has no processes any more. One that is gone is no error.
    ///
    /// # Errors
    /// What systemd says, or that it doesn't.
    pub(super) fn stop(&mut self, name: &str) -> Result<()> {
        self.listen(name)?;
        match self.bus.call(MANAGER, "StopUnit", &[Value::text(name), Value::text("replace")]) {
            Err(Failure::Answer { error, .. }) if error.ends_with(".NoSuchUnit") => return Ok(()),
            Err(e) => return Err(self.failed(name, e)),
            Ok(answer) => drop(self.await_job(name, &answer, JOB)?),
        }
        self.reset_failed(name)
    }

    /// Gives the unit other limits, until it ends.
    ///
    /// # Errors
    /// What systemd says, or that it doesn't.
    fn set(&mut self, name: &str, limits: &[Property]) -> Result<()> {
        let arguments = [Value::text(name), Value::bool(true), properties::values(limits.iter())];
        let answer = self.bus.call(MANAGER, "SetUnitProperties", &arguments);
        answer.map(drop).map_err(|e| self.failed(name, e))
    }

    /// Moves process `pid` into the unit, or into the group `inside` it.
    ///
    /// # Errors
    /// What systemd says, or that it doesn't.
    pub(super) fn attach(&mut self, name: &str, inside: &str, pid: i32) -> Result<()> {
        let pids = Value::Array("u".into(), vec![Value::Number(b'u', pid as u64)]);
        let arguments = [Value::text(name), Value::text(format!("/{inside}")), pids];
        let answer = self.bus.call(MANAGER, "AttachProcessesToUnit", &arguments);
        answer.map(drop).map_err(|e| self.failed(name, e))
    }

    /// A unit that isn't there, or hasn't failed, is fine.
    fn reset_failed(&mut self, name: &str) -> Result<()> {
        match self.bus.call(MANAGER, "ResetFailedUnit", &[Value::text(name)]) {
            Err(Failure::Connection(e)) => Err(e.during("systemd")),
            _ => Ok(()),
        }
    }

    /// Has the end of the unit's jobs told.
    fn listen(&mut self, name: &str) -> Result<()> {
        if self.bus.address() == PRIVATE {
            return Ok(());
        }
        let rule = format!(
            "type='signal',sender='{}',path='{}',interface='{}',member='JobRemoved',arg2='{name}'",
            MANAGER.destination, MANAGER.path, MANAGER.interface
        );
        self.bus.subscribe(&rule).during(|| "systemd")
    }

    /// Waits for the end of the job that `answer` names; gives its result, `done` if all went well.
    fn await_job(&mut self, unit: &str, answer: &Incoming, limit: Duration) -> Result<String> {
        let job = answer.body.first().and_then(Value::as_text).unwrap_or_default().to_owned();
        let removed = |signal: &Incoming| match signal.body.as_slice() {
            // Others on the bus may say what they like: it has to be from who answered.
            [_, Value::Text(b'o', path), Value::Text(b's', _), Value::Text(b's', result)]
                if signal.member == "JobRemoved" && signal.sender == answer.sender && *path == job =>
            {
                Some(result.clone())
            }
            _ => None,
        };
        self.bus.signal("the job", limit, &removed).during(|| format!("systemd: {unit}"))
    }
}

/// The machine's systemd, over its bus, or by itself for root where there is no bus.
fn system() -> Result<Connection> {
    let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|address| !address.is_empty());
    let bus = Connection::to_bus(named.as_deref().unwrap_or(SYSTEM_BUS));
    match bus {
        Err(_) if named.is_none() && process::geteuid() == 0 && !exists(SYSTEM_BUS) && exists(PRIVATE) => {
            Connection::open(PRIVATE)
        }
        bus => bus,
    }
}

fn exists(address: &str) -> bool {
    let path = address.trim_start_matches("unix:path=");
    fs::statat(fs::CWD, path, fs::AtFlags::empty()).is_ok()
}

/// Where the user's own bus is.
fn user_bus() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let below = |dir: String| {
        let escape = |b: u8| match b {
            b if b.is_ascii_alphanumeric() || b"-_/.\\*".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02x}"),
        };
        format!("unix:path={}/bus", dir.bytes().map(escape).collect::<String>())
    };
    let by_directory = || variable("XDG_RUNTIME_DIR").map(below);
    let by_user = || below(format!("/run/user/{}", process::geteuid()));
    variable("DBUS_SESSION_BUS_ADDRESS").or_else(by_directory).unwrap_or_else(by_user)
}

fn hint(e: Error) -> Error {
    let way_out = "a session of the user's own is needed: log in, or loginctl enable-linger";
    Error::new(e.kind(), format!("{e}; {way_out}"))
}

/// Reads bytes as a message of the bus, and as a property's value.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let said = message::length(bytes);
    if let Ok(message) = message::decode(bytes) {
        assert!(matches!(said, Ok(Some(length)) if length == bytes.len()), "{said:?}: {message:?}");
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(value) = variant::parse(&text) {
        let mut signature = String::new();
        value.signature(&mut signature);
        assert_eq!(
            message::one_type(signature.as_bytes(), 0),
            Some(signature.len()),
            "{text:?}: {signature}"
        );
    }
}
