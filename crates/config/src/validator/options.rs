//! Confinement, namespaces, limits of getrlimit(2), and how the program is watched and ended.

use super::names;
use super::report::Report;
use crate::suggest::hint;
use crate::{ContainerConfig, HealthCheck, Period};

/// Capabilities of capabilities(7), without `CAP_`.
const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Limits of getrlimit(2), as Compose names them.
const ULIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Signals of signal(7) that programs take, without `SIG`.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF", "PWR",
    "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2",
    "VTALRM", "WINCH", "XCPU", "XFSZ",
];

pub(super) fn check(config: &ContainerConfig, report: &mut Report) {
    names_of(config, report);
    capabilities(config, report);
    report.each(
        "security_opt",
        config.security_opt.iter().flatten().map(String::as_str),
        |report, _, option: &str| {
            security(option, report);
        },
    );
    ulimits(config, report);
    for (key, value) in [("shm_size", config.shm_size), ("pids_limit", config.pids_limit)] {
        if value == Some(0) {
            report.error(
                key,
                "limits.zero",
                0,
                "nothing runs with none of it",
                "leave it out for the default",
            );
        }
    }
    for (key, value) in [("pid", &config.pid), ("ipc", &config.ipc)] {
        let Some(value) = value else { continue };
        let other = value.strip_prefix("container:").is_some_and(names::is_name);
        if !other && value != "private" && value != "host" {
            let reason = "it is none of private, host and container:NAME";
            report.error(key, "namespace.mode", value, reason, "private is the default");
        }
    }
    if let Some(signal) = config.stop_signal.as_deref() {
        check_signal(signal, report);
    }
    if let Some(check) = &config.healthcheck {
        report.within("healthcheck", |report| health(check, report));
    }
    if config.privileged == Some(true) {
        let reason = "the container can do to the host what root can";
        report.warning(
            "privileged",
            "security.privileged",
            true,
            reason,
            "name what it needs by cap_add and devices",
        );
    }
}

/// Keys of maps that aren't empty, and what kernel parameters are called.
fn names_of(config: &ContainerConfig, report: &mut Report) {
    let maps = [("labels", &config.labels), ("annotations", &config.annotations), ("custom", &config.custom)];
    for (key, map) in maps {
        if let Some(value) = map.as_ref().and_then(|map| map.get("")) {
            report.error(key, "key.empty", value, "the name that it stands under is empty", "name it");
        }
    }
    let mut sysctls: Vec<_> = config.sysctls.iter().flatten().collect();
    sysctls.sort();
    for (name, value) in sysctls {
        report.within("sysctls", |report| {
            let word = |c: char| c.is_ascii_alphanumeric() || "_-/.:".contains(c);
            if !name.contains(['.', '/'])
                || !name.chars().all(word)
                || name.contains("..")
                || name.starts_with('/')
            {
                let help = "write such as net.ipv4.ip_forward";
                report.error(name, "sysctl.name", name, "it is no name of a kernel parameter", help);
            }
            names::argument(report, name, "sysctl.value", value, true);
        });
    }
}

fn capabilities(config: &ContainerConfig, report: &mut Report) {
    for (key, list) in [("cap_add", &config.cap_add), ("cap_drop", &config.cap_drop)] {
        report.each(key, list.iter().flatten().map(String::as_str), |report, _, name: &str| {
            let upper = name.to_ascii_uppercase();
            let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if plain != "ALL" && !CAPABILITIES.contains(&plain) {
                let help = match hint(plain, CAPABILITIES.iter().copied()) {
                    hint if hint.is_empty() => "capabilities(7) lists them".to_owned(),
                    hint => hint.trim_start_matches("; ").to_owned(),
                };
                report.error("", "capability.unknown", name, "there is no such capability", help);
            }
        });
    }
}

fn security(option: &str, report: &mut Report) {
    let (key, value) = match option.find(['=', ':']) {
        Some(at) => (&option[..at], Some(&option[at + 1..])),
        None => (option, None),
    };
    let fits = match key {
        "no-new-privileges" => matches!(value, None | Some("true" | "false")),
        "seccomp" | "apparmor" | "label" => value.is_some_and(|value| !value.is_empty()),
        _ => false,
    };
    if !fits {
        let help = "there are no-new-privileges, seccomp=FILE, apparmor=PROFILE and label=…";
        report.error("", "security.option", option, "it is no security option", help);
    }
}

fn ulimits(config: &ContainerConfig, report: &mut Report) {
    let mut limits: Vec<_> = config.ulimits.iter().flatten().collect();
    limits.sort_by_key(|(name, _)| name.as_str());
    for (name, limit) in limits {
        report.within("ulimits", |report| {
            if !ULIMITS.contains(&name.as_str()) {
                let help = format!("there are {}", ULIMITS.join(", "));
                report.error(name, "ulimit.unknown", name, "there is no such limit", help);
            }
            if limit.soft > limit.hard {
                let reason = format!("the soft limit is above the hard one, {}", limit.hard);
                report.error(name, "ulimit.order", limit.soft, reason, "lower soft, or raise hard");
            }
        });
    }
}

fn check_signal(signal: &str, report: &mut Report) {
    let upper = signal.to_ascii_uppercase();
    let plain = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = signal.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let realtime = plain.starts_with("RTMIN") || plain.starts_with("RTMAX");
    if !number && !realtime && !SIGNALS.contains(&plain) {
        let help = match hint(plain, SIGNALS.iter().copied()) {
            hint if hint.is_empty() => "signal(7) lists them".to_owned(),
            hint => hint.trim_start_matches("; ").to_owned(),
        };
        report.error("stop_signal", "signal.unknown", signal, "there is no such signal", help);
    }
}

fn health(check: &HealthCheck, report: &mut Report) {
    report.each("test", check.test.iter().map(String::as_str), |report, index, word: &str| {
        names::argument(report, "", "healthcheck.test", word, index > 0);
    });
    for (key, period) in [("interval", check.interval), ("timeout", check.timeout)] {
        if period == Some(Period::default()) {
            let help = "leave it out for 30s";
            report.error(key, "healthcheck.period", "0s", "it takes some time to find out", help);
        }
    }
    if check.retries == Some(0) {
        report.error(
            "retries",
            "healthcheck.retries",
            0,
            "it takes one failure to know of one",
            "leave it out for 3",
        );
    }
}
