//! What the kernel's schedulers are told of the program: words become numbers, and what they would refuse is refused.

use crate::error::{Error, Kind, Result};
use crate::numbers::numbers;
use crate::spec::{CpuAffinity, IoPriority, Scheduler};
use forgeone_sys::process::{CPUS_MAX, CpuSet, SchedAttr};
use std::fmt;

/// Policies of sched(7), with their number in `<linux/sched.h>`.
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    (FIFO, 1),
    (RR, 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    (DEADLINE, 6),
];

const FIFO: &str = "SCHED_FIFO";
const RR: &str = "SCHED_RR";
const DEADLINE: &str = "SCHED_DEADLINE";

/// Flags of sched_setattr(2), with their value in `<linux/sched.h>`.
const FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Classes of ioprio_set(2), with their number.
const IO_CLASSES: [(&str, u8); 3] =
    [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// An I/O priority as ioprio_set(2) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriorityPlan {
    /// 1 real time, 2 best effort, 3 idle.
    pub class: u8,
    /// 0 (high) to 7.
    pub priority: u8,
}

/// CPUs of a process that joins a container; those that aren't said are the kernel's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffinityPlan {
    /// Until it is in the container's cgroup.
    pub initial: Option<CpuSet>,
    /// From then on.
    pub r#final: Option<CpuSet>,
}

fn refuse(field: &str, cause: impl fmt::Display) -> Error {
    Error::new(Kind::Config, format!("process.{field}: {cause}"))
}

fn find<T: Copy>(known: &[(&str, T)], field: &str, word: &str) -> Result<T> {
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    found.ok_or_else(|| refuse(field, format_args!("\"{word}\" is not known")))
}

