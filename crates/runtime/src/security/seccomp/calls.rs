//! What a policy says about the calls of one ABI.
//!
//! Where several rules fit a call, libseccomp's order holds, which is not that of the profile:
//!
//! 1. a rule without conditions decides; of several, the first;
//! 2. otherwise conditions on higher arguments come first, then comparisons for (in)equality before "less" before
//!    "greater", then the larger of two numbers (of "less", the smaller), then the longer list;
//! 3. a rule whose conditions begin with all those of an earlier one never decides.
//!
//! libseccomp refuses some profiles that break the third rule; here the earlier rule counts, with a hint.

use super::arch::Arch;
use super::numbers::{COUNT, Name};
use super::profile::{Condition, Decision, ERRNO, Op, Policy};
use super::ranges::Plan;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What to do with a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Return this to the kernel.
    Return(u32),
    /// Look at the arguments: an index into the program's [`Cases`].
    Cases(u32),
}

/// `SCMP_ACT_ERRNO` with ENOSYS.
pub(super) const ENOSYS: Verdict = Verdict::Return(ERRNO | 38);

/// What the arguments of a call decide: the first case whose conditions all hold, or else the default.
#[derive(Debug)]
pub(super) struct Cases {
    pub(super) arch: &'static Arch,
    pub(super) list: Vec<Case>,
}

/// Conditions, and the action if they all hold.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

/// The calls of an ABI that have something else than the default.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) arch: &'static Arch,
    /// By number, ascending, each once.
    pub(super) numbers: Vec<(u32, Verdict)>,
    /// If set, calls with a higher number get ENOSYS: no rule can have meant them, since who wrote the profile
    /// didn't know them, and programs try another way on ENOSYS only.
    pub(super) limit: Option<u32>,
}

/// A rule for a number.
struct Candidate {
    name: Name,
    /// Whether it is about another call, made through this one.
    through: bool,
    conditions: Vec<Condition>,
    decision: Decision,
}

impl Calls {
    /// What `policy` says about the calls of `arch`; `plan` gets what depends on arguments, and hints.
    pub(super) fn new(policy: &Policy, arch: &'static Arch, plan: &mut Plan) -> Self {
        let mut dependent = dependent(policy, arch);
        let mut decided = Vec::with_capacity(COUNT);
        for name in Name::all() {
            let (Some(decision), Some(number)) = (policy.always[name.row()], arch.number(name)) else {
                continue;
            };
            match dependent.get_mut(&number) {
                Some(candidates) => {
                    candidates.push(Candidate { name, through: false, conditions: Vec::new(), decision })
                }
                None => decided.push((number, decision.order, Verdict::Return(decision.action))),
            }
        }
        let native = arch.name == policy.archs[0].name;
        for (number, candidates) in dependent {
            decided.push((number, 0, verdict(arch, candidates, native, plan)));
        }
        let limit = policy.enosys.then(|| highest(policy, arch)).flatten();
        if limit.is_some() && arch.zero_is_unknown {
            decided.retain(|(number, ..)| *number != 0);
            decided.push((0, 0, ENOSYS));
        }
        // Some numbers have two names; what was said first counts.
        decided.sort_unstable_by_key(|(number, order, _)| (*number, *order));
        decided.dedup_by_key(|(number, ..)| *number);
        let numbers = decided.into_iter().map(|(number, _, verdict)| (number, verdict)).collect();
        Self { arch, numbers, limit }
    }
}

