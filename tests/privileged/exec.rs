//! `exec`: where the process runs, what it is labelled, who gets hold of it, and what becomes of the container's own.

use crate::cgroup::{ONLY_V2, group, v1, v2, view};
use crate::running::{Running, dir, prepared_by, read, run, says};
use forgeone_sys::{OwnedFd, process, socket};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use testkit::{Bundle, Door, Output, eventually, privileged, skip};

const SIGTERM: i32 = 15;

const CPUS: [&str; 3] = ["grep", "Cpus_allowed_list", "/proc/self/status"];

/// The CPUs that a process here may run on, as the kernel writes them.
fn own_cpus() -> String {
    let status = read("/proc/self/status");
    status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
}

/// Whether there are CPUs 0 and 1, and a `taskset` to pin a process to one of them.
fn two_cpus() -> bool {
    let both = own_cpus().ends_with("\t0-1") || own_cpus().contains("\t0-");
    if !both {
        skip("needs the CPUs 0 and 1");
    }
    both && privileged::root() && privileged::program("taskset", "util-linux")
}

/// A `--process` file in the directory of the door.
fn process(door: &Door, change: impl FnOnce(&mut Value)) -> String {
    let mut process =
        json!({ "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": CPUS, "env": ["PATH=/bin"] });
    change(&mut process);
    let file = door.directory().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[track_caller]
fn refused(output: &Output, causes: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (255, ""), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "one line: {}", output.stderr);
    assert!(causes.iter().all(|cause| output.stderr.contains(cause)), "{causes:?}: {}", output.stderr);
}

#[test]
fn exec_runs_on_the_cpus_of_its_affinity_and_the_containers_own_program_on_all() {
    if !two_cpus() {
        return;
    }
    let config = Bundle::busybox()
        .edit(|config| config["process"]["execCPUAffinity"] = json!({ "initial": "0-1", "final": "1" }));
    assert_eq!(says(config, &CPUS.join(" ")), own_cpus());
    let running = Running::of(
        Bundle::busybox().edit(|config| config["process"]["execCPUAffinity"] = json!({ "final": "1" })),
    );
    let door = &running.door;
    assert_eq!(running.says(&CPUS.join(" ")), "Cpus_allowed_list:\t1");
    assert_eq!(read(format!("/proc/{}/status", running.pid())).matches(&own_cpus()).count(), 1);
    // A process file has its own, or the container's where it says nothing.
    for (affinity, expected) in [
        (json!({ "initial": "1", "final": "0" }), "Cpus_allowed_list:\t0\n"),
        (json!({ "final": "0-1,1" }), "Cpus_allowed_list:\t0-1\n"),
        (Value::Null, "Cpus_allowed_list:\t1\n"),
    ] {
        let file = process(door, |process| process["execCPUAffinity"] = affinity.clone());
        assert_eq!(door.ok(["exec", "--process", &file, &running.id]).stdout, expected, "{affinity}");
    }
    for (field, list, cause) in [
        ("initial", "4000", "process.execCPUAffinity.initial: sched_setaffinity"),
        ("final", "4000", "process.execCPUAffinity.final: sched_setaffinity"),
        ("initial", "0-", "process.execCPUAffinity.initial: \"0-\""),
        ("final", "1-0", "process.execCPUAffinity.final: \"1-0\""),
    ] {
        let file = process(door, |process| process["execCPUAffinity"] = json!({ field: list }));
        refused(&door.run(["exec", "--process", &file, &running.id]), &[cause]);
    }
}

#[test]
fn programs_are_not_pinned_to_the_cpu_of_who_starts_them() {
    if !two_cpus() {
        return;
    }
    let pinned = "exec taskset -c 0 \"$@\"";
    let bundle = Bundle::busybox().args(CPUS);
    let door = Door::new();
    let args = ["run", "--bundle", dir(&bundle), &door.id("pinned")];
    assert_eq!(door.finish(&mut prepared_by(pinned, &door, &args)).stdout.trim_end(), own_cpus());
    let running = Running::of(bundle);
    let exec = [&["exec", &running.id][..], &CPUS].concat();
    let output = running.door.finish(&mut prepared_by(pinned, &running.door, &exec));
    assert_eq!(output.stdout.trim_end(), own_cpus());
}

