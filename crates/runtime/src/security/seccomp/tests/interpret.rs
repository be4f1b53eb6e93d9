//! A kernel's view of a filter: whether it would be accepted, and what it returns.

use super::Instruction;

/// What the kernel shows to a filter: `struct seccomp_data`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) args: [u64; 6],
}

impl Data {
    /// The word at an offset. Halves of 64-bit fields stand in the machine's order.
    fn word(&self, offset: u32, big_endian: bool) -> u32 {
        let field = |value: u64| {
            let first = offset.is_multiple_of(8);
            if first == big_endian { (value >> 32) as u32 } else { value as u32 }
        };
        match offset {
            0 => self.number,
            4 => self.arch,
            8..16 => field(0), // the instruction pointer
            _ => field(self.args[(offset as usize - 16) / 8]),
        }
    }
}

/// What the kernel checks when a filter is loaded (`bpf_check_classic`, `seccomp_check_filter`), as far as it concerns
/// the instructions that this crate and libseccomp use; all others are refused here.
pub(super) fn check(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > 4096 {
        return Err(format!("{} instructions", program.len()));
    }
    for (at, i) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let ok = match i.code {
            0x20 => i.k.is_multiple_of(4) && i.k < 64,
            0x54 | 0x06 => true,
            0x05 => (i.k as usize) < left,
            0x15 | 0x25 | 0x35 | 0x45 => usize::from(i.jt.max(i.jf)) < left,
            _ => false,
        };
        if !ok {
            return Err(format!("instruction {at}: {i:x?}"));
        }
    }
    match program[program.len() - 1].code {
        0x06 => Ok(()),
        _ => Err("the last instruction is no return".into()),
    }
}

/// What a filter that passed [`check`] returns, and how many instructions that took.
pub(super) fn run(program: &[Instruction], data: &Data, big_endian: bool) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let i = &program[at];
        let when = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        steps += 1;
        at += 1;
        match i.code {
            0x20 => accumulator = data.word(i.k, big_endian),
            0x54 => accumulator &= i.k,
            0x05 => at += i.k as usize,
            0x15 => at += when(accumulator == i.k),
            0x25 => at += when(accumulator > i.k),
            0x35 => at += when(accumulator >= i.k),
            0x45 => at += when(accumulator & i.k != 0),
            _ => return (i.k, steps),
        }
    }
}
