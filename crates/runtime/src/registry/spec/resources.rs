//! Limits of cgroups, and which devices may be used.

use super::Inputs;
use crate::error::{Error, Kind, Result};
use crate::spec::{BlockIo, Cpu, DeviceRule, Memory, Pids, Resources, ThrottleDevice};
use forgeone_config::DeviceRate;

/// The period of CPU time where nobody says another, in microseconds.
const PERIOD: u64 = 100_000;

/// Processes and threads of a container that says nothing of them.
const PIDS: i64 = 2048;

pub(super) fn make(inputs: &Inputs) -> Result<Resources> {
    let config = inputs.config();
    if config.oom_kill_disable == Some(true) && inputs.found.cgroup2 {
        let message = "oom_kill_disable: cgroup v2 has no such switch; leave it out";
        return Err(Error::new(Kind::Unsupported, message));
    }
    let asked = config.pids_limit.map(|limit| i64::try_from(limit).unwrap_or(-1));
    // Who has no rights over cgroups asks for none of their limits unless he is asked to.
    let pids = asked.or((!inputs.found.rootless).then_some(PIDS));
    let limits = config.resource_limits.clone().unwrap_or_default();
    let memory = Memory {
        limit: limits.memory_bytes.map(bytes),
        reservation: config.mem_reservation.map(bytes),
        disable_oom_killer: config.oom_kill_disable.filter(|on| *on),
        ..Memory::default()
    };
    let quota =
        limits.cpu_cores.map(|cores| (cores * config.cpu_period.unwrap_or(PERIOD) as f64).round() as u64);
    let quota = config.cpu_quota.or(quota);
    let cpu = Cpu {
        shares: config.cpu_shares,
        quota: quota.map(bytes),
        period: config.cpu_period.or(quota.map(|_| PERIOD)),
        cpus: config.cpuset.clone().unwrap_or_default(),
        ..Cpu::default()
    };
    Ok(Resources {
        devices: rules(inputs),
        memory: (memory != Memory::default()).then_some(memory),
        cpu: (cpu != Cpu::default()).then_some(cpu),
        pids: pids.map(|limit| Pids { limit: Some(limit), ..Pids::default() }),
        block_io: block_io(inputs),
        ..Resources::default()
    })
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn rules(inputs: &Inputs) -> Vec<DeviceRule> {
    let all = |allow| DeviceRule { allow, access: "rwm".to_owned(), ..DeviceRule::default() };
    if inputs.privileged() {
        return vec![all(true)];
    }
    std::iter::once(all(false)).chain(inputs.found.devices.iter().map(|device| device.rule())).collect()
}

fn block_io(inputs: &Inputs) -> Option<BlockIo> {
    let asked = inputs.config().blkio_config.as_ref()?;
    let rates = |rates: &Option<Vec<DeviceRate>>| {
        let rates = rates.iter().flatten().filter_map(|rate| {
            let (major, minor) = inputs.found.numbers.get(&rate.path)?;
            Some(ThrottleDevice {
                major: *major,
                minor: *minor,
                rate: rate.rate,
                ..ThrottleDevice::default()
            })
        });
        rates.collect()
    };
    Some(BlockIo {
        weight: asked.weight.and_then(|weight| u16::try_from(weight).ok()),
        throttle_read_bps_device: rates(&asked.device_read_bps),
        throttle_write_bps_device: rates(&asked.device_write_bps),
        throttle_read_iops_device: rates(&asked.device_read_iops),
        throttle_write_iops_device: rates(&asked.device_write_iops),
        ..BlockIo::default()
    })
}
