//! Device rules as an eBPF program of type `BPF_PROG_TYPE_CGROUP_DEVICE`, assembled here.
//!
//! The kernel runs it on each use of a device; 1 allows and 0 denies. It goes through the rules from the last to
//! the first and keeps in `r3` what is asked for and not yet decided: a rule that allows takes its accesses out, and
//! when nothing is left the answer is 1; a rule that denies something that is left makes it 0, and so does the end.
//!
//! ```text
//!  r1 -> { access << 16 | kind, major, minor }       struct bpf_cgroup_dev_ctx, then scratch
//!  r2 kind (1 block, 2 char)   r3 access not yet decided   r4 major   r5 minor   r0 the answer
//! ```

use super::devices::{ALL, Kind, Rule};
use forgeone_sys::bpf::BpfInstruction;

/// `r0 = *(u32 *)(r1 + off)` and so on: the operations used, as in the kernel's `linux/bpf_common.h` and `bpf.h`.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const fn register(code: u8, to: u8, from: u8, off: i16) -> BpfInstruction {
    BpfInstruction { code, regs: from << 4 | to, off, imm: 0 }
}

const fn constant(code: u8, to: u8, imm: i32) -> BpfInstruction {
    BpfInstruction { code, regs: to, off: 0, imm }
}

const fn answer(allow: bool) -> [BpfInstruction; 2] {
    [constant(MOVE, 0, allow as i32), constant(EXIT, 0, 0)]
}

