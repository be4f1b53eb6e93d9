//! Timing a case: all peers in turn, A B C A B C, one run right after the other and after idleness.
//!
//! Every timed run has to exit with 0. In each round, untimed, each peer starts a program that reports from inside how
//! it is confined. Who isn't confined as the bundle asks, or fails, does so no more in this case; the reason is told.

use crate::cases::{Action, Case, User};
use crate::line::{Line, Running, Teller, reap};
use crate::peers::OURS;
use crate::place::Container;
use crate::{Bench, Outcome};
use forgeone_sys::process::wait;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long nothing happens before a cold run.
const IDLE: Duration = Duration::from_millis(60);

/// Milliseconds, as measured.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, taken: Duration) {
        self.0.push(taken.as_secs_f64() * 1000.0);
    }

    /// The value below which this part of the samples lies; 0 without samples.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (part * (sorted.len().saturating_sub(1)) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first and the last tenth.
    pub(crate) fn ends(&self) -> [Self; 2] {
        let tenth = (self.0.len() / 10).max(1).min(self.0.len());
        [Self(self.0[..tenth].to_vec()), Self(self.0[self.0.len() - tenth..].to_vec())]
    }
}

/// What one peer took.
pub(crate) struct Row {
    pub(crate) peer: &'static str,
    pub(crate) warm: Samples,
    pub(crate) cold: Samples,
}

impl Row {
    fn stopped(&self, why: &str) -> String {
        match self.warm.0.len() {
            0 => format!("Left out: {}: {why}", self.peer),
            rounds => format!("{} is in it with {rounds} rounds: {why}", self.peer),
        }
    }
}

/// What a case gave.
pub(crate) struct Measured {
    pub(crate) case: &'static Case,
    /// The view of cgroups.
    pub(crate) view: &'static str,
    pub(crate) rows: Vec<Row>,
    /// Who was left out, or stopped on the way, and why.
    pub(crate) notes: Vec<String>,
}

/// A peer with its bundles.
struct Contestant<'a> {
    teller: Teller<'a>,
    bundle: PathBuf,
    check: PathBuf,
    id: String,
    row: Row,
    failed: Option<String>,
}

/// The program that ends at once, and the one that doesn't.
pub(crate) fn short() -> Vec<String> {
    vec!["/bin/true".to_owned()]
}
pub(crate) fn long() -> Vec<String> {
    vec!["/bin/sleep".to_owned(), "100000".to_owned()]
}

/// Measures a case.
pub(crate) fn measure(bench: &Bench, case: &'static Case) -> Outcome<Measured> {
    let view = bench.view_of(case)?;
    view.enter()?;
    let peers = bench.peers.iter().filter(|peer| case.has_floor() || !peer.is_floor());
    let tellers = peers.map(|peer| Teller { peer, place: &bench.place, case, view });
    let mut all = tellers.map(|teller| Contestant::new(bench, teller)).collect::<Outcome<Vec<_>>>()?;
    let prepared = prepare(case, &mut all);
    if let Ok(running) = &prepared {
        rounds(bench.rounds, running, &mut all);
    }
    for contestant in all.iter().filter(|one| case.needs_running() || one.failed.is_some()) {
        contestant.teller.discard(&contestant.id)?;
    }
    prepared?;
    let view = view.name;
    let notes = all.iter().filter_map(|one| Some(one.row.stopped(one.failed.as_ref()?)));
    let notes = notes.collect();
    let rows = all.into_iter().map(|one| one.row).filter(|row| !row.cold.is_empty()).collect();
    Ok(Measured { case, view, rows, notes })
}

/// Starts what has to run meanwhile; the container that the floor executes its program in, which is ours.
fn prepare(case: &Case, all: &mut [Contestant]) -> Outcome<Running> {
    if !case.needs_running() {
        return Ok(Running::default());
    }
    for contestant in all.iter_mut().filter(|one| !one.teller.peer.is_floor()) {
        let started = contestant.start();
        contestant.note(started);
    }
    let ours = all.iter().find(|one| one.row.peer == OURS).ok_or("forgeone is missing")?;
    Ok(Running { id: ours.id.clone(), pid: ours.pid()? })
}

fn rounds(rounds: u32, running: &Running, all: &mut [Contestant]) {
    for round in 0..=rounds {
        for contestant in all.iter_mut() {
            contestant.verify(running);
        }
        // The first round fills caches and isn't counted.
        for contestant in all.iter_mut() {
            contestant.sample(running, false, round > 0);
        }
        for contestant in all.iter_mut() {
            contestant.sample(running, true, round > 0);
        }
    }
}

