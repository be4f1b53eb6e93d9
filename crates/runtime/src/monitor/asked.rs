//! What clients ask for.

use super::connection::{Role, Said};
use super::life::Stage;
use super::protocol::{Reply, Request};
use super::serve::Monitor;
use super::status::State;
use super::{Exit, FAILED};
use crate::error::{Error, Kind, Result};
use std::time::Duration;

impl Monitor {
    /// Hears what a client says.
    pub(super) fn hear(&mut self, at: usize) -> Result<()> {
        match self.connections[at].receive() {
            Said::Gone => {
                self.connections[at].gone = true;
                Ok(())
            }
            Said::Input(piece) => {
                self.take_input(at, &piece);
                Ok(())
            }
            Said::Request(request) => self.answer(at, request),
        }
    }

    fn take_input(&mut self, at: usize, piece: &[u8]) {
        // Who didn't ask for it, or is too late.
        if !self.connections[at].has_input() || self.input_ends {
            return;
        }
        if piece.is_empty() {
            self.input_ends = true;
        }
        self.feed(piece);
    }

    fn answer(&mut self, at: usize, request: Request) -> Result<()> {
        match request {
            Request::Start => return self.answer_start(at),
            Request::Attach { stdin, .. } if stdin && !(self.duties.stdin || self.duties.terminal) => {
                let message = "the container has no standard input; it was created without --interactive";
                self.connections[at].refuse(&Error::new(Kind::State, message), FAILED);
            }
            Request::Attach { stdin, patient } => {
                self.connections[at].role = Role::Attached { stdin, patient };
                let terminal = self.duties.terminal;
                self.connections[at].reply(&Reply::Attached { terminal });
            }
            Request::Resize { rows, columns } => self.streams.resize(rows, columns),
            Request::Stop { .. } if self.stage == Stage::Idle => self.done(at),
            Request::Stop { signal, timeout_ms } => {
                self.connections[at].role = Role::Stopping;
                return self.stop(signal, timeout_ms.map(Duration::from_millis), true);
            }
            Request::Wait if self.stage == Stage::Idle && self.status.state == State::Exited => {
                let exit = Exit { status: self.status.exit, oom: self.status.oom };
                self.connections[at].reply(&Reply::Ended { exit });
            }
            Request::Wait => self.connections[at].role = Role::Waiting,
            Request::Restart { policy } => {
                self.set_restart(policy);
                self.done(at);
            }
            Request::Upgrade { program } => self.upgrade(&program, Some(at)),
        }
        Ok(())
    }

    fn answer_start(&mut self, at: usize) -> Result<()> {
        match self.stage {
            Stage::Idle | Stage::Pausing(_) => self.row = Default::default(),
            _ => {
                self.connections[at].refuse(&Error::new(Kind::State, "the container runs already"), FAILED);
                return Ok(());
            }
        }
        self.connections[at].role = Role::Starting;
        (self.status.restarts, self.status.stopped) = (0, false);
        match self.start() {
            Ok(()) => Ok(()),
            Err(failure) => self.start_failed(failure),
        }
    }

    /// It is done.
    pub(super) fn done(&mut self, at: usize) {
        let status = Box::new(self.status.clone());
        self.connections[at].reply(&Reply::Done { status });
    }
}
