//! Nothing is left: after many runs, and after the runtime was killed at any moment.

use crate::attacks::{dir, path};
use serde_json::json;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::{Bundle, Door, Leaks, privileged};

/// Mounts, cgroups, processes and open files of the machine, counted.
fn census() -> [(&'static str, usize); 4] {
    let lines = |file: &str| fs::read_to_string(file).unwrap().lines().count();
    let cgroups = fs::read_to_string("/proc/cgroups").unwrap();
    let cgroups = cgroups.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<usize>().ok());
    let numeric = |name: &std::ffi::OsStr| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| numeric(&entry.file_name()));
    let sockets = lines("/proc/net/unix");
    [
        ("mounts", lines("/proc/self/mountinfo")),
        ("cgroups", cgroups.sum()),
        ("processes", processes.count()),
        ("sockets", sockets),
    ]
}

/// The whole machine is counted, so nothing else may run.
#[test]
fn machine_a_thousand_runs_leave_nothing() {
    if !privileged::root() {
        return;
    }
    let leaks = Leaks::before();
    let bundle = Bundle::busybox().args(["true"]).namespace(json!({ "type": "cgroup" })).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 1 << 26 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 100 });
    });
    let door = Door::new();
    let id = door.id("again");
    // The first makes what stays (a cgroup's parents, the kernel's own).
    door.ok(["run", "--bundle", dir(&bundle), &id]);
    let before = census();
    for round in 0..1000 {
        let status = door
            .command(["run", "--bundle", dir(&bundle), &id])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(status.success(), "round {round}: {status}");
    }
    assert!(door.containers().is_empty());
    leaks.assert_none();
    // Removed cgroups are counted until the kernel has let go of them, and the machine has processes of its own.
    let slack = 20;
    let mut grown = before.to_vec();
    testkit::eventually(&format!("no more than before: {before:?}"), || {
        // What is left for good stays above: one look at each that shows otherwise is enough.
        let now = census();
        grown.retain(|(name, was)| now.iter().any(|(other, count)| other == name && *count > was + slack));
        grown.is_empty()
    });
}

