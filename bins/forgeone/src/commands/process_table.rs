//! A table of processes from `/proc`, for machines without a ps program.

use super::show;
use forgeone_cli::output::printable;
use std::fs;

const TITLES: [&str; 4] = ["PID", "PPID", "STAT", "CMD"];

/// The table of these processes; those that are gone by now are left out.
pub(super) fn of(pids: &[i32]) -> String {
    let titles = TITLES.map(str::to_owned);
    show::table(&std::iter::once(titles).chain(pids.iter().filter_map(|&pid| row(pid))).collect::<Vec<_>>())
}

fn row(pid: i32) -> Option<[String; 4]> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (name, state, parent) = fields(&stat)?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some([pid.to_string(), parent.to_owned(), state.to_owned(), command(&arguments, name)])
}

/// Name, state and parent, proc_pid_stat(5). The name stands in brackets and may itself have brackets and spaces.
fn fields(stat: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut rest = rest.split_ascii_whitespace();
    Some((name, rest.next()?, rest.next()?))
}

/// The command line as one line, or the bracketed name of a process that has none. The container's own program
/// wrote it: what a terminal would obey is escaped.
fn command(arguments: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(arguments);
    let text = text.trim_end_matches('\0');
    if text.is_empty() {
        return printable(&format!("[{name}]"));
    }
    printable(&text.replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_brackets() {
        assert_eq!(fields("42 (a) (b) S 1 42 42 0"), Some(("a) (b", "S", "1")));
        assert_eq!(fields("42 sh S 1"), None);
    }

    #[test]
    fn a_command_is_one_harmless_line() {
        assert_eq!(command(b"sh\0-c\0a\x1b[2J\nb\0", "sh"), "sh -c a\\u{1b}[2J\\nb");
        assert_eq!(command(b"", "kthread"), "[kthread]");
    }

    #[test]
    fn this_process_is_in_its_table() {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let table = of(&[pid, i32::MAX]);
        assert!(table.starts_with("PID"), "{table}");
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(table.contains(&pid.to_string()), "{table}");
    }
}
