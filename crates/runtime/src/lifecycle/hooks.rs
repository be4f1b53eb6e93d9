//! Hooks: programs of the config, run with the container's state on their standard input.
//!
//! The specification leaves open where they run. Those of the runtime's namespaces run in the bundle, as `runc run` has
//! it, whichever command runs them; createContainer in the container's root, startContainer in the program's working
//! directory. Nor does it say what a hook has in its environment whose config names none: the runtime's, in the runtime's
//! namespaces; nothing at createContainer; the program's at startContainer.

use crate::error::{During, Error, Kind, Result};
use crate::spec::{Hook, State};
use forgeone_sys::{Errno, fs, process, signal};
use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How much of a failed hook's output goes into the error.
const OUTPUT_MAX: usize = 4096;

/// What a hook finds unless its config says otherwise.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    /// Its working directory; `None`: the caller's.
    dir: Option<&'a Path>,
    /// Its environment; `None`: the caller's.
    env: Option<&'a [CString]>,
}

/// Runs the hooks of a point of the runtime's namespaces in order; the first that fails ends it.
pub(super) fn run(point: &str, hooks: &[Hook], state: &State) -> Result<()> {
    each(point, hooks, state, outside(state)).collect()
}

/// Runs those of a point of the container's namespaces, where the caller is.
pub(super) fn run_inside(point: &str, hooks: &[Hook], state: &State, env: &[CString]) -> Result<()> {
    each(point, hooks, state, Surroundings { dir: None, env: Some(env) }).collect()
}

/// Runs all hooks that follow the container's end, whichever of them fail (runtime.md, "Lifecycle", 13).
pub(super) fn run_poststop(hooks: &[Hook], state: &State) -> Result<()> {
    let errors = each("poststop", hooks, state, outside(state)).filter_map(Result::err).collect();
    Error::all(errors).map_or(Ok(()), Err)
}

/// Of hooks of the runtime's namespaces. A bundle that is gone by the time of the delete is no reason not to run them, so
/// they stay where the caller is.
fn outside(state: &State) -> Surroundings<'_> {
    Surroundings { dir: Some(Path::new(&state.bundle)).filter(|bundle| bundle.is_dir()), env: None }
}

fn each(
    point: &str,
    hooks: &[Hook],
    state: &State,
    around: Surroundings,
) -> impl Iterator<Item = Result<()>> {
    let named = move |i: usize, hook: &Hook| format!("hooks.{point}[{i}] {}", hook.path);
    hooks.iter().enumerate().map(move |(i, hook)| run_one(hook, state, around).during(|| named(i, hook)))
}

fn run_one(hook: &Hook, state: &State, around: Surroundings) -> Result<()> {
    // Files in memory instead of pipes: no hook can block us by what it reads or writes, nor by children of its
    // that keep the other end open.
    let input = fs::memfd_create("state", false)?;
    let json = serde_json::to_vec(state).map_err(|e| Error::new(Kind::Hook, e.to_string()))?;
    fs::write_all(&input, &json)?;
    fs::rewind(&input)?;
    let output = fs::memfd_create("output", false)?;
    let (stdout, stderr) = (fs::dup(&output)?, fs::dup(&output)?);

    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    around.dir.map(|dir| command.current_dir(dir));
    match (&hook.env, around.env) {
        (Some(env), _) => set_environment(&mut command, env.iter().map(String::as_bytes)),
        (None, Some(env)) => set_environment(&mut command, env.iter().map(|pair| pair.to_bytes())),
        (None, None) => {}
    }
    command.stdin(Stdio::from(input)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    // The door has them all blocked, to pass them on to the program.
    signal::reset_all_in(&mut command);
    let child = process::spawn(&mut command).map_err(|e| Error::new(Kind::Hook, e.to_string()))?;
    wait(child, hook.timeout).map_err(|cause| Error::new(Kind::Hook, with_output(cause, &output)))
}

fn set_environment<'a>(command: &mut Command, pairs: impl Iterator<Item = &'a [u8]>) {
    command.env_clear();
    for pair in pairs {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(OsStr::from_bytes);
        command.env(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    }
}

/// Waits for the hook; after `timeout` seconds it is killed.
fn wait(mut child: Child, timeout: Option<i64>) -> std::result::Result<(), String> {
    if let Some(seconds) = timeout {
        let milliseconds = i32::try_from(seconds.saturating_mul(1000)).unwrap_or(i32::MAX);
        if !ends_within(&mut child, milliseconds)? {
            let killed = child.kill().and_then(|()| child.wait());
            return Err(match killed {
                Ok(_) => format!("killed after its time-out of {seconds} s"),
                Err(e) => format!("not to be killed after its time-out of {seconds} s: {e}"),
            });
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit status {code}")),
        (None, signal) => Err(format!("ended by signal {}", signal.unwrap_or_default())),
    }
}

fn ends_within(child: &mut Child, milliseconds: i32) -> std::result::Result<bool, String> {
    match process::pidfd_open(child.id() as i32) {
        Ok(pidfd) => signal::wait_readable(pidfd.as_fd(), Some(milliseconds)).map_err(|e| e.to_string()),
        // Before Linux 5.3, or a filter's answer: it has to be looked at again and again.
        Err(e) if matches!(e.errno(), Errno::NOSYS | Errno::PERM) => {
            let deadline = Instant::now() + Duration::from_millis(milliseconds.max(0) as u64);
            loop {
                if child.try_wait().map_err(|e| e.to_string())?.is_some() {
                    return Ok(true);
                }
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Err(e) => Err(e.to_string()),
    }
}

fn with_output(cause: String, output: &impl AsFd) -> String {
    let text = fs::rewind(output).and_then(|()| fs::read_up_to(output, OUTPUT_MAX)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { cause } else { format!("{cause}: {line}") }
}
