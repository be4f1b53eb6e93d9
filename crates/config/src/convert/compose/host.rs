//! What a Compose service says of the host's resources: CPU time, memory, block devices, namespaces, where the output goes.

use super::super::part::{full, Losses, Part};
use super::super::units::docker_bytes;
use super::sorted;
use crate::{BlkioConfig, ContainerConfig, DeviceRate, Logging, PullPolicy};
use serde_json::{json, Value};

/// Reads it into a configuration.
pub(super) fn read(part: &mut Part, config: &mut ContainerConfig) {
    config.cpu_shares = part.number("cpu_shares");
    config.cpu_quota = part.read("cpu_quota", microseconds);
    config.cpu_period = part.read("cpu_period", microseconds);
    config.cpuset = part.text("cpuset");
    config.mem_reservation = part.read("mem_reservation", docker_bytes);
    config.oom_score_adj =
        part.read("oom_score_adj", |text| text.parse().map_err(|_| format!("{text:?} is no number")));
    config.oom_kill_disable = part.boolean("oom_kill_disable");
    config.blkio_config = part.part("blkio_config").map(blkio);
    config.userns_mode = part.text("userns_mode");
    config.uts = part.text("uts");
    config.cgroup = part.text("cgroup");
    config.platform = part.text("platform");
    config.pull_policy = part.read("pull_policy", |text| match text {
        "missing" | "if_not_present" => Ok(PullPolicy::Missing),
        "always" => Ok(PullPolicy::Always),
        "never" => Ok(PullPolicy::Never),
        _ => Err(format!("{text:?} is none of missing, always and never")),
    });
    config.logging = part.part("logging").map(|mut logging| {
        let (driver, options) = (logging.text("driver"), logging.pairs("options"));
        Logging { driver, options }
    });
}

/// Microseconds, or a time with its unit.
fn microseconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time in microseconds");
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => {
            let period: crate::Period = text.parse()?;
            u64::try_from(period.duration().as_micros()).map_err(|_| wrong())
        }
    }
}

fn blkio(mut part: Part) -> BlkioConfig {
    let mut rates = |key: &str| {
        let rates: Vec<_> = part.parts(key).into_iter().filter_map(rate).collect();
        (!rates.is_empty()).then_some(rates)
    };
    let (device_read_bps, device_write_bps) = (rates("device_read_bps"), rates("device_write_bps"));
    let (device_read_iops, device_write_iops) = (rates("device_read_iops"), rates("device_write_iops"));
    let weight = part.number("weight");
    BlkioConfig { weight, device_read_bps, device_write_bps, device_read_iops, device_write_iops }
}

fn rate(mut part: Part) -> Option<DeviceRate> {
    let (path, rate) = (part.text("path"), part.read("rate", docker_bytes));
    Some(DeviceRate { path: path?, rate: rate? })
}

/// Writes it into a service.
pub(super) fn write(config: &ContainerConfig) -> Value {
    let rates = |rates: &Option<Vec<DeviceRate>>| {
        let rates = rates.as_ref()?.iter();
        Some(rates.map(|rate| json!({ "path": rate.path, "rate": rate.rate })).collect::<Vec<_>>())
    };
    let blkio = config.blkio_config.as_ref().map(|blkio| {
        full(json!({
            "weight": blkio.weight,
            "device_read_bps": rates(&blkio.device_read_bps),
            "device_write_bps": rates(&blkio.device_write_bps),
            "device_read_iops": rates(&blkio.device_read_iops),
            "device_write_iops": rates(&blkio.device_write_iops),
        }))
    });
    let logging = config
        .logging
        .as_ref()
        .map(|logging| full(json!({ "driver": logging.driver, "options": sorted(&logging.options) })));
    json!({
        "cpu_shares": config.cpu_shares,
        "cpu_quota": config.cpu_quota,
        "cpu_period": config.cpu_period,
        "cpuset": config.cpuset,
        "mem_reservation": config.mem_reservation,
        "oom_score_adj": config.oom_score_adj,
        "oom_kill_disable": config.oom_kill_disable,
        "blkio_config": blkio,
        "userns_mode": config.userns_mode,
        "uts": config.uts,
        "cgroup": config.cgroup,
        "platform": config.platform,
        "pull_policy": config.pull_policy.map(PullPolicy::word),
        "logging": logging,
    })
}

/// The fields that neither a Pod nor an OCI file is given.
pub(in super::super) fn lose(config: &ContainerConfig, reason: &str, losses: &Losses) {
    if let Value::Object(map) = full(write(config)) {
        for key in map.keys() {
            losses.add(key.as_str(), reason);
        }
    }
}