/// By number: the rules that have conditions, or get one because the call is made through another.
fn dependent(policy: &Policy, arch: &Arch) -> BTreeMap<u32, Vec<Candidate>> {
    let mut dependent: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
    let mut add = |number: Option<u32>, candidate: Candidate| {
        if let Some(number) = number {
            dependent.entry(number).or_default().push(candidate);
        }
    };
    for rule in &policy.sometimes {
        let (name, decision, conditions) = (rule.name, rule.decision, policy.conditions(rule));
        if let Some((through, selector)) = multiplexer(arch, name) {
            let conditions = select(selector, conditions);
            add(arch.number(through), Candidate { name, through: true, conditions, decision });
        }
        let conditions = conditions.to_vec();
        add(arch.number(name), Candidate { name, through: false, conditions, decision });
    }
    if arch.multiplexed {
        for (name, through, selector) in MULTIPLEXED {
            if let Some(decision) = policy.always[name.row()] {
                let conditions = select(selector, &[]);
                add(arch.number(through), Candidate { name, through: true, conditions, decision });
            }
        }
    }
    dependent
}

/// The highest number that `policy` names, if that is of any use.
///
/// As runc: a call that can be made through a multiplexer doesn't count, and 0 is none.
fn highest(policy: &Policy, arch: &Arch) -> Option<u32> {
    let named = Name::all().filter(|name| policy.named[name.row()] && multiplexer(arch, *name).is_none());
    named.filter_map(|name| arch.number(name)).max().filter(|number| *number != 0)
}

/// Resolves the rules for one number; see the module's text. `hint` is for rules that never decide.
fn verdict(arch: &'static Arch, mut candidates: Vec<Candidate>, hint: bool, plan: &mut Plan) -> Verdict {
    candidates.sort_by_key(|candidate| candidate.decision.order);
    for candidate in &mut candidates {
        if !arch.wide {
            candidate.conditions.iter_mut().for_each(narrow);
        }
        // `argument & 0 == 0` holds always.
        candidate.conditions.retain(|condition| condition.mask != 0);
    }
    let mut hints = Vec::new();
    let always = candidates.iter().find(|candidate| candidate.conditions.is_empty());
    let verdict = if let Some(always) = always {
        hints.extend(candidates.iter().filter_map(|hidden| hides(always, hidden)));
        Verdict::Return(always.decision.action)
    } else {
        plan.cases.push(Cases { arch, list: cases(&candidates, &mut hints) });
        Verdict::Cases(plan.cases.len() as u32 - 1)
    };
    if hint {
        plan.hints.extend(hints);
    }
    verdict
}

/// The cases in the order in which they are tried, without those that never decide.
fn cases(candidates: &[Candidate], hints: &mut Vec<String>) -> Vec<Case> {
    let mut kept: BTreeMap<&[Condition], &Candidate> = BTreeMap::new();
    for candidate in candidates {
        let conditions = &candidate.conditions[..];
        match (1..=conditions.len()).find_map(|length| kept.get(&conditions[..length])) {
            Some(earlier) => hints.extend(hides(earlier, candidate)),
            None => _ = kept.insert(conditions, candidate),
        }
    }
    let mut kept: Vec<&Candidate> = kept.into_values().collect();
    kept.sort_by_cached_key(|candidate| (precedence(candidate), candidate.decision.order));
    kept.iter().map(|c| Case { conditions: c.conditions.clone(), action: c.decision.action }).collect()
}

/// What to hint at if `hidden` can't decide because of `rule`. Not if it would decide the same, nor if it hides
/// because a call is made through another, which its author may not have thought of.
fn hides(rule: &Candidate, hidden: &Candidate) -> Option<String> {
    let (decision, earlier) = (hidden.decision, rule.decision);
    if decision.action == earlier.action || hidden.through {
        return None;
    }
    Some(super::profile::hidden(decision.source, hidden.name, earlier.source))
}

/// Sorts a rule among others: what is tried first is smaller.
fn precedence(candidate: &Candidate) -> Vec<Reverse<Option<(u8, u8, u64)>>> {
    let ranks = candidate.conditions.iter().map(|condition| match condition.op {
        Op::Eq | Op::Ne | Op::MaskedEq => (condition.arg, 3, condition.value),
        Op::Lt | Op::Le => (condition.arg, 2, !condition.value),
        Op::Gt | Op::Ge => (condition.arg, 1, condition.value),
    });
    // The end is larger than anything, so a longer list comes before what it begins with.
    ranks.map(Some).chain([None]).map(Reverse).collect()
}

