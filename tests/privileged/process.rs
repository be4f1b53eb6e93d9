//! `process`: arguments, environment, directory, user, limits, rights, and what is not inherited.

use crate::running::{Running, dir, prepared_by, refusal, run, runc, says, seen, seen_by};
use serde_json::{Value, json};
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, privileged, skip};

/// A bundle whose `process` has this field.
fn with(bundle: Bundle, field: &str, value: Value) -> Bundle {
    bundle.edit(|config| config["process"][field] = value)
}

fn user(bundle: Bundle, user: Value) -> Bundle {
    with(bundle, "user", user)
}

fn executable(bundle: Bundle, path: &str, text: &str) -> Bundle {
    use std::os::unix::fs::PermissionsExt;
    let bundle = bundle.file(path, text);
    let file = bundle.rootfs().join(path.trim_start_matches('/'));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    bundle
}

#[test]
fn arguments_reach_the_program_as_they_are() {
    if !privileged::root() {
        return;
    }
    let args = [PROBE, "", "a b", "$HOME", "--root", "ä\n", "'\"\\"];
    assert_eq!(seen(&Bundle::probe().args(args))["process"]["args"], json!(args));
}

#[test]
fn the_program_is_looked_up_in_the_containers_path() {
    if !privileged::root() {
        return;
    }
    let bundle = executable(Bundle::busybox(), "/opt/tool", "#!/bin/sh\necho found $0\n");
    let bundle = with(bundle, "env", json!(["PATH=/nowhere:/opt:/bin"])).args(["tool"]);
    assert_eq!(run(&bundle).stdout, "found /opt/tool\n");
    let bundle = with(bundle, "env", json!(["PATH=/nowhere:/bin"]));
    let error = refusal(&bundle);
    assert!(error.contains("exec: \"tool\": executable file not found in $PATH"), "{error}");
}

#[test]
fn a_program_with_a_slash_is_found_from_the_working_directory() {
    if !privileged::root() {
        return;
    }
    let bundle = executable(Bundle::busybox(), "/opt/tool", "#!/bin/sh\necho found\n");
    let bundle = with(bundle, "cwd", json!("/opt")).args(["./tool"]);
    assert_eq!(run(&bundle).stdout, "found\n");
}

#[test]
fn a_working_directory_that_is_missing_is_made() {
    if !privileged::root() {
        return;
    }
    let bundle = with(Bundle::busybox().writable(), "cwd", json!("/srv/deep/down"));
    assert_eq!(says(bundle, "pwd; stat -c '%a %u:%g' ."), "/srv/deep/down\n755 0:0");
}

#[test]
fn a_working_directory_through_a_symlink_stays_inside() {
    if !privileged::root() {
        return;
    }
    let bundle = with(Bundle::busybox().writable(), "cwd", json!("/link/new"));
    std::os::unix::fs::symlink("/../../srv", bundle.rootfs().join("link")).unwrap();
    std::fs::create_dir(bundle.rootfs().join("srv")).unwrap();
    assert_eq!(says(bundle, "pwd -P"), "/srv/new");
}

#[test]
fn a_working_directory_outside_of_the_container_is_refused() {
    if !privileged::root() {
        return;
    }
    // CVE-2024-21626: a descriptor of a directory of the host, given on purpose, and entered by the container.
    let bundle = with(Bundle::busybox(), "cwd", json!("/proc/self/fd/3"));
    let door = Door::new();
    let id = door.id("outside");
    let args = ["run", "--preserve-fds", "1", "--bundle", dir(&bundle), &id];
    let output = door.finish(&mut prepared_by("exec 3</; exec \"$@\"", &door, &args));
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("process.cwd: "), "{}", output.stderr);
    let running = Running::of(Bundle::busybox());
    let args = ["exec", "--preserve-fds", "1", "--cwd", "/proc/self/fd/3", &running.id, "pwd"];
    let output = running.door.finish(&mut prepared_by("exec 3</; exec \"$@\"", &running.door, &args));
    assert_eq!(output.stdout, "");
    assert!(output.code != 0 && output.stderr.contains("process.cwd: "), "{}", output.stderr);
}

#[test]
fn a_working_directory_that_is_a_file_is_refused() {
    if !privileged::root() {
        return;
    }
    let error = refusal(&with(Bundle::busybox(), "cwd", json!("/etc/passwd")));
    assert!(error.contains("process.cwd: \"/etc/passwd\": not a directory"), "{error}");
}

