//! The table of numbers against two others: the crate `syscalls`, made from the kernel's headers, and libseccomp.

use super::{arch, machines, oracle, reference};
use crate::security::seccomp::arch::Arch;
use crate::security::seccomp::numbers::Name;
use std::collections::BTreeSet;

/// The ABIs of all machines, each once.
fn archs() -> Vec<&'static Arch> {
    let mut archs: Vec<&Arch> = Vec::new();
    for arch in machines().iter().flat_map(|machine| machine.compat.iter().chain([&machine.native])) {
        if !archs.iter().any(|known| known.name == arch.name) {
            archs.push(arch);
        }
    }
    archs
}

#[test]
fn every_name_is_found_and_nothing_else_is() {
    let names: Vec<&str> = Name::all().map(Name::text).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "numbers.tbl isn't sorted");
    for (row, name) in names.iter().enumerate() {
        assert_eq!(Name::find(name).map(Name::row), Some(row), "{name}");
    }
    for nothing in ["", "reads", "rea", "READ", "read ", "-", "é"] {
        assert_eq!(Name::find(nothing), None, "{nothing:?}");
    }
}

#[test]
fn some_numbers_are_the_kernels() {
    let numbers = [
        (arch::X86_64.native, "read", 0),
        (arch::X86_64.native, "clone3", 435),
        (arch::X86_64.compat[0], "execve", 0x4000_0208),
        (arch::X86_64.compat[1], "socketcall", 102),
        (arch::AARCH64.native, "newfstatat", 79),
        (arch::AARCH64.compat[0], "set_tls", 0xf0005),
        (arch::S390X.native, "ipc", 117),
    ];
    for (arch, name, number) in numbers {
        assert_eq!(
            Name::find(name).and_then(|name| arch.number(name)),
            Some(number),
            "{name} on {}",
            arch.name
        );
    }
}

/// Newer than the other tables.
const NEW: [&str; 2] = ["listns", "rseq_slice_yield"];

#[test]
fn numbers_are_those_of_the_kernels_headers() {
    macro_rules! compare {
        ($name:literal, $module:ident, $but:expr) => {{
            let arch = archs().into_iter().find(|arch| arch.name == $name).unwrap();
            let ours = Name::all().filter_map(|name| Some((name.text(), arch.number(name)?)));
            // `iter` leaves out the last one.
            let theirs = syscalls::$module::Sysno::iter().chain([syscalls::$module::Sysno::last()]);
            let ours: BTreeSet<_> = ours.filter(|(name, _)| !NEW.contains(name)).collect();
            let theirs: BTreeSet<_> =
                theirs.map(|call| (call.name().trim_start_matches("r#"), call.id() as u32)).collect();
            let differ: BTreeSet<&str> = ours.symmetric_difference(&theirs).map(|(name, _)| *name).collect();
            let but: BTreeSet<&str> = $but.into_iter().collect();
            assert_eq!(differ, but, $name);
        }};
    }
    // There, 64-bit ABIs have the calls that 32-bit ones got for 64-bit times.
    let time64: Vec<&str> = Name::all()
        .map(Name::text)
        .filter(|name| {
            name.ends_with("_time64")
                || ["adjtime", "gettime", "settime"].iter().any(|t| name.ends_with(&format!("{t}64")))
        })
        .collect();
    let generic = || time64.iter().copied().chain(["fstatat", "newfstatat"]);
    compare!("SCMP_ARCH_X86_64", x86_64, []);
    compare!("SCMP_ARCH_X86", x86, []);
    compare!("SCMP_ARCH_ARM", arm, ["breakpoint", "cacheflush", "get_tls", "set_tls", "usr26", "usr32"]);
    compare!("SCMP_ARCH_AARCH64", aarch64, generic());
    compare!("SCMP_ARCH_RISCV64", riscv64, []);
    let without = ["getrlimit", "memfd_secret", "renameat", "setrlimit"];
    compare!("SCMP_ARCH_LOONGARCH64", loongarch64, generic().chain(without));
    compare!("SCMP_ARCH_PPC64", powerpc64, []);
    compare!("SCMP_ARCH_S390X", s390x, []);
}

#[test]
fn numbers_are_libseccomps() {
    for arch in archs() {
        let mut compared = 0;
        for name in Name::all() {
            let ours = arch.number(name);
            match oracle::number(name.text(), arch.name) {
                // Too old to know the name, or (2.5) that x32 has it.
                None => {}
                Some(None) if arch.is_x32() && name.text() == "map_shadow_stack" => {}
                Some(None) if arch.multiplexed && reference::through(name.text()).is_some() => {}
                Some(theirs) => {
                    compared += 1;
                    assert_eq!(ours, theirs, "{} on {}", name.text(), arch.name);
                }
            }
        }
        assert!(compared > 400 || arch.name == "SCMP_ARCH_LOONGARCH64", "{}: {compared}", arch.name);
    }
}
