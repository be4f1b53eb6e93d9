//! Started wherever runc would be: with and without a terminal, with closed streams, from a script, from cron, from a
//! program that ignores or blocks signals, with few and with many descriptors.

use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Output, eventually, privileged};

/// A shell line with `$DOOR` (with its `--root`), `$BUNDLE` and `$ID`.
fn shell(door: &Door, bundle: &Bundle, line: &str) -> (Output, String) {
    let id = door.id("start");
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).stdin(Stdio::null()).env("BUNDLE", bundle.path()).env("ID", &id);
    bash.env("DOOR", format!("{} --root {}", testkit::forgeone().display(), door.root().display()));
    bash.env("FORGEONE_TEST", testkit::names::process_prefix());
    (door.finish(&mut bash), id)
}

/// What the program sees of what it was started from.
const LOOK: &str = "grep -e SigBlk -e SigIgn /proc/self/status; ls /proc/self/fd | tr '\\n' ' '; ulimit -n; env | sort | tr '\\n' ' '; \
    pwd; exit 3";

fn bundle() -> Bundle {
    Bundle::busybox().shell(LOOK)
}

/// No signal is blocked nor ignored, three descriptors and the one that ls reads by, limits and environment of the config.
const SEEN: &str = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0 1 2 3 1024\n\
    HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PWD=/ SHLVL=1 TERM=xterm /\n";

#[track_caller]
fn is_seen(door: &Door, output: &Output) {
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, SEEN, ""));
    assert!(door.containers().is_empty());
}

#[test]
fn whatever_it_is_started_from_the_program_sees_the_same() {
    if !privileged::root() || !privileged::program("bash", "bash") {
        return;
    }
    let bundle = bundle();
    let door = Door::new();
    let run = "$DOOR run --bundle \"$BUNDLE\" $ID";
    let descriptors: String = (3..203).map(|fd| format!("exec {fd}</dev/null; ")).collect();
    let lines = [
        ("plainly", run.to_owned()),
        ("from a script's pipe", format!("{run} | cat; exit ${{PIPESTATUS[0]}}")),
        ("in the background", format!("{run} & wait $!")),
        ("by cron", format!("cd /; exec env -i {run}")),
        ("by setsid", format!("exec setsid --wait {run}")),
        ("by nohup", format!("exec nohup {run} 2>&1 </dev/null")),
        ("with SIGCHLD ignored", format!("exec env --ignore-signal=CHLD {run}")),
        ("with all signals ignored", format!("exec env --ignore-signal {run}")),
        ("with all signals blocked", format!("exec env --block-signal {run}")),
        ("with few descriptors", format!("ulimit -Sn 40; {run}")),
        ("with 200 descriptors", format!("{descriptors} {run}")),
        ("with umask 777", format!("umask 777; {run}")),
        ("from a directory that is gone", format!("mkdir -p $BUNDLE/d; cd $BUNDLE/d; rmdir ../d; {run}")),
    ];
    for (how, line) in lines {
        eprintln!("{how}");
        let (output, _) = shell(&door, &bundle, &line);
        is_seen(&door, &output);
    }
}

