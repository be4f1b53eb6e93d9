//! `linux.seccomp`: what the filter does to system calls made inside.

use crate::running::{Running, dir, prepared_by, refusal, run, says, seen};
use serde_json::{Value, json};
use testkit::{Bundle, Door, privileged, skip};

/// A bundle with this filter; a program that runs as root without no_new_privs is the harder case, so it is the usual.
fn filtered(bundle: Bundle, seccomp: Value) -> Bundle {
    bundle.edit(|config| {
        config["linux"]["seccomp"] = seccomp;
        config["process"]["noNewPrivileges"] = json!(false);
    })
}

fn no_new_privileges(bundle: Bundle) -> Bundle {
    bundle.edit(|config| config["process"]["noNewPrivileges"] = json!(true))
}

/// All system calls but those of `rule`.
fn allowing_but(rule: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] })
}

/// A profile as engines use it: some 360 names, conditions, three architectures.
fn large() -> Value {
    // In the binary: where it runs, the workspace may not be.
    let text = include_str!("../../crates/runtime/tests/fixtures/seccomp-large.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_refused_system_call_gives_the_errno_of_its_rule() {
    if !privileged::root() {
        return;
    }
    let rule = json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 });
    let bundle = filtered(Bundle::busybox(), allowing_but(rule));
    assert_eq!(
        says(bundle, "mkdir /dev/shm/x 2>&1 || echo refused").lines().collect::<Vec<_>>(),
        ["mkdir: can't create directory '/dev/shm/x': No space left on device", "refused",]
    );
}

#[test]
fn without_errno_a_refused_system_call_gives_eperm() {
    if !privileged::root() {
        return;
    }
    let rule = json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" });
    let bundle = filtered(Bundle::busybox(), allowing_but(rule));
    let output = run(&bundle.shell("mkdir /dev/shm/x"));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("Operation not permitted"), "{}", output.stderr);
}

#[test]
fn system_calls_that_are_not_listed_give_the_default_errno() {
    if !privileged::root() {
        return;
    }
    let mut profile = large();
    profile["defaultErrnoRet"] = json!(75);
    // settimeofday and sethostname aren't in the profile; the capability would be needed as well.
    let bundle = filtered(Bundle::busybox(), profile);
    let output = run(&bundle.shell("hostname other; exit 3"));
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains("Value too large for defined data type"), "{}", output.stderr);
}

#[test]
fn a_system_call_that_kills_ends_the_program_by_sigsys() {
    if !privileged::root() {
        return;
    }
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        let rule = json!({ "names": ["uname"], "action": action });
        let bundle = filtered(Bundle::busybox(), allowing_but(rule));
        let output = run(&bundle.args(["uname"]));
        assert_eq!((output.code, output.stdout.as_str()), (128 + 31, ""), "{action}: {}", output.stderr);
    }
}

#[test]
fn a_logged_system_call_works() {
    if !privileged::root() {
        return;
    }
    let rule = json!({ "names": ["uname"], "action": "SCMP_ACT_LOG" });
    assert_eq!(says(filtered(Bundle::busybox(), allowing_but(rule)), "uname"), "Linux");
}

/// Signals that do nothing to a shell: CHLD, CONT, URG, WINCH.
const SIGNALS: [u64; 4] = [17, 18, 23, 28];

