//! What a profile means, straight from its text: no tables of numbers by call, no ranges, no code.
//!
//! It shares the table of numbers with the compiler, and nothing else.

use super::interpret::Data;
use crate::security::seccomp::arch::{Arch, Machine};
use crate::security::seccomp::numbers::Name;
use crate::spec::{Seccomp, SyscallArg, SyscallRule};
use std::cmp::Reverse;

const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0026;
const X86_64: u32 = 0xc000_003e;
const BIT: u32 = 1 << 30;

/// A profile on a machine.
pub(super) struct Reference {
    default: u32,
    /// The ABIs that are filtered, each with the highest number that is named.
    archs: Vec<(&'static Arch, Option<u32>)>,
    rules: Vec<Rule>,
}

/// A rule for one number of one ABI.
struct Rule {
    arch: &'static str,
    number: u32,
    action: u32,
    args: Vec<SyscallArg>,
}

/// What is right for a call.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) action: u32,
    /// Whether it is ENOSYS because the profile names no call with such a high number.
    pub(super) too_new: bool,
    /// Whether rules with different actions fit.
    pub(super) contested: bool,
}

impl Reference {
    pub(super) fn new(profile: &Seccomp, machine: &Machine) -> Self {
        let default = action(&profile.default_action, profile.default_errno_ret);
        let listed = |arch: &&Arch| profile.architectures.iter().any(|name| name == arch.name);
        let mut archs = vec![machine.native];
        archs.extend(machine.compat.iter().copied().filter(listed));
        let mut rules = Vec::new();
        let mut limits = Vec::new();
        for arch in archs {
            let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
            let single = names.filter(|name| !(arch.multiplexed && through(name).is_some()));
            let highest = single.filter_map(|name| number(arch, name)).max().filter(|number| *number != 0);
            limits.push((arch, highest));
            for rule in &profile.syscalls {
                let action = action(&rule.action, rule.errno_ret);
                if action != default {
                    rules.extend(for_arch(arch, rule).map(|(number, args)| Rule {
                        arch: arch.name,
                        number,
                        action,
                        args,
                    }));
                }
            }
        }
        if profile.default_action == "SCMP_ACT_ALLOW"
            || profile.default_action == "SCMP_ACT_LOG"
            || profile.default_action == "SCMP_ACT_TRACE"
        {
            limits.iter_mut().for_each(|(_, limit)| *limit = None);
        }
        Self { default, archs: limits, rules }
    }

    /// What is to happen to a call.
    pub(super) fn verdict(&self, data: &Data) -> Verdict {
        let decided = |action, contested| Verdict { action, too_new: false, contested };
        let x32 = |arch: &Arch| arch.name == "SCMP_ARCH_X32";
        let sharing = || self.archs.iter().filter(|(arch, _)| arch.audit == data.arch);
        let by_bit = |(arch, _): &&(&Arch, _)| data.arch != X86_64 || x32(arch) == (data.number & BIT != 0);
        if sharing().next().is_none() {
            return decided(KILL_THREAD, false);
        }
        let limited = sharing().find(by_bit).and_then(|(arch, limit)| limit.map(|limit| (arch, limit)));
        if let Some((arch, limit)) = limited
            && (data.number > limit || (arch.name == "SCMP_ARCH_S390X" && data.number == 0))
        {
            return Verdict { action: ENOSYS, too_new: true, contested: false };
        }
        if data.arch == X86_64 && data.number != u32::MAX {
            let (long, short) = (sharing().any(|(a, _)| !x32(a)), sharing().any(|(a, _)| x32(a)));
            if (!long && data.number < BIT) || (!short && data.number >= BIT) {
                return decided(KILL_THREAD, false);
            }
        }
        let Some((arch, _)) = sharing().find(by_bit) else { return decided(self.default, false) };
        let for_call = |rule: &&Rule| rule.arch == arch.name && rule.number == data.number;
        let rules: Vec<&Rule> = self.rules.iter().filter(for_call).collect();
        decide(arch, &rules, &data.args)
            .map_or(decided(self.default, false), |(a, contested)| decided(a, contested))
    }

    /// All values that the rules compare arguments of this call with.
    pub(super) fn values(&self, number: u32) -> Vec<u64> {
        let rules = self.rules.iter().filter(|rule| rule.number == number);
        let mut values: Vec<u64> = rules.flat_map(|r| &r.args).flat_map(|a| [a.value, a.value_two]).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// Whether each call has one rule only, or rules with one condition each, and that for equality.
    ///
    /// With more, libseccomp 2.5 compares words that it hasn't loaded, applies a rule to what only another's conditions
    /// let through, or never returns.
    pub(super) fn is_simple(&self) -> bool {
        let equality =
            |arg: &SyscallArg| ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"].contains(&&*arg.op);
        let one_equality = |rule: &Rule| rule.args.len() < 2 && rule.args.iter().all(equality);
        let others = |rule: &Rule| {
            self.rules.iter().filter(|r| (r.arch, r.number) == (rule.arch, rule.number)).count()
        };
        self.rules.iter().all(|rule| one_equality(rule) || others(rule) == 1)
    }

    /// All numbers that rules are for.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.rules.iter().map(|rule| rule.number)
    }