#[test]
fn the_environment_keeps_its_order_and_the_last_of_each_name() {
    if !privileged::root() {
        return;
    }
    let bundle = with(Bundle::probe(), "env", json!(["B=1", "A=2", "HOME=/x", "B=3", "EMPTY=", "C=a=b"]));
    let door = Door::new();
    let id = door.id("environment");
    let mut command = door.command(["run", "--bundle", dir(&bundle), &id]);
    let output = door.finish(command.env("SECRET", "of the host"));
    assert_eq!(output.json()["process"]["env"], json!(["B=3", "A=2", "HOME=/x", "EMPTY=", "C=a=b"]));
}

#[test]
fn home_is_what_the_containers_own_passwd_says() {
    if !privileged::root() {
        return;
    }
    let passwd =
        "root:x:0:0::/root:/bin/sh\nbroken line\nuser:x:1000:1000::/home/user:/bin/sh\nnone:x:7:7:::\n";
    for (uid, env, home) in [
        (0, "A=1", "HOME=/root"),
        (1000, "A=1", "HOME=/home/user"),
        (1000, "HOME=", "HOME=/home/user"),
        (1000, "HOME=/given", "HOME=/given"),
        (7, "A=1", "HOME=/"),
        (4242, "A=1", "HOME=/"),
    ] {
        let bundle = Bundle::probe().file("/etc/passwd", passwd);
        let bundle = user(with(bundle, "env", json!([env])), json!({ "uid": uid, "gid": 0 }));
        let seen = seen(&bundle);
        assert_eq!(seen["process"]["env"].as_array().unwrap().last(), Some(&json!(home)), "{uid} {env}");
    }
}

#[test]
fn the_user_its_groups_and_the_umask_are_the_configs() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::probe().file("/etc/group", "extra:x:2000:root,user\n");
    let config = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 2001], "umask": 0o027 });
    let seen = seen(&user(bundle, config));
    let credentials = &seen["credentials"];
    assert_eq!(credentials["Uid"], "1000\t1000\t1000\t1000");
    assert_eq!(credentials["Gid"], "1001\t1001\t1001\t1001");
    assert_eq!(credentials["Groups"], "5 2001");
    assert_eq!(seen["process"]["umask"], "0027");
    assert_eq!(seen["process"]["ppid"], 0);
}

#[test]
fn without_groups_the_callers_are_not_inherited_and_the_umask_is_0022() {
    if !privileged::root() {
        return;
    }
    let bundle = user(Bundle::probe(), json!({ "uid": 0, "gid": 0 }));
    let door = Door::new();
    let id = door.id("groups");
    let args = ["run", "--bundle", dir(&bundle), &id];
    let output = door.finish(&mut prepared_by("umask 0; exec \"$@\"", &door, &args));
    assert_eq!(output.json()["credentials"]["Groups"], "");
    assert_eq!(output.json()["process"]["umask"], "0022");
}

/// Each resource limit, with its name in `/proc/PID/limits`, and values that any machine can give.
const RLIMITS: [(&str, &str, u64, u64); 16] = [
    ("RLIMIT_CPU", "Max cpu time", 1000, 2000),
    ("RLIMIT_FSIZE", "Max file size", 1 << 30, 1 << 31),
    ("RLIMIT_DATA", "Max data size", 1 << 32, 1 << 33),
    ("RLIMIT_STACK", "Max stack size", 4 << 20, 16 << 20),
    ("RLIMIT_CORE", "Max core file size", 0, 4096),
    ("RLIMIT_RSS", "Max resident set", 1 << 31, 1 << 32),
    ("RLIMIT_NPROC", "Max processes", 500, 501),
    ("RLIMIT_NOFILE", "Max open files", 64, 65),
    ("RLIMIT_MEMLOCK", "Max locked memory", 4096, 8192),
    ("RLIMIT_AS", "Max address space", 1 << 33, 1 << 34),
    ("RLIMIT_LOCKS", "Max file locks", 10, 11),
    ("RLIMIT_SIGPENDING", "Max pending signals", 20, 21),
    ("RLIMIT_MSGQUEUE", "Max msgqueue size", 8192, 16384),
    ("RLIMIT_NICE", "Max nice priority", 0, 0),
    ("RLIMIT_RTPRIO", "Max realtime priority", 0, 0),
    ("RLIMIT_RTTIME", "Max realtime timeout", 1000, 2000),
];