/// What comes first to a socket: a word, and the process that a pidfd is of.
fn receiver(door: &Door, name: &str) -> (String, JoinHandle<(String, OwnedFd)>) {
    let path = door.directory().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let mut message = socket::receive(&connection, 64).unwrap();
        (String::from_utf8(message.bytes).unwrap(), message.fds.remove(0))
    });
    (path.to_str().unwrap().to_owned(), thread)
}

/// The process that a pidfd is of.
fn pid_of(pidfd: &OwnedFd) -> String {
    let info = read(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    info.lines().find_map(|line| line.strip_prefix("Pid:\t")).unwrap().to_owned()
}

#[test]
fn a_pidfd_socket_gets_the_process_of_create_run_and_exec() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    for (command, detach) in [("create", None), ("run", Some("--detach"))] {
        let (path, received) = receiver(&door, command);
        let id = door.id(command);
        let args = [command, "--pidfd-socket", &path, "--bundle", dir(&bundle)];
        door.ok(args.into_iter().chain(detach).chain([id.as_str()]));
        let (word, pidfd) = received.join().unwrap();
        assert_eq!((word.as_str(), pid_of(&pidfd)), ("standard", door.state(&id)["pid"].to_string()));
    }
    let id = door.containers().into_iter().find(|id| door.status(id) == "running").unwrap();
    let (path, received) = receiver(&door, "exec");
    let pid_file = door.directory().join("pid");
    let pid_file = pid_file.to_str().unwrap();
    door.ok(["exec", "--detach", "--pidfd-socket", &path, "--pid-file", pid_file, &id, "sleep", "1000"]);
    let (word, pidfd) = received.join().unwrap();
    assert_eq!((word, pid_of(&pidfd)), ("setns".to_owned(), read(pid_file)));
}

#[test]
fn a_pidfd_socket_where_nobody_listens_is_an_error_and_starts_nothing() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let door = &running.door;
    let nowhere = door.directory().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let output = door.run(["exec", "--pidfd-socket", nowhere, &running.id, "sleep", "1000"]);
    refused(&output, &["--pidfd-socket: ", "ENOENT"]);
    assert_eq!(door.ok(["ps", "--format", "json", &running.id]).json(), json!([running.pid()]));
    let id = door.id("nobody");
    let output = door.run(["run", "--pidfd-socket", nowhere, "--bundle", dir(running.bundle()), &id]);
    assert!(output.code == 1 && output.stderr.contains("--pidfd-socket: "), "{}", output.stderr);
    assert_eq!(door.containers(), std::slice::from_ref(&running.id));
}

