//! Users, groups and capabilities of the calling thread, by the kernel's own calls.
//!
//! libc's `setresuid` and its like tell every thread of the process by a signal; the processes that change
//! credentials here have one thread, so the bare call is the whole of it.

use crate::error::{Errno, Fail, Result, check};
use rustix::fs::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// A user id. `u32::MAX` means "leave it as it is" to the kernel and is refused (`EINVAL`): it must never
/// stand for staying root.
pub(crate) fn uid(raw: u32) -> std::result::Result<Uid, Errno> {
    if raw == u32::MAX { Err(Errno::INVAL) } else { Ok(Uid::from_raw(raw)) }
}

/// A group id, with the same exception as [`uid`].
pub(crate) fn gid(raw: u32) -> std::result::Result<Gid, Errno> {
    if raw == u32::MAX { Err(Errno::INVAL) } else { Ok(Gid::from_raw(raw)) }
}

/// `setresuid(2)`: real, effective and saved user id.
pub fn setresuid(user: u32) -> Result<()> {
    uid(user)
        .and_then(|id| rustix::thread::set_thread_res_uid(id, id, id))
        .fail(|| format!("setresuid({user}, {user}, {user})"))
}

/// `setresgid(2)`: real, effective and saved group id.
pub fn setresgid(group: u32) -> Result<()> {
    gid(group)
        .and_then(|id| rustix::thread::set_thread_res_gid(id, id, id))
        .fail(|| format!("setresgid({group}, {group}, {group})"))
}

/// `setgroups(2)`: the supplementary groups.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    groups
        .iter()
        .map(|raw| gid(*raw))
        .collect::<std::result::Result<Vec<Gid>, Errno>>()
        .and_then(|groups| rustix::thread::set_thread_groups(&groups))
        .fail(|| format!("setgroups({}, {groups:?})", groups.len()))
}

/// Three of the five capability sets, a bit for each number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What the kernel checks.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What may come through exec with a file's inheritable set.
    pub inheritable: u64,
}

/// `capget(2)` of the calling thread.
pub fn capget() -> Result<Capabilities> {
    let sets = rustix::thread::capabilities(None).fail(|| "capget(0)".into())?;
    Ok(Capabilities {
        effective: sets.effective.bits(),
        permitted: sets.permitted.bits(),
        inheritable: sets.inheritable.bits(),
    })
}

/// `capset(2)` of the calling thread.
pub fn capset(sets: &Capabilities) -> Result<()> {
    let kernel = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    rustix::thread::set_capabilities(None, kernel).fail(|| {
        let Capabilities { effective, permitted, inheritable } = sets;
        format!("capset(0, effective={effective:#x}, permitted={permitted:#x}, inheritable={inheritable:#x})")
    })
}

/// `prctl(2)` with an option whose arguments are numbers.
fn prctl(option: i32, name: &str, second: u32, third: u32) -> Result<i32> {
    let (b, c) = (libc::c_ulong::from(second), libc::c_ulong::from(third));
    // SAFETY: the callers below use PR_CAPBSET_* and PR_CAP_AMBIENT only, which take numbers.
    check(unsafe { libc::prctl(option, b, c, 0, 0) }).fail(|| format!("prctl({name}, {second}, {third})"))
}

/// `PR_CAPBSET_DROP`: takes a capability out of the bounding set, for good.
pub fn bounding_drop(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, "PR_CAPBSET_DROP", capability, 0).map(drop)
}

/// Whether a capability is in the bounding set; `false` for one that this kernel doesn't know.
pub fn bounding_contains(capability: u32) -> bool {
    matches!(prctl(libc::PR_CAPBSET_READ, "PR_CAPBSET_READ", capability, 0), Ok(1))
}

/// `PR_CAP_AMBIENT_CLEAR_ALL`: empties the ambient set.
pub fn ambient_clear() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_CLEAR_ALL as u32, 0).map(drop)
}

/// `PR_CAP_AMBIENT_RAISE`: adds a capability that is permitted and inheritable to the ambient set.
pub fn ambient_raise(capability: u32) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_RAISE as u32, capability).map(drop)
}

/// The highest capability number that this kernel knows.
pub fn last_capability() -> u32 {
    let known = |number| prctl(libc::PR_CAPBSET_READ, "PR_CAPBSET_READ", number, 0).is_ok();
    let mut last = CAPABILITIES.len() as u32 - 1;
    while last < 63 && known(last + 1) {
        last += 1;
    }
    while last > 0 && !known(last) {
        last -= 1;
    }
    last
}

/// The names of all capabilities (Linux 5.9 and later); the index is the number.
pub const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The number of a capability, by its full name in upper case (`CAP_CHOWN`).
pub fn capability_number(name: &str) -> Option<u32> {
    CAPABILITIES.iter().position(|known| *known == name).map(|number| number as u32)
}
