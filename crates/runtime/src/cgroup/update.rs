//! Changing the limits of a container that exists: what is asked for, together with what holds, made into a plan.
//! Pure, on plain data.
//!
//! Only the files of what is asked for are written, and of what bounds it: a quota and its period are one file on
//! cgroup2, the limit of memory and swap together includes that of memory. What others wrote into the group meanwhile
//! stays. Device rules are never changed: the hooks of GPU vendors add theirs behind the runtime's back.

use super::layout::Layout;
use super::paths::Paths;
use super::plan::{Plan, plan_change};
use super::v1::set;
use crate::error::Result;
use crate::spec::{BlockIo, Cpu, Memory, NetworkClass, Resources, ThrottleDevice};

/// A change of limits, decided: nothing has been touched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// What is to be written.
    pub plan: Plan,
    /// The limits that hold afterwards, for the container's state and the next change.
    pub after: Resources,
}

/// A plan to change the limits of the container whose groups are at `paths` and whose limits are `current`, and
/// warnings.
///
/// # Errors
/// What is wrong in `change`, by field, or can't be had on this machine or in this container.
pub fn plan_update(
    layout: &Layout,
    paths: &Paths,
    current: &Resources,
    change: &Resources,
) -> Result<(Update, Vec<String>)> {
    let change = asked(change);
    let after = merge(current, &change);
    let lifts = |resources: &Resources| resources.memory.as_ref().and_then(|m| m.disable_oom_killer);
    let lifted = lifts(&change) == Some(false) && lifts(current) == Some(true);
    let (plan, mut warnings) = plan_change(layout, paths, &bound(&after, &change), lifted)?;
    if !change.devices.is_empty() && change.devices != current.devices {
        warnings.push("linux.resources.devices: ignored: device rules can't be changed by update".into());
    }
    Ok((Update { plan, after }, warnings))
}

/// `change` without the zeros that mean "not set" (see [`super::v1`]).
fn asked(change: &Resources) -> Resources {
    let mut change = change.clone();
    if let Some(memory) = &mut change.memory {
        for field in [&mut memory.limit, &mut memory.reservation, &mut memory.swap, &mut memory.kernel_tcp] {
            *field = set(*field);
        }
    }
    if let Some(io) = &mut change.block_io {
        (io.weight, io.leaf_weight) = (set(io.weight), set(io.leaf_weight));
    }
    if let Some(cpu) = &mut change.cpu {
        (cpu.shares, cpu.quota, cpu.period) = (set(cpu.shares), set(cpu.quota), set(cpu.period));
        (cpu.realtime_runtime, cpu.realtime_period) = (set(cpu.realtime_runtime), set(cpu.realtime_period));
    }
    change
}

/// The limits that hold after `change`.
fn merge(current: &Resources, change: &Resources) -> Resources {
    let mut after = current.clone();
    if let Some(new) = &change.memory {
        merge_memory(after.memory.get_or_insert_default(), new);
    }
    if let Some(new) = &change.cpu {
        merge_cpu(after.cpu.get_or_insert_default(), new);
    }
    if let Some(new) = &change.pids {
        take(&mut after.pids.get_or_insert_default().limit, new.limit);
    }
    if let Some(new) = &change.block_io {
        merge_block_io(after.block_io.get_or_insert_default(), new);
    }
    upsert(&mut after.hugepage_limits, &change.hugepage_limits, |a, b| a.page_size == b.page_size);
    if let Some(new) = &change.network {
        merge_network(after.network.get_or_insert_default(), new);
    }
    for (device, new) in &change.rdma {
        let old = after.rdma.entry(device.clone()).or_default();
        take(&mut old.hca_handles, new.hca_handles);
        take(&mut old.hca_objects, new.hca_objects);
    }
    after.unified.extend(change.unified.clone());
    after
}

/// What is said replaces what was said.
fn take<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

/// Each of `new` replaces that of `old` which is for the same thing, or is added.
fn upsert<T: Clone>(old: &mut Vec<T>, new: &[T], same: fn(&T, &T) -> bool) {
    for new in new {
        match old.iter_mut().rev().find(|old| same(old, new)) {
            Some(old) => old.clone_from(new),
            None => old.push(new.clone()),
        }
    }
}