#[test]
fn exec_enters_groups_inside_the_containers() {
    if !v1(&["memory", "cpu", "pids"]) {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let (memory, cpu) = (group(running.pid(), "memory"), group(running.pid(), "cpu"));
    fs::create_dir(memory.join("a")).unwrap();
    fs::create_dir(memory.join("a/b")).unwrap();
    fs::create_dir(cpu.join("c")).unwrap();
    let plain = running.says("cat /proc/self/cgroup");
    let own = |name: &str| {
        let line = plain.lines().find(|line| line.split(':').nth(1).unwrap().split(',').any(|c| c == name));
        line.unwrap().to_owned()
    };
    let exec = |options: &[&str]| {
        let args = [&["exec"][..], options, &[&running.id, "cat", "/proc/self/cgroup"]].concat();
        running.door.run(args)
    };
    assert_eq!(exec(&["--cgroup", "/"]).stdout.trim_end(), plain);
    let inside = exec(&["--cgroup", "memory:a/b", "--cgroup", "cpu:/c"]).stdout;
    let expected = plain.replace(&own("memory"), &(own("memory") + "/a/b"));
    assert_eq!(inside.trim_end(), expected.replace(&own("cpu"), &(own("cpu") + "/c")));
    for (options, causes) in [
        (vec!["--cgroup", ".."], vec!["--cgroup \"..\"", "bad sub cgroup path"]),
        (vec!["--cgroup", "memory:../x"], vec!["bad sub cgroup path"]),
        (vec!["--cgroup", "nonexistent"], vec!["--cgroup: ", "nonexistent", "ENOENT"]),
        (vec!["--cgroup", "cpu:nonexistent"], vec!["--cgroup: ", "nonexistent", "ENOENT"]),
        (vec!["--cgroup", "whaaat:/"], vec!["unknown controller \"whaaat\""]),
        (vec!["--cgroup", "a", "--cgroup", "memory:a"], vec!["--cgroup \"a\"", "needs its controllers"]),
    ] {
        refused(&exec(&options), &causes);
    }
}

#[test]
fn exec_enters_a_group_inside_on_cgroup2() {
    if !v1(&["memory"]) || !v2("hugetlb") {
        return;
    }
    let (_script, door) = view(ONLY_V2);
    let mount =
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] });
    let bundle =
        Bundle::busybox().args(["sleep", "1000"]).mount(mount).namespace(json!({ "type": "cgroup" }));
    let id = door.id("inside");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    door.ok(["exec", &id, "mkdir", "/sys/fs/cgroup/sub"]);
    let exec = |path: &str| door.run(["exec", "--cgroup", path, &id, "grep", "^0", "/proc/self/cgroup"]);
    assert_eq!(exec("sub").stdout, "0::/sub\n");
    assert_eq!(exec("/").stdout, "0::/\n");
    refused(&exec("nonexistent"), &["--cgroup: ", "nonexistent", "ENOENT"]);
    refused(&exec("memory:sub"), &["unknown controller \"memory\""]);
}

#[test]
fn labels_of_a_security_module_that_is_not_there_are_refused_by_name() {
    if !privileged::root() {
        return;
    }
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let running = Running::of(Bundle::busybox());
    for (module, option, expected) in [
        ("apparmor", "--apparmor", "process.apparmorProfile \"a-label\": AppArmor is not enabled"),
        ("selinux", "--process-label", "process.selinuxLabel \"a-label\": SELinux is not enabled"),
    ] {
        if modules.contains(module) {
            skip(format_args!("needs a machine without {module}"));
            continue;
        }
        refused(&running.door.run(["exec", option, "a-label", &running.id, "true"]), &[expected]);
        let field = if module == "apparmor" { "apparmorProfile" } else { "selinuxLabel" };
        let bundle = Bundle::busybox().edit(|config| config["process"][field] = json!("a-label"));
        let output = run(&bundle);
        assert!(output.code == 1 && output.stderr.contains(expected), "{}", output.stderr);
    }
}

#[test]
fn a_program_for_a_paused_container_waits_until_that_goes_on() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let (door, id) = (&running.door, &running.id);
    door.ok(["pause", id]);
    refused(&door.run(["exec", id, "true"]), &["paused container", "--ignore-paused"]);
    let mut exec = door.command(["exec", "--ignore-paused", id, "echo", "thawed"]);
    let mut exec = exec.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the process is there", || {
        door.ok(["ps", "--format", "json", id]).json().as_array().unwrap().len() == 2
    });
    assert!(exec.try_wait().unwrap().is_none() && door.status(id) == "paused");
    door.ok(["resume", id]);
    let output = exec.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"thawed\n"[..]));
}