#[test]
fn conditions_compare_arguments() {
    if !privileged::root() {
        return;
    }
    let argument = |op: &str, value: u64| json!({ "index": 1, "op": op, "value": value });
    let masked = json!({ "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0b1001, "valueTwo": 0b0001 });
    // Several on one argument are alternatives, as runc has them; on different ones all have to hold.
    let either = [argument("SCMP_CMP_EQ", 17), argument("SCMP_CMP_EQ", 28)];
    let pid = |pid: u64| json!({ "index": 0, "op": "SCMP_CMP_EQ", "value": pid });
    for (args, refused) in [
        (json!([argument("SCMP_CMP_EQ", 23)]), vec![23]),
        (json!([argument("SCMP_CMP_NE", 23)]), vec![17, 18, 28]),
        (json!([argument("SCMP_CMP_LT", 23)]), vec![17, 18]),
        (json!([argument("SCMP_CMP_LE", 23)]), vec![17, 18, 23]),
        (json!([argument("SCMP_CMP_GE", 23)]), vec![23, 28]),
        (json!([argument("SCMP_CMP_GT", 23)]), vec![28]),
        (json!([masked]), vec![17, 23]),
        (json!(either), vec![17, 28]),
        (json!([pid(1), argument("SCMP_CMP_GT", 18)]), vec![23, 28]),
        (json!([pid(2), argument("SCMP_CMP_GT", 18)]), vec![]),
    ] {
        let rule = json!({ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": args });
        let bundle = filtered(Bundle::busybox(), allowing_but(rule));
        let line = "for s in 17 18 23 28; do kill -$s $$ 2> /dev/null || echo $s; done";
        let expected: Vec<_> = refused.iter().map(u64::to_string).collect();
        assert!(refused.iter().all(|signal| SIGNALS.contains(signal)));
        assert_eq!(says(bundle, line).lines().collect::<Vec<_>>(), expected, "{args}");
    }
}

#[test]
fn a_shell_works_under_a_profile_as_engines_use_it() {
    if !privileged::root() {
        return;
    }
    let line = "id -u; ls / > /dev/null; echo a | cat; sleep 0; (echo b > /dev/shm/f; cat /dev/shm/f); \
                grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status";
    let bundle = || filtered(Bundle::busybox(), large());
    assert_eq!(says(bundle(), line), "0\na\nb\nNoNewPrivs:\t0\nSeccomp:\t2");
    assert_eq!(says(no_new_privileges(bundle()), line), "0\na\nb\nNoNewPrivs:\t1\nSeccomp:\t2");
    let user = bundle().edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(says(user, line), "1000\na\nb\nNoNewPrivs:\t0\nSeccomp:\t2", "an ordinary user can't load it");
}

#[test]
fn loading_the_filter_leaves_no_right_behind() {
    if !privileged::root() {
        return;
    }
    let one = json!({ "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"] });
    let all = ["bounding", "permitted", "inheritable", "effective", "ambient"];
    let ambient: serde_json::Map<_, _> =
        all.iter().map(|set| ((*set).to_owned(), json!(["CAP_KILL"]))).collect();
    for (capabilities, uid) in [(json!({}), 0), (one.clone(), 0), (one, 1000), (json!(ambient), 1000)] {
        let bundle = filtered(Bundle::probe(), large()).edit(|config| {
            config["process"]["capabilities"] = capabilities;
            config["process"]["user"] = json!({ "uid": uid, "gid": uid });
        });
        let plain = seen(&bundle);
        let bundle = bundle.edit(|config| drop(config["linux"].as_object_mut().unwrap().remove("seccomp")));
        assert_eq!(plain["credentials"], seen(&bundle)["credentials"], "as without a filter");
        assert_eq!(plain["process"]["seccomp_filters"], "1");
    }
}

#[test]
fn exec_gets_the_filter_as_well() {
    if !privileged::root() {
        return;
    }
    for bundle in
        [filtered(Bundle::busybox(), large()), no_new_privileges(filtered(Bundle::busybox(), large()))]
    {
        let running = Running::of(bundle);
        let output = running.exec("grep -E '^Seccomp(_filters)?:' /proc/self/status; hostname other");
        assert_eq!(output.stdout, "Seccomp:\t2\nSeccomp_filters:\t1\n");
        assert!(output.code == 1 && output.stderr.contains("not permitted"), "{}", output.stderr);
    }
}

#[test]
fn a_profile_that_asks_for_what_is_not_there_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let rule = |action: &str, names: &[&str]| allowing_but(json!({ "names": names, "action": action }));
    for (profile, expected) in [
        (rule("SCMP_ACT_NO_SUCH", &["mkdir"]), "SCMP_ACT_NO_SUCH"),
        (json!({ "defaultAction": "SCMP_ACT_NO_SUCH" }), "SCMP_ACT_NO_SUCH"),
    ] {
        let error = refusal(&filtered(Bundle::busybox(), profile));
        assert!(error.contains("linux.seccomp") && error.contains(expected), "{error}");
    }
}

/// What the kernel's log says of a process's filter.
fn records(pid: &Value) -> usize {
    let log = std::process::Command::new("dmesg").output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    let of = format!(" pid={pid} ");
    log.lines().filter(|line| line.contains("type=1326") && line.contains(&of)).count()
}

#[test]
fn refused_system_calls_are_logged_where_the_flag_is_set() {
    if !privileged::root() || !privileged::program("dmesg", "util-linux") {
        return;
    }
    let door = Door::new();
    let logged = |action: &str, flags: Value| {
        let mut profile = allowing_but(json!({ "names": ["mkdir", "mkdirat"], "action": action }));
        profile["flags"] = flags;
        let bundle = filtered(Bundle::busybox(), profile).args(["mkdir", "/dev/shm/x"]);
        let id = door.id("logged");
        door.ok(["create", "--bundle", dir(&bundle), &id]);
        let pid = door.state(&id)["pid"].clone();
        door.ok(["start", &id]);
        door.await_status(&id, "stopped");
        door.ok(["delete", &id]);
        records(&pid)
    };
    if logged("SCMP_ACT_LOG", json!([])) == 0 {
        return skip("needs a kernel log that has the records of filters");
    }
    assert_eq!(logged("SCMP_ACT_ERRNO", json!([])), 0);
    assert_eq!(logged("SCMP_ACT_ERRNO", json!(["SECCOMP_FILTER_FLAG_LOG"])), 1);
}

#[test]
fn speculation_is_mitigated_only_where_the_profile_does_not_allow_it() {
    if !privileged::root() {
        return;
    }
    let state = std::fs::read_to_string("/sys/devices/system/cpu/vulnerabilities/spec_store_bypass");
    if !state.is_ok_and(|state| state.contains("seccomp")) {
        return skip("needs a CPU and a kernel that mitigate speculative store bypass for filters");
    }
    let line = "grep Speculation_Store_Bypass /proc/self/status";
    let seen = |flags: Option<Value>| {
        let mut profile = allowing_but(json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }));
        if let Some(flags) = flags {
            profile["flags"] = flags;
        }
        says(filtered(Bundle::busybox(), profile), line).contains("vulnerable")
    };
    assert!(!seen(Some(json!([]))));
    assert!(seen(Some(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]))) && seen(None), "as with runc");
}

