//! How far a pull or push is, as a line on a terminal; elsewhere nothing.

use forgeone_cli::human::size;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const PAUSE: Duration = Duration::from_millis(100);

/// How many characters the bar has.
const WIDTH: u64 = 30;

/// Of one image. Dropped, the line is gone.
pub(crate) struct Progress {
    name: String,
    /// What is done when all bytes are there.
    after: &'static str,
    state: Option<Mutex<State>>,
}

struct State {
    total: u64,
    done: u64,
    drawn: Option<Instant>,
}

impl Progress {
    /// Of an image with this name, on standard error if that is a terminal.
    pub(crate) fn new(name: String, quiet: bool, after: &'static str) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self { name, after, state: shown.then(|| Mutex::new(State { total: 0, done: 0, drawn: None })) }
    }

    /// So many bytes more are to come.
    pub(crate) fn expect(&self, bytes: u64) {
        self.change(|state| state.total += bytes);
    }

    /// So many bytes came, or were there.
    pub(crate) fn add(&self, bytes: u64) {
        self.change(|state| state.done += bytes);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let Some(state) = &self.state else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.drawn.is_none_or(|then| then.elapsed() >= PAUSE) {
            state.drawn = Some(Instant::now());
            draw(&line(&self.name, state.done, state.total, self.after));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.state.is_some() {
            draw("");
        }
    }
}

/// Replaces the line.
fn draw(line: &str) {
    // A terminal that is gone needs none.
    let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
}

fn line(name: &str, done: u64, total: u64, after: &str) -> String {
    let full = (done.min(total) * WIDTH).checked_div(total).unwrap_or(0) as usize;
    let bar = format!("{:-<width$}", "=".repeat(full), width = WIDTH as usize);
    match done < total {
        true => format!("{name} [{bar}] {} of {}", size(done), size(total)),
        false => format!("{name} [{bar}] {}, {after}", size(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is() {
        let bar = |full: usize| "=".repeat(full) + &"-".repeat(30 - full);
        assert_eq!(
            line("web", 5_000_000, 20_000_000, "unpacking"),
            format!("web [{}] 5.00MB of 20.0MB", bar(7))
        );
        assert_eq!(
            line("web", 20_000_000, 20_000_000, "unpacking"),
            format!("web [{}] 20.0MB, unpacking", bar(30))
        );
    }
}