#[test]
fn whoever_waits_for_a_paused_container_can_be_ended() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let (door, id) = (&running.door, &running.id);
    let processes = || door.ok(["ps", "--format", "json", id]).json().as_array().unwrap().len();
    door.ok(["pause", id]);
    let mut exec = door.command(["exec", "--ignore-paused", id, "sleep", "1000"]).spawn().unwrap();
    eventually("the process is there", || processes() == 2);
    process::kill(exec.id() as i32, SIGTERM).unwrap();
    eventually("exec ends", || exec.try_wait().unwrap().is_some());
    assert_eq!(exec.wait().unwrap().signal(), Some(SIGTERM));
    // What it had begun ends before it becomes the program.
    door.ok(["resume", id]);
    eventually("init is alone", || processes() == 1);
    // The program itself is reached by the signal, once it runs.
    let mut exec = door.command(["exec", "--ignore-paused", id, "sleep", "1000"]).spawn().unwrap();
    eventually("the process is there", || processes() == 2);
    eventually("it ends by the signal", || {
        process::kill(exec.id() as i32, SIGTERM).unwrap();
        exec.try_wait().unwrap().is_some()
    });
    eventually("init is alone", || processes() == 1);
}

#[test]
fn exec_into_a_container_without_memory_ends_itself_and_nobody_else() {
    if !v1(&["memory"]) {
        return;
    }
    // The largest process there: the one that the kernel would choose.
    let script =
        "BEGIN { s = sprintf(\"%16000000s\", \"\"); print \"ready\"; fflush(); system(\"sleep 1000\") }";
    let limit = 64 << 20;
    let bundle = Bundle::busybox().args(["awk", script]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": limit, "swap": limit });
    });
    let door = Door::new();
    let id = door.id("memory");
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let pids = || door.ok(["ps", "--format", "json", &id]).json();
    eventually("it has its memory, and waits for a child", || {
        output.stdout_now() == "ready\n" && pids().as_array().unwrap().len() == 2
    });
    let before = pids();
    let group = group(door.state(&id)["pid"].as_i64().unwrap() as i32, "memory");
    door.ok(["exec", &id, "true"]);
    let used = || read(group.join("memory.usage_in_bytes")).parse::<u64>().unwrap();
    eventually("there is no room left", || {
        fs::write(group.join("memory.force_empty"), "0").unwrap();
        let before = used();
        // Refused, if it uses more by now.
        let limited = fs::write(group.join("memory.limit_in_bytes"), (before + (16 << 10)).to_string());
        limited.is_ok() && used() == before
    });
    for _ in 0..3 {
        let output = door.run(["exec", &id, "true"]);
        refused(&output, &["linux.resources.memory"]);
        assert_eq!(pids(), before, "all are alive");
    }
    fs::write(group.join("memory.limit_in_bytes"), limit.to_string()).unwrap();
    let score = ["exec", &id, "cat", "/proc/self/oom_score_adj"];
    assert_eq!(door.ok(score).stdout.trim_end(), read("/proc/self/oom_score_adj"), "its own score");
}

#[test]
fn exec_into_a_container_with_all_its_processes_names_the_limit() {
    if !v1(&["pids"]) {
        return;
    }
    let bundle =
        Bundle::busybox().edit(|config| config["linux"]["resources"]["pids"] = json!({ "limit": 2 }));
    let running = Running::of(bundle);
    running.says("true");
    running.door.ok(["exec", "--detach", &running.id, "sleep", "1000"]);
    let pids = || running.door.ok(["ps", "--format", "json", &running.id]).json();
    let before = pids();
    refused(&running.exec("true"), &["linux.resources.pids.limit: all 2 are in use"]);
    assert_eq!(pids(), before);
}

#[test]
fn a_process_file_is_not_less_confined_than_the_container() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let door = &running.door;
    let args = ["grep", "-E", "^Cap(Eff|Bnd)", "/proc/self/status"];
    let plain = running.says(&args.map(|arg| format!("'{arg}'")).join(" "));
    let file = process(door, |process| process["args"] = json!(args));
    assert_eq!(door.ok(["exec", "--process", &file, &running.id]).stdout.trim_end(), plain);
    let file = process(door, |process| process["args"] = json!(["sh", "-c", "ulimit -n"]));
    assert_eq!(door.ok(["exec", "--process", &file, &running.id]).stdout, "1024\n", "its limits");
    let none = process(door, |process| {
        process["args"] = json!(args);
        process["capabilities"] = json!({});
    });
    let output = door.ok(["exec", "--process", &none, &running.id]).stdout;
    assert_eq!(output, "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n", "what is said counts");
}
