//! Single profiles: what they mean, what is wrong with them, how large they get.

use super::*;
use crate::security::seccomp::{compile, flags};
use serde_json::{Value, json};

fn profile(json: Value) -> Seccomp {
    parse(&serde_json::to_vec(&json).unwrap())
}

fn rule(names: &[&str], action: &str, args: Value) -> Value {
    json!({ "names": names, "action": action, "args": args })
}

/// A condition on an argument.
fn arg(index: u32, op: &str, value: u64) -> Value {
    json!({ "index": index, "value": value, "op": format!("SCMP_CMP_{op}") })
}

/// What x86_64 returns for a call.
fn returns(profile: &Seccomp, number: u32, args: [u64; 6]) -> u32 {
    let compiled = compile_for(profile, &arch::X86_64).unwrap();
    check(&compiled.program).unwrap();
    run(&compiled.program, &Data { number, arch: arch::AUDIT_X86_64, args }, false).0
}

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

#[test]
fn the_large_profile_means_what_it_says() {
    let profile = parse(LARGE);
    for machine in machines() {
        let compiled = compile_for(&profile, machine).unwrap();
        assert_eq!(compiled.warnings, [""; 0]);
        assert_means(&compiled, &Reference::new(&profile, machine), machine, &all_numbers());
    }
}

#[test]
fn the_large_profile_does_what_libseccomps_does() {
    let mut profile = parse(LARGE);
    // libseccomp knows fewer names.
    let known = |name: &String| oracle::number(name, "SCMP_ARCH_X86_64").is_some();
    profile.syscalls.iter_mut().for_each(|rule| rule.names.retain(known));
    for machine in machines() {
        let Some(theirs) = oracle::compile(&profile, machine) else { continue };
        let ours = compile_for(&profile, machine).unwrap().program;
        let reference = Reference::new(&profile, machine);
        for data in samples(&reference, &all_numbers()) {
            let action = match reference.verdict(&data) {
                verdict if verdict.too_new => verdict.action,
                _ => run(&theirs, &data, false).0,
            };
            assert_eq!(run(&ours, &data, false).0, action, "{data:x?} on {}", machine.native.name);
        }
        assert!(
            ours.len() * 2 < theirs.len(),
            "{}: {} and {}",
            machine.native.name,
            ours.len(),
            theirs.len()
        );
    }
}

#[test]
fn a_call_takes_few_instructions() {
    let profile = parse(LARGE);
    let compiled = compile_for(&profile, &arch::X86_64).unwrap();
    let reference = Reference::new(&profile, &arch::X86_64);
    let longest = |numbers: &dyn Fn(u32) -> bool| {
        let calls = (0..470).filter(|number| numbers(*number));
        let calls = calls.map(|number| Data { number, arch: arch::AUDIT_X86_64, args: [0; 6] });
        calls.map(|data| run(&compiled.program, &data, false).1).max().unwrap()
    };
    assert!(longest(&|number| reference.values(number).is_empty()) <= 12);
    assert!(longest(&|_| true) <= 32);
    assert!(compiled.program.len() < 400, "{}", compiled.program.len());
}

