//! A unit's properties: what every container's scope has, its limits, its devices, and what annotations add.
//!
//! The limits are those that are written into the group's files as well. systemd has to know them, since it writes its
//! own view of a unit again, on `daemon-reload` for example; what it doesn't know (huge pages, RDMA, the rates of
//! single block devices, bursts) it leaves alone. Source: systemd.resource-control(5), org.freedesktop.systemd1(5).

use super::message::Value;
use super::variant;
use crate::cgroup::devices::{self, DeviceRules, Rule};
use crate::cgroup::step::{Absent, Step, Write, refuse};
use crate::error::Result;
use crate::numbers::numbers;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Annotations that set properties.
const ANNOTATION: &str = "org.systemd.property.";

/// What systemd takes for "infinity".
const INFINITY: u64 = u64::MAX;

/// Can only be set when a unit is made.
pub(super) const OOM_POLICY: &str = "OOMPolicy";

/// A property and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Name on the bus: `MemoryMax`.
    pub name: Cow<'static, str>,
    /// Value.
    pub value: Value,
    /// The first version of systemd that knows it; older ones aren't told.
    pub since: u32,
}

impl Property {
    fn new(name: &'static str, value: Value) -> Self {
        Self { name: name.into(), value, since: 0 }
    }

    fn since(self, since: u32) -> Self {
        Self { since, ..self }
    }
}

/// The properties as an argument.
pub(super) fn values<'a>(properties: impl Iterator<Item = &'a Property>) -> Value {
    let pair = |property: &Property| {
        Value::Struct(vec![Value::text(&*property.name), Value::Variant(Box::new(property.value.clone()))])
    };
    Value::Array("(sv)".into(), properties.map(pair).collect())
}

/// What every scope has but for its processes: accounting of everything, and leave to make groups inside.
pub(super) fn base(id: &str, slice: &str, v1: bool) -> Vec<Property> {
    let mut all = vec![
        Property::new("Description", Value::text(format!("container {id}"))),
        Property::new("Slice", Value::text(slice)),
        // Not stopped when the machine goes down before those who use it.
        Property::new("DefaultDependencies", Value::bool(false)),
    ];
    let io = if v1 { "BlockIOAccounting" } else { "IOAccounting" };
    for name in ["Delegate", "MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
        all.push(Property::new(name, Value::bool(true)));
    }
    all
}

/// The properties of what is written into the group's files.
pub(super) fn limits<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<Property> {
    let mut limits = Limits::default();
    for step in steps {
        match step {
            Step::Write(write) => limits.add(write),
            Step::Together(writes) => writes.iter().for_each(|write| limits.add(write)),
            Step::Below { .. } => {}
        }
    }
    limits.done()
}

#[derive(Default)]
struct Limits {
    found: Vec<Property>,
    quota: Option<u64>,
    period: Option<u64>,
}

/// Files that hold a number, and the properties that are the same.
const NUMBERS: [(&str, &str); 11] = [
    ("memory.min", "MemoryMin"),
    ("memory.low", "MemoryLow"),
    ("memory.high", "MemoryHigh"),
    ("memory.max", "MemoryMax"),
    ("memory.swap.max", "MemorySwapMax"),
    ("memory.limit_in_bytes", "MemoryLimit"),
    ("pids.max", "TasksMax"),
    ("cpu.weight", "CPUWeight"),
    ("cpu.shares", "CPUShares"),
    ("io.weight", "IOWeight"),
    ("blkio.weight", "BlockIOWeight"),
];

impl Limits {
    /// Adds a file's. A value that is none is passed over: the kernel says what is wrong when it is written.
    fn add(&mut self, write: &Write) {
        let (file, value) = match &write.absent {
            Absent::Instead(file @ "io.weight", value) => (*file, value.trim()),
            _ => (&*write.file, write.value.trim()),
        };
        if let Some((_, name)) = NUMBERS.iter().find(|(known, _)| *known == file) {
            self.found.extend(size(value).map(|n| Property::new(name, Value::u64(n))));
            return;
        }
        match file {
            "cpu.idle" if value == "1" => {
                self.found.retain(|property| property.name != "CPUWeight");
                self.found.push(Property::new("CPUWeight", Value::u64(0)).since(252));
            }
            "cpu.max" => {
                let mut words = value.split_whitespace();
                self.quota = words.next().and_then(size);
                self.period = words.next().and_then(size);
            }
            "cpu.cfs_quota_us" => self.quota = size(value),
            "cpu.cfs_period_us" => self.period = size(value),
            "cpuset.cpus" => self.set("AllowedCPUs", value),
            "cpuset.mems" => self.set("AllowedMemoryNodes", value),
            "memory.oom.group" => {
                let policy = if value == "1" { "kill" } else { "continue" };
                self.found.push(Property::new(OOM_POLICY, Value::text(policy)).since(253));
            }
            _ => {}
        }
    }

