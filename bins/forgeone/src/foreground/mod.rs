//! Waiting for a program in its caller's place: signals go to it, its terminal is joined to ours, its exit status
//! becomes ours.
//!
//! One thread, one loop over [`poll`]. All signals are blocked before the program is made and read from a
//! descriptor, so none is lost, and the end of a program that ends at once is not missed. Nothing here waits
//! for one end while another has something to say: every descriptor is only read or written when it is ready.

mod end_of_input;
mod relay;
mod terminal;

use forgeone_cli::Log;
use forgeone_runtime::Result;
use forgeone_runtime::error::During;
use forgeone_runtime::lifecycle::{Notify, Started};
use forgeone_sys::process::{Exit, getpid, kill, pidfd_send_signal, wait_any_nohang};
use forgeone_sys::signal::{self, PollFd, SignalSet, poll, signal_name, wait_readable};
use relay::Relay;
use std::os::fd::{AsFd, OwnedFd};
use terminal::Terminal;
pub(crate) use terminal::console_size;

/// Signals are blocked and can be read.
pub(crate) struct Foreground<'a> {
    signals: OwnedFd,
    log: &'a Log,
}

/// What is done with a signal that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A child may have ended.
    Reap,
    /// Our terminal may have another size.
    Resize,
    /// It is for the program.
    Forward,
    /// It is for nobody.
    Ignore,
}

/// As runc: the program learns of a new size by its own terminal. SIGURG reaches only those that ask for it, which
/// nobody did for us.
fn action(number: i32) -> Action {
    match signal_name(number).as_str() {
        "SIGCHLD" => Action::Reap,
        "SIGWINCH" => Action::Resize,
        "SIGURG" => Action::Ignore,
        _ => Action::Forward,
    }
}

/// Whether whoever sent it wants us to be gone.
fn ends_us(number: i32) -> bool {
    matches!(signal_name(number).as_str(), "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT")
}

impl<'a> Foreground<'a> {
    /// Blocks all signals, from now on; call it before the program is made.
    pub(crate) fn prepare(log: &'a Log) -> Result<Self> {
        signal::block_all().during(|| "block signals")?;
        let signals = signal::signalfd().during(|| "read signals")?;
        Ok(Self { signals, log })
    }

    /// Does what may wait for ever, and can be ended by a signal meanwhile.
    pub(crate) fn endable<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        let kept = (1..=64).filter(|number| ends_us(*number)).fold(SignalSet::all(), SignalSet::without);
        signal::set_mask(&kept).during(|| "block signals")?;
        let done = wait();
        signal::set_mask(&SignalSet::all()).during(|| "block signals")?;
        done
    }

    /// Stays until the program has ended; its exit status, 128 and the signal's number if a signal ended it.
    pub(crate) fn attend(&self, mut started: Started) -> Result<u8> {
        let master = started.terminal.take();
        let mut relay = master.map(|master| Relay::new(master, Terminal::find())).transpose()?;
        let exit = self.until_exit(&mut started, relay.as_mut())?;
        if let Some(relay) = relay {
            relay.finish(&self.signals, ends_us)?;
        }
        self.log.debug(|| format!("process {} ended: {exit:?}", started.pid));
        Ok(u8::try_from(exit.status()).unwrap_or(u8::MAX))
    }

    fn until_exit(&self, started: &mut Started, mut relay: Option<&mut Relay>) -> Result<Exit> {
        loop {
            let watched: Vec<_> =
                [self.signals.as_fd()].into_iter().chain(started.notify.as_ref().map(AsFd::as_fd)).collect();
            let came = match relay.as_deref_mut() {
                Some(relay) => relay.step(&watched, None)?,
                None => {
                    let mut watched: Vec<_> = watched.iter().map(PollFd::readable).collect();
                    poll(&mut watched, None).during(|| "wait for signals")? > 0
                }
            };
            // Before the signals: a program may say that it is ready and end at once.
            if came && started.notify.as_ref().is_some_and(|notify| self.is_done(notify)) {
                started.notify = None;
            }
            if came && let Some(exit) = self.read_signals(started, relay.as_deref())? {
                return Ok(exit);
            }
        }
    }

    /// Hears what the program says to its service manager; whether there is nothing left to be heard. The service's main
    /// process is this one: it is the one that the manager has started, and its status is the program's.
    fn is_done(&self, notify: &Notify) -> bool {
        let heard = wait_readable(notify, Some(0)).map_err(Into::into);
        let heard = heard.and_then(|said| Ok(said && notify.is_ready()?));
        let told =
            heard.and_then(|ready| if ready { notify.tell(getpid()).map(|()| true) } else { Ok(false) });
        told.unwrap_or_else(|e| {
            self.log.warn(&e.to_string());
            true
        })
    }

    /// Acts on all signals that came; the program's exit, if that is among them.
    fn read_signals(&self, started: &Started, relay: Option<&Relay>) -> Result<Option<Exit>> {
        while let Some(signal) = signal::read_signal(&self.signals)? {
            match action(signal.number) {
                Action::Reap => {
                    if let Some(exit) = self.reap(started.pid)? {
                        return Ok(Some(exit));
                    }
                }
                Action::Resize => relay.into_iter().for_each(Relay::resize),
                Action::Forward => self.forward(started, signal.number),
                Action::Ignore => {}
            }
        }
        Ok(None)
    }

    /// Reaps all children that have ended: the program, and what was left to us as their subreaper.
    fn reap(&self, pid: i32) -> Result<Option<Exit>> {
        let mut ours = None;
        while let Some((child, exit)) = wait_any_nohang()? {
            match child == pid {
                true => ours = Some(exit),
                false => self.log.debug(|| format!("adopted process {child} ended: {exit:?}")),
            }
        }
        Ok(ours)
    }

    /// The program is our child and not yet reaped, so its number is still its own.
    fn forward(&self, started: &Started, number: i32) {
        let sent = match &started.pidfd {
            Some(fd) => pidfd_send_signal(fd, number),
            None => kill(started.pid, number),
        };
        self.log.debug(|| format!("{} to process {}: {sent:?}", signal_name(number), started.pid));
    }
}

#[cfg(test)]
mod tests;
