//! Health checks: a program that is run in the container every now and then, as `exec` runs it.

use super::door::{self, Door};
use super::duties::Probe;
use super::status::{Check, Health, Healthy};
use crate::clock;
use crate::error::Result;
use forgeone_sys::process::{self, Exit};
use forgeone_sys::{OwnedFd, fs};
use std::time::{Duration, Instant};

/// So many checks are remembered.
const REMEMBERED: usize = 5;

/// So much of what one writes is.
const OUTPUT_MAX: usize = 4096;

/// The file that the door writes the program's number to.
const PID: &str = "health.pid";

const SIGKILL: i32 = 9;

/// The checks of a container that runs.
#[derive(Debug)]
pub(super) struct Checks {
    probe: Probe,
    health: Health,
    /// Until when failures don't count.
    lenient: Instant,
    next: Instant,
    current: Option<Current>,
}

/// A check that is being made.
#[derive(Debug)]
struct Current {
    started: String,
    deadline: Instant,
    /// What is waited for: the door first, then the program.
    awaited: Awaited,
    output: OwnedFd,
    text: Vec<u8>,
    late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Door(i32),
    Program(i32),
}

impl Checks {
    /// For a container that has just started.
    pub(super) fn new(probe: Probe) -> Self {
        let now = Instant::now();
        let (lenient, next) = (now + probe.start_period, now + probe.interval);
        Self { probe, health: Health::default(), lenient, next, current: None }
    }

    /// What was found.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Goes on from what an earlier monitor found.
    pub(super) fn resume(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// When something is to be done next.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.current {
            Some(current) if current.late => None,
            Some(current) => Some(current.deadline),
            None => Some(self.next),
        }
    }

    /// What is to be read while a check is made.
    pub(super) fn output(&self) -> Option<&OwnedFd> {
        self.current.as_ref().map(|current| &current.output)
    }

    /// Whether a door of ours may have made children that aren't known yet.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.current, Some(Current { awaited: Awaited::Door(_), .. }))
    }

    /// Reads what the program writes; most of it is forgotten.
    pub(super) fn read(&mut self) {
        let Some(current) = &mut self.current else { return };
        let mut piece = [0; OUTPUT_MAX];
        while let Ok(count) = fs::read(&current.output, &mut piece) {
            let room = OUTPUT_MAX - current.text.len();
            current.text.extend_from_slice(&piece[..count.min(room)]);
            if count == 0 {
                break;
            }
        }
    }

    /// Begins a check that is due, or ends one that takes too long. A container that is frozen isn't checked.
    pub(super) fn tick(&mut self, now: Instant, door: &Door, id: &str, dir: &OwnedFd) -> Option<Healthy> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        if let Some(current) = &mut self.current {
            current.late = true;
            let (Awaited::Door(pid) | Awaited::Program(pid)) = current.awaited;
            // It isn't reaped yet, so the number is its own.
            let _ = process::kill(pid, SIGKILL);
            return None;
        }
        self.next = now + self.probe.interval;
        if door.runtime().state(id).is_ok_and(|state| state.status == "paused") {
            return None;
        }
        match self.begin(now, door, dir) {
            Ok(current) => {
                self.current = Some(current);
                None
            }
            Err(e) => {
                let time = clock::now();
                let (started, finished, output) = (time.clone(), time, e.to_string());
                self.note(Check { started, finished, exit: None, output }, now)
            }
        }
    }

    fn begin(&self, now: Instant, door: &Door, dir: &OwnedFd) -> Result<Current> {
        door::forget(dir, PID)?;
        let (output, inside) = fs::pipe()?;
        fs::set_nonblocking(&output, true)?;
        Ok(Current {
            started: clock::now(),
            deadline: now + self.probe.timeout,
            awaited: Awaited::Door(door.exec(&self.probe.words, PID, &inside)?),
            output,
            text: Vec::new(),
            late: false,
        })
    }

    /// A child has ended; gives its exit back if it is none of ours. Children that ended before they were known are among
    /// the `strays`.
    pub(super) fn ended(
        &mut self,
        pid: i32,
        exit: Exit,
        strays: &[(i32, Exit)],
        dir: &OwnedFd,
    ) -> Option<Option<Healthy>> {
        let current = self.current.as_mut()?;
        let exit = match current.awaited {
            Awaited::Door(door) if door == pid => match (exit, door::pid(dir, PID)) {
                (Exit::Code(0), Ok(program)) => {
                    current.awaited = Awaited::Program(program);
                    match strays.iter().find(|(stray, _)| *stray == program) {
                        Some((_, exit)) => Some(exit.status()),
                        None if current.late => {
                            let _ = process::kill(program, SIGKILL);
                            return Some(None);
                        }
                        None => return Some(None),
                    }
                }
                // The program could not be started.
                _ => None,
            },
            Awaited::Program(program) if program == pid => Some(exit.status()),
            _ => return None,
        };
        self.read();
        let current = self.current.take()?;
        let mut output = String::from_utf8_lossy(&current.text).into_owned();
        if current.late {
            output.push_str(&format!("\nhealth check took more than {:?}", self.probe.timeout));
        }
        let now = Instant::now();
        let exit = exit.filter(|_| !current.late);
        self.next = now + self.probe.interval;
        Some(self.note(Check { started: current.started, finished: clock::now(), exit, output }, now))
    }

    /// Remembers a check; what holds from now on, if that is something else.
    fn note(&mut self, check: Check, now: Instant) -> Option<Healthy> {
        let succeeded = check.exit == Some(0);
        self.health.log.push(check);
        let over = self.health.log.len().saturating_sub(REMEMBERED);
        self.health.log.drain(..over);
        let before = self.health.status;
        judge(&mut self.health, succeeded, now >= self.lenient, self.probe.retries);
        (self.health.status != before).then_some(self.health.status)
    }

    /// Ends a check whose container has ended.
    pub(super) fn abandon(self) -> Health {
        if let Some(current) = &self.current {
            let (Awaited::Door(pid) | Awaited::Program(pid)) = current.awaited;
            let _ = process::kill(pid, SIGKILL);
        }
        self.health
    }
}

/// What a check says about the container; `counts` is false while it may still be starting.
fn judge(health: &mut Health, succeeded: bool, counts: bool, retries: u32) {
    if succeeded {
        (health.failing, health.status) = (0, Healthy::Healthy);
    } else if counts || health.status != Healthy::Starting {
        health.failing = health.failing.saturating_add(1);
        if health.failing >= retries {
            health.status = Healthy::Unhealthy;
        }
    }
}

/// How long until then, in milliseconds as poll(2) has them: rounded up, or the last one would be spent in a circle.
pub(super) fn milliseconds_until(due: Instant, now: Instant) -> i32 {
    let left: Duration = due.saturating_duration_since(now);
    i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_heals() {
        use Healthy::{Healthy as Well, Starting, Unhealthy};
        // Whether it succeeded, whether it counts, and what holds then.
        let table = [
            (false, false, Starting),
            (false, true, Starting),
            (true, true, Well),
            (false, true, Well),
            (false, false, Well),
            (false, true, Unhealthy),
            (false, true, Unhealthy),
            (true, true, Well),
            (false, true, Well),
        ];
        let mut health = Health::default();
        for (row, (succeeded, counts, status)) in table.into_iter().enumerate() {
            judge(&mut health, succeeded, counts, 3);
            assert_eq!(health.status, status, "row {row}");
        }
    }
}
