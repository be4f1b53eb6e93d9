//! Session keyrings, so that a container doesn't share its caller's keys.

use crate::error::{Errno, Fail, Result, check, retry, with_c_str};
use crate::show::Text;
use rustix::path::Arg;

/// `keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`: enters a keyring of this name, a new one if there is none that
/// may be searched; its number.
pub fn join_session_keyring(name: impl Arg) -> Result<i32> {
    with_c_str("keyctl", name, |name| {
        let operation = libc::KEYCTL_JOIN_SESSION_KEYRING;
        // SAFETY: this operation reads a NUL-terminated string, which outlives the call.
        retry(|| check(unsafe { libc::syscall(libc::SYS_keyctl, operation, name.as_ptr(), 0, 0, 0) }))
            .map(|serial| serial as i32)
            .fail(|| format!("keyctl(KEYCTL_JOIN_SESSION_KEYRING, {})", Text(name)))
    })
}

/// The permissions of a key or keyring: eight bits each for possessor (highest), user, group and others.
pub fn keyring_permissions(keyring: i32) -> Result<u32> {
    let call = || format!("keyctl(KEYCTL_DESCRIBE, {keyring})");
    let mut buffer = [0u8; 1024];
    let (operation, address, size) = (libc::KEYCTL_DESCRIBE, buffer.as_mut_ptr(), buffer.len());
    // SAFETY: at most `size` bytes are written into `buffer`, which outlives the call.
    let length =
        check(unsafe { libc::syscall(libc::SYS_keyctl, operation, keyring, address, size, 0) }).fail(call)?;
    // `type;uid;gid;permissions;description`, the permissions in hexadecimal.
    let text = String::from_utf8_lossy(&buffer[..(length as usize).min(size)]).into_owned();
    let field = text.split(';').nth(3).and_then(|field| u32::from_str_radix(field, 16).ok());
    field.ok_or(Errno::IO).fail(call)
}

/// `keyctl(2)`, `KEYCTL_SETPERM`: replaces the permissions.
pub fn keyring_set_permissions(keyring: i32, permissions: u32) -> Result<()> {
    // SAFETY: this operation takes numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, keyring, permissions, 0, 0) })
        .map(drop)
        .fail(|| format!("keyctl(KEYCTL_SETPERM, {keyring}, {permissions:#x})"))
}
