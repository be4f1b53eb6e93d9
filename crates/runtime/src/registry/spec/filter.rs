//! The default filter of system calls: what `filter.tbl` lists is allowed, all else is refused with EPERM.
//!
//! A filter sees numbers, not what pointers lead to. So `clone` is allowed without flags that make namespaces, while
//! `clone3`, whose flags are in memory, "doesn't exist" (ENOSYS), which has C libraries take `clone`. Sockets are allowed
//! but for AF_ALG and AF_VSOCK: the kernel's cryptography has let programs out, and virtual machines' sockets know no
//! network namespaces. `socketcall` of 32-bit x86 has its arguments in memory, too, and "doesn't exist" either.

use crate::spec::{Seccomp, SyscallArg, SyscallRule};

const TABLE: &str = include_str!("filter.tbl");

const ALLOW: &str = "SCMP_ACT_ALLOW";
const ERRNO: &str = "SCMP_ACT_ERRNO";
const ENOSYS: u32 = 38;

/// clone(2): `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Families of sockets (socket(2)) that are refused.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// personality(2): Linux, Linux of 32 bits, each also with 2.6 for a version, and the question which it is.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The filter for a container with these capabilities.
pub(super) fn default(capabilities: &[String]) -> Seccomp {
    let names: Vec<String> = sections(TABLE)
        .filter(|(title, _)| applies(title, capabilities))
        .flat_map(|(_, names)| names)
        .map(str::to_owned)
        .collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    let mut syscalls = conditional(has("clone"), has("clone3"));
    syscalls.insert(0, SyscallRule { names, action: ALLOW.to_owned(), ..SyscallRule::default() });
    Seccomp {
        default_action: ERRNO.to_owned(),
        default_errno_ret: Some(1),
        // Beside the machine's own: programs of 32 bits.
        architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_ARM"]
            .iter()
            .filter(|arch| second(arch))
            .map(|arch| (*arch).to_owned())
            .collect(),
        syscalls,
        ..Seccomp::default()
    }
}

/// Whether this machine executes programs for that as well.
fn second(arch: &str) -> bool {
    matches!((std::env::consts::ARCH, arch), ("x86_64", "SCMP_ARCH_X86") | ("aarch64", "SCMP_ARCH_ARM"))
}

/// What depends on arguments.
fn conditional(clone: bool, clone3: bool) -> Vec<SyscallRule> {
    let mut rules = vec![
        allow("socket", 0, "SCMP_CMP_LT", AF_ALG, 0),
        allow("socket", 0, "SCMP_CMP_EQ", AF_ALG + 1, 0),
        allow("socket", 0, "SCMP_CMP_GT", AF_VSOCK, 0),
        refuse("socketcall", ENOSYS),
    ];
    rules.extend(PERSONALITIES.map(|value| allow("personality", 0, "SCMP_CMP_EQ", value, 0)));
    if !clone {
        // s390x has the flags second.
        let flags = u32::from(std::env::consts::ARCH == "s390x");
        rules.push(allow("clone", flags, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES, 0));
    }
    if !clone3 {
        rules.push(refuse("clone3", ENOSYS));
    }
    rules
}

fn allow(name: &str, index: u32, op: &str, value: u64, value_two: u64) -> SyscallRule {
    let condition = SyscallArg { index, value, value_two, op: op.to_owned(), ..SyscallArg::default() };
    let (names, action) = (vec![name.to_owned()], ALLOW.to_owned());
    SyscallRule { names, action, args: vec![condition], ..SyscallRule::default() }
}

fn refuse(name: &str, errno: u32) -> SyscallRule {
    let (names, action) = (vec![name.to_owned()], ERRNO.to_owned());
    SyscallRule { names, action, errno_ret: Some(errno), ..SyscallRule::default() }
}

/// Whether the calls below a title are for who has these capabilities.
fn applies(title: &str, capabilities: &[String]) -> bool {
    title.strip_prefix("with ").is_none_or(|needed| capabilities.iter().any(|has| has == needed))
}

/// The titles of the table, each with its calls.
fn sections(table: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(title) => sections.push((title, Vec::new())),
            None => {
                if let Some((_, names)) = sections.last_mut() {
                    names.extend(line.split_whitespace());
                }
            }
        }
    }
    sections.into_iter()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::security::seccomp::compile;
    use std::collections::BTreeSet;

    #[test]
    fn every_call_of_the_table_is_one_and_stands_there_once_for_each_capability() {
        let mut always = BTreeSet::new();
        for (title, names) in sections(TABLE) {
            let mut seen = BTreeSet::new();
            for name in names {
                assert!(seen.insert(name), "{title}: {name} is there twice");
                match title.starts_with("with ") {
                    false => assert!(always.insert(name), "{name} is there twice"),
                    true => assert!(!always.contains(name), "{title}: {name} is allowed to all"),
                }
            }
        }
        let compiled = compile(&default(&["CAP_SYS_ADMIN".to_owned()])).unwrap();
        assert_eq!(compiled.warnings, Vec::<String>::new(), "names that nobody knows");
    }

    #[test]
    fn a_capability_brings_its_calls_and_no_others() {
        let named = |capabilities: &[&str]| {
            let capabilities: Vec<_> = capabilities.iter().map(|name| (*name).to_owned()).collect();
            default(&capabilities).syscalls[0].names.clone()
        };
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        for (capability, call) in [
            ("CAP_SYS_ADMIN", "mount"),
            ("CAP_SYS_ADMIN", "unshare"),
            ("CAP_SYS_MODULE", "init_module"),
            ("CAP_SYS_CHROOT", "chroot"),
            ("CAP_BPF", "bpf"),
            ("CAP_SYS_TIME", "clock_settime"),
        ] {
            assert!(has(&named(&[capability]), call), "{capability} brings {call}");
            assert!(!has(&named(&["CAP_CHOWN"]), call), "{call} needs {capability}");
        }
        // Nobody's, whatever he may.
        let all = named(&["CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO"]);
        for call in [
            "add_key",
            "keyctl",
            "request_key",
            "kexec_load",
            "swapon",
            "userfaultfd",
            "io_uring_setup",
            "pivot_root",
            "uselib",
            "nfsservctl",
        ] {
            assert!(!has(&all, call), "{call}");
        }
    }
}