/// Cuts a condition to the lower half of the argument, as libseccomp does on 32-bit ABIs.
fn narrow(condition: &mut Condition) {
    condition.mask &= u64::from(u32::MAX);
    condition.value &= u64::from(u32::MAX);
}

/// `conditions` as they stand when the call is made through a multiplexer: its first argument selects the call.
///
/// The call's own arguments are in memory then, out of a filter's reach. As with libseccomp, a condition on the
/// first is gone, and the others look at what happens to stand in the multiplexer's registers.
fn select(selector: u8, conditions: &[Condition]) -> Vec<Condition> {
    let selects = Condition { arg: 0, op: Op::Eq, mask: u64::MAX, value: selector.into() };
    let others = conditions.iter().filter(|condition| condition.arg != 0);
    std::iter::once(selects).chain(others.copied()).collect()
}

/// The call through which `name` can be made, and the argument that selects it.
fn multiplexer(arch: &Arch, name: Name) -> Option<(Name, u8)> {
    let index = MULTIPLEXED_INDEX[name.row()];
    if !arch.multiplexed || index == 0 {
        return None;
    }
    let (_, through, selector) = MULTIPLEXED[index as usize - 1];
    Some((through, selector))
}

/// Calls that older ABIs make through another: name, that other, its first argument (socketcall(2), ipc(2)).
const MULTIPLEXED: [(Name, Name, u8); 32] = {
    const SOCKETCALL: Name = name("socketcall");
    const IPC: Name = name("ipc");
    [
        (name("socket"), SOCKETCALL, 1),
        (name("bind"), SOCKETCALL, 2),
        (name("connect"), SOCKETCALL, 3),
        (name("listen"), SOCKETCALL, 4),
        (name("accept"), SOCKETCALL, 5),
        (name("getsockname"), SOCKETCALL, 6),
        (name("getpeername"), SOCKETCALL, 7),
        (name("socketpair"), SOCKETCALL, 8),
        (name("send"), SOCKETCALL, 9),
        (name("recv"), SOCKETCALL, 10),
        (name("sendto"), SOCKETCALL, 11),
        (name("recvfrom"), SOCKETCALL, 12),
        (name("shutdown"), SOCKETCALL, 13),
        (name("setsockopt"), SOCKETCALL, 14),
        (name("getsockopt"), SOCKETCALL, 15),
        (name("sendmsg"), SOCKETCALL, 16),
        (name("recvmsg"), SOCKETCALL, 17),
        (name("accept4"), SOCKETCALL, 18),
        (name("recvmmsg"), SOCKETCALL, 19),
        (name("sendmmsg"), SOCKETCALL, 20),
        (name("semop"), IPC, 1),
        (name("semget"), IPC, 2),
        (name("semctl"), IPC, 3),
        (name("semtimedop"), IPC, 4),
        (name("msgsnd"), IPC, 11),
        (name("msgrcv"), IPC, 12),
        (name("msgget"), IPC, 13),
        (name("msgctl"), IPC, 14),
        (name("shmat"), IPC, 21),
        (name("shmdt"), IPC, 22),
        (name("shmget"), IPC, 23),
        (name("shmctl"), IPC, 24),
    ]
};

/// By name: 0, or one more than its index in [`MULTIPLEXED`].
static MULTIPLEXED_INDEX: [u8; COUNT] = {
    let mut index = [0; COUNT];
    let mut i = 0;
    while i < MULTIPLEXED.len() {
        index[MULTIPLEXED[i].0.row()] = i as u8 + 1;
        i += 1;
    }
    index
};

const fn name(text: &str) -> Name {
    match Name::find(text) {
        Some(name) => name,
        None => panic!("not in numbers.tbl"),
    }
}
