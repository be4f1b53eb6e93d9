//! Names and numbers of signals, as `kill -l` has them.

/// Every named signal; where two names have one number, the usual name comes first.
const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    #[cfg(not(any(target_arch = "mips64", target_arch = "sparc64")))]
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// The last real-time signal. The first is libc's, 34, as in `kill -l`: it keeps 32 and 33 for itself.
const RTMAX: i32 = 64;

/// The number of a signal by name, with or without `SIG`, in any case (`TERM`, `SIGTERM`, `RTMIN+3`,
/// `SIGRTMAX-1`), or as a decimal number up to 64. 0, which only asks whether a process is there, counts as
/// one.
pub fn signal_number(name: &str) -> Option<i32> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.parse().ok().filter(|number| *number <= RTMAX);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == short) {
        return Some(*number);
    }
    let number = match (short.strip_prefix("RTMIN"), short.strip_prefix("RTMAX")) {
        (Some(rest), _) => libc::SIGRTMIN() + offset(rest, '+')?,
        (_, Some(rest)) => RTMAX - offset(rest, '-')?,
        _ => return None,
    };
    (libc::SIGRTMIN()..=RTMAX).contains(&number).then_some(number)
}

/// Nothing as 0, otherwise `sign` and a decimal number.
fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    let digits = rest.strip_prefix(sign)?;
    let plain = digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The name of a signal (`SIGTERM`, `SIGRTMIN+3`), or its number if it has none.
pub fn signal_name(number: i32) -> String {
    let first = libc::SIGRTMIN();
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("SIG{name}"),
        None if number == first => "SIGRTMIN".into(),
        None if number == RTMAX => "SIGRTMAX".into(),
        None if (first..RTMAX).contains(&number) => format!("SIGRTMIN+{}", number - first),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        let table = [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigterm", Some(15)),
            ("15", Some(15)),
            ("0", Some(0)),
            ("64", Some(64)),
            ("65", None),
            ("-1", None),
            ("+15", None),
            ("15x", None),
            ("", None),
            ("SIG", None),
            ("SIGSIGTERM", None),
            ("RTMIN", Some(34)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMIN+30", Some(64)),
            ("SIGRTMIN+31", None),
            ("SIGRTMAX", Some(64)),
            ("SIGRTMAX-1", Some(63)),
            ("SIGRTMAX-30", Some(34)),
            ("SIGRTMAX-31", None),
            ("RTMIN-1", None),
            ("RTMIN++1", None),
            ("RTMIN+", None),
            ("IOT", Some(6)),
            ("NOSUCH", None),
            ("99999999999", None),
        ];
        for (name, number) in table {
            assert_eq!(signal_number(name), number, "{name:?}");
        }
    }

    #[test]
    fn every_number_has_a_name_that_leads_back_to_it() {
        for number in (1..=31).chain(34..=64) {
            assert_eq!(signal_number(&signal_name(number)), Some(number), "{}", signal_name(number));
        }
        assert_eq!(signal_name(6), "SIGABRT");
        assert_eq!(signal_name(37), "SIGRTMIN+3");
        assert_eq!(signal_name(0), "0");
        assert_eq!(signal_name(33), "33");
    }
}
