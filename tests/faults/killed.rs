//! From outside: SIGKILL at random moments, at any command.

use super::whole::{Place, dir, rich};
use serde_json::json;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::{Bundle, Door, Random, eventually, figure, privileged, rounds};

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
    child.wait().unwrap().signal().is_some()
}

/// A command, and what the container has to be before it.
struct Case {
    words: &'static [&'static str],
    before: Before,
}

#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Created,
    Running,
    Paused,
    Stopped,
}

/// `@` is the id; `create` and `run` get the bundle as well.
const CASES: &[Case] = &[
    Case { words: &["create", "@"], before: Before::Nothing },
    Case { words: &["run", "@"], before: Before::Nothing },
    Case { words: &["run", "--detach", "@"], before: Before::Nothing },
    Case { words: &["start", "@"], before: Before::Created },
    Case { words: &["delete", "@"], before: Before::Created },
    Case { words: &["exec", "@", "true"], before: Before::Running },
    Case { words: &["exec", "--detach", "@", "sleep", "1000"], before: Before::Running },
    Case { words: &["update", "--pids-limit", "50", "@"], before: Before::Running },
    Case { words: &["kill", "@", "KILL"], before: Before::Running },
    Case { words: &["kill", "--all", "@", "KILL"], before: Before::Running },
    Case { words: &["pause", "@"], before: Before::Running },
    Case { words: &["resume", "@"], before: Before::Paused },
    Case { words: &["delete", "--force", "@"], before: Before::Running },
    Case { words: &["delete", "--force", "@"], before: Before::Paused },
    Case { words: &["delete", "@"], before: Before::Stopped },
];

impl Case {
    fn line(&self, bundle: &Bundle, id: &str) -> Vec<String> {
        let word = |word: &&str| if *word == "@" { id.to_owned() } else { (*word).to_owned() };
        let mut line: Vec<_> = self.words.iter().map(word).collect();
        if self.before == Before::Nothing {
            line.splice(1..1, ["--bundle".to_owned(), dir(bundle).to_owned()]);
        }
        line
    }

    fn prepare(&self, place: &Place, id: &str) {
        let (door, bundle) = (&place.door, dir(&place.bundle));
        match self.before {
            Before::Nothing => return,
            Before::Created => drop(door.ok(["create", "--bundle", bundle, id])),
            _ => drop(door.ok(["run", "--detach", "--bundle", bundle, id])),
        }
        match self.before {
            Before::Paused => drop(door.ok(["pause", id])),
            Before::Stopped => {
                door.ok(["kill", id, "KILL"]);
                door.await_status(id, "stopped");
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_command_is_killed_at_whatever_moment_leaves_what_can_be_deleted() {
    if !privileged::root() {
        return;
    }
    let mut random = Random::new();
    let place = Place::new(rich());
    let (tries, mut interrupted) = (rounds(200), 0);
    // How long each takes on this machine at this time.
    let mut longest = [Duration::from_millis(20); CASES.len()];
    for round in 0..tries {
        let id = place.door.id("killed");
        let number = round as usize % CASES.len();
        let case = &CASES[number];
        case.prepare(&place, &id);
        let line = case.line(&place.bundle, &id);
        let args: Vec<_> = line.iter().map(String::as_str).collect();
        let delay = Duration::from_micros(random.below(longest[number].as_micros() as u64));
        let hit = killed_after(&place.door, &args, delay);
        interrupted += u64::from(hit);
        // Most moments are to be such at which there is work.
        longest[number] = match hit {
            true => longest[number].mul_f64(1.05).min(Duration::from_millis(200)),
            false => longest[number].mul_f64(0.9).max(Duration::from_micros(500)),
        };
        let what = format!("round {round}: {:?}, killed after {delay:?}", case.words);
        place.assert_whole(&id, &what);
        if round % 20 == 0 {
            place.assert_neighbour_works();
        }
    }
    place.assert_neighbour_works();
    assert!(interrupted > 0, "none was interrupted");
    figure(format_args!("{tries} commands, {interrupted} killed at work, all could be deleted"));
}

/// exec leaves the container as it is, and nothing of its own.
#[test]
fn exec_that_was_killed_at_any_moment_leaves_the_container_alone() {
    if !privileged::root() {
        return;
    }
    let mut random = Random::new();
    let (bundle, door) = (rich(), Door::new());
    let id = door.id("exec");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    for _ in 0..rounds(60) {
        let delay = Duration::from_micros(random.below(15_000));
        killed_after(&door, &["exec", &id, "true"], delay);
    }
    eventually("only init is left", || door.ok(["ps", &id]).stdout.lines().count() == 2);
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
    let trace = door.directory().join("trace");
    let trace = trace.to_str().unwrap();
    let strace =
        ["strace", "-qq", "-o", trace, "-e", "trace=mkdirat", "-e", "inject=mkdirat:signal=KILL:when=2"];
    let mut command = door.through(strace, ["create", "--bundle", dir(&bundle), &second]);
    assert_eq!(door.finish(&mut command).code, 137);
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
    let place = Place::new(rich());
    let door = &place.door;
    // The record that says who init is takes the other's place.
    for call in ["renameat2:when=1", "unlinkat:when=1", "sendmsg:when=1"] {
        let id = door.id("orphan");
        let trace = door.directory().join("trace");
        let (name, when) = call.split_once(':').unwrap();
        let (only, inject) = (format!("trace={name}"), format!("inject={name}:signal=KILL:{when}"));
        let strace = ["strace", "-qq", "-o", trace.to_str().unwrap(), "-e", &only, "-e", &inject];
        let mut command = door.through(strace, ["create", "--bundle", dir(&place.bundle), &id]);
        let output = door.finish(&mut command);
        assert_eq!(output.code, 137, "{call}: {}", output.stderr);
        // Before anybody deletes it.
        let marked = || {
            fs::read_dir("/proc").unwrap().flatten().any(|process| {
                let environ = fs::read(process.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&environ).contains(&id)
            })
        };
        eventually("init is gone by itself", || !marked());
        place.assert_whole(&id, call);
    }
}
