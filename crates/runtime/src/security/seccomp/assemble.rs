//! From ranges to instructions of classic BPF.
//!
//! ```text
//! which AUDIT_ARCH_…? ── none of ours: return
//!   └─ the number: a balanced search tree over its ranges ─ return
//!                                                         └ arguments, case by case ─ return
//! ```
//!
//! Jumps go forward only, so the program is written backwards: when an instruction is written, all that it can
//! jump to is there, and the distance is known. A conditional jump reaches 255 instructions; what is farther away
//! gets a long jump to it (or, if it is a return, another one) where it can be reached.
//!
//! The kernel accepts words loaded from `struct seccomp_data`, comparisons, AND and constant returns (seccomp(2));
//! nothing else is used, also so that it can see which calls are always allowed, and not run the program for them.

use super::arch::Arch;
use super::calls::{Cases, Verdict};
use super::profile::{Condition, Op};
use super::ranges::{BAD_ARCH, Plan, Range};
use crate::error::{Error, Kind, Result};
use forgeone_sys::seccomp::Instruction;

/// The kernel's limit (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_GREATER_OR_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// Puts a plan into instructions; too long a program is an error.
pub(super) fn assemble(plan: &Plan) -> Result<Vec<Instruction>> {
    let mut program = Backwards { code: Vec::new(), near: Vec::new(), default: plan.default };
    let mut other = Target::Return(BAD_ARCH);
    // A program must end with a return.
    program.reach(other);
    // The native section is written last, and so is near the start.
    let mut entries = Vec::with_capacity(plan.sections.len());
    for (audit, ranges) in plan.sections.iter().rev() {
        let tree = program.tree(ranges, &plan.cases);
        entries.push((*audit, program.loaded(NUMBER, tree)));
        if program.code.len() > LONGEST {
            break;
        }
    }
    for (audit, entry) in entries {
        other = program.branch(IF_EQUAL, audit, entry, other);
    }
    program.loaded(ARCH, other);
    let length = program.code.len();
    if length > LONGEST {
        let cause = format!("linux.seccomp: {length} instructions or more: the kernel takes {LONGEST}");
        return Err(Error::new(Kind::Config, cause));
    }
    program.code.reverse();
    Ok(program.code)
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Return(u32),
    /// At the instruction that was written as this one (0 is the last of the program).
    At(usize),
}

/// A program being written from its end to its start.
struct Backwards {
    code: Vec<Instruction>,
    /// Where a target that was out of reach was last brought near: another return, or a long jump.
    near: Vec<(Target, usize)>,
    /// Where no case fits.
    default: u32,
}

impl Backwards {
    /// Finds the range of the number in the accumulator.
    fn tree(&mut self, ranges: &[Range], cases: &[Cases]) -> Target {
        match ranges {
            [] => Target::Return(BAD_ARCH),
            [only] => match only.verdict {
                Verdict::Return(action) => Target::Return(action),
                Verdict::Cases(index) => self.cases(&cases[index as usize]),
            },
            [a, only, b] if a.verdict == b.verdict && b.start - only.start == 1 => {
                let (miss, hit) = (self.tree(&ranges[..1], cases), self.tree(&ranges[1..2], cases));
                self.branch(IF_EQUAL, only.start, hit, miss)
            }
            _ => {
                let (lower, upper) = ranges.split_at(ranges.len() / 2);
                let (above, below) = (self.tree(upper, cases), self.tree(lower, cases));
                self.branch(IF_GREATER_OR_EQUAL, upper[0].start, above, below)
            }
        }
    }

    /// Tries each case, and returns the default if none fits.
    fn cases(&mut self, cases: &Cases) -> Target {
        let mut next = Target::Return(self.default);
        for case in cases.list.iter().rev() {
            let mut hit = Target::Return(case.action);
            for condition in case.conditions.iter().rev() {
                hit = self.condition(cases.arch, condition, hit, next);
            }
            next = hit;
            if self.code.len() > LONGEST {
                break;
            }
        }
        next
    }

