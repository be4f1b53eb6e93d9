//! Any profile, on any machine.

use super::*;
use crate::security::seccomp::{actions, arch, operators};
use crate::spec::{SyscallArg, SyscallRule};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Calls with neighbours, ones that few ABIs have, ones that are multiplexed, and multiplexers.
const NAMES: [&str; 16] = [
    "read",
    "write",
    "open",
    "close",
    "clone",
    "personality",
    "socket",
    "semop",
    "recv",
    "accept4",
    "socketcall",
    "ipc",
    "execve",
    "set_tls",
    "getuid32",
    "s390_runtime_instr",
];

const VALUES: [u64; 12] =
    [0, 1, 2, 5, 0x28, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 5 << 32 | 5, u64::MAX - 1, u64::MAX];

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![4 => select(&VALUES[..]), 1 => any::<u64>()]
}

fn condition() -> impl Strategy<Value = SyscallArg> {
    let op = select(operators().collect::<Vec<_>>());
    (prop_oneof![3 => 0..2u32, 1 => 0..6u32], value(), value(), op).prop_map(
        |(index, value, value_two, op)| SyscallArg {
            index,
            value,
            value_two,
            op: op.into(),
            ..SyscallArg::default()
        },
    )
}

/// An action with its errno; one of a few, so that rules agree now and then.
fn action() -> impl Strategy<Value = (String, Option<u32>)> {
    let some = vec!["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"];
    let all: Vec<_> = actions().filter(|action| *action != "SCMP_ACT_NOTIFY").collect();
    let name = prop_oneof![3 => select(some), 1 => select(all)];
    (name, proptest::option::of(select(vec![1, 38, 4095]))).prop_map(|(name, errno)| {
        let has_errno = name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE";
        (name.to_owned(), errno.filter(|_| has_errno))
    })
}

fn rule(conditions: std::ops::Range<usize>) -> impl Strategy<Value = SyscallRule> {
    let names = proptest::collection::vec(select(&NAMES[..]), 1..4);
    (names, action(), proptest::collection::vec(condition(), conditions)).prop_map(
        |(names, (action, errno), args)| {
            let names = names.into_iter().map(str::to_owned).collect();
            SyscallRule { names, action, errno_ret: errno, args, ..SyscallRule::default() }
        },
    )
}

/// A profile whose rules have this many conditions.
fn profile(conditions: std::ops::Range<usize>) -> impl Strategy<Value = Seccomp> {
    let archs = subsequence(&arch::KNOWN[..], 0..=arch::KNOWN.len());
    (action(), archs, proptest::collection::vec(rule(conditions), 0..10)).prop_map(
        |(default, archs, syscalls)| Seccomp {
            default_action: default.0,
            default_errno_ret: default.1,
            architectures: archs.into_iter().map(str::to_owned).collect(),
            syscalls,
            ..Seccomp::default()
        },
    )
}

fn machine() -> impl Strategy<Value = &'static Machine> {
    select(machines().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_what_profiles_mean(profile in profile(0..4), machine in machine()) {
        let reference = Reference::new(&profile, machine);
        let compiled = compile_for(&profile, machine).unwrap();
        assert_means(&compiled, &reference, machine, &named_numbers(&reference));
    }

    #[test]
    fn programs_do_what_libseccomps_do(profile in profile(0..4), machine in machine()) {
        let mut profile = simplified(profile, machine);
        prop_assume!(profile.default_action != "SCMP_ACT_TRAP");
        let names = vec!["getpid".into()];
        profile.syscalls.push(SyscallRule { names, action: "SCMP_ACT_TRAP".into(), ..SyscallRule::default() });
        let Some(theirs) = oracle::compile(&profile, machine) else { return Ok(()) };
        check(&theirs).unwrap();
        let ours = compile_for(&profile, machine).unwrap().program;
        let reference = Reference::new(&profile, machine);
        for data in samples(&reference, &named_numbers(&reference)) {
            let right = reference.verdict(&data);
            // Calls that are too new are runc's own affair, and the order of rules is tested in `profiles`.
            if !right.too_new && !right.contested {
                let actions = [&ours, &theirs].map(|program| run(program, &data, false).0);
                prop_assert_eq!(actions[0], actions[1], "{:x?} {:x?} on {}", data, right, machine.native.name);
            }
        }
    }
}

/// A profile without the rules that libseccomp can't do.
fn simplified(profile: Seccomp, machine: &Machine) -> Seccomp {
    let mut simple = Seccomp { syscalls: Vec::new(), ..profile.clone() };
    for rule in profile.syscalls {
        simple.syscalls.push(rule);
        if !Reference::new(&simple, machine).is_simple() {
            simple.syscalls.pop();
        }
    }
    simple
}

#[test]
fn the_large_profile_means_what_it_says() {
    let profile = parse(LARGE);
    for machine in machines() {
        let compiled = compile_for(&profile, machine).unwrap();
        assert_means(&compiled, &Reference::new(&profile, machine), machine, &all_numbers());
    }
}