    fn set(&mut self, name: &'static str, list: &str) {
        let bits = bits(list).map(|bits| Property::new(name, Value::bytes(&bits)).since(244));
        self.found.extend(bits);
    }

    fn done(mut self) -> Vec<Property> {
        if self.quota.is_none() && self.period.is_none() {
            return self.found;
        }
        if let Some(period) = self.period {
            self.found.push(Property::new("CPUQuotaPeriodUSec", Value::u64(period)).since(242));
        }
        let second = match (self.quota, self.period.unwrap_or(100_000)) {
            (None | Some(INFINITY), _) | (_, 0) => INFINITY,
            // To be sure of what was asked for: systemd counts in hundredths of a CPU.
            (Some(quota), period) => {
                (u128::from(quota) * 1_000_000).div_ceil(u128::from(period)).next_multiple_of(10_000) as u64
            }
        };
        self.found.push(Property::new("CPUQuotaPerSecUSec", Value::u64(second)));
        self.found
    }
}

/// A number as the kernel reads it: `max`, -1, or with K, M, G, T behind it.
fn size(value: &str) -> Option<u64> {
    if matches!(value, "max" | "-1") {
        return Some(INFINITY);
    }
    let unit = value.bytes().last()?.to_ascii_uppercase();
    let shift = match unit {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        b'T' => 40,
        _ => return value.parse().ok(),
    };
    value[..value.len() - 1].parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The mask of a list such as `0-3,7`, lowest first; `None` for what is no such list.
fn bits(list: &str) -> Option<Vec<u8>> {
    /// More than any kernel is built for.
    const MAX: usize = 1 << 16;
    let bits = numbers(list.trim(), MAX).ok()?;
    let mut mask = vec![0; bits.iter().max()? / 8 + 1];
    bits.iter().for_each(|bit| mask[bit / 8] |= 1u8 << (bit % 8));
    Some(mask)
}

/// The properties that stand for device rules.
///
/// systemd only has lists of what is allowed. Rules that are none: on cgroup2 they are left to our program alone, which
/// systemd doesn't touch; on v1, where systemd would allow everything again, nothing is allowed as far as it knows.
pub(super) fn devices(rules: &[Rule], v1: bool) -> Vec<Property> {
    let rules = DeviceRules::new(rules).ok();
    let all = rules.as_ref().is_some_and(DeviceRules::allow_all);
    let policy = |policy| Property::new("DevicePolicy", Value::text(policy));
    let allow = |list| Property::new("DeviceAllow", Value::Array("(ss)".into(), list));
    match rules.and_then(DeviceRules::allowed) {
        Some(allowed) => {
            let known = allowed.iter().filter_map(device);
            if known.clone().count() < allowed.len() && !v1 {
                return vec![policy("auto")];
            }
            vec![policy("strict"), allow(known.collect())]
        }
        None if v1 && !all => vec![policy("strict")],
        None => vec![policy("auto")],
    }
}

/// `("/dev/char/1:3", "rw")`; `None` for what systemd has no name for.
fn device((devices, access): &(devices::Devices, devices::Access)) -> Option<Value> {
    let kind = if devices.kind? == devices::Kind::Block { "block" } else { "char" };
    let path = match (devices.major, devices.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, None) => format!("{kind}-*"),
        (None, Some(_)) => return None,
    };
    Some(Value::Struct(vec![Value::text(path), Value::text(devices::letters(*access))]))
}