#[test]
fn create_start_and_exec_work_from_the_same_places() {
    if !privileged::root() || !privileged::program("bash", "bash") {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let look = LOOK.replace('\'', "'\\''");
    let prefixes = [
        "",
        "env -i",
        "setsid --wait",
        "env --ignore-signal",
        "env --block-signal",
        "prlimit --nofile=40:1024",
    ];
    for prefix in prefixes {
        eprintln!("{prefix}");
        let line = format!(
            "{prefix} $DOOR create --bundle \"$BUNDLE\" $ID && {prefix} $DOOR start $ID && {prefix} $DOOR exec $ID sh -c '{look}'; \
             code=$?; {prefix} $DOOR delete --force $ID && exit $code"
        );
        let (output, _) = shell(&door, &bundle, &line);
        is_seen(&door, &output);
    }
}

#[test]
fn closed_streams_are_dev_null_to_the_program() {
    if !privileged::root() || !privileged::program("bash", "bash") {
        return;
    }
    // What its streams are goes to a file: they may be closed.
    let look = "(for fd in 0 1 2; do readlink /proc/$$/fd/$fd || echo closed; done; ls -l /proc/$$/fd) > /seen; exit 3";
    let bundle = Bundle::busybox().writable().shell(look);
    let door = Door::new();
    let run = "$DOOR run --bundle \"$BUNDLE\" $ID";
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let (output, _) = shell(&door, &bundle, &format!("{run} {closed}"));
        assert_eq!((output.code, output.stdout.as_str()), (3, ""), "{closed}: {}", output.stderr);
        let seen = fs::read_to_string(bundle.rootfs().join("seen")).unwrap();
        let streams: Vec<_> = seen.lines().take(3).collect();
        for (redirection, number) in [("<&-", 0), ("2>&-", 2)] {
            let is_null = streams.get(number) == Some(&"/dev/null");
            assert!(is_null || !closed.contains(redirection), "{closed}: {seen}");
        }
        assert!(streams.len() == 3 && !streams.contains(&"closed"), "{closed}: {seen}");
        assert!(
            !seen.contains("state.json") && !seen.contains("socket:") && !seen.contains("config.json"),
            "{closed}: {seen}"
        );
        assert!(door.containers().is_empty());
    }
}

#[test]
fn with_a_terminal_the_program_has_one_of_its_own() {
    if !privileged::root() || !privileged::program("script", "bsdutils") {
        return;
    }
    let look = "tty; stty -a | head -1; test -t 0 -a -t 1 -a -t 2 && echo terminal; exit 3";
    let bundle = Bundle::busybox().shell(look).edit(|config| config["process"]["terminal"] = json!(true));
    let door = Door::new();
    let id = door.id("tty");
    let line = format!(
        "stty rows 33 cols 77; '{}' --root '{}' run --bundle '{}' {id}",
        testkit::forgeone().display(),
        door.root().display(),
        bundle.path().display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::piped());
    let output = door.finish(&mut script);
    assert_eq!(output.code, 3, "{}", output.stdout);
    let lines: Vec<_> = output.stdout.lines().map(str::trim_end).collect();
    assert_eq!((lines[0], lines[2]), ("/dev/pts/0", "terminal"), "{}", output.stdout);
    assert!(lines[1].contains("rows 33; columns 77"), "{}", output.stdout);
}

/// Our caller's terminal is a program's without one of its own, as with runc.
#[test]
fn without_a_terminal_of_its_own_the_program_has_the_callers_streams() {
    if !privileged::root() || !privileged::program("script", "bsdutils") {
        return;
    }
    let bundle = Bundle::busybox().shell("test -t 0 -a -t 1 && echo terminal; exit 3");
    let door = Door::new();
    let id = door.id("streams");
    let (forgeone, root) = (testkit::forgeone(), door.root());
    let line = format!(
        "'{}' --root '{}' run --bundle '{}' {id}",
        forgeone.display(),
        root.display(),
        bundle.path().display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::piped());
    let output = door.finish(&mut script);
    assert_eq!((output.code, output.stdout.as_str()), (3, "terminal\r\n"));
}

#[test]
fn signals_to_run_reach_the_program() {
    if !privileged::root() {
        return;
    }
    let script =
        "trap 'echo term; exit 5' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done";
    let bundle = Bundle::busybox().shell(script);
    let door = Door::new();
    let id = door.id("signals");
    let file = door.directory().join("said");
    let mut command = door.command(["run", "--bundle", bundle.path().to_str().unwrap(), &id]);
    let mut run = command.stdout(fs::File::create(&file).unwrap()).spawn().unwrap();
    let said = |text: &str| fs::read_to_string(&file).unwrap() == text;
    eventually("it is ready", || said("ready\n"));
    let send = |signal: &str| {
        let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    send("-USR1");
    eventually("it had USR1", || said("ready\nusr1\n"));
    send("-TERM");
    assert_eq!(run.wait().unwrap().code(), Some(5));
    assert!(said("ready\nusr1\nterm\n") && door.containers().is_empty());
}

/// What a container leaves behind keeps nobody waiting, and is not our zombie.
#[test]
fn run_ends_with_its_program_whatever_stays_in_the_background() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().shell("sleep 1000 & sleep 1000 & exit 3").edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    });
    let door = Door::new();
    for words in [&["run"][..], &["run", "--no-subreaper"]] {
        let id = door.id("behind");
        let output = door.run([words, &["--bundle", bundle.path().to_str().unwrap(), &id]].concat());
        assert_eq!(output.code, 3, "{}", output.stderr);
    }
    assert!(door.containers().is_empty());
}

