//! A profile's strings become numbers; what is wrong with it is said here, by field.
//!
//! What comes out holds for all ABIs. Rules that would do what happens anyway are gone, and a rule for several
//! names is several rules, in the profile's order.

use super::arch::{self, Arch, Machine};
use super::numbers::{COUNT, Name};
use crate::error::{Error, Kind, Result};
use crate::spec::{Seccomp, SyscallArg, SyscallRule};
use forgeone_sys::seccomp::flag;
use std::fmt;

/// Actions that a profile may name, as the kernel's return values (`SECCOMP_RET_…`).
pub(super) const ACTIONS: [(&str, u32); 9] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000),
    ("SCMP_ACT_ERRNO", ERRNO),
    ("SCMP_ACT_KILL", KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
    ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
    ("SCMP_ACT_LOG", 0x7ffc_0000),
    ("SCMP_ACT_NOTIFY", NOTIFY),
    ("SCMP_ACT_TRACE", TRACE),
    ("SCMP_ACT_TRAP", 0x0003_0000),
];

/// Comparison operators that a profile may name.
pub(super) const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Flags that a profile may name, as seccomp(2)'s. `TSYNC` is known and means nothing: who loads a container's
/// filter has one thread.
pub(super) const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", flag::LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", flag::SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", flag::WAIT_KILLABLE_RECV),
];

pub(super) const KILL_THREAD: u32 = 0;
pub(super) const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;

const EPERM: u32 = 1;
/// The largest errno that the kernel returns (it would cut larger ones down to this).
const MAX_ERRNO: u32 = 4095;

/// Rules with conditions, by call and alternative: more than any program holds, fewer than exhaust memory.
const MOST_CONDITIONAL: usize = 1 << 16;

/// A comparison with an argument of the system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    MaskedEq,
}

/// `argument & mask`, compared with `value`; a mask that isn't all ones only with [`Op::MaskedEq`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) arg: u8,
    pub(super) op: Op,
    pub(super) mask: u64,
    pub(super) value: u64,
}

/// What to do with a call, and where that was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub(super) action: u32,
    /// Earlier rules have smaller numbers.
    pub(super) order: u32,
    /// The rule's index in `syscalls`.
    pub(super) source: u32,
}

/// A decision that depends on arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditional {
    pub(super) name: Name,
    pub(super) decision: Decision,
    conditions: (u32, u32),
}

/// A profile, understood.
#[derive(Debug)]
pub(super) struct Policy {
    /// For calls that no rule decides.
    pub(super) default: u32,
    /// Whether calls above the highest that the profile names get ENOSYS instead.
    pub(super) enosys: bool,
    /// By name: the first rule without conditions.
    pub(super) always: Vec<Option<Decision>>,
    /// Rules with conditions, in order.
    pub(super) sometimes: Vec<Conditional>,
    conditions: Vec<Condition>,
    /// By name: whether any rule has it, also one that changes nothing.
    pub(super) named: Vec<bool>,
    /// ABIs to filter, the native one first. Calls through others kill the thread.
    pub(super) archs: Vec<&'static Arch>,
    pub(super) flags: u64,
    pub(super) optional_flags: u64,
    pub(super) notify: bool,
    pub(super) warnings: Vec<String>,
    pub(super) hints: Vec<String>,
    rules: u32,
}

impl Policy {
    /// Understands `profile` for `machine`; an error names the field.
    pub(super) fn read(profile: &Seccomp, machine: &Machine) -> Result<Self> {
        let mut policy = Self {
            default: 0,
            enosys: false,
            always: vec![None; COUNT],
            sometimes: Vec::new(),
            conditions: Vec::new(),
            named: vec![false; COUNT],
            archs: vec![machine.native],
            flags: 0,
            optional_flags: 0,
            notify: false,
            warnings: Vec::new(),
            hints: Vec::new(),
            rules: 0,
        };
        policy.read_default(profile)?;
        policy.read_archs(profile, machine);
        for (index, rule) in profile.syscalls.iter().enumerate() {
            policy.read_rule(index as u32, rule)?;
        }
        policy.read_flags(profile)?;
        policy.read_listener(profile)?;
        Ok(policy)
    }

    /// The conditions of a rule, which must all hold.
    pub(super) fn conditions(&self, rule: &Conditional) -> &[Condition] {
        &self.conditions[rule.conditions.0 as usize..rule.conditions.1 as usize]
    }