#[test]
fn overlapping_rules_are_tried_in_libseccomps_order() {
    let errno = |errno: u32, args: Value| json!({ "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args });
    let order = |first: Value, second: Value| {
        let rules = [errno(1, first), errno(2, second)];
        profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }))
    };
    let cases = [
        // conditions of the first and the second rule; arguments that fit both; which one decides
        (json!([arg(0, "GT", 5)]), json!([arg(0, "GT", 10)]), [11; 6], 2),
        (json!([arg(0, "LT", 10)]), json!([arg(0, "LT", 5)]), [4; 6], 2),
        (json!([arg(0, "GT", 5)]), json!([arg(0, "EQ", 7)]), [7; 6], 2),
        (json!([arg(0, "GT", 5)]), json!([arg(0, "LT", 10)]), [7; 6], 2),
        (json!([arg(0, "EQ", 7)]), json!([arg(1, "EQ", 7)]), [7; 6], 2),
        (json!([arg(1, "EQ", 7)]), json!([arg(0, "EQ", 7)]), [7; 6], 1),
        (json!([arg(0, "EQ", 7)]), json!([arg(0, "EQ", 7), arg(1, "EQ", 7)]), [7; 6], 1),
        (json!([arg(0, "EQ", 7)]), json!([]), [7; 6], 2),
        (json!([]), json!([arg(0, "EQ", 7)]), [7; 6], 1),
        (json!([]), json!([]), [7; 6], 1),
    ];
    for (first, second, args, decides) in cases {
        let profile = order(first, second);
        assert_eq!(returns(&profile, 0, args), ERRNO | decides, "{profile:?}");
        let theirs = oracle::compile(&profile, &arch::X86_64).unwrap();
        let data = Data { number: 0, arch: arch::AUDIT_X86_64, args };
        assert_eq!(run(&theirs, &data, false).0, ERRNO | decides, "libseccomp: {profile:?}");
    }
    // What libseccomp refuses: the earlier rule counts.
    let narrow_first = order(json!([arg(0, "EQ", 7), arg(1, "EQ", 7)]), json!([arg(0, "EQ", 7)]));
    assert_eq!(returns(&narrow_first, 0, [7; 6]), ERRNO | 1);
    assert_eq!(returns(&narrow_first, 0, [7, 0, 0, 0, 0, 0]), ERRNO | 2);
    let contradiction = order(json!([arg(0, "EQ", 7)]), json!([arg(0, "EQ", 7)]));
    assert_eq!(returns(&contradiction, 0, [7; 6]), ERRNO | 1);
    for refused in [narrow_first, contradiction] {
        assert_eq!(oracle::compile(&refused, &arch::X86_64), None);
    }
}

#[test]
fn an_argument_twice_is_two_rules() {
    let rules =
        [rule(&["read"], "SCMP_ACT_ERRNO", json!([arg(0, "EQ", 1), arg(0, "EQ", 2), arg(1, "EQ", 3)]))];
    let profile = profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    for (args, action) in [([1, 0], ERRNO | 1), ([2, 0], ERRNO | 1), ([0, 3], ERRNO | 1), ([0, 0], ALLOW)] {
        assert_eq!(returns(&profile, 0, [args[0], args[1], 0, 0, 0, 0]), action, "{args:?}");
    }
}

#[test]
fn calls_newer_than_the_profile_get_enosys() {
    for (default, newer) in [
        ("SCMP_ACT_ERRNO", ERRNO | 38),
        ("SCMP_ACT_KILL_PROCESS", ERRNO | 38),
        ("SCMP_ACT_TRAP", ERRNO | 38),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
    ] {
        // The highest name counts also if its rule changes nothing.
        let rules = [rule(&["read"], "SCMP_ACT_ALLOW", json!([])), rule(&["clone3"], default, json!([]))];
        let profile = profile(json!({ "defaultAction": default, "syscalls": rules }));
        let default = returns(&profile, 434, [0; 6]);
        assert_eq!(returns(&profile, 0, [0; 6]), ALLOW);
        assert_eq!(returns(&profile, 435, [0; 6]), default);
        assert_eq!(returns(&profile, 436, [0; 6]), newer);
    }
    // As runc: 0 doesn't count as the highest.
    let rules = [rule(&["read"], "SCMP_ACT_ALLOW", json!([]))];
    let only_read = profile(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules }));
    assert_eq!(returns(&only_read, 1, [0; 6]), ERRNO | 1);
}

#[test]
fn calls_through_other_abis_are_killed() {
    let rules = [rule(&["read"], "SCMP_ACT_ERRNO", json!([]))];
    let profile = profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    let compiled = compile_for(&profile, &arch::X86_64).unwrap();
    let call = |number, arch| run(&compiled.program, &Data { number, arch, args: [0; 6] }, false).0;
    assert_eq!(call(1, arch::AUDIT_X86_64), ALLOW);
    assert_eq!(call(arch::X32_BIT | 1, arch::AUDIT_X86_64), 0);
    assert_eq!(call(1, 0x4000_0003), 0);
    // With this number a tracer skips a call.
    assert_eq!(call(u32::MAX, arch::AUDIT_X86_64), ALLOW);
}

