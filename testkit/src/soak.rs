//! What is done again and again: how often, by which random numbers, and what came of it.
//!
//! | variable | what |
//! |---|---|
//! | `FORGEONE_TEST_SOAK` | a factor for the rounds; `make soak` sets it |
//! | `FORGEONE_TEST_SEED` | the seed that a test has told, to do the same again |
//! | `FORGEONE_TEST_FIGURES` | the file to which figures are appended; the suite prints them in its summary |

use crate::skip::running_test;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that names the file of figures.
pub const FIGURES: &str = "FORGEONE_TEST_FIGURES";

/// How often something is to be tried: `usual` times, or as many times more as `make soak` wants.
pub fn rounds(usual: u64) -> u64 {
    let factor = variable_number("FORGEONE_TEST_SOAK").unwrap_or(1);
    usual.saturating_mul(factor.max(1))
}

/// Tells what a test has counted, in one line.
pub fn figure(text: impl Display) {
    let line = format!("{}: {text}", running_test()).replace('\n', " ");
    eprintln!("{line}");
    let Some(file) = std::env::var_os(FIGURES) else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("open the file of figures");
    file.write_all(format!("{line}\n").as_bytes()).expect("write the file of figures");
}

/// xorshift64*, seeded by the clock; the seed is told, to do the same again.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that nobody has foreseen, unless `FORGEONE_TEST_SEED` is set.
    pub fn new() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
        let seed = variable_number("FORGEONE_TEST_SEED").unwrap_or_else(clock);
        eprintln!("FORGEONE_TEST_SEED={seed}");
        Self(seed | 1)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of 0 to `limit` - 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

fn variable_number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