    /// Whether calls of this name may be notified, whatever their arguments.
    pub(super) fn may_notify(&self, name: &str) -> bool {
        let Some(name) = Name::find(name) else { return false };
        let always = self.always[name.row()].map_or(self.default, |decision| decision.action);
        let notifies = |rule: &Conditional| rule.name == name && rule.decision.action == NOTIFY;
        always == NOTIFY || self.sometimes.iter().any(notifies)
    }

    fn read_default(&mut self, profile: &Seccomp) -> Result<()> {
        let (text, errno) = (&profile.default_action, profile.default_errno_ret);
        self.default = Self::action(text, errno, Place::Default)?;
        self.notify = self.default == NOTIFY;
        // A tracer or an agent answers for calls that this kernel doesn't know, too.
        let answers = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE"];
        self.enosys = !answers.contains(&text.as_str());
        Ok(())
    }

    fn read_archs(&mut self, profile: &Seccomp, machine: &Machine) {
        for (index, name) in profile.architectures.iter().enumerate() {
            if let Some(arch) = machine.arch(name) {
                if !self.archs.iter().any(|known| known.name == arch.name) {
                    self.archs.push(arch);
                }
            } else if machine.missing.contains(&name.as_str()) {
                self.warn(
                    format_args!("architectures[{index}]"),
                    format_args!("{name}: its calls are killed: there is no table of their numbers"),
                );
            } else if !arch::KNOWN.contains(&name.as_str()) {
                self.warn(
                    format_args!("architectures[{index}]"),
                    format_args!("unknown architecture {name:?}"),
                );
            }
        }
    }

    fn read_rule(&mut self, source: u32, rule: &SyscallRule) -> Result<()> {
        let field = |name: &str| format!("syscalls[{source}].{name}");
        let action = Self::action(&rule.action, rule.errno_ret, Place::Rule(source))?;
        if rule.names.is_empty() {
            self.warn(field("names"), "empty: the rule is for nothing");
            return Ok(());
        }
        let alternatives = self.read_conditions(source, &rule.args)?;
        self.notify |= action == NOTIFY;
        for (index, text) in rule.names.iter().enumerate() {
            if text.is_empty() {
                return Err(wrong(field(&format!("names[{index}]")), "empty"));
            }
            match Name::find(text) {
                Some(name) => self.add(name, action, source, alternatives)?,
                None => {
                    self.warn(field(&format!("names[{index}]")), format_args!("unknown system call {text:?}"))
                }
            }
        }
        Ok(())
    }

    /// Reads the conditions of a rule. They are one list, all of which must hold; but where two are about the
    /// same argument, each is a rule of its own, as in runc (which keeps old profiles' meaning by that).
    fn read_conditions(&mut self, source: u32, args: &[SyscallArg]) -> Result<Alternatives> {
        let (from, mut seen, mut twice) = (self.conditions.len(), 0u8, false);
        for (index, arg) in args.iter().enumerate() {
            let condition = condition(arg).map_err(|(field, cause)| {
                wrong(format_args!("syscalls[{source}].args[{index}].{field}"), cause)
            })?;
            twice |= seen & 1 << condition.arg != 0;
            seen |= 1 << condition.arg;
            self.conditions.push(condition);
        }
        if !twice {
            self.conditions[from..].sort_unstable_by_key(|condition| condition.arg);
        }
        Ok(Alternatives { from: from as u32, to: self.conditions.len() as u32, apart: twice })
    }

    /// Adds a rule for one call, unless it would change nothing.
    fn add(&mut self, name: Name, action: u32, source: u32, alternatives: Alternatives) -> Result<()> {
        self.named[name.row()] = true;
        if action == self.default {
            return Ok(());
        }
        let decision = Decision { action, order: self.rules, source };
        self.rules += 1;
        let Alternatives { from, to, apart } = alternatives;
        if from == to {
            let first = *self.always[name.row()].get_or_insert(decision);
            if first.action != action {
                self.hints.push(hidden(source, name, first.source));
            }
        } else if apart {
            let each = (from..to).map(|at| Conditional { name, decision, conditions: (at, at + 1) });
            self.sometimes.extend(each);
        } else {
            self.sometimes.push(Conditional { name, decision, conditions: (from, to) });
        }
        if self.sometimes.len() > MOST_CONDITIONAL {
            let cause = format_args!("more than {MOST_CONDITIONAL} rules with conditions");
            return Err(wrong(format_args!("syscalls[{source}]"), cause));
        }
        Ok(())
    }