#[test]
fn nothing_said_is_nothing_to_load() {
    assert_eq!(compile(&Seccomp::default()), Ok(Compiled::default()));
    let allow = profile(json!({ "defaultAction": "SCMP_ACT_ALLOW" }));
    assert!(!compile(&allow).unwrap().program.is_empty());
}

#[test]
fn flags_are_the_kernels() {
    let with = |flags: Value| {
        let profile = profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": flags }));
        let compiled = compile(&profile).unwrap();
        (compiled.flags, compiled.optional_flags)
    };
    assert_eq!(with(json!(null)), (0, 4), "runc's default");
    assert_eq!(with(json!([])), (0, 0));
    assert_eq!(with(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), (0, 0));
    assert_eq!(with(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), (6, 0));
    assert!(flags().map(|(name, _)| name).is_sorted());
}

#[test]
fn notification_needs_a_listener() {
    let rules = [rule(&["mkdir"], "SCMP_ACT_NOTIFY", json!([]))];
    let mut profile = profile(json!({
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules, "listenerPath": "/run/agent",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    }));
    let compiled = compile(&profile).unwrap();
    assert!(compiled.notify);
    assert_eq!(compiled.flags, 8 | 32);
    profile.listener_path.clear();
    let error = compile(&profile).unwrap_err().to_string();
    assert_eq!(error, "linux.seccomp.listenerPath: missing, and there is SCMP_ACT_NOTIFY");
}

#[test]
fn metadata_for_nobody_is_refused() {
    let profile = profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x" }));
    let error = compile(&profile).unwrap_err().to_string();
    assert_eq!(error, "linux.seccomp.listenerMetadata: there is no listenerPath that it could be sent to");
}