/// The properties that annotations name: `org.systemd.property.TimeoutStopUSec`, its value as GVariant text. As with
/// runc, seconds (`…Sec`) are taken as well.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let ours = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(ANNOTATION)?, value)));
    ours.map(|(name, text)| {
        let field = || format!("annotations[\"{ANNOTATION}{}\"]", name.escape_debug());
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return refuse(field(), "is not the name of a property");
        }
        let Some(value) = variant::parse(text) else {
            return refuse(field(), format_args!("{text:?} is not a value in GVariant's text format"));
        };
        let seconds =
            name.strip_suffix("Sec").filter(|name| name.ends_with(|c: char| c.is_ascii_lowercase()));
        let (name, value) = match seconds {
            None => (name.to_owned(), value),
            Some(stem) => match microseconds(&value) {
                Some(time) => (format!("{stem}USec"), Value::u64(time)),
                None => return refuse(field(), format_args!("{text:?} is not a number of seconds")),
            },
        };
        Ok(Property { name: name.into(), value, since: 0 })
    })
    .collect()
}

fn microseconds(seconds: &Value) -> Option<u64> {
    match seconds {
        Value::Number(b'b', _) => None,
        Value::Number(b'd', bits) => Some((f64::from_bits(*bits) * 1e6) as u64),
        Value::Number(_, number) => number.checked_mul(1_000_000),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::devices as devices_of;
    use super::*;
    use crate::cgroup::{devices, v1, v2};
    use crate::spec::Resources;

    fn numbers(properties: &[Property]) -> Vec<(&str, u64)> {
        let number = |property: &Property| match &property.value {
            Value::Number(_, number) => *number,
            Value::Array(_, bytes) => bytes.iter().rev().fold(0, |all, byte| match byte {
                Value::Number(_, byte) => all << 8 | byte,
                _ => panic!("{property:?}"),
            }),
            Value::Text(_, text) => u64::from(text == "kill"),
            _ => panic!("{property:?}"),
        };
        properties.iter().map(|property| (&*property.name, number(property))).collect()
    }

    fn resources(json: &str) -> Resources {
        crate::json::from_slice(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_list_of_cpus_is_a_mask_or_nothing() {
        assert_eq!(bits("0-1,9\n"), Some(vec![3, 2]));
        for wrong in ["", "a", "1-", "3-1", "0,,2", "+1", "65536"] {
            assert_eq!(bits(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn limits_of_cgroup2_are_properties() {
        let asked = resources(
            r#"{"memory":{"limit":67108864,"reservation":33554432,"swap":100663296},"pids":{"limit":-1},
            "cpu":{"shares":1024,"quota":15500,"period":100000,"cpus":"0-2,9","mems":"0"},
            "blockIO":{"weight":500}}"#,
        );
        let (memory, cpu) = (asked.memory.unwrap(), asked.cpu.unwrap());
        let steps = [
            v2::memory(&memory).unwrap(),
            v2::cpu(&cpu).unwrap(),
            v1::cpuset(&cpu).unwrap(),
            v1::pids(&asked.pids.unwrap()).unwrap(),
            v2::block_io(&asked.block_io.unwrap()).unwrap(),
        ]
        .concat();
        let mut found = limits(steps.iter());
        found.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(
            numbers(&found),
            [
                ("AllowedCPUs", 0x207),
                ("AllowedMemoryNodes", 1),
                // 15.5 % of a CPU, and systemd has whole ones.
                ("CPUQuotaPerSecUSec", 160_000),
                ("CPUQuotaPeriodUSec", 100_000),
                ("CPUWeight", 100),
                ("IOWeight", 4950),
                ("MemoryLow", 33_554_432),
                ("MemoryMax", 67_108_864),
                ("MemorySwapMax", 33_554_432),
                ("TasksMax", INFINITY),
            ]
        );
        let new = found.iter().filter(|property| property.since > 0);
        assert_eq!(
            new.map(|property| (&*property.name, property.since)).collect::<Vec<_>>(),
            [("AllowedCPUs", 244), ("AllowedMemoryNodes", 244), ("CPUQuotaPeriodUSec", 242)]
        );
    }

    #[test]
    fn files_of_unified_are_properties() {
        for (file, value, expected) in [
            ("memory.high", "64M", &[("MemoryHigh", 67_108_864)][..]),
            ("memory.max", "max\n", &[("MemoryMax", INFINITY)]),
            ("cpu.max", "max 50000", &[("CPUQuotaPeriodUSec", 50_000), ("CPUQuotaPerSecUSec", INFINITY)]),
            ("cpu.max", "25000", &[("CPUQuotaPerSecUSec", 250_000)]),
            ("cpu.max", "1000 0", &[("CPUQuotaPeriodUSec", 0), ("CPUQuotaPerSecUSec", INFINITY)]),
            ("cpu.idle", "1", &[("CPUWeight", 0)]),
            ("cpu.idle", "0", &[]),
            ("memory.oom.group", "1", &[("OOMPolicy", 1)]),
            ("memory.max", "lots", &[]),
            ("cpuset.cpus", "5-", &[]),
            ("hugetlb.2MB.max", "0", &[]),
        ] {
            assert_eq!(numbers(&limits(v2::unified(file, value).iter())), expected, "{file} {value}");
        }
    }

    #[test]
    fn limits_of_v1_are_properties() {
        let asked = resources(
            r#"{"memory":{"limit":-1},"cpu":{"shares":512,"quota":200000,"period":100000},"pids":{"limit":7}}"#,
        );
        let steps = [
            v1::memory(&asked.memory.unwrap()).unwrap(),
            v1::cpu(&asked.cpu.unwrap()).unwrap(),
            v1::pids(&asked.pids.unwrap()).unwrap(),
        ]
        .concat();
        let expected = [
            ("MemoryLimit", INFINITY),
            ("CPUShares", 512),
            ("TasksMax", 7),
            ("CPUQuotaPeriodUSec", 100_000),
            ("CPUQuotaPerSecUSec", 2_000_000),
        ];
        assert_eq!(numbers(&limits(steps.iter())), expected);
    }

    fn device_list(rules: &str, v1: bool) -> String {
        let rules = devices::rules(&resources(&format!(r#"{{"devices":[{rules}]}}"#)).devices).unwrap();
        let texts = devices_of(&rules, v1).into_iter().map(|property| match property.value {
            Value::Text(_, text) => text,
            Value::Array(_, entries) => entries
                .iter()
                .map(|entry| match entry {
                    Value::Struct(pair) => {
                        pair.iter().map(|v| v.as_text().unwrap()).collect::<Vec<_>>().join(" ")
                    }
                    _ => panic!(),
                })
                .filter(|entry| !entry.starts_with("/dev/char"))
                .collect::<Vec<_>>()
                .join(", "),
            _ => panic!(),
        });
        texts.collect::<Vec<_>>().join(": ")
    }

    #[test]
    fn rules_for_devices_are_a_list_where_they_can_be_one() {
        let deny = r#"{"allow":false,"access":"rwm"}"#;
        let own = "char-* m, block-* m, char-136 rwm";
        let disk = r#",{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}"#;
        assert_eq!(device_list(&format!("{deny}{disk}"), false), format!("strict: /dev/block/8:0 r, {own}"));
        // All disks but one; all devices with a minor number; everything.
        let hole =
            r#",{"allow":true,"type":"b","access":"r"},{"allow":false,"type":"b","major":8,"minor":0}"#;
        let minor = r#",{"allow":true,"type":"b","minor":0,"access":"r"}"#;
        let all = r#",{"allow":true}"#;
        for (rules, v2, v1) in
            [(hole, "auto", "strict"), (minor, "auto", &*format!("strict: {own}")), (all, "auto", "auto")]
        {
            assert_eq!(device_list(&format!("{deny}{rules}"), false), v2, "{rules}");
            assert_eq!(device_list(&format!("{deny}{rules}"), true), v1, "{rules}");
        }
    }

    #[test]
    fn annotations_add_properties() {
        let annotated = |key: &str, value: &str| {
            annotated(&BTreeMap::from([(format!("org.systemd.property.{key}"), value.to_owned())]))
        };
        let one = |key, value| {
            let mut found = annotated(key, value).unwrap();
            let property = found.pop().unwrap();
            (property.name.into_owned(), property.value)
        };
        assert_eq!(one("TimeoutStopUSec", "uint64 5"), ("TimeoutStopUSec".into(), Value::u64(5)));
        assert_eq!(one("TimeoutStopSec", "2"), ("TimeoutStopUSec".into(), Value::u64(2_000_000)));
        assert_eq!(one("TimeoutStopSec", "1.5"), ("TimeoutStopUSec".into(), Value::u64(1_500_000)));
        assert_eq!(one("CollectMode", "'inactive'"), ("CollectMode".into(), Value::text("inactive")));
        for (key, value) in [("ab", "1"), ("A1b", "1"), ("Abc", "x"), ("TimeoutStopSec", "'x'"), ("", "1")] {
            let error = annotated(key, value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("annotations[\"org.systemd.property.{key}\"]: ")), "{error}");
        }
    }
}