    fn read_flags(&mut self, profile: &Seccomp) -> Result<()> {
        let Some(flags) = &profile.flags else {
            // As runc, which lets speculative store bypass be where a profile doesn't say.
            self.optional_flags = flag::SPEC_ALLOW;
            return Ok(());
        };
        for (index, text) in flags.iter().enumerate() {
            match FLAGS.iter().find(|(name, _)| name == text) {
                Some((_, flag)) => self.flags |= flag,
                None => self.warn(format_args!("flags[{index}]"), format_args!("unknown flag {text:?}")),
            }
        }
        if self.flags & flag::WAIT_KILLABLE_RECV != 0 && !self.notify {
            let cause = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is only for profiles with SCMP_ACT_NOTIFY";
            return Err(wrong("flags", cause));
        }
        Ok(())
    }

    fn read_listener(&mut self, profile: &Seccomp) -> Result<()> {
        if self.notify {
            self.flags |= flag::NEW_LISTENER;
        }
        if profile.listener_path.is_empty() {
            if self.notify {
                return Err(wrong("listenerPath", "missing, and there is SCMP_ACT_NOTIFY"));
            }
            if !profile.listener_metadata.is_empty() {
                return Err(wrong("listenerMetadata", "there is no listenerPath that it could be sent to"));
            }
        }
        Ok(())
    }

    /// The kernel's return value for an action with its errno.
    fn action(text: &str, errno: Option<u32>, place: Place) -> Result<u32> {
        let Some((_, action)) = ACTIONS.iter().find(|(name, _)| *name == text) else {
            return Err(wrong(place.action(), format_args!("unknown action {text:?}")));
        };
        let most = match *action {
            ERRNO => MAX_ERRNO,
            TRACE => u32::from(u16::MAX),
            _ if errno.is_some() => return Err(wrong(place.errno(), format_args!("{text} has none"))),
            _ => return Ok(*action),
        };
        match errno.unwrap_or(EPERM) {
            data if data > most => Err(wrong(place.errno(), format_args!("{data}: not 0 to {most}"))),
            data => Ok(action | data),
        }
    }

    fn warn(&mut self, field: impl fmt::Display, cause: impl fmt::Display) {
        self.warnings.push(format!("linux.seccomp.{field}: {cause}"));
    }
}

/// The conditions of a rule: together, or (`apart`) each by itself.
#[derive(Clone, Copy)]
struct Alternatives {
    from: u32,
    to: u32,
    apart: bool,
}

/// Where an action stands in the profile.
#[derive(Clone, Copy)]
enum Place {
    Default,
    Rule(u32),
}

impl Place {
    fn action(self) -> String {
        match self {
            Self::Default => "defaultAction".into(),
            Self::Rule(index) => format!("syscalls[{index}].action"),
        }
    }

    fn errno(self) -> String {
        match self {
            Self::Default => "defaultErrnoRet".into(),
            Self::Rule(index) => format!("syscalls[{index}].errnoRet"),
        }
    }
}

/// The hint that rule `source` never decides about `name`, since rule `by` does.
pub(super) fn hidden(source: u32, name: Name, by: u32) -> String {
    format!("linux.seccomp.syscalls[{source}]: {}: never applies: syscalls[{by}] decides", name.text())
}

fn wrong(field: impl fmt::Display, cause: impl fmt::Display) -> Error {
    Error::new(Kind::Config, format!("linux.seccomp.{field}: {cause}"))
}

/// A condition, or the field that is wrong and why.
fn condition(arg: &SyscallArg) -> std::result::Result<Condition, (&'static str, String)> {
    if arg.index > 5 {
        return Err(("index", format!("{}: a system call has arguments 0 to 5", arg.index)));
    }
    let op = match arg.op.as_str() {
        "SCMP_CMP_NE" => Op::Ne,
        "SCMP_CMP_LT" => Op::Lt,
        "SCMP_CMP_LE" => Op::Le,
        "SCMP_CMP_EQ" => Op::Eq,
        "SCMP_CMP_GE" => Op::Ge,
        "SCMP_CMP_GT" => Op::Gt,
        "SCMP_CMP_MASKED_EQ" => Op::MaskedEq,
        text => return Err(("op", format!("unknown operator {text:?}"))),
    };
    let (mask, value) = match op {
        Op::MaskedEq => (arg.value, arg.value_two & arg.value),
        _ => (u64::MAX, arg.value),
    };
    Ok(Condition { arg: arg.index as u8, op, mask, value })
}
