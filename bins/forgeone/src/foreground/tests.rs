//! What is done with which signal.
#![allow(clippy::unwrap_used)]
use super::*;
use forgeone_sys::signal::signal_number;

#[test]
fn all_signals_are_the_programs_but_three() {
    for number in 1..=64 {
        let want = match number {
            _ if Some(number) == signal_number("CHLD") => Action::Reap,
            _ if Some(number) == signal_number("WINCH") => Action::Resize,
            _ if Some(number) == signal_number("URG") => Action::Ignore,
            _ => Action::Forward,
        };
        assert_eq!(action(number), want, "{number}");
    }
}

#[test]
fn only_requests_to_end_end_us() {
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        assert!(ends_us(signal_number(name).unwrap()), "{name}");
    }
    for name in ["CHLD", "USR1", "CONT", "TSTP", "WINCH", "RTMIN"] {
        assert!(!ends_us(signal_number(name).unwrap()), "{name}");
    }
}
