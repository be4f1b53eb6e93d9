//! Where memory comes from: set_mempolicy(2).

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
