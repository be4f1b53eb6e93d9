//! `update`: other limits for a container that lives.

use super::{Door, input};
use forgeone_cli::{Call, Values, usage};
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::UpdateOptions;
use forgeone_runtime::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use std::path::Path;
use std::str::FromStr;

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let flags = &call.flags;
    let resources = match flags.value("resources") {
        None => asked(flags)?,
        Some(file) => {
            if asked(flags)? != Resources::default() {
                door.log.warn("update: option --resources: the other limits are ignored beside it");
            }
            if file == "-" { input::json_of_stdin()? } else { input::json(Path::new(file))? }
        }
    };
    let text = |long| flags.text(long).map(|text| text.map(str::to_owned));
    let options = UpdateOptions {
        resources,
        l3_cache_schema: text("l3-cache-schema")?,
        mem_bw_schema: text("mem-bw-schema")?,
    };
    let warnings = door.runtime.update(call.id()?, &options)?;
    warnings.iter().for_each(|warning| door.log.warn(&format!("update: {warning}")));
    Ok(0)
}

/// The limits that options name.
fn asked(flags: &Values) -> Result<Resources> {
    let text = |long| flags.text(long).map(|text| text.unwrap_or_default().to_owned());
    let memory = Memory {
        limit: bytes(flags, "memory")?,
        reservation: bytes(flags, "memory-reservation")?,
        swap: bytes(flags, "memory-swap")?,
        kernel: bytes(flags, "kernel-memory")?,
        kernel_tcp: bytes(flags, "kernel-memory-tcp")?,
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: number(flags, "cpu-share")?,
        quota: number(flags, "cpu-quota")?,
        burst: number(flags, "cpu-burst")?,
        period: number(flags, "cpu-period")?,
        realtime_runtime: number(flags, "cpu-rt-runtime")?,
        realtime_period: number(flags, "cpu-rt-period")?,
        cpus: text("cpuset-cpus")?,
        mems: text("cpuset-mems")?,
        idle: number(flags, "cpu-idle")?,
        ..Cpu::default()
    };
    let io = BlockIo { weight: number(flags, "blkio-weight")?, ..BlockIo::default() };
    let pids = Pids { limit: number(flags, "pids-limit")?, ..Pids::default() };
    Ok(Resources {
        memory: Some(memory).filter(|memory| *memory != Memory::default()),
        cpu: Some(cpu).filter(|cpu| *cpu != Cpu::default()),
        block_io: Some(io).filter(|io| *io != BlockIo::default()),
        pids: Some(pids).filter(|pids| *pids != Pids::default()),
        ..Resources::default()
    })
}

/// An option's value as a number of this type.
fn number<T: FromStr>(flags: &Values, long: &str) -> Result<Option<T>> {
    let Some(text) = flags.text(long)? else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(usage(format!("option --{long}: {text:?} is not a number that it can be"))),
    }
}

/// An option's value as a number of bytes; -1 is unlimited.
fn bytes(flags: &Values, long: &str) -> Result<Option<i64>> {
    let Some(text) = flags.text(long)? else { return Ok(None) };
    match size(text) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(usage(format!("option --{long}: {text:?} is neither a size such as 64M nor -1"))),
    }
}

/// A size as runc's users write it: a number, and k, m, g, t or p (powers of 1024), also as kb or KiB.
fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (digits, unit) = (&text[..end], text[end..].trim_start_matches(' ').to_ascii_lowercase());
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let power = match unit.as_str() {
        "" | "b" => 0,
        unit => {
            let (letter, rest) = unit.split_at_checked(1)?;
            if !["", "b", "ib"].contains(&rest) {
                return None;
            }
            "kmgtp".find(letter)? + 1
        }
    };
    let bytes = digits.parse::<f64>().ok()? * 1024f64.powi(power as i32);
    // Beyond that a double is no longer a number of 64 bits with a sign.
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use forgeone_cli::tables::OCI;
    use forgeone_cli::{Parsed, parse};

    #[test]
    fn sizes_are_read_as_runc_reads_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("-1", Some(-1)),
            ("64M", Some(64 << 20)),
            ("64m", Some(64 << 20)),
            ("64mb", Some(64 << 20)),
            ("64MiB", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2 k", Some(2048)),
            ("7b", Some(7)),
            ("1t", Some(1 << 40)),
            ("1P", Some(1 << 50)),
            ("", None),
            ("-2", None),
            ("M", None),
            ("1X", None),
            ("1kk", None),
            ("1 2", None),
            ("0x10", None),
            ("1.2.3", None),
            ("9999p", None),
        ] {
            assert_eq!(size(text), bytes, "{text:?}");
        }
    }

    /// What the options come to, as JSON.
    fn of(words: &[&str]) -> std::result::Result<String, String> {
        let words = ["update"].iter().chain(words).map(std::ffi::OsString::from);
        match parse(&OCI, words.chain(["c1".into()]), &mut Values::default()) {
            Ok(Parsed::Call(call)) => {
                asked(&call.flags).map(|r| serde_json::to_string(&r).unwrap()).map_err(|e| e.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_resources() {
        for (words, expected) in [
            (&[][..], "{}"),
            (&["--memory", "64M", "--memory-swap", "-1"], r#"{"memory":{"limit":67108864,"swap":-1}}"#),
            (
                &["--memory-reservation=1k", "--kernel-memory=1", "--kernel-memory-tcp=2"],
                r#"{"memory":{"reservation":1024,"kernel":1,"kernelTCP":2}}"#,
            ),
            (
                &["--cpu-share", "512", "--cpu-quota", "-1", "--cpu-period", "1000", "--cpu-burst", "0"],
                r#"{"cpu":{"shares":512,"quota":-1,"burst":0,"period":1000}}"#,
            ),
            (
                &["--cpu-rt-runtime", "5", "--cpu-rt-period", "6", "--cpu-idle", "1"],
                r#"{"cpu":{"realtimeRuntime":5,"realtimePeriod":6,"idle":1}}"#,
            ),
            (&["--cpuset-cpus", "0-1", "--cpuset-mems", "0"], r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#),
            (&["--pids-limit", "-1"], r#"{"pids":{"limit":-1}}"#),
            (&["--pids-limit", "0"], r#"{"pids":{"limit":0}}"#),
            (&["--blkio-weight", "500"], r#"{"blockIO":{"weight":500}}"#),
        ] {
            assert_eq!(of(words).as_deref(), Ok(expected), "{words:?}");
        }
        for (words, expected) in [
            (&["--memory", "lots"], "option --memory: \"lots\" is neither a size such as 64M nor -1"),
            (&["--cpu-share", "-5"], "option --cpu-share: \"-5\" is not a number that it can be"),
            (&["--blkio-weight", "70000"], "option --blkio-weight: \"70000\" is not a number that it can be"),
        ] {
            assert_eq!(of(words).unwrap_err(), expected);
        }
    }
}