    /// The ABIs that are filtered.
    pub(super) fn archs(&self) -> impl Iterator<Item = &'static Arch> {
        self.archs.iter().map(|(arch, _)| *arch)
    }
}

/// The action of the rules for one call, of which earlier ones come first, and whether others disagree.
fn decide(arch: &Arch, rules: &[&Rule], args: &[u64; 6]) -> Option<(u32, bool)> {
    let conditions: Vec<_> = rules.iter().map(|rule| conditions(arch, rule)).collect();
    if let Some(always) = conditions.iter().position(Vec::is_empty) {
        return Some((rules[always].action, false));
    }
    let fits = |index: &usize| conditions[*index].iter().all(|condition| holds(condition, args));
    let fitting: Vec<usize> = (0..rules.len()).filter(fits).collect();
    let shadowed = |index: &usize| {
        let same = |earlier: &usize| conditions[*index].starts_with(&conditions[*earlier]);
        (0..*index).any(|earlier| same(&earlier))
    };
    let best = fitting.iter().copied().filter(|index| !shadowed(index)).min_by_key(|index| {
        let rank = |&(arg, op, _, value): &(u32, &str, u64, u64)| match op {
            "SCMP_CMP_LT" | "SCMP_CMP_LE" => Reverse(Some((arg, 2, !value))),
            "SCMP_CMP_GT" | "SCMP_CMP_GE" => Reverse(Some((arg, 1, value))),
            _ => Reverse(Some((arg, 3, value))),
        };
        (conditions[*index].iter().map(rank).chain([Reverse(None)]).collect::<Vec<_>>(), *index)
    })?;
    let action = rules[best].action;
    Some((action, fitting.iter().any(|index| rules[*index].action != action)))
}

/// Argument, operator, mask and value of each condition that says something.
fn conditions<'a>(arch: &Arch, rule: &'a Rule) -> Vec<(u32, &'a str, u64, u64)> {
    let width = if arch.wide { u64::MAX } else { u64::from(u32::MAX) };
    let all = rule.args.iter().map(|arg| match arg.op.as_str() {
        "SCMP_CMP_MASKED_EQ" => {
            (arg.index, arg.op.as_str(), arg.value & width, arg.value & arg.value_two & width)
        }
        op => (arg.index, op, width, arg.value & width),
    });
    let mut conditions: Vec<_> = all.filter(|(_, _, mask, _)| *mask != 0).collect();
    conditions.sort_by_key(|(arg, ..)| *arg);
    conditions
}

fn holds(&(arg, op, mask, value): &(u32, &str, u64, u64), args: &[u64; 6]) -> bool {
    let arg = args[arg as usize] & mask;
    match op {
        "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ" => arg == value,
        "SCMP_CMP_NE" => arg != value,
        "SCMP_CMP_LT" => arg < value,
        "SCMP_CMP_LE" => arg <= value,
        "SCMP_CMP_GT" => arg > value,
        "SCMP_CMP_GE" => arg >= value,
        _ => panic!("{op}"),
    }
}

/// The numbers of an ABI that a rule is for, each with its conditions.
fn for_arch(arch: &Arch, rule: &SyscallRule) -> impl Iterator<Item = (u32, Vec<SyscallArg>)> {
    let indices = || rule.args.iter().map(|arg| arg.index);
    let apart = indices().any(|index| indices().filter(|other| *other == index).count() > 1);
    let lists: Vec<Vec<SyscallArg>> = match apart {
        true => rule.args.iter().map(|arg| vec![arg.clone()]).collect(),
        false => vec![rule.args.clone()],
    };
    let mut all = Vec::new();
    for name in &rule.names {
        for list in &lists {
            if let Some(number) = number(arch, name) {
                all.push((number, list.clone()));
            }
            if let Some((through, selector)) = through(name).filter(|_| arch.multiplexed) {
                let selects =
                    SyscallArg { value: selector, op: "SCMP_CMP_EQ".into(), ..SyscallArg::default() };
                let mut args = vec![selects];
                args.extend(list.iter().filter(|arg| arg.index != 0).cloned());
                all.push((number(arch, through).unwrap(), args));
            }
        }
    }
    all.into_iter()
}

fn number(arch: &Arch, name: &str) -> Option<u32> {
    Name::find(name).and_then(|name| arch.number(name))
}

/// socketcall(2) and ipc(2).
pub(super) fn through(name: &str) -> Option<(&'static str, u64)> {
    let socketcall = "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom \
                      shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";
    if let Some(at) = socketcall.split_whitespace().position(|call| call == name) {
        return Some(("socketcall", at as u64 + 1));
    }
    let families = [
        (1, ["semop", "semget", "semctl", "semtimedop"]),
        (11, ["msgsnd", "msgrcv", "msgget", "msgctl"]),
        (21, ["shmat", "shmdt", "shmget", "shmctl"]),
    ];
    families.iter().find_map(|(first, calls)| {
        calls.iter().position(|call| *call == name).map(|at| ("ipc", first + at as u64))
    })
}

fn action(text: &str, errno: Option<u32>) -> u32 {
    let errno = errno.unwrap_or(1);
    match text {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        _ => panic!("{text}"),
    }
}
