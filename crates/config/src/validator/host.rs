//! What a container is given of the host: CPU time, memory, block devices, namespaces, and where its output goes.

use super::names;
use super::report::Report;
use crate::{BlkioConfig, ContainerConfig, DeviceRate};

pub(super) fn check(config: &ContainerConfig, report: &mut Report) {
    let ranges = [
        ("cpu_shares", config.cpu_shares, 2, 262_144),
        ("cpu_quota", config.cpu_quota, 1000, 1 << 40),
        ("cpu_period", config.cpu_period, 1000, 1_000_000),
    ];
    for (key, value, least, most) in ranges {
        range(report, key, "limits.range", value, least, most);
    }
    let limits = config.resource_limits.as_ref();
    if config.cpu_quota.is_some() && limits.is_some_and(|limits| limits.cpu_cores.is_some()) {
        let reason = "resource_limits.cpu_cores says the same in another way";
        report.error(
            "cpu_quota",
            "limits.twice",
            config.cpu_quota.unwrap_or_default(),
            reason,
            "leave one out",
        );
    }
    if let (Some(reserved), Some(limit)) =
        (config.mem_reservation, limits.and_then(|limits| limits.memory_bytes))
    {
        if reserved > limit {
            let reason = format!("there are {limit} bytes of memory");
            report.error(
                "mem_reservation",
                "limits.order",
                reserved,
                reason,
                "lower it, or raise memory_bytes",
            );
        }
    }
    if let Some(list) = config.cpuset.as_deref().filter(|list| !is_list(list)) {
        report.error("cpuset", "limits.cpuset", list, "it is no list of CPUs", "write such as 0-3,7");
    }
    if let Some(score) = config.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        report.error(
            "oom_score_adj",
            "limits.range",
            score,
            "it is none of -1000 to 1000",
            "choose one of these",
        );
    }
    if let Some(blkio) = &config.blkio_config {
        report.within("blkio_config", |report| check_blkio(blkio, report));
    }
    namespaces(config, report);
    if let Some(platform) = config.platform.as_deref().filter(|platform| !is_platform(platform)) {
        let reason = "it isn't OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT";
        report.error("platform", "platform.format", platform, reason, "write such as linux/arm64");
    }
    if let Some(driver) = config.logging.as_ref().and_then(|logging| logging.driver.as_deref()) {
        report.within("logging", |report| names::name(report, "driver", "logging.driver", driver));
    }
}

fn range(report: &mut Report, key: &str, code: &'static str, value: Option<u64>, least: u64, most: u64) {
    if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
        let reason = format!("it is none of {least} to {most}");
        report.error(key, code, value, reason, "leave it out for the default");
    }
}

fn check_blkio(blkio: &BlkioConfig, report: &mut Report) {
    range(report, "weight", "limits.range", blkio.weight, 10, 1000);
    let lists = [
        ("device_read_bps", &blkio.device_read_bps),
        ("device_write_bps", &blkio.device_write_bps),
        ("device_read_iops", &blkio.device_read_iops),
        ("device_write_iops", &blkio.device_write_iops),
    ];
    for (key, list) in lists {
        report.each(key, list.iter().flatten(), |report, _, device: &DeviceRate| {
            names::path(report, "path", "devices.path", &device.path);
            if device.rate == 0 {
                let help = "leave the device out for no limit";
                report.error("rate", "limits.zero", 0, "nothing runs with none of it", help);
            }
        });
    }
}

fn namespaces(config: &ContainerConfig, report: &mut Report) {
    let known: [(&str, &Option<String>, &[&str], bool); 3] = [
        ("userns_mode", &config.userns_mode, &["host"], true),
        ("uts", &config.uts, &["private", "host"], true),
        ("cgroup", &config.cgroup, &["private", "host"], false),
    ];
    for (key, value, words, others) in known {
        let Some(value) = value else { continue };
        let other = others && value.strip_prefix("container:").is_some_and(names::is_name);
        if !other && !words.contains(&value.as_str()) {
            let mut all = words.to_vec();
            if others {
                all.push("container:NAME");
            }
            let (last, first) =
                all.split_last().map_or(("", String::new()), |(last, first)| (*last, first.join(", ")));
            let reason = format!("it is none of {first} and {last}");
            report.error(key, "namespace.mode", value, reason, "leave it out for the default");
        }
    }
}

/// Numbers and ranges of them, cpuset(7).
fn is_list(list: &str) -> bool {
    let number =
        |text: &str| (!text.is_empty() && text.len() < 6).then(|| text.parse::<u32>().ok()).flatten();
    list.split(',').all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
    })
}

fn is_platform(platform: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c))
    };
    (2..=3).contains(&platform.split('/').count()) && platform.split('/').all(word)
}
