//! The profile of `security_opt: seccomp=FILE`: as the runtime specification has it, or as Docker and Podman extend it, whose
//! rules may be for some architectures, capabilities and kernels alone (`archMap`, `includes`, `excludes`).

use crate::error::{Error, Kind, Result};
use crate::spec::{Seccomp, SyscallRule};
use serde_json::Value;
use std::path::Path;

/// The largest profile that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// Reads a file for a container with these capabilities.
///
/// # Errors
/// What is wrong with it, with its name.
pub(in super::super) fn read(file: &Path, capabilities: &[String]) -> Result<Seccomp> {
    let wrong = |cause: String| {
        Error::new(Kind::Config, format!("security_opt: seccomp profile {}: {cause}", file.display()))
    };
    let length = std::fs::metadata(file).map_err(|e| wrong(e.to_string()))?;
    if !length.is_file() || length.len() > FILE_MAX {
        return Err(wrong(format!("is no file of at most {FILE_MAX} bytes")));
    }
    let text = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
    parse(&text, capabilities).map_err(wrong)
}

fn parse(text: &[u8], capabilities: &[String]) -> std::result::Result<Seccomp, String> {
    let mut profile: Seccomp = crate::json::from_slice(text)?;
    // The runtime takes one that says nothing for none.
    if profile.default_action.is_empty() {
        return Err("defaultAction is missing".to_owned());
    }
    if let Some(Value::Array(map)) = profile.extra.shift_remove("archMap") {
        let entry = map.iter().find(|entry| entry["architecture"] == native());
        let also = entry.and_then(|entry| entry["subArchitectures"].as_array());
        profile.architectures.extend(also.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    profile.syscalls.retain(|rule| applies(rule, capabilities));
    for rule in &mut profile.syscalls {
        // Older profiles of Docker have one name for each rule.
        if let Some(Value::String(name)) = rule.extra.shift_remove("name") {
            rule.names.push(name);
        }
        rule.extra = crate::json::Extra::default();
    }
    crate::security::seccomp::compile(&profile).map_err(|e| e.to_string())?;
    Ok(profile)
}

/// Whether a rule is for this machine and these capabilities.
fn applies(rule: &SyscallRule, capabilities: &[String]) -> bool {
    let words = |key: &str, inner: &str| -> Vec<String> {
        let list = rule.extra.get(key).and_then(|found| found[inner].as_array());
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let has = |name: &String| capabilities.contains(name);
    let here = |arch: &String| arch == std::env::consts::ARCH || arch == go_arch();
    let included = |list: Vec<String>, fits: &dyn Fn(&String) -> bool, all: bool| {
        list.is_empty() || if all { list.iter().all(fits) } else { list.iter().any(fits) }
    };
    included(words("includes", "caps"), &has, true)
        && included(words("includes", "arches"), &here, false)
        && !words("excludes", "caps").iter().any(has)
        && !words("excludes", "arches").iter().any(here)
        && rule.extra.get("includes").and_then(|found| found["minKernel"].as_str()).is_none_or(at_least)
}

/// The machine in the specification's words.
fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "SCMP_ARCH_X86_64",
        "aarch64" => "SCMP_ARCH_AARCH64",
        "riscv64" => "SCMP_ARCH_RISCV64",
        "s390x" => "SCMP_ARCH_S390X",
        "powerpc64" => "SCMP_ARCH_PPC64LE",
        "loongarch64" => "SCMP_ARCH_LOONGARCH64",
        _ => "",
    }
}

/// The same in Go's.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Whether the kernel is of this version or newer.
fn at_least(version: &str) -> bool {
    let parts = |text: &str| -> (u32, u32) {
        let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    parts(release.trim()) >= parts(version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_of_a_profile_of_docker_are_for_whom_they_say() {
        let text = br#"{"defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["vax"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}}]}"#;
        let names = |capabilities: &[String]| {
            let profile = parse(text, capabilities).unwrap();
            let names: Vec<String> = profile.syscalls.into_iter().flat_map(|rule| rule.names).collect();
            names
        };
        assert_eq!(names(&[]), ["read", "clone", "ptrace"]);
        assert_eq!(names(&["CAP_SYS_ADMIN".to_owned()]), ["read", "mount", "ptrace"]);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(parse(text, &[]).unwrap().architectures, ["SCMP_ARCH_X86"]);
        }
        for (text, cause) in [("{", "EOF"), ("{}", "defaultAction"), (r#"{"defaultAction": "NO"}"#, "NO")] {
            let error = parse(text.as_bytes(), &[]);
            assert!(error.as_ref().is_err_and(|e| e.contains(cause)), "{text}: {error:?}");
        }
    }
}
