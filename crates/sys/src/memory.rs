//! Where memory comes from, and that it is given back: set_mempolicy(2), malloc_trim(3).

use crate::error::{Fail, Result, check};

/// `set_mempolicy(2)` (Linux 2.6.7): the policy for memory that this thread, and what it makes and executes, takes from
/// now on. `mode` holds flags as well; `nodes` are the numbers of NUMA nodes.
pub fn set_mempolicy(mode: u32, nodes: &[usize]) -> Result<()> {
    let bits = libc::c_ulong::BITS as usize;
    let mut mask: Vec<libc::c_ulong> = Vec::new();
    for node in nodes {
        mask.resize(mask.len().max(node / bits + 1), 0);
        mask[node / bits] |= 1 << (node % bits);
    }
    // The kernel takes one bit less than it is told.
    let most = if mask.is_empty() { 0 } else { mask.len() * bits + 1 };
    let pointer = if mask.is_empty() { std::ptr::null() } else { mask.as_ptr() };
    // SAFETY: the kernel reads `most - 1` bits, which `mask` has, and none where `most` is 0; it outlives the call.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, most) })
        .map(drop)
        .fail(|| format!("set_mempolicy({mode:#x}, {nodes:?})"))
}

/// `malloc_trim(3)`: gives the kernel back what was freed. For a process that has done something large and goes on to be
/// small for a long time.
pub fn malloc_trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; the C library keeps what is in use.
    let _ = unsafe { libc::malloc_trim(0) };
}
