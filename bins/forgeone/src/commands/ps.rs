//! `ps`: the processes of a container, as the machine's ps program shows them, as JSON, or where there is no ps
//! program in a small table of our own.

use super::{Door, process_table};
use forgeone_cli::output;
use forgeone_cli::{Call, wants_json};
use forgeone_runtime::{Error, Kind, Result};
use forgeone_sys::process::spawn;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let json = wants_json(call)?;
    let pids = door.runtime.pids(call.id()?)?;
    let options = call.words.get(1..).unwrap_or_default();
    let text = match json {
        // As runc has it.
        true if pids.is_empty() => "null\n".to_owned(),
        true => format!("{}\n", serde_json::Value::from(pids)),
        false => table(&pids, options)?,
    };
    output::print(&text)?;
    Ok(0)
}

fn table(pids: &[i32], options: &[OsString]) -> Result<String> {
    let usual = [OsStr::new("-ef")];
    let mut ps = Command::new("ps");
    match options {
        [] => ps.args(usual),
        _ => ps.args(options),
    };
    let failed = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("execute ps: {e}"));
    ps.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = match spawn(&mut ps).and_then(Child::wait_with_output) {
        Err(e) if e.kind() == ErrorKind::NotFound && options.is_empty() => {
            return Ok(process_table::of(pids));
        }
        done => done.map_err(|e| failed(&e))?,
    };
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(failed(&format_args!(
            "{}: {}",
            done.status,
            said.split('\n').next().unwrap_or_default()
        )));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    filter(&text, pids).ok_or_else(|| failed(&"its output has no column PID"))
}

/// The title and the lines of these processes; `None` if no column tells which they are.
fn filter(text: &str, pids: &[i32]) -> Option<String> {
    let title = text.lines().next()?;
    let column = title.split_whitespace().position(|name| name == "PID")?;
    let of_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = text.lines().skip(1).filter(of_ours);
    Some(std::iter::once(title).chain(lines).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_processes_are_left_out() {
        let text = "UID  PID PPID CMD\nroot   1    0 init\nroot  42    1 sh -c 7\nroot 420   42 ps\n";
        let want = "UID  PID PPID CMD\nroot  42    1 sh -c 7\n";
        assert_eq!(filter(text, &[42, 7]).as_deref(), Some(want));
        assert_eq!(filter(text, &[]).as_deref(), Some("UID  PID PPID CMD\n"));
        assert_eq!(filter("USER CMD\nroot init\n", &[1]), None);
        assert_eq!(filter("", &[1]), None);
    }
}