#[test]
fn every_resource_limit_is_set() {
    if !privileged::root() {
        return;
    }
    let limits =
        RLIMITS.map(|(kind, _, soft, hard)| json!({ "type": kind, "soft": soft, "hard": hard })).to_vec();
    let running = Running::of(with(Bundle::busybox().with_probe(), "rlimits", json!(limits)));
    for limits in
        [&seen(&with(Bundle::probe(), "rlimits", json!(limits)))["limits"], &running.probe()["limits"]]
    {
        for (kind, name, soft, hard) in RLIMITS {
            let expected = json!({ "soft": soft.to_string(), "hard": hard.to_string() });
            assert_eq!(limits[name], expected, "{kind}");
        }
    }
}

#[test]
fn a_hard_limit_that_only_cap_sys_resource_may_raise_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    if has_sys_resource() {
        return skip("needs a caller without CAP_SYS_RESOURCE");
    }
    let limit = json!([{ "type": "RLIMIT_MEMLOCK", "soft": 1, "hard": 1_u64 << 50 }]);
    let error = refusal(&with(Bundle::busybox(), "rlimits", limit));
    assert!(error.contains("process.rlimits RLIMIT_MEMLOCK: ") && error.contains("EPERM"), "{error}");
}

fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 << 24 != 0
}

/// The sets of a status file: inheritable, permitted, effective, bounding, ambient.
fn sets(seen: &Value) -> [u64; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|name| u64::from_str_radix(seen["credentials"][name].as_str().unwrap(), 16).unwrap())
}

fn bits(numbers: &[u32]) -> u64 {
    numbers.iter().map(|number| 1 << number).sum()
}

const KILL: u32 = 5;
const BIND: u32 = 10;
const RAW: u32 = 13;

#[test]
fn the_programs_capabilities_are_those_of_the_config_and_nothing_is_inheritable() {
    if !privileged::root() {
        return;
    }
    let names = json!(["CAP_KILL", "CAP_NET_RAW"]);
    let sets_of = |config: Value| sets(&seen(&with(Bundle::probe(), "capabilities", config)));
    let usual = json!({ "bounding": names, "permitted": names, "effective": names });
    let two = bits(&[KILL, RAW]);
    assert_eq!(sets_of(usual), [0, two, two, two, 0], "CVE-2022-29162: CapInh stays 0");
    assert_eq!(sets_of(json!({})), [0; 5]);
    let none = Bundle::probe()
        .edit(|config| drop(config["process"].as_object_mut().unwrap().remove("capabilities")));
    assert_eq!(sets(&seen(&none)), [0; 5], "no capabilities object, no capabilities");
}