/// The program that decides as `rules` do: the last one that matches, each access on its own; deny without any.
pub(super) fn assemble(rules: &[Rule]) -> Vec<BpfInstruction> {
    let mut program = vec![
        register(LOAD_WORD, 2, 1, 0),
        register(MOVE_REGISTER, 3, 2, 0),
        constant(AND, 2, 0xffff),
        constant(SHIFT_RIGHT, 3, 16),
        register(LOAD_WORD, 4, 1, 4),
        register(LOAD_WORD, 5, 1, 8),
    ];
    for rule in rules.iter().rev() {
        block(&mut program, rule);
        if rule.is_total() {
            // The verifier refuses what can't be reached.
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// A rule: jumps to what follows it unless it decides.
fn block(program: &mut Vec<BpfInstruction>, rule: &Rule) {
    let start = program.len();
    let kind = rule.devices.kind.map(|kind| match kind {
        Kind::Block => 1,
        Kind::Char => 2,
    });
    for (from, value) in [(2, kind), (4, rule.devices.major), (5, rule.devices.minor)] {
        if let Some(value) = value {
            // A number beyond i32 is compared sign-extended and matches nothing; there are no such devices.
            program.push(constant(JUMP_IF_NOT_EQUAL, from, value as i32));
        }
    }
    // Where the rule is about all accesses, nothing is left after it.
    if rule.access != ALL && rule.allow {
        program.push(constant(AND, 3, !i32::from(rule.access)));
        program.push(constant(JUMP_IF_NOT_EQUAL, 3, 0));
    } else if rule.access != ALL {
        program.push(register(MOVE_REGISTER, 1, 3, 0));
        program.push(constant(AND, 1, rule.access.into()));
        program.push(constant(JUMP_IF_EQUAL, 1, 0));
    }
    program.extend(answer(rule.allow));
    let end = program.len();
    for (i, instruction) in program.iter_mut().enumerate().skip(start) {
        if [JUMP_IF_EQUAL, JUMP_IF_NOT_EQUAL].contains(&instruction.code) {
            // A block has at most ten instructions.
            instruction.off = (end - i - 1) as i16;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::devices::{self, DeviceRules, tests::asked};
    use super::*;

    /// What the kernel would answer; panics where its verifier would refuse.
    fn run(program: &[BpfInstruction], context: [u32; 3]) -> u64 {
        let mut r = [0u64; 11];
        let mut pc = 0;
        loop {
            let i = program[pc];
            let (to, from) = (usize::from(i.regs & 15), usize::from(i.regs >> 4));
            let imm = i64::from(i.imm) as u64;
            pc += 1;
            match i.code {
                LOAD_WORD => r[to] = context[i.off as usize / 4].into(),
                AND => r[to] &= imm,
                SHIFT_RIGHT => r[to] >>= imm,
                MOVE => r[to] = imm,
                MOVE_REGISTER => r[to] = r[from],
                JUMP_IF_EQUAL if r[to] == imm => pc += i.off as usize,
                JUMP_IF_NOT_EQUAL if r[to] != imm => pc += i.off as usize,
                JUMP_IF_EQUAL | JUMP_IF_NOT_EQUAL => {}
                EXIT => return r[0],
                code => panic!("unknown operation {code:#x}"),
            }
        }
    }

    /// `c 1:3 rw` as the context that the kernel makes of it.
    fn context(text: &str) -> [u32; 3] {
        let rule = devices::rules(&asked(&[&format!("+{text}")])).unwrap()[1];
        let kind = if rule.devices.kind == Some(Kind::Block) { 1 } else { 2 };
        [u32::from(rule.access) << 16 | kind, rule.devices.major.unwrap(), rule.devices.minor.unwrap()]
    }

    /// The rules without the defaults, which would hide them.
    fn own(rules: &[&str]) -> Vec<Rule> {
        let mut parsed = devices::rules(&asked(rules)).unwrap();
        parsed.truncate(rules.len() + 1);
        parsed
    }

    #[test]
    fn the_last_rule_that_matches_decides_for_each_access() {
        for (rules, allowed, denied) in [
            (&[][..], &[][..], &["c 1:3 r", "b 8:0 m"][..]),
            (&["+a"], &["c 1:3 rwm", "b 8:0 rwm"], &[]),
            (&["+a", "-a"], &[], &["c 1:3 r"]),
            (
                &["+c 1:3 rw"],
                &["c 1:3 r", "c 1:3 w", "c 1:3 rw"],
                &["c 1:3 m", "c 1:3 rm", "b 1:3 r", "c 1:4 r"],
            ),
            (&["+c 1:3 r", "+c 1:* w"], &["c 1:3 rw", "c 1:9 w"], &["c 1:9 rw"]),
            (&["+a", "-b 8:* w"], &["b 8:1 r", "b 9:1 w"], &["b 8:1 w", "b 8:1 rw"]),
            (&["+a", "-b 8:* w", "+b 8:1 w"], &["b 8:1 rw"], &["b 8:2 rw"]),
            (&["+c 10:* rwm", "-c 10:229 rwm"], &["c 10:228 rwm"], &["c 10:229 r"]),
            (&["+a *:* r"], &["c 1:3 r", "b 8:0 r"], &["c 1:3 rw"]),
            (&["+c 4294967295:0 r"], &[], &["c 1:0 r"]),
        ] {
            let program = assemble(&own(rules));
            for (list, answer) in [(allowed, 1), (denied, 0)] {
                for device in list {
                    assert_eq!(run(&program, context(device)), answer, "{rules:?}: {device}");
                }
            }
        }
    }

    #[test]
    fn the_defaults_are_there() {
        let program = assemble(&devices::rules(&[]).unwrap());
        for device in ["c 1:3 rwm", "c 136:7 rw", "c 5:2 rw", "c 10:200 rw", "b 8:0 m", "c 4:1 m"] {
            assert_eq!(run(&program, context(device)), 1, "{device}");
        }
        for device in ["b 8:0 r", "c 1:1 r", "c 5:1 w", "c 10:229 rw", "b 8:0 rm"] {
            assert_eq!(run(&program, context(device)), 0, "{device}");
        }
    }

    #[test]
    fn nothing_follows_a_rule_about_everything() {
        let program = assemble(&own(&["+c 1:3 r", "-a", "+c 1:5 r"]));
        let constants: Vec<i32> = program.iter().map(|i| i.imm).collect();
        assert!(constants.contains(&5) && !constants.contains(&3));
        assert_eq!(program.last().unwrap().code, EXIT);
        assert_eq!(program.len(), 6 + 7 + 2);
    }

    /// Lists of rules against the definition, by brute force: the program, and v1's form where there is one.
    #[test]
    fn agrees_with_the_definition() {
        let atoms = ["+a", "-a", "+c 1:3 r", "-c 1:3 rw", "+c 1:* rwm", "-c *:3 w", "+b *:* m", "-a *:* w"];
        for first in atoms {
            for second in atoms {
                let rules = own(&["+c 1:* w", first, second]);
                let program = assemble(&rules);
                let v1 = DeviceRules::new(&rules).ok();
                for kind in [1, 2] {
                    for (major, minor, access) in
                        [(1, 3, 2), (1, 3, 6), (1, 4, 4), (2, 3, 4), (2, 4, 1), (1, 3, 7)]
                    {
                        let context = [access << 16 | kind, major, minor];
                        let expected = defined(&rules, context);
                        assert_eq!(run(&program, context) == 1, expected, "{first} {second} {context:?}");
                        // v1 wants a single exception for all that is asked at once, so one access is asked.
                        if let (Some(v1), true) = (&v1, access.is_power_of_two()) {
                            assert_eq!(
                                v1.allows(kind == 1, major, minor, access),
                                expected,
                                "{first} {second}"
                            );
                        }
                    }
                }
            }
        }
    }

    fn defined(rules: &[Rule], [access, major, minor]: [u32; 3]) -> bool {
        let kind = if access & 0xffff == 1 { Kind::Block } else { Kind::Char };
        let matches = |rule: &&Rule| {
            rule.devices.kind.is_none_or(|k| k == kind)
                && rule.devices.major.is_none_or(|m| m == major)
                && rule.devices.minor.is_none_or(|m| m == minor)
        };
        [1, 2, 4].iter().filter(|bit| access >> 16 & **bit != 0).all(|bit| {
            let about = |rule: &&Rule| matches(rule) && u32::from(rule.access) & bit != 0;
            rules.iter().rev().find(about).is_some_and(|rule| rule.allow)
        })
    }
}