fn merge_memory(old: &mut Memory, new: &Memory) {
    if new.limit == Some(-1) {
        // Unlimited memory means unlimited swap, unless it is said.
        old.swap = None;
    }
    take(&mut old.limit, new.limit);
    take(&mut old.swap, new.swap);
    take(&mut old.reservation, new.reservation);
    take(&mut old.kernel_tcp, new.kernel_tcp);
    take(&mut old.swappiness, new.swappiness);
    take(&mut old.disable_oom_killer, new.disable_oom_killer);
    take(&mut old.use_hierarchy, new.use_hierarchy);
    take(&mut old.check_before_update, new.check_before_update);
}

fn merge_cpu(old: &mut Cpu, new: &Cpu) {
    take(&mut old.shares, new.shares);
    take(&mut old.quota, new.quota);
    take(&mut old.burst, new.burst);
    take(&mut old.period, new.period);
    take(&mut old.realtime_runtime, new.realtime_runtime);
    take(&mut old.realtime_period, new.realtime_period);
    take(&mut old.idle, new.idle);
    for (old, new) in [(&mut old.cpus, &new.cpus), (&mut old.mems, &new.mems)] {
        if !new.is_empty() {
            old.clone_from(new);
        }
    }
}

fn merge_block_io(old: &mut BlockIo, new: &BlockIo) {
    take(&mut old.weight, new.weight);
    take(&mut old.leaf_weight, new.leaf_weight);
    for new in &new.weight_device {
        match old.weight_device.iter_mut().rev().find(|d| (d.major, d.minor) == (new.major, new.minor)) {
            Some(old) => {
                take(&mut old.weight, new.weight);
                take(&mut old.leaf_weight, new.leaf_weight);
            }
            None => old.weight_device.push(new.clone()),
        }
    }
    let same = |a: &ThrottleDevice, b: &ThrottleDevice| (a.major, a.minor) == (b.major, b.minor);
    upsert(&mut old.throttle_read_bps_device, &new.throttle_read_bps_device, same);
    upsert(&mut old.throttle_write_bps_device, &new.throttle_write_bps_device, same);
    upsert(&mut old.throttle_read_iops_device, &new.throttle_read_iops_device, same);
    upsert(&mut old.throttle_write_iops_device, &new.throttle_write_iops_device, same);
}

fn merge_network(old: &mut NetworkClass, new: &NetworkClass) {
    take(&mut old.class_id, set(new.class_id));
    upsert(&mut old.priorities, &new.priorities, |a, b| a.name == b.name);
}

/// `change`, and of `after` what bounds it.
fn bound(after: &Resources, change: &Resources) -> Resources {
    let mut bound = change.clone();
    bound.devices.clear();
    if let (Some(memory), Some(after)) = (&mut bound.memory, &after.memory)
        && (memory.limit.is_some() || memory.swap.is_some())
    {
        (memory.limit, memory.swap) = (after.limit, after.swap);
        memory.check_before_update = after.check_before_update;
    }
    // A weight for all devices takes back those for single ones (BFQ).
    if let (Some(io), Some(after)) = (&mut bound.block_io, &after.block_io)
        && io.weight.is_some()
    {
        io.weight_device.clone_from(&after.weight_device);
    }
    if let (Some(cpu), Some(after)) = (&mut bound.cpu, &after.cpu) {
        if cpu.quota.is_some() || cpu.period.is_some() || cpu.burst.is_some() {
            (cpu.quota, cpu.period, cpu.burst) = (after.quota, after.period, after.burst);
        }
        // A group that is no longer idle begins with the default weight; an idle one can't be given any.
        if cpu.idle == Some(0) {
            cpu.shares = after.shares;
        }
        if cpu.shares.is_some() {
            cpu.idle = after.idle;
        }
        if cpu.realtime_runtime.is_some() || cpu.realtime_period.is_some() {
            (cpu.realtime_runtime, cpu.realtime_period) = (after.realtime_runtime, after.realtime_period);
        }
    }
    bound
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