impl<'a> Contestant<'a> {
    fn new(bench: &Bench, teller: Teller<'a>) -> Outcome<Self> {
        let Teller { peer, place, case, view } = teller;
        let id = bench.id(&format!("{}-{}", case.name, peer.name));
        let template = if case.user == User::Ordinary { &bench.rootless } else { &bench.template };
        let write = |name: &str, args: &[String]| {
            let container = Container { case, view, id: &id, args, memory: None };
            place.bundle(&format!("{}-{}{name}", case.name, peer.name), template, &container)
        };
        let bundle = write("", &if case.needs_running() { long() } else { short() })?;
        let check = write("-check", &script(case, !view.v1.is_empty()))?;
        let row = Row { peer: peer.name, warm: Samples::default(), cold: Samples::default() };
        Ok(Self { teller, bundle, check, id, row, failed: None })
    }

    fn note<T>(&mut self, done: Outcome<T>) -> Option<T> {
        match done {
            Ok(value) => Some(value),
            Err(why) => {
                self.failed.get_or_insert(why);
                None
            }
        }
    }

    fn create(&self) -> Line {
        let pid_file = self.pid_file().into_os_string();
        let bundle = self.bundle.clone().into_os_string();
        let words = ["create".into(), "--bundle".into(), bundle, "--pid-file".into(), pid_file];
        self.teller.command(words.into_iter().chain([self.id.clone().into()]))
    }

    fn pid_file(&self) -> PathBuf {
        self.teller.place.path("pid")
    }

    fn start(&self) -> Outcome<()> {
        self.create().time()?;
        self.teller.command(["start", &self.id]).time().map(drop)
    }

    /// The init of the container that runs meanwhile.
    fn pid(&self) -> Outcome<i32> {
        let state = self.teller.command(["state", &self.id]).output()?;
        let state: serde_json::Value = serde_json::from_str(&state).map_err(|e| format!("state: {e}"))?;
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.ok_or_else(|| "state tells no pid".to_owned())
    }

    fn sample(&mut self, running: &Running, cold: bool, counts: bool) {
        if self.failed.is_some() {
            return;
        }
        if cold {
            std::thread::sleep(IDLE);
        }
        let taken = self.once(running);
        if let Some(taken) = self.note(taken).filter(|_| counts) {
            let samples = if cold { &mut self.row.cold } else { &mut self.row.warm };
            samples.push(taken);
        }
    }

    fn once(&self, running: &Running) -> Outcome<Duration> {
        match self.teller.case.action {
            Action::Run => self.teller.run(&self.bundle, &self.id, &short()).time(),
            Action::Exec => self.teller.exec(&self.id, running, &short()).time(),
            Action::State => self.teller.command(["state", &self.id]).time(),
            Action::Life => self.life(),
        }
    }

    fn life(&self) -> Outcome<Duration> {
        let words = [self.create(), self.teller.command(["start", &self.id])];
        let delete = self.teller.command(["delete", &self.id]);
        let start = Instant::now();
        for line in &words {
            // `time` reaps; a program that is gone by then is no child any more.
            line.time()?;
        }
        let pid = fs::read_to_string(self.pid_file()).map_err(|e| format!("pid file: {e}"))?;
        let pid = pid.trim().parse().map_err(|e| format!("pid file: {e}"))?;
        let _ = wait(pid);
        delete.time()?;
        Ok(start.elapsed())
    }

    fn verify(&mut self, running: &Running) {
        if self.failed.is_none() {
            let verified = self.evidence(running);
            self.note(verified);
        }
    }

    fn evidence(&self, running: &Running) -> Outcome<()> {
        let Teller { case, view, .. } = self.teller;
        let v1 = !view.v1.is_empty();
        let args = script(case, v1);
        let said = match case.action {
            Action::State => return self.is_running(),
            Action::Exec => self.teller.exec(&self.id, running, &args).output()?,
            Action::Run | Action::Life => self.teller.run(&self.check, &self.id, &args).output()?,
        };
        reap();
        let mut lines = said.lines();
        for (command, expected) in case.evidence(v1) {
            let line = lines.next().unwrap_or_default();
            if line != expected {
                return Err(format!("not confined as asked: `{command}` says {line:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    fn is_running(&self) -> Outcome<()> {
        let state = self.teller.command(["state", &self.id]).output()?;
        let state: serde_json::Value = serde_json::from_str(&state).map_err(|e| format!("state: {e}"))?;
        match state["status"].as_str() {
            Some("running") => Ok(()),
            other => Err(format!("state says {other:?}")),
        }
    }
}

/// The program that reports.
fn script(case: &Case, v1: bool) -> Vec<String> {
    let commands: Vec<_> = case.evidence(v1).into_iter().map(|(command, _)| command).collect();
    vec!["/bin/sh".to_owned(), "-c".to_owned(), commands.join("; ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_samples() {
        let samples = Samples(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!([0.0, 0.5, 1.0].map(|part| samples.quantile(part)), [1.0, 3.0, 5.0]);
        assert_eq!(Samples::default().median(), 0.0);
        let [first, last] = samples.ends();
        assert_eq!((first.median(), last.median()), (5.0, 3.0));
    }
}