/// Seen by such a process itself: the program prints whose child it was, and whose the one that it left behind is.
#[test]
fn what_stays_in_the_background_is_adopted_unless_told_otherwise() {
    if !privileged::machine_root() {
        return;
    }
    let line =
        "left=$( (sleep 1000 >/dev/null & echo $!) ); echo $PPID; cut -d' ' -f4 /proc/$left/stat; kill $left";
    let bundle = Bundle::busybox().shell(line).edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    });
    let door = Door::new();
    for (words, adopted) in [(&["run"][..], true), (&["run", "--no-subreaper"], false)] {
        let id = door.id("adopted");
        let output = door.ok([words, &["--bundle", bundle.path().to_str().unwrap(), &id]].concat());
        let (door_pid, parent) = output.stdout.trim_end().split_once('\n').unwrap();
        assert_eq!(door_pid == parent, adopted, "{words:?}: {}", output.stdout);
    }
}

/// Who possesses a key by the session keyring sees it.
#[test]
fn the_callers_keyring_is_the_containers_if_asked_for() {
    if !privileged::root() || !privileged::program("keyctl", "keyutils") {
        return;
    }
    let bundle = Bundle::busybox().args(["cat", "/proc/keys"]);
    let bundle = bundle.edit(|config| config["linux"]["maskedPaths"] = serde_json::json!([]));
    let door = Door::new();
    let line = "key=$(keyctl add user forgeone-test-kept secret @s) && keyctl setperm $key 0x3f000000 && exec \"$@\"";
    for (option, seen) in [("--no-new-keyring", true), ("--no-new-keyring=false", false)] {
        let id = door.id("keyring");
        let plain = door.command(["run", option, "--bundle", bundle.path().to_str().unwrap(), &id]);
        let mut keyctl = Command::new("keyctl");
        keyctl.args(["session", "-", "sh", "-c", line, "sh"]).arg(plain.get_program()).args(plain.get_args());
        let output = door.finish(keyctl.stdin(Stdio::null()));
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(output.stdout.contains("forgeone-test-kept"), seen, "{option}: {}", output.stdout);
    }
}

#[test]
fn the_default_state_root_is_made_where_it_is_missing() {
    if !privileged::root() {
        return;
    }
    let bundle = bundle();
    let door = Door::new();
    let root = door.directory().join("new/state/root");
    let mut command = Command::new(testkit::forgeone());
    command.args(["run", "--bundle", bundle.path().to_str().unwrap(), &door.id("root")]);
    command.env_clear().env("FORGEONE_ROOT", &root).stdin(Stdio::null());
    let output = door.finish(&mut command);
    assert_eq!((output.code, output.stdout.as_str()), (3, SEEN));
    assert!(Path::new(&root).is_dir() && fs::read_dir(&root).unwrap().next().is_none());
}

/// The descriptors of the runtime's own work don't fit: it says so, and leaves nothing.
#[test]
fn too_few_descriptors_are_named() {
    if !privileged::root() || !privileged::program("bash", "bash") {
        return;
    }
    let bundle = bundle();
    let door = Door::new();
    for limit in 5..12 {
        let (output, _) =
            shell(&door, &bundle, &format!("ulimit -n {limit}; $DOOR run --bundle \"$BUNDLE\" $ID"));
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{limit}: {}", output.stderr);
        assert!(output.stderr.contains("Too many open files"), "{limit}: {}", output.stderr);
        assert!(door.containers().is_empty(), "{limit}: {:?}", door.containers());
    }
}