    /// Compares an argument, the upper half of which counts where arguments are 64 bits wide.
    fn condition(&mut self, arch: &Arch, condition: &Condition, hit: Target, miss: Target) -> Target {
        let (op, hit, miss) = match condition.op {
            Op::Eq | Op::MaskedEq => (IF_EQUAL, hit, miss),
            Op::Ne => (IF_EQUAL, miss, hit),
            Op::Gt => (IF_GREATER, hit, miss),
            Op::Le => (IF_GREATER, miss, hit),
            Op::Ge => (IF_GREATER_OR_EQUAL, hit, miss),
            Op::Lt => (IF_GREATER_OR_EQUAL, miss, hit),
        };
        let first = ARGS + 8 * u32::from(condition.arg);
        let (upper, lower) = if arch.big_endian { (first, first + 4) } else { (first + 4, first) };
        let half = |word: u64| ((word >> 32) as u32, word as u32);
        let ((mask, mask_low), (value, value_low)) = (half(condition.mask), half(condition.value));
        let low = self.word(op, lower, (mask_low, value_low), hit, miss);
        if !arch.wide {
            low
        } else if op == IF_EQUAL {
            self.word(op, upper, (mask, value), low, miss)
        } else {
            let same = self.branch(IF_EQUAL, value, low, miss);
            let test = self.branch(IF_GREATER, value, hit, same);
            self.loaded(upper, test)
        }
    }

    /// Compares `word & mask` with `value`.
    fn word(&mut self, op: u16, offset: u32, (mask, value): (u32, u32), hit: Target, miss: Target) -> Target {
        if mask == 0 {
            return hit;
        }
        let test = self.branch(op, value, hit, miss);
        if mask != u32::MAX && test == self.top() {
            self.write(AND, mask);
            return self.loaded(offset, self.top());
        }
        self.loaded(offset, test)
    }

    /// Loads a word before going on at `target`, if that needs one: nothing else has just been written.
    fn loaded(&mut self, offset: u32, target: Target) -> Target {
        if target == self.top() { self.write(LOAD, offset) } else { target }
    }

    /// Goes on at `hit` or `miss`, by a comparison of the accumulator with `k`.
    fn branch(&mut self, code: u16, k: u32, hit: Target, miss: Target) -> Target {
        if hit == miss {
            return hit;
        }
        let (hit, miss) = (self.reach(hit), self.reach(miss));
        let (jt, jf) = (self.distance(hit) as u8, self.distance(miss) as u8);
        self.code.push(Instruction { code, jt, jf, k });
        self.top()
    }

    /// Where `target` is, or where it is brought near if it is too far.
    fn reach(&mut self, target: Target) -> usize {
        let near = match target {
            Target::At(index) if self.is_near(index) => return index,
            _ => self.near.iter().position(|(known, _)| *known == target),
        };
        if let Some(index) = near.map(|near| self.near[near].1).filter(|index| self.is_near(*index)) {
            return index;
        }
        match target {
            Target::Return(action) => self.write(RETURN, action),
            Target::At(index) => self.write(JUMP, self.distance(index) as u32),
        };
        let index = self.code.len() - 1;
        match near {
            Some(near) => self.near[near].1 = index,
            None => self.near.push((target, index)),
        }
        index
    }

    /// Whether a conditional jump reaches `index`, also if one more instruction comes between.
    fn is_near(&self, index: usize) -> bool {
        self.distance(index) < usize::from(u8::MAX)
    }

    /// How many instructions a jump that is written now has to skip.
    fn distance(&self, index: usize) -> usize {
        self.code.len() - 1 - index
    }

    fn write(&mut self, code: u16, k: u32) -> Target {
        self.code.push(Instruction { code, jt: 0, jf: 0, k });
        self.top()
    }

    /// The instruction that was written last, which the next one falls through to.
    fn top(&self) -> Target {
        Target::At(self.code.len() - 1)
    }
}
