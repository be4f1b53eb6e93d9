//! A profile from bytes, and calls from what is left of them.

use super::*;
use crate::fuzz::Draw;
use crate::security::seccomp::{actions, arch, operators};
use crate::spec::{SyscallArg, SyscallRule};

/// Calls with neighbours, ones that few ABIs have, ones that are multiplexed, and multiplexers.
pub(super) const NAMES: [&str; 16] = [
    "read",
    "write",
    "open",
    "close",
    "clone",
    "personality",
    "socket",
    "semop",
    "recv",
    "accept4",
    "socketcall",
    "ipc",
    "execve",
    "set_tls",
    "getuid32",
    "s390_runtime_instr",
];

/// Compiles a profile for a machine, and asks program and reference about the calls that it names and about others.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let machines = machines();
    let machine = *draw.one(&machines);
    let profile = profile(&mut draw);
    let reference = Reference::new(&profile, machine);
    let compiled = compile_for(&profile, machine).unwrap_or_else(|e| panic!("{profile:?}: {e}"));
    assert_means(&compiled, &reference, machine, &named_numbers(&reference));
    let archs: Vec<u32> = reference.archs().map(|arch| arch.audit).collect();
    for _ in 0..64 {
        let arch = if draw.byte().is_multiple_of(4) { draw.number() } else { *draw.one(&archs) };
        let data = Data { number: draw.number(), arch, args: std::array::from_fn(|_| draw.wide()) };
        let (action, _) = run(&compiled.program, &data, machine.native.big_endian);
        let right = reference.verdict(&data);
        assert_eq!(action, right.action, "{} {data:x?}: {profile:?}", machine.native.name);
    }
}

fn profile(draw: &mut Draw) -> Seccomp {
    let (default_action, default_errno_ret) = action(draw);
    let architectures =
        arch::KNOWN.iter().filter(|_| draw.byte() & 1 == 1).map(|name| (*name).to_owned()).collect();
    let syscalls = (0..draw.below(8)).map(|_| rule(draw)).collect();
    Seccomp { default_action, default_errno_ret, architectures, syscalls, ..Seccomp::default() }
}

fn action(draw: &mut Draw) -> (String, Option<u32>) {
    let all: Vec<_> = actions().filter(|action| *action != "SCMP_ACT_NOTIFY").collect();
    let name = (*draw.one(&all)).to_owned();
    let has_errno = name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE";
    let errno = *draw.one(&[None, Some(1), Some(38), Some(4094)]);
    (name, errno.filter(|_| has_errno))
}

fn rule(draw: &mut Draw) -> SyscallRule {
    let names = (0..draw.below(3) + 1).map(|_| (*draw.one(&NAMES)).to_owned()).collect();
    let (action, errno_ret) = action(draw);
    let args = (0..draw.below(4)).map(|_| condition(draw)).collect();
    SyscallRule { names, action, errno_ret, args, ..SyscallRule::default() }
}

fn condition(draw: &mut Draw) -> SyscallArg {
    let operators: Vec<_> = operators().collect();
    SyscallArg {
        index: draw.below(6) as u32,
        value: draw.wide(),
        value_two: draw.wide(),
        op: (*draw.one(&operators)).to_owned(),
        ..SyscallArg::default()
    }
}