#[test]
fn the_flags_of_the_profile_are_what_the_filter_is_loaded_with() {
    if !privileged::root() || !privileged::program("strace", "strace") {
        return;
    }
    let door = Door::new();
    let all = ["LOG", "SPEC_ALLOW", "TSYNC"].map(|flag| format!("SECCOMP_FILTER_FLAG_{flag}"));
    for (flags, expected) in [
        (json!(null), ", SECCOMP_FILTER_FLAG_SPEC_ALLOW, {"),
        (json!([]), ", 0, {"),
        (json!(["SECCOMP_FILTER_FLAG_LOG"]), ", SECCOMP_FILTER_FLAG_LOG, {"),
        // The program has one thread when it is loaded: there is nothing to synchronise.
        (json!(["SECCOMP_FILTER_FLAG_TSYNC"]), ", 0, {"),
        (json!(all), ", SECCOMP_FILTER_FLAG_LOG|SECCOMP_FILTER_FLAG_SPEC_ALLOW, {"),
    ] {
        let mut profile = allowing_but(json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }));
        profile["flags"] = flags;
        let bundle = filtered(Bundle::busybox(), profile).args(["true"]);
        let trace = door.directory().join("trace");
        let line = format!("exec strace -f -o {} -e trace=seccomp \"$@\"", trace.display());
        let id = door.id("flags");
        let args = ["run", "--bundle", dir(&bundle), &id];
        assert_eq!(door.finish(&mut prepared_by(&line, &door, &args)).code, 0);
        let trace = std::fs::read_to_string(&trace).unwrap();
        assert!(trace.contains(&format!("SECCOMP_SET_MODE_FILTER{expected}")), "{expected}: {trace}");
    }
}

#[test]
fn an_unknown_system_call_is_passed_over() {
    if !privileged::root() {
        return;
    }
    let rule = json!({ "names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" });
    let bundle = filtered(Bundle::busybox(), allowing_but(rule)).shell("mkdir /dev/shm/x; exit 5");
    let door = Door::new();
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("unknown")]);
    assert_eq!(output.code, 5);
    assert!(output.stderr.contains("unknown system call \\\"no_such_call"), "a warning: {}", output.stderr);
    assert!(
        output.stderr.contains("Operation not permitted"),
        "the one that is known works: {}",
        output.stderr
    );
}