/// `process.scheduler`.
///
/// # Errors
/// [`Kind::Config`] for words that sched(7) doesn't have, for numbers that it doesn't take, and for those that are
/// another policy's.
pub(super) fn scheduler(scheduler: &Scheduler) -> Result<SchedAttr> {
    let policy = scheduler.policy.as_str();
    let number = find(&POLICIES, "scheduler.policy", policy)?;
    if !(-20..=19).contains(&scheduler.nice) {
        return Err(refuse("scheduler.nice", format_args!("{} is not between -20 and 19", scheduler.nice)));
    }
    let priorities = if matches!(policy, FIFO | RR) { 1..=99 } else { 0..=0 };
    let priority = u32::try_from(scheduler.priority).ok().filter(|priority| priorities.contains(priority));
    let Some(priority) = priority else {
        let (first, last) = (priorities.start(), priorities.end());
        let cause = format_args!("{} is not between {first} and {last}, for {policy}", scheduler.priority);
        return Err(refuse("scheduler.priority", cause));
    };
    let times =
        [("runtime", scheduler.runtime), ("deadline", scheduler.deadline), ("period", scheduler.period)];
    if let Some((name, _)) = times.iter().find(|(_, time)| *time != 0 && policy != DEADLINE) {
        return Err(refuse(
            &format!("scheduler.{name}"),
            format_args!("is for {DEADLINE} only, not {policy}"),
        ));
    }
    let flags = scheduler.flags.iter().map(|word| find(&FLAGS, "scheduler.flags", word));
    Ok(SchedAttr {
        policy: number,
        nice: scheduler.nice,
        priority,
        flags: flags.sum::<Result<u64>>()?,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

/// `process.ioPriority`.
///
/// # Errors
/// [`Kind::Config`] for another class, and for a priority outside of 0 to 7.
pub(super) fn io_priority(wanted: &IoPriority) -> Result<IoPriorityPlan> {
    let class = find(&IO_CLASSES, "ioPriority.class", &wanted.class)?;
    let priority = u8::try_from(wanted.priority).ok().filter(|priority| *priority < 8);
    let wrong = || refuse("ioPriority.priority", format_args!("{} is not between 0 and 7", wanted.priority));
    Ok(IoPriorityPlan { class, priority: priority.ok_or_else(wrong)? })
}

/// `process.execCPUAffinity`.
///
/// # Errors
/// [`Kind::Config`] for what is no list of CPUs.
pub(super) fn affinity(wanted: &CpuAffinity) -> Result<AffinityPlan> {
    Ok(AffinityPlan {
        initial: cpus("execCPUAffinity.initial", &wanted.initial)?,
        r#final: cpus("execCPUAffinity.final", &wanted.r#final)?,
    })
}

/// A list such as `0-3,7`; `None` for an empty one.
fn cpus(field: &str, list: &str) -> Result<Option<CpuSet>> {
    if list.is_empty() {
        return Ok(None);
    }
    let cpus = numbers(list, CPUS_MAX).map_err(|part| {
        let cause = "is neither a CPU's number nor a range of them";
        refuse(field, format_args!("\"{list}\": \"{part}\" {cause} (0 to {})", CPUS_MAX - 1))
    })?;
    let mut set = CpuSet::default();
    for cpu in cpus {
        set.insert(cpu);
    }
    Ok(Some(set))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        crate::json::from_slice(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn cpu_lists_become_sets() {
        for (list, expected) in [
            ("0", vec![0]),
            ("0-3,7", vec![0, 1, 2, 3, 7]),
            ("7,0-1", vec![0, 1, 7]),
            ("5-5", vec![5]),
            ("0-2,1-3", vec![0, 1, 2, 3]),
            ("1, 3", vec![1, 3]),
            ("65535", vec![65535]),
        ] {
            let set = cpus("execCPUAffinity.initial", list).unwrap().unwrap();
            assert_eq!(set.iter().collect::<Vec<_>>(), expected, "{list}");
        }
        assert_eq!(cpus("execCPUAffinity.initial", "").unwrap(), None);
    }

    #[test]
    fn what_is_no_cpu_list_is_refused_by_field() {
        for list in
            ["a", ",", "1,", "-", "-1", "3-1", "1-2-3", "65536", "0-99999999999999999999", "0x1", "+1"]
        {
            let wanted = CpuAffinity { r#final: list.into(), ..CpuAffinity::default() };
            let error = affinity(&wanted).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().starts_with("process.execCPUAffinity.final: "), "{error}");
        }
    }

    #[test]
    fn schedulers_become_numbers() {
        let plan = |value: Value| scheduler(&read(value)).unwrap();
        let flags = ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_KEEP_POLICY"];
        let fifo = plan(json!({ "policy": "SCHED_FIFO", "priority": 99, "flags": flags }));
        assert_eq!((fifo.policy, fifo.priority, fifo.flags), (1, 99, 9));
        let deadline = json!({ "policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3 });
        let deadline = plan(deadline);
        assert_eq!((deadline.policy, deadline.runtime, deadline.deadline, deadline.period), (6, 1, 2, 3));
        assert_eq!(plan(json!({ "policy": "SCHED_BATCH", "nice": -20 })).nice, -20);
    }

    #[test]
    fn what_no_scheduler_takes_is_refused_by_field() {
        for (value, expected) in [
            (json!({ "policy": "SCHED_NEVER" }), "policy: \"SCHED_NEVER\" is not known"),
            (json!({ "policy": "" }), "policy: \"\" is not known"),
            (json!({ "policy": "SCHED_OTHER", "nice": 20 }), "nice: 20 is not between -20 and 19"),
            (
                json!({ "policy": "SCHED_OTHER", "priority": 1 }),
                "priority: 1 is not between 0 and 0, for SCHED_OTHER",
            ),
            (json!({ "policy": "SCHED_RR" }), "priority: 0 is not between 1 and 99, for SCHED_RR"),
            (
                json!({ "policy": "SCHED_FIFO", "priority": -1 }),
                "priority: -1 is not between 1 and 99, for SCHED_FIFO",
            ),
            (
                json!({ "policy": "SCHED_IDLE", "period": 1 }),
                "period: is for SCHED_DEADLINE only, not SCHED_IDLE",
            ),
            (
                json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NEVER"] }),
                "flags: \"SCHED_FLAG_NEVER\" is not known",
            ),
        ] {
            let error = scheduler(&read(value)).unwrap_err();
            assert_eq!(error.to_string(), format!("process.scheduler.{expected}"));
        }
    }

    #[test]
    fn io_priorities_become_numbers_or_are_refused_by_field() {
        let plan = |class: &str, priority: i32| {
            io_priority(&IoPriority { class: class.into(), priority, ..Default::default() })
        };
        assert_eq!(plan("IOPRIO_CLASS_RT", 7).unwrap(), IoPriorityPlan { class: 1, priority: 7 });
        assert_eq!(plan("IOPRIO_CLASS_IDLE", 0).unwrap(), IoPriorityPlan { class: 3, priority: 0 });
        for (class, priority, expected) in [
            ("IOPRIO_CLASS_NONE", 0, "class: \"IOPRIO_CLASS_NONE\" is not known"),
            ("IOPRIO_CLASS_BE", 8, "priority: 8 is not between 0 and 7"),
            ("IOPRIO_CLASS_BE", -1, "priority: -1 is not between 0 and 7"),
        ] {
            let error = plan(class, priority).unwrap_err();
            assert_eq!(error.to_string(), format!("process.ioPriority.{expected}"));
        }
    }
}
