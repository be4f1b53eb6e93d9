//! Faults on purpose, for tests: a step fails, or its process is killed; a single defence is taken away.
//!
//! Without the cargo feature `faults`, which no shipped program has, both questions are constants, and nothing of this is
//! in the program. With it, the environment answers:
//!
//! | variable | what |
//! |---|---|
//! | `FORGEONE_FAULT=STEP:error` | the step fails, with the error `fault at STEP` |
//! | `FORGEONE_FAULT=STEP:kill` | whoever takes the step gets SIGKILL, as soon as it is done |
//! | `FORGEONE_WITHOUT=DEFENCE` | this defence isn't there: the attack that it is against succeeds |

use crate::error::Result;
#[cfg(feature = "faults")]
use crate::error::{Error, Kind};

/// The steps that can fail, by the command that takes them.
pub const STEPS: &[(&str, &[&str])] = &[
    (
        "create",
        &[
            "create/decided",
            "create/directory",
            "state/written",
            "state/renamed",
            "create/record",
            "cgroup/made",
            "cgroup/limited",
            "create/cgroup",
            "create/cloned",
            "create/moved",
            "create/ready",
            "create/noted",
            "create/handed",
            "create/told",
            "init/cgroup",
            "init/user",
            "init/namespaces",
            "init/names",
            "init/mounts",
            "init/hooks",
            "init/finished",
            "init/entered",
            "init/program",
            "init/shed",
        ],
    ),
    (
        "start",
        &[
            "start/locked",
            "start/asked",
            "start/connected",
            "init/told",
            "init/sealed",
            "start/ran",
            "start/noted",
        ],
    ),
    (
        "exec",
        &[
            "exec/decided",
            "stage/joined",
            "exec/cloned",
            "join/cgroup",
            "join/namespaces",
            "join/program",
            "exec/ready",
            "join/told",
            "join/sealed",
            "exec/released",
            "exec/noted",
        ],
    ),
    ("kill", &["kill/found", "kill/signalled"]),
    ("update", &["update/planned", "update/changed", "state/written", "state/renamed", "update/noted"]),
    (
        "delete",
        &[
            "delete/locked",
            "delete/killed",
            "delete/cgroup",
            "delete/noted",
            "delete/files",
            "delete/directory",
        ],
    ),
];

/// Comes after a step: fails if it is to fail.
///
/// # Errors
/// The one that was asked for.
#[cfg(feature = "faults")]
pub(crate) fn at(step: &'static str) -> Result<()> {
    debug_assert!(STEPS.iter().any(|(_, steps)| steps.contains(&step)), "{step} is not among the steps");
    let Ok(asked) = std::env::var("FORGEONE_FAULT") else { return Ok(()) };
    match asked.strip_prefix(step) {
        Some(":error") => Err(Error::new(Kind::System, format!("fault at {step}"))),
        Some(":kill") => {
            forgeone_sys::process::kill(forgeone_sys::process::getpid(), 9)?;
            // Inside a PID namespace its first process is spared what comes from inside.
            forgeone_sys::process::exit(137)
        }
        _ => Ok(()),
    }
}

/// Whether a defence was taken away.
#[cfg(feature = "faults")]
pub(crate) fn without(defence: &str) -> bool {
    std::env::var("FORGEONE_WITHOUT").is_ok_and(|name| name == defence)
}

/// Never fails.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) const fn at(_step: &'static str) -> Result<()> {
    Ok(())
}

/// Never.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) const fn without(_defence: &str) -> bool {
    false
}
