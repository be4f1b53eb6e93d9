//! Random bytes.

use crate::error::{Fail, Result, retry};

/// `getrandom(2)`: bytes of the kernel's generator, once it has been seeded.
pub fn getrandom(buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        let length = rest.len();
        filled += retry(|| rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()))
            .fail(|| format!("getrandom({length})"))?;
    }
    Ok(())
}
