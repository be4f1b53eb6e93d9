//! Any profile, on any machine.

use super::fuzz::NAMES;
use super::*;
use crate::security::seccomp::{actions, arch, operators};
use crate::spec::{SyscallArg, SyscallRule};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::RngSeed;

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
    (name, proptest::option::of(select(vec![1, 38, 4094]))).prop_map(|(name, errno)| {
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
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_what_profiles_mean(profile in profile(0..4), machine in machine()) {
        let reference = Reference::new(&profile, machine);
        let compiled = compile_for(&profile, machine).unwrap();
        assert_means(&compiled, &reference, machine, &named_numbers(&reference));
    }

    #[test]
    fn strange_words_are_named(word in "(SCMP_(ACT|CMP|ARCH)_)?[A-Za-z_0-9é]{0,12}", field in 0..5) {
        let rule = SyscallRule { names: vec!["read".into()], action: "SCMP_ACT_TRAP".into(), ..SyscallRule::default() };
        let arg = SyscallArg { op: "SCMP_CMP_EQ".into(), ..SyscallArg::default() };
        let rule = SyscallRule { args: vec![arg], ..rule };
        let mut profile =
            Seccomp { default_action: "SCMP_ACT_ALLOW".into(), syscalls: vec![rule], ..Seccomp::default() };
        match field {
            0 => profile.default_action.clone_from(&word),
            1 => profile.syscalls[0].action.clone_from(&word),
            2 => profile.syscalls[0].args[0].op.clone_from(&word),
            3 => profile.syscalls[0].names[0].clone_from(&word),
            _ => profile.architectures.push(word.clone()),
        }
        match compile_for(&profile, &arch::X86_64) {
            Ok(compiled) if field < 3 => prop_assert!(compiled.warnings.is_empty()),
            Ok(compiled) => prop_assert!(compiled.warnings.iter().all(|warning| warning.contains(&word))),
            Err(e) => prop_assert!(e.to_string().starts_with("linux.seccomp."), "{}", e),
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

proptest! {
    // The same cases each time: for one set of rules in some 25,000 Debian 12's libseccomp (2.5.4) never ends, in
    // _db_tree_put.
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 500, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default()
    })]

    #[test]
    fn programs_do_what_libseccomps_do(profile in profile(0..4), machine in machine()) {
        let mut profile = simplified(profile, machine);
        let other = if profile.default_action == "SCMP_ACT_TRAP" { "SCMP_ACT_ALLOW" } else { "SCMP_ACT_TRAP" };
        let names = vec!["getpid".into()];
        profile.syscalls.push(SyscallRule { names, action: other.into(), ..SyscallRule::default() });
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
