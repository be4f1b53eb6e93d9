//! Ending a container: it is asked by a signal, and killed when its time is over.

use super::FAILED;
use super::connection::Role;
use super::life::Stage;
use super::serve::Monitor;
use super::status::State;
use crate::error::{Kind, Result};
use forgeone_sys::process;
use std::time::{Duration, Instant};

const SIGKILL: i32 = 9;

/// Somebody wants it to end.
#[derive(Debug)]
pub(super) struct Stop {
    /// When it is killed; nothing once it is.
    pub(super) deadline: Option<Instant>,
    signal: i32,
    timeout: Duration,
    /// Whether `unless-stopped` is to remember it.
    pub(super) by_hand: bool,
    /// Whether it is started again, whatever the policy.
    pub(super) again: bool,
}

impl Monitor {
    /// Asks it to end.
    pub(super) fn stop(
        &mut self,
        signal: Option<i32>,
        timeout: Option<Duration>,
        by_hand: bool,
    ) -> Result<()> {
        let signal = signal.unwrap_or(self.duties.stop_signal);
        let timeout = timeout.unwrap_or(self.duties.stop_timeout);
        self.stop = Some(Stop { deadline: None, signal, timeout, by_hand, again: false });
        match self.stage {
            Stage::Idle => self.at_rest(),
            Stage::Pausing(_) => {
                self.tell("stop", &[]);
                self.status.state = State::Exited;
                self.at_rest()
            }
            Stage::Running(_) => self.signal_stop(),
            // It is asked as soon as it runs; what keeps it from that, a hook for one, has as long.
            Stage::Starting(_) => {
                self.stop.iter_mut().for_each(|stop| stop.deadline = Instant::now().checked_add(timeout));
                Ok(())
            }
            Stage::Ending { .. } => Ok(()),
        }
    }

    /// Sends the signal that asks it to end, if somebody wants that.
    pub(super) fn signal_stop(&mut self) -> Result<()> {
        let Some(stop) = &mut self.stop else { return Ok(()) };
        let signal = stop.signal;
        stop.deadline = Instant::now().checked_add(stop.timeout);
        self.tell("stop", &[("signal", signal.into())]);
        let runtime = self.door.runtime();
        // A frozen process sees no signal.
        if runtime.state(&self.duties.id).is_ok_and(|state| state.status == "paused") {
            let _ = runtime.resume(&self.duties.id);
        }
        // One that has just ended needs none.
        let _ = runtime.kill(&self.duties.id, signal, false);
        Ok(())
    }

    /// It had its time.
    pub(super) fn kill(&mut self) {
        if let Some(stop) = &mut self.stop {
            stop.deadline = None;
        }
        self.tell("kill", &[("signal", SIGKILL.into())]);
        if let Some(door) = self.stage.door() {
            // What it has made is taken away when it has ended.
            let _ = process::kill(door, SIGKILL);
            return;
        }
        match self.door.runtime().kill(&self.duties.id, SIGKILL, false) {
            Err(e) if e.kind() != Kind::State && e.kind() != Kind::NotFound => {
                self.stop = None;
                for connection in
                    self.connections.iter_mut().filter(|connection| connection.role == Role::Stopping)
                {
                    connection.role = Role::Asking;
                    connection.refuse(&e, FAILED);
                }
            }
            _ => {}
        }
    }

    /// The machine is shut down, or somebody wants the monitor to be gone: not before its container.
    pub(super) fn end_gracefully(&mut self) -> Result<()> {
        if self.stop.is_some() {
            return Ok(());
        }
        self.stop(None, None, false)
    }
}
