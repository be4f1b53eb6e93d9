//! libseccomp's idea of a profile, with the rules added as runc adds them.

use super::Instruction;
use crate::security::seccomp::arch::Machine;
use crate::spec::{Seccomp, SyscallArg};
use libseccomp::error::{SeccompErrno, SeccompError};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use std::io::Read;
use std::str::FromStr;

/// The filter that libseccomp makes of `profile` on `machine`, or `None` if it can't. It has no answer of its own for
/// calls newer than the profile; runc puts that before the filter.
pub(super) fn compile(profile: &Seccomp, machine: &Machine) -> Option<Vec<Instruction>> {
    let native = ScmpArch::from_str(machine.native.name).unwrap();
    // 2.5 doesn't know LoongArch, and what it writes for the other byte order is mixed up.
    if machine.native.big_endian || ScmpSyscall::from_name_by_arch("read", native).is_err() {
        return None;
    }
    match add_rules(profile, machine, native) {
        Err(e) if e.errno() == Some(SeccompErrno::EEXIST) => None, // rules that contradict one another
        filter => Some(filter.unwrap()),
    }
}

fn add_rules(
    profile: &Seccomp,
    machine: &Machine,
    native: ScmpArch,
) -> Result<Vec<Instruction>, SeccompError> {
    let default = action(&profile.default_action, profile.default_errno_ret);
    let mut filter = ScmpFilterContext::new(default)?;
    if native != ScmpArch::native() {
        filter.remove_arch(ScmpArch::native())?;
        filter.add_arch(native)?;
    }
    for arch in
        machine.compat.iter().filter(|arch| profile.architectures.iter().any(|name| name == arch.name))
    {
        filter.add_arch(ScmpArch::from_str(arch.name)?)?;
    }
    // As runc does for more than 32 rules. Without it, 2.5 forgets to load the number where the first call that it
    // looks for is one that the ABI lacks; with it, each ABI must have a call.
    filter.set_ctl_optimize(2)?;
    for rule in profile.syscalls.iter().filter(|rule| action(&rule.action, rule.errno_ret) != default) {
        let action = action(&rule.action, rule.errno_ret);
        let indices = || rule.args.iter().map(|arg| arg.index);
        let apart = indices().any(|index| indices().filter(|other| *other == index).count() > 1);
        for name in &rule.names {
            let Ok(call) = ScmpSyscall::from_name(name) else { continue };
            let comparators: Vec<_> = rule.args.iter().map(comparator).collect();
            if comparators.is_empty() {
                filter.add_rule(action, call)?;
            } else if apart {
                for comparator in comparators {
                    filter.add_rule_conditional(action, call, &[comparator])?;
                }
            } else {
                filter.add_rule_conditional(action, call, &comparators)?;
            }
        }
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    filter.export_bpf(&writer)?; // at most 32 kB, which a pipe holds
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    Ok(bytes.chunks_exact(8).map(instruction).collect())
}

/// libseccomp's number of a call: `None` if it doesn't know the name, `Some(None)` if the ABI lacks the call.
pub(super) fn number(name: &str, arch: &str) -> Option<Option<u32>> {
    let arch = ScmpArch::from_str(arch).unwrap();
    let call = ScmpSyscall::from_name_by_arch(name, arch).ok()?;
    Some(u32::try_from(call.as_raw_syscall()).ok())
}

fn instruction(bytes: &[u8]) -> Instruction {
    let (code, k) = ([bytes[0], bytes[1]], [bytes[4], bytes[5], bytes[6], bytes[7]]);
    Instruction { code: u16::from_ne_bytes(code), jt: bytes[2], jf: bytes[3], k: u32::from_ne_bytes(k) }
}

fn comparator(arg: &SyscallArg) -> ScmpArgCompare {
    let (op, datum) = match arg.op.as_str() {
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
        op => (ScmpCompareOp::from_str(op).unwrap(), arg.value),
    };
    ScmpArgCompare::new(arg.index, op, datum)
}

fn action(text: &str, errno: Option<u32>) -> ScmpAction {
    let errno = errno.unwrap_or(1);
    match text {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(errno as i32),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(errno as u16),
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        "SCMP_ACT_NOTIFY" => ScmpAction::Notify,
        _ => panic!("{text}"),
    }
}