#[test]
fn whether_sendmsg_may_be_notified_is_known() {
    let first = arg(0, "EQ", 1);
    for (default, rules, expected) in [
        ("ALLOW", vec![rule(&["mkdir"], "SCMP_ACT_NOTIFY", json!([]))], false),
        ("ALLOW", vec![rule(&["mkdir", "sendmsg"], "SCMP_ACT_NOTIFY", json!([]))], true),
        ("ERRNO", vec![rule(&["sendmsg"], "SCMP_ACT_NOTIFY", json!([first]))], true),
        ("NOTIFY", vec![], true),
        ("NOTIFY", vec![rule(&["sendmsg"], "SCMP_ACT_ALLOW", json!([first]))], true),
        ("NOTIFY", vec![rule(&["sendmsg"], "SCMP_ACT_ALLOW", json!([]))], false),
    ] {
        let default = format!("SCMP_ACT_{default}");
        let compiled = compile(&profile(json!({
            "defaultAction": default, "syscalls": rules, "listenerPath": "/run/agent",
        })));
        let compiled = compiled.unwrap();
        assert!(compiled.notify && compiled.flags & 8 != 0);
        assert_eq!(compiled.notifies_sendmsg, expected, "{default} {rules:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let with = |change: Value| {
        let mut json = json!({ "defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/run/agent", "syscalls": [
            rule(&["read"], "SCMP_ACT_ALLOW", json!([])), rule(&["write"], "SCMP_ACT_ALLOW", json!([arg(0, "EQ", 1)])),
        ] });
        for (pointer, value) in change.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match json.pointer_mut(parent).unwrap() {
                Value::Array(array) => array[key.parse::<usize>().unwrap()] = value.clone(),
                object => object[key] = value.clone(),
            }
        }
        compile(&profile(json)).unwrap_err().to_string()
    };
    let cases = [
        (json!({ "/defaultAction": "SCMP_ACT_DENY" }), r#"defaultAction: unknown action "SCMP_ACT_DENY""#),
        (json!({ "/defaultAction": null }), r#"defaultAction: unknown action """#),
        (json!({ "/defaultErrnoRet": 5000 }), "defaultErrnoRet: 5000: not 0 to 4095"),
        (
            json!({ "/defaultAction": "SCMP_ACT_KILL", "/defaultErrnoRet": 1 }),
            "defaultErrnoRet: SCMP_ACT_KILL has none",
        ),
        (json!({ "/syscalls/1/action": "allow" }), r#"syscalls[1].action: unknown action "allow""#),
        (json!({ "/syscalls/1/errnoRet": 1 }), "syscalls[1].errnoRet: SCMP_ACT_ALLOW has none"),
        (
            json!({ "/syscalls/1/action": "SCMP_ACT_TRACE", "/syscalls/1/errnoRet": 70000 }),
            "syscalls[1].errnoRet: 70000: not 0 to 65535",
        ),
        (json!({ "/syscalls/1/names/0": "" }), "syscalls[1].names[0]: empty"),
        (json!({ "/syscalls/1/args/0/op": "EQ" }), r#"syscalls[1].args[0].op: unknown operator "EQ""#),
        (
            json!({ "/syscalls/1/args/0/index": 6 }),
            "syscalls[1].args[0].index: 6: a system call has arguments 0 to 5",
        ),
        (
            json!({ "/flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }),
            "flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is only for profiles with SCMP_ACT_NOTIFY",
        ),
    ];
    for (change, error) in cases {
        assert_eq!(with(change.clone()), format!("linux.seccomp.{error}"), "{change}");
    }
}

#[test]
fn what_has_no_effect_is_warned_about() {
    let profile = profile(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_Z80", "SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_NEW"],
        "syscalls": [
            rule(&["read", "raed", "set_tls"], "SCMP_ACT_ALLOW", json!([])),
            rule(&[], "SCMP_ACT_ALLOW", json!([])),
            rule(&["read"], "SCMP_ACT_TRAP", json!([])),
            rule(&["read"], "SCMP_ACT_TRAP", json!([arg(0, "EQ", 1)])),
            rule(&["read"], "SCMP_ACT_ALLOW", json!([arg(0, "EQ", 1)])),
        ],
    }));
    let compiled = compile_for(&profile, &arch::X86_64).unwrap();
    let warnings = [
        r#"architectures[1]: unknown architecture "SCMP_ARCH_Z80""#,
        r#"syscalls[0].names[1]: unknown system call "raed""#,
        "syscalls[1].names: empty: the rule is for nothing",
        r#"flags[1]: unknown flag "SECCOMP_FILTER_FLAG_NEW""#,
    ];
    assert_eq!(compiled.warnings, warnings.map(|warning| format!("linux.seccomp.{warning}")));
    let hints = [2, 3]
        .map(|rule| format!("linux.seccomp.syscalls[{rule}]: read: never applies: syscalls[0] decides"));
    assert_eq!(compiled.hints, hints);
    let there = compile_for(&profile, &arch::S390X).unwrap().warnings;
    assert!(
        there.iter().any(|warning| warning.starts_with("linux.seccomp.architectures[3]: SCMP_ARCH_S390: "))
    );
}

/// `count` rules for one call, none of which makes another superfluous.
fn many(count: u64) -> Seccomp {
    let rules = (0..count).map(|value| rule(&["read"], "SCMP_ACT_ALLOW", json!([arg(0, "EQ", value * 2)])));
    profile(json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": rules.collect::<Vec<_>>() }))
}

#[test]
fn long_programs_jump_far() {
    let profile = many(1000);
    let compiled = compile_for(&profile, &arch::X86_64).unwrap();
    assert!(compiled.program.len() > 4000);
    check(&compiled.program).unwrap();
    for value in 0..2001 {
        let action = if value % 2 == 0 && value < 2000 { ALLOW } else { 0x8000_0000 };
        assert_eq!(returns(&profile, 0, [value; 6]), action, "{value}");
    }
}

#[test]
fn programs_too_long_for_the_kernel_are_refused() {
    let refused = |profile: &Seccomp| compile_for(profile, &arch::X86_64).unwrap_err().to_string();
    for count in [1100, 20_000] {
        let error = refused(&many(count));
        assert!(error.starts_with("linux.seccomp: 4"), "{error}");
        assert!(error.ends_with(" instructions or more: the kernel takes 4096"), "{error}");
    }
    // Names times alternatives.
    let mut profile = many(1);
    let rule = &mut profile.syscalls[0];
    rule.names = vec!["read".into(); 1000];
    rule.args = vec![rule.args[0].clone(); 1000];
    assert_eq!(refused(&profile), "linux.seccomp.syscalls[0]: more than 65536 rules with conditions");
}