#[test]
fn each_of_the_five_sets_is_its_own() {
    if !privileged::root() {
        return;
    }
    // An ordinary user's program keeps what is ambient; the others show in the bounding and inheritable sets.
    let config = json!({
        "bounding": ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"],
        "permitted": ["CAP_KILL", "CAP_NET_RAW"],
        "inheritable": ["CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    });
    let bundle = with(Bundle::probe(), "capabilities", config.clone());
    let bundle = user(bundle, json!({ "uid": 1000, "gid": 1000 }));
    let kill = bits(&[KILL]);
    let expected = [bits(&[KILL, RAW]), kill, kill, bits(&[KILL, BIND, RAW]), kill];
    assert_eq!(sets(&seen(&bundle)), expected);
    let running = Running::of(user(
        with(Bundle::busybox().with_probe(), "capabilities", config),
        json!({ "uid": 1000, "gid": 1000 }),
    ));
    assert_eq!(sets(&running.probe()), expected, "exec has the same");
}

#[test]
fn capabilities_are_as_runc_gives_them() {
    if !privileged::root() {
        return;
    }
    let Some(runc) = runc() else { return };
    let door = Door::new();
    let lists: [&[&str]; 3] = [&[], &["CAP_KILL"], &["CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"]];
    for (uid, no_new_privileges) in [(0, true), (0, false), (1000, true), (1000, false)] {
        for list in lists {
            let bundle = user(Bundle::probe(), json!({ "uid": uid, "gid": uid }));
            let sets = json!({ "bounding": lists[2], "permitted": list, "effective": list, "inheritable": list, "ambient": list });
            let bundle =
                with(with(bundle, "capabilities", sets), "noNewPrivileges", json!(no_new_privileges));
            let (ours, theirs) = (seen_by(&door, &bundle), seen_by(&runc, &bundle));
            assert_eq!(ours["credentials"], theirs["credentials"], "{uid} {no_new_privileges} {list:?}");
        }
    }
}

#[test]
fn no_new_privileges_is_what_the_config_says() {
    if !privileged::root() {
        return;
    }
    for (value, seen_as) in [(true, "1"), (false, "0")] {
        let running = Running::of(with(Bundle::busybox().with_probe(), "noNewPrivileges", json!(value)));
        assert_eq!(
            seen(&with(Bundle::probe(), "noNewPrivileges", json!(value)))["process"]["no_new_privs"],
            seen_as
        );
        assert_eq!(running.probe()["process"]["no_new_privs"], seen_as, "exec has the same");
    }
}

#[test]
fn a_set_user_id_program_gains_rights_only_without_no_new_privileges() {
    use std::os::unix::fs::PermissionsExt;
    if !privileged::root() {
        return;
    }
    for (value, effective) in [(true, "1000"), (false, "0")] {
        let bundle =
            user(with(Bundle::probe(), "noNewPrivileges", json!(value)), json!({ "uid": 1000, "gid": 1000 }));
        let probe = bundle.rootfs().join("probe");
        std::fs::set_permissions(probe, std::fs::Permissions::from_mode(0o4755)).unwrap();
        let uids = seen(&bundle)["credentials"]["Uid"].clone();
        assert_eq!(uids.as_str().unwrap().split('\t').nth(1), Some(effective));
    }
}

#[test]
fn the_out_of_memory_score_is_raised_and_otherwise_inherited() {
    if !privileged::root() {
        return;
    }
    let line = "cat /proc/self/oom_score_adj";
    assert_eq!(says(with(Bundle::busybox(), "oomScoreAdj", json!(500)), line), "500");
    let running = Running::of(with(Bundle::busybox(), "oomScoreAdj", json!(400)));
    assert_eq!(running.says(line), "400", "exec has the same");
    let door = Door::new();
    let bundle = Bundle::busybox().shell(line);
    let id = door.id("score");
    let args = ["run", "--bundle", dir(&bundle), &id];
    let inherited = prepared_by("echo 321 > /proc/self/oom_score_adj; exec \"$@\"", &door, &args);
    assert_eq!(door.finish(&mut { inherited }).stdout, "321\n");
}

#[test]
fn an_out_of_memory_score_below_the_callers_is_refused_by_name() {
    if !privileged::root() {
        return;
    }
    if has_sys_resource() {
        return skip("needs a caller without CAP_SYS_RESOURCE");
    }
    let error = refusal(&with(Bundle::busybox(), "oomScoreAdj", json!(-999)));
    assert!(error.contains("process.oomScoreAdj -999: ") && error.contains("EACCES"), "{error}");
}

#[test]
fn the_scheduler_is_what_the_config_says() {
    if !privileged::root() {
        return;
    }
    // What is idle keeps the nice value of who started it.
    for (policy, number, nice) in
        [("SCHED_BATCH", 3, Some(5)), ("SCHED_OTHER", 0, Some(7)), ("SCHED_IDLE", 5, None)]
    {
        let scheduler = json!({ "policy": policy, "nice": nice.unwrap_or(0) });
        let seen = seen(&with(Bundle::probe(), "scheduler", scheduler));
        let process = &seen["process"];
        assert_eq!(process["scheduling_policy"], json!(number), "{policy}");
        assert!(nice.is_none_or(|nice| process["nice"] == json!(nice)), "{policy}: {}", process["nice"]);
    }
    let error = refusal(&with(Bundle::busybox(), "scheduler", json!({ "policy": "SCHED_NEVER" })));
    assert!(error.contains("process.scheduler.policy: \"SCHED_NEVER\""), "{error}");
}

#[test]
fn a_real_time_program_runs_as_such() {
    if !privileged::machine_root() || !privileged::capability("CAP_SYS_NICE", 23) {
        return;
    }
    let scheduler = json!({ "policy": "SCHED_RR", "priority": 10, "flags": ["SCHED_FLAG_RESET_ON_FORK"] });
    let bundle = with(Bundle::busybox(), "scheduler", scheduler);
    // Where real-time processes are accounted by group (CONFIG_RT_GROUP_SCHED), the group needs time for them.
    let grouped = std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists();
    let time = json!({ "realtimePeriod": 1_000_000, "realtimeRuntime": 10_000 });
    let bundle = bundle.edit(|config| {
        if grouped {
            config["linux"]["resources"]["cpu"] = time;
        }
    });
    // Field 41 and 40 of stat(5): policy and real-time priority; what it forks is ordinary again.
    let line = "read stat < /proc/self/stat; set -- $stat; echo ${41} ${40}; busybox cut -d' ' -f41 /proc/self/stat; true";
    assert_eq!(says(bundle, line), "2 10\n0");
}

#[test]
fn a_program_with_a_deadline_runs_as_such() {
    if !privileged::root() || !privileged::capability("CAP_SYS_NICE", 23) {
        return;
    }
    let times = json!({ "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000 });
    let output = run(&with(Bundle::probe(), "scheduler", times));
    if output.stderr.contains("process.scheduler: sched_setattr") {
        return skip(format_args!("needs a machine that admits deadlines: {}", output.stderr.trim()));
    }
    assert_eq!(output.json()["process"]["scheduling_policy"], 6, "{}", output.stderr);
}

#[test]
fn scheduling_that_means_nothing_is_refused_by_field_before_anything_is_made() {
    if !privileged::root() {
        return;
    }
    for (scheduler, field) in [
        (json!({ "policy": "SCHED_OTHER", "nice": 20 }), "nice"),
        (json!({ "policy": "SCHED_BATCH", "priority": 1 }), "priority"),
        (json!({ "policy": "SCHED_FIFO", "priority": 100 }), "priority"),
        (json!({ "policy": "SCHED_OTHER", "deadline": 1 }), "deadline"),
        (json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NEVER"] }), "flags"),
    ] {
        let error = refusal(&with(Bundle::busybox(), "scheduler", scheduler));
        assert!(error.contains(&format!("process.scheduler.{field}: ")), "{error}");
    }
}

#[test]
fn exec_has_the_scheduler_and_the_io_priority_of_the_config() {
    if !privileged::root() {
        return;
    }
    let bundle = with(Bundle::busybox(), "scheduler", json!({ "policy": "SCHED_BATCH", "nice": 3 }));
    let bundle = with(bundle, "ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 1 }));
    let running = Running::of(bundle);
    let line = "read stat < /proc/self/stat; set -- $stat; echo ${41} ${19}; ionice";
    assert_eq!(running.says(line), "3 3\nbest-effort: prio 1");
}

#[test]
fn a_session_keyring_of_its_own_is_joined_by_exec_and_can_be_left_away() {
    if !privileged::root() {
        return;
    }
    let open = |bundle: Bundle| bundle.edit(|config| config["linux"]["maskedPaths"] = json!([]));
    let bundle = open(Bundle::busybox().with_probe());
    let door = Door::new();
    let (id, other) = (door.id("keyring"), door.id("other"));
    let joined = door.id("joined");
    let grep = format!("grep -E ' keyring +_ses.{joined}' /proc/keys | cut -d' ' -f1");
    let named = |options: &[&str], id: &str| {
        let args = [&["run"][..], options, &["--bundle", dir(&bundle), id]].concat();
        let seen = door.ok(args).json();
        seen["keyrings"].as_array().unwrap().contains(&json!(format!("_ses.{id}")))
    };
    assert!(named(&[], &id), "named by the container");
    // The kernel takes its time to forget a ring: under the same name, the first might be seen.
    assert!(!named(&["--no-new-keyring"], &other), "the caller's");
    // The same ring, by its serial number, for init's shell and for one that joins.
    let shell = open(Bundle::busybox()).shell(&format!("{grep}; exec sleep 1000"));
    let output = door.ok(["run", "--detach", "--bundle", dir(&shell), &joined]);
    testkit::eventually("the shell has looked", || !output.stdout_now().is_empty());
    assert_eq!(door.ok(["exec", &joined, "sh", "-c", &grep]).stdout, output.stdout_now());
}

#[test]
fn the_io_priority_is_what_the_config_says() {
    if !privileged::machine_root() {
        return;
    }
    for (class, priority, shown) in [
        ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"),
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
        ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
    ] {
        let bundle = with(Bundle::busybox(), "ioPriority", json!({ "class": class, "priority": priority }));
        assert_eq!(says(bundle, "ionice"), shown);
    }
    let error =
        refusal(&with(Bundle::busybox(), "ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 })));
    assert!(error.contains("process.ioPriority.priority: 8 is not"), "{error}");
}

#[test]
fn a_32_bit_personality_shows_in_the_machine_name() {
    if !privileged::root() {
        return;
    }
    let personality = |domain: &str| {
        let domain = json!({ "domain": domain });
        Bundle::busybox().edit(|config| config["linux"]["personality"] = domain)
    };
    assert_eq!(says(personality("LINUX32"), "uname -m"), "i686");
    assert_eq!(says(personality("LINUX"), "uname -m"), "x86_64");
    assert_eq!(Running::of(personality("LINUX32")).says("uname -m"), "i686", "exec has the same");
    let error = refusal(&personality("BSD"));
    assert!(error.contains("linux.personality.domain: \"BSD\""), "{error}");
}

/// Opens more than the standard descriptors before it goes on.
const STRAY: &str = "exec 3</etc/passwd 4</ 5</etc/group 9</dev/null; exec \"$@\"";

fn numbers(seen: &Value) -> Vec<String> {
    seen["descriptors"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn no_descriptor_beyond_the_standard_ones_is_inherited() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe();
    let door = Door::new();
    let id = door.id("stray");
    let started = |args: &[&str]| door.finish(&mut prepared_by(STRAY, &door, args));
    assert_eq!(numbers(&started(&["run", "--bundle", dir(&bundle), &id]).json()), ["0", "1", "2"]);
    let created = started(&["create", "--bundle", dir(&bundle), &id]);
    door.ok(["start", &id]);
    door.await_status(&id, "stopped");
    assert_eq!(numbers(&serde_json::from_str(&created.stdout_now()).unwrap()), ["0", "1", "2"]);
    let running = Running::of(bundle);
    let exec = prepared_by(STRAY, &running.door, &["exec", &running.id, PROBE]);
    assert_eq!(numbers(&running.door.finish(&mut { exec }).json()), ["0", "1", "2"]);
}

#[test]
fn descriptors_are_passed_on_when_asked_for() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe();
    let door = Door::new();
    let id = door.id("preserve");
    let run = ["run", "--preserve-fds", "2", "--bundle", dir(&bundle), &id];
    let seen = door.finish(&mut prepared_by(STRAY, &door, &run)).json();
    assert_eq!(numbers(&seen), ["0", "1", "2", "3", "4"]);
    assert_eq!(seen["descriptors"]["4"], "/");
    let running = Running::of(bundle);
    let exec = ["exec", "--preserve-fds", "3", &running.id, PROBE];
    let seen = running.door.finish(&mut prepared_by(STRAY, &running.door, &exec)).json();
    assert_eq!(numbers(&seen), ["0", "1", "2", "3", "4", "5"]);
    let missing = ["exec", "--preserve-fds", "4", &running.id, PROBE];
    let output = running.door.finish(&mut prepared_by(STRAY, &running.door, &missing));
    assert!(output.code != 0 && output.stderr.contains("descriptor 6 is not open"), "{}", output.stderr);
}

#[test]
fn signals_are_neither_blocked_nor_ignored() {
    if !privileged::root() {
        return;
    }
    // Not by a shell: it sets some itself.
    let grep = ["busybox", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    let ignoring = "trap '' HUP INT QUIT PIPE TERM CHLD 34 64; exec \"$@\"";
    let bundle = Bundle::busybox().args(grep);
    let door = Door::new();
    let id = door.id("signals");
    let run = ["run", "--bundle", dir(&bundle), &id];
    assert_eq!(door.finish(&mut prepared_by(ignoring, &door, &run)).stdout, expected);
    let running = Running::of(bundle);
    let exec = [&["exec", &running.id][..], &grep].concat();
    assert_eq!(running.door.finish(&mut prepared_by(ignoring, &running.door, &exec)).stdout, expected);
}

#[test]
fn the_program_leads_a_session_of_its_own() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe();
    let ids = |seen: &Value| {
        ["pid", "process_group", "session"].map(|name| seen["process"][name].as_i64().unwrap())
    };
    assert_eq!(ids(&seen(&bundle)), [1, 1, 1]);
    let running = Running::of(bundle);
    let [pid, group, session] = ids(&running.probe());
    assert_eq!((group, session), (pid, pid), "exec has one as well");
}
