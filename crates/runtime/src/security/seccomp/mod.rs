//! The seccomp compiler: a profile of the runtime specification becomes a filter that the kernel runs.
//!
//! ```text
//! profile ─ profile.rs ─► numbers for strings, errors by field
//!         ─ calls.rs ───► what each ABI does with each of its calls (numbers.rs, arch.rs)
//!         ─ ranges.rs ──► all 32-bit numbers, as ranges with one verdict each
//!         ─ assemble.rs ► a search tree over them, in classic BPF
//! ```
//!
//! Profiles mean what they mean to runc 1.5 with libseccomp 2.6, with which the tests compare verdicts; where they
//! differ:
//!
//! - Names of ABIs, calls and flags that nobody knows are warned about, not refused (runc refuses ABIs and flags,
//!   and is silent about calls).
//! - An `errnoRet` for an action that has none is refused, as the specification asks (runc ignores it), and one over
//!   65535, too (runc cuts it down).
//! - Where rules of one call overlap with different actions, the order is libseccomp's as its documentation and its
//!   sorting have it (calls.rs); the cases in which libseccomp mixes rules up or refuses them by accident aren't
//!   imitated.
//! - Calls made through `socketcall` and `ipc` are filtered by their kind only, as with libseccomp: their arguments
//!   are in memory. The ABIs that have them are x86, ppc64 and s390x.
//!
//! Nothing here has side effects, and it takes a tenth of a millisecond for a profile like Docker's.

pub mod arch;
mod assemble;
mod calls;
mod numbers;
mod profile;
mod ranges;
#[cfg(any(test, feature = "fuzz"))]
mod tests;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use tests::fuzz;

use crate::error::{Error, Kind, Result};
use crate::spec::Seccomp;
use arch::Machine;
pub use forgeone_sys::seccomp::Instruction;

/// A filter, ready to be loaded with `seccomp_load`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// At most 4096 instructions. None if the profile says nothing at all: then there is nothing to load.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_…` to load it with.
    pub flags: u64,
    /// More flags, to be left out if the kernel doesn't know them (EINVAL): the profile doesn't ask for them.
    pub optional_flags: u64,
    /// Whether it notifies: loading returns a descriptor, which goes to the profile's `listenerPath`.
    pub notify: bool,
    /// Whether it may notify of `sendmsg`: who loads it can't send that descriptor.
    pub notifies_sendmsg: bool,
    /// What in the profile this machine can't honour, and why; one line each.
    pub warnings: Vec<String>,
    /// Rules that never decide, since others do; one line each. For who writes a profile, not for each start: the
    /// profiles that engines ship have such rules.
    pub hints: Vec<String>,
}

/// Compiles `profile` for the machine that this program was built for.
///
/// An error names the field, as in `linux.seccomp.syscalls[3].action: unknown action "SCMP_ACT_DENY"`.
pub fn compile(profile: &Seccomp) -> Result<Compiled> {
    match arch::native() {
        Some(machine) => compile_for(profile, machine),
        None => Err(Error::new(Kind::Unsupported, "linux.seccomp: no table of this machine's system calls")),
    }
}

/// Compiles `profile` for `machine`, which needn't be this one.
pub fn compile_for(profile: &Seccomp, machine: &Machine) -> Result<Compiled> {
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(Compiled::default()); // as runc
    }
    let policy = profile::Policy::read(profile, machine)?;
    let plan = ranges::Plan::new(&policy);
    let program = assemble::assemble(&plan)?;
    let notifies_sendmsg = policy.may_notify("sendmsg");
    let profile::Policy { flags, optional_flags, notify, warnings, mut hints, .. } = policy;
    hints.extend(plan.hints);
    Ok(Compiled { program, flags, optional_flags, notify, notifies_sendmsg, warnings, hints })
}

/// The actions that a profile may name, sorted.
pub fn actions() -> impl Iterator<Item = &'static str> {
    profile::ACTIONS.iter().map(|(name, _)| *name)
}

/// The comparison operators that a profile may name, sorted.
pub fn operators() -> impl Iterator<Item = &'static str> {
    profile::OPERATORS.into_iter()
}

/// The flags that a profile may name, with their value for seccomp(2), sorted.
pub fn flags() -> impl Iterator<Item = (&'static str, u64)> {
    profile::FLAGS.into_iter()
}