/// xorshift64*, seeded by the clock: the seed is told, to do the same again.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("FORGEONE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let seed = given.unwrap_or_else(clock);
        eprintln!("FORGEONE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// Kills the door after `delay`; whether it was still at work.
fn killed_after(door: &Door, args: &[&str], delay: Duration) -> bool {
    let mut command = door.command(args.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < delay {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()).is_some()
}

/// What is left of a killed runtime can be deleted, and the id is free again.
fn assert_deletable(door: &Door, bundle: &Bundle, id: &str, what: &str) {
    let state = door.run(["state", id]);
    door.run(["list"]);
    let deleted = door.run(["delete", "--force", id]);
    assert_eq!(deleted.code, 0, "{what}: {}; it was {}", deleted.stderr, state.stdout);
    assert!(door.containers().is_empty(), "{what}");
    let again = door.run(["create", "--bundle", dir(bundle), id]);
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    assert_eq!(door.status(id), "created", "{what}");
    door.ok(["start", id]);
    door.ok(["delete", "--force", id]);
}

fn killed_at_random(words: &[&str], rounds: u64) {
    if !privileged::root() {
        return;
    }
    let mut random = Random::new();
    let bundle =
        Bundle::busybox().args(["sleep", "1000"]).namespace(json!({ "type": "cgroup" })).edit(|config| {
            config["linux"]["resources"]["pids"] = json!({ "limit": 100 });
            config["hooks"]["createRuntime"] = json!([{ "path": "/bin/true" }]);
        });
    let door = Door::new();
    let leaks = Leaks::before();
    // How long one takes on this machine at this time.
    let id = door.id("timed");
    let start = Instant::now();
    door.ok([&["create"][..], &["--bundle", dir(&bundle), &id]].concat());
    let limit = start.elapsed().as_micros() as u64 * 5 / 4;
    door.ok(["delete", "--force", &id]);
    let mut interrupted = 0;
    for round in 0..rounds {
        let id = door.id("killed");
        let delay = Duration::from_micros(random.below(limit));
        let args = [words, &["--bundle", dir(&bundle), &id]].concat();
        interrupted += u32::from(killed_after(&door, &args, delay));
        assert_deletable(&door, &bundle, &id, &format!("round {round}, killed after {delay:?}"));
        leaks.assert_none();
    }
    eprintln!("{interrupted} of {rounds} were interrupted");
    assert!(interrupted > 0);
}

#[test]
fn create_that_was_killed_at_any_moment_can_be_deleted() {
    killed_at_random(&["create"], 60);
}

#[test]
fn run_that_was_killed_at_any_moment_can_be_deleted() {
    killed_at_random(&["run"], 60);
}

#[test]
fn a_detached_run_that_was_killed_at_any_moment_can_be_deleted() {
    killed_at_random(&["run", "--detach"], 60);
}

#[test]
fn delete_that_was_killed_at_any_moment_can_be_repeated() {
    if !privileged::root() {
        return;
    }
    let mut random = Random::new();
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let leaks = Leaks::before();
    for round in 0..40 {
        let id = door.id("delete");
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        let delay = Duration::from_micros(random.below(8000));
        killed_after(&door, &["delete", "--force", &id], delay);
        assert_deletable(&door, &bundle, &id, &format!("round {round}, killed after {delay:?}"));
        leaks.assert_none();
    }
}

/// exec leaves the container as it is, and nothing of its own.
#[test]
fn exec_that_was_killed_at_any_moment_leaves_the_container_alone() {
    if !privileged::root() {
        return;
    }
    let mut random = Random::new();
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("exec");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    for _ in 0..60 {
        let delay = Duration::from_micros(random.below(15_000));
        killed_after(&door, &["exec", &id, "true"], delay);
    }
    testkit::eventually("only init is left", || door.ok(["ps", &id]).stdout.lines().count() == 2);
    assert_eq!(door.status(&id), "running");
    assert_eq!(door.ok(["exec", &id, "echo", "here"]).stdout, "here\n");
}

/// A runtime that died before it saw that its cgroup is another container's leaves nothing that would harm that one.
#[test]
fn deleting_what_is_left_of_create_spares_those_who_were_in_its_cgroup() {
    let driver = privileged::cgroupfs_driver() && privileged::machine_root();
    if !driver || !privileged::program("strace", "strace") {
        return;
    }
    let door = Door::new();
    let group = format!("/{}", door.id("shared"));
    let bundle = Bundle::busybox()
        .args(["sleep", "1000"])
        .edit(|config| config["linux"]["cgroupsPath"] = json!(group));
    let (first, second) = (door.id("first"), door.id("second"));
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &first]);
    // The first record is written, and no more: the second directory that is made is a cgroup.
    let real = door.command(["create", "--bundle", dir(&bundle), &second]);
    let mut command = std::process::Command::new("strace");
    command.args(["-qq", "-o", path(&door.directory().join("trace")), "-e", "trace=mkdirat"]);
    command.args(["-e", "inject=mkdirat:signal=KILL:when=2"]).arg(real.get_program()).args(real.get_args());
    assert_eq!(door.finish(command.stdin(Stdio::null())).code, 137);
    assert!(door.root().join(&second).join("state.json").exists());
    door.ok(["delete", "--force", &second]);
    assert_eq!(door.status(&first), "running");
    assert_eq!(door.ok(["exec", &first, "echo", "here"]).stdout, "here\n");
}

/// Without a cgroup of its own nobody finds init by it: it has to go by itself.
#[test]
fn an_init_whose_creator_died_before_it_was_written_down_ends() {
    if !privileged::root() || !privileged::program("strace", "strace") {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    // The record that says who init is takes the other's place.
    for call in ["renameat2:when=1", "unlinkat:when=1", "sendmsg:when=1"] {
        let id = door.id("orphan");
        let real = door.command(["create", "--bundle", dir(&bundle), &id]);
        let mut command = std::process::Command::new("strace");
        let trace = call.split(':').next().unwrap();
        let inject = format!("inject={}:signal=KILL:when={}", trace, call.rsplit('=').next().unwrap());
        command
            .args(["-qq", "-o", path(&door.directory().join("trace")), "-e"])
            .arg(format!("trace={trace}"));
        command.args(["-e", &inject]).arg(real.get_program()).args(real.get_args());
        let output = door.finish(command.stdin(Stdio::null()));
        assert_eq!(output.code, 137, "{call}: {}", output.stderr);
        // Before anybody deletes it.
        let marked = || {
            fs::read_dir("/proc").unwrap().flatten().any(|process| {
                let environ = fs::read(process.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&environ).contains(&id)
            })
        };
        testkit::eventually("init is gone by itself", || !marked());
        assert_deletable(&door, &bundle, &id, call);
    }
}
