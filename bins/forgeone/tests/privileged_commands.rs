//! The commands on real containers: what their options do, what they print, how they end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use forgeone_sys::fs as files;
use forgeone_sys::socket::receive;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, Output, eventually, privileged};

/// A bundle, a door, and the id of a container of that bundle that runs.
fn running(bundle: Bundle) -> (Bundle, Door, String) {
    let door = Door::new();
    let id = door.id("commands");
    // Detached, it keeps the streams that it is given.
    let mut command = door.command(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let output = door.finish(&mut command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    (bundle, door, id)
}

fn sleeping() -> Bundle {
    Bundle::busybox().args(["sleep", "1000"])
}

fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// `run` of a bundle with this on its standard input.
fn run_with_input(door: &Door, bundle: &Bundle, input: &str) -> Output {
    let file = door.directory().join("input");
    fs::write(&file, input).unwrap();
    let id = door.id("input");
    let mut command = door.command(["run", "--bundle", dir(bundle), &id]);
    door.finish(command.stdin(File::open(file).unwrap()))
}

fn in_a_terminal(bundle: Bundle) -> Bundle {
    bundle.edit(|config| config["process"]["terminal"] = json!(true))
}

#[test]
fn list_state_and_ps_show_a_running_container() {
    if !privileged::root() || !privileged::program("ps", "procps") {
        return;
    }
    let (bundle, door, id) = running(sleeping());
    let state = door.state(&id);
    let pid = state["pid"].as_i64().unwrap();
    let keys: Vec<_> = state.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]);

    let table = door.ok(["list"]).stdout;
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let created = state["created"].as_str().unwrap();
    assert_eq!(row, [&id, &pid.to_string(), "running", dir(&bundle), created, "root"]);
    assert_eq!(door.ok(["list", "--quiet"]).stdout, format!("{id}\n"));
    let rows = door.ok(["list", "--format", "json"]).json();
    assert_eq!((&rows[0]["id"], &rows[0]["owner"]), (&json!(id), &json!("root")));

    assert_eq!(door.ok(["ps", "--format", "json", &id]).json(), json!([pid]));
    let table = door.ok(["ps", &id]).stdout;
    assert!(table.lines().count() == 2 && table.contains("sleep 1000"), "{table}");
    let table = door.ok(["ps", &id, "-o", "pid,comm"]).stdout;
    let words: Vec<_> = table.split_whitespace().collect();
    assert_eq!(words, ["PID", "COMMAND", &pid.to_string(), "sleep"]);
    let own = door.finish(door.command(["ps", &id]).env("PATH", "/nowhere")).stdout;
    assert!(own.starts_with("PID ") && own.ends_with("sleep 1000\n"), "{own}");
}

#[test]
fn a_container_that_can_not_be_read_is_told_and_does_not_hide_the_others() {
    if !privileged::root() {
        return;
    }
    let (_bundle, door, id) = running(sleeping());
    let broken = door.root().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("state.json"), "{").unwrap();
    let output = door.run(["list", "-q"]);
    fs::remove_dir_all(broken).unwrap();
    assert_eq!((output.code, output.stdout), (0, format!("{id}\n")));
    assert!(
        output.stderr.starts_with("forgeone: list: ") && output.stderr.lines().count() == 1,
        "{}",
        output.stderr
    );
}

#[test]
fn exec_is_the_containers_own_process_changed_by_options() {
    if !privileged::root() {
        return;
    }
    let (_bundle, door, id) = running(sleeping());
    let see = "id -u; id -g; id -G; pwd; echo $A; grep -E '^(CapEff|CapInh|NoNewPrivs)' /proc/self/status";
    let plain = door.ok(["exec", &id, "sh", "-c", see]).stdout;
    assert_eq!(plain, "0\n0\n0\n/\n\nCapInh:\t0000000000000000\nCapEff:\t0000000020000420\nNoNewPrivs:\t1\n");

    let options =
        ["-e", "A=b", "--cwd", "/bin", "-g", "5", "-g", "6", "-c", "CAP_NET_RAW", "--no-new-privs=false"];
    let words = [&["exec"], &options[..], &[&id, "sh", "-c", see]].concat();
    let changed = door.ok(words).stdout;
    let want = "0\n0\n0 5 6\n/bin\nb\nCapInh:\t0000000000000000\nCapEff:\t0000000020002420\nNoNewPrivs:\t0\n";
    assert_eq!(changed, want);
    assert_eq!(
        door.ok(["exec", "--user", "1000:100", &id, "sh", "-c", "id -u; id -g"]).stdout,
        "1000\n100\n"
    );
    assert_eq!(door.ok(["exec", "--tty", &id, "test", "-t", "0"]).code, 0);
}

#[test]
fn exec_ends_as_its_program_does() {
    if !privileged::root() {
        return;
    }
    let (_bundle, door, id) = running(sleeping());
    assert_eq!(door.run(["exec", &id, "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(door.run(["exec", &id, "sh", "-c", "kill -9 $$"]).code, 137);
    let missing = door.run(["exec", &id, "nothing"]);
    assert_eq!(missing.code, 255);
    let line = "forgeone: exec: \"nothing\": executable file not found in $PATH\n";
    assert_eq!(missing.stderr, line);
    assert_eq!(door.run(["exec", &id]).code, 255);
    door.ok(["pause", &id]);
    let paused = door.run(["exec", &id, "true"]);
    door.ok(["resume", &id]);
    assert_eq!(paused.code, 255);
    assert!(paused.stderr.contains("--ignore-paused"), "{}", paused.stderr);
    door.ok(["exec", &id, "true"]);
}

#[test]
fn exec_as_conmon_calls_it() {
    if !privileged::root() {
        return;
    }
    let (_bundle, door, id) = running(sleeping());
    let (process, pid_file) = (door.directory().join("process.json"), door.directory().join("pid"));
    let (process, pid_file) = (process.to_str().unwrap(), pid_file.to_str().unwrap());
    let text = json!({
        "args": ["sh", "-c", "echo $FROM; exec sleep 1000"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
        "env": ["PATH=/bin", "FROM=file"],
    });
    fs::write(process, text.to_string()).unwrap();
    let output = door.ok(["exec", "--pid-file", pid_file, "--process", process, "--detach", &id]);
    eventually("the program has spoken", || output.stdout_now() == "file\n");
    let pid: i64 = fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert!(door.ok(["ps", "-f", "json", &id]).json().as_array().unwrap().contains(&json!(pid)));
    // Options change that process as well.
    let output = door.ok(["exec", "-p", process, "-e", "FROM=option", &id, "sh", "-c", "echo $FROM"]);
    assert_eq!(output.stdout, "option\n");
}

#[test]
fn kill_takes_signals_by_name_and_number() {
    if !privileged::root() {
        return;
    }
    let script = "for s in TERM USR1 USR2 HUP; do trap \"echo $s\" $s; done; trap 'exit 4' INT; echo ready; \
                  while :; do sleep 0.01; done";
    let bundle = Bundle::busybox().shell(script);
    let door = Door::new();
    let id = door.id("kill");
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    eventually("ready", || output.stdout_now() == "ready\n");
    let signals: &[(&[&str], &str)] =
        &[(&[], "TERM"), (&["USR1"], "USR1"), (&["sigusr2"], "USR2"), (&["1"], "HUP"), (&["0"], "HUP")];
    for (words, last) in signals {
        door.ok([&["kill", &id], *words].concat());
        eventually(last, || output.stdout_now().ends_with(&format!("{last}\n")));
    }
    door.ok(["kill", &id, "INT"]);
    door.await_status(&id, "stopped");
    let stopped = door.run(["kill", &id]);
    assert_eq!(stopped.code, 1);
    assert!(stopped.stderr.contains("not running"), "{}", stopped.stderr);
    door.ok(["kill", "--all", &id, "KILL"]);
}

#[test]
fn a_container_that_is_to_be_kept_is_there_when_it_has_ended() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().shell("exit 9");
    let door = Door::new();
    let id = door.id("keep");
    assert_eq!(door.run(["run", "--keep", "--bundle", dir(&bundle), &id]).code, 9);
    assert_eq!(door.status(&id), "stopped");
    door.ok(["delete", &id]);
}

#[test]
fn the_current_directory_is_the_bundle() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().shell("exit 8");
    let door = Door::new();
    let id = door.id("here");
    assert_eq!(door.finish(door.command(["run", &id]).current_dir(bundle.path())).code, 8);
}

#[test]
fn a_detached_terminal_goes_to_the_console_socket() {
    if !privileged::root() {
        return;
    }
    let bundle = in_a_terminal(Bundle::busybox().shell("read line; echo got $line; exit 3"));
    let door = Door::new();
    let (socket, id) = (door.directory().join("console"), door.id("console"));
    let listener = UnixListener::bind(&socket).unwrap();
    let refused = door.run(["run", "--detach", "--bundle", dir(&bundle), &id]);
    assert!(refused.code == 1 && refused.stderr.contains("--console-socket"), "{}", refused.stderr);
    let socket = socket.to_str().unwrap();
    let refused = door.run(["run", "--console-socket", socket, "--bundle", dir(&bundle), &id]);
    assert!(refused.code == 1 && refused.stderr.contains("detached"), "{}", refused.stderr);

    door.ok(["run", "--detach", "--console-socket", socket, "--bundle", dir(&bundle), &id]);
    let mut message = receive(listener.accept().unwrap().0, 4096).unwrap();
    let mut terminal = File::from(message.fds.pop().unwrap());
    terminal.write_all(b"a line\n").unwrap();
    let mut shown = Vec::new();
    let _ = terminal.read_to_end(&mut shown); // EIO is the end
    assert!(String::from_utf8(shown).unwrap().ends_with("got a line\r\n"));
    door.await_status(&id, "stopped");
}

#[test]
fn a_shell_in_a_terminal_runs_a_script_and_ends() {
    if !privileged::root() {
        return;
    }
    let bundle = in_a_terminal(Bundle::busybox().args(["sh"]));
    let door = Door::new();
    let output = run_with_input(&door, &bundle, "tty\nexit 6\n");
    assert_eq!((output.code, output.stderr.as_str()), (6, ""));
    assert!(output.stdout.contains("/dev/pts/0"), "{}", output.stdout);
    // Without an end of its own, the script's end is the shell's.
    assert_eq!(run_with_input(&door, &bundle, "tty\n").code, 0);
    assert_eq!(run_with_input(&door, &bundle, "").code, 0);
}

#[test]
fn it_works_from_cron_and_with_closed_streams() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    for bundle in [Bundle::busybox().shell("exit 5"), in_a_terminal(Bundle::busybox().shell("exit 5"))] {
        let id = door.id("cron");
        let words = ["run", "--bundle", dir(&bundle), &id];
        assert_eq!(door.finish(door.command(words).env_clear()).code, 5);
        let script = "exec \"$@\" <&- >&- 2>&-";
        let door_command = door.command(words);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(door_command.get_program()).args(door_command.get_args());
        assert_eq!(shell.stdin(Stdio::null()).status().unwrap().code(), Some(5));
    }
}

#[test]
fn descriptors_are_passed_on_as_many_as_are_asked_for() {
    if !privileged::root() {
        return;
    }
    let see = "for n in 3 4 5; do if [ -e /proc/self/fd/$n ]; then cat <&$n; else echo none; fi; done";
    let bundle = Bundle::busybox().shell(see);
    let door = Door::new();
    for name in ["three", "four"] {
        fs::write(door.directory().join(name), format!("{name}\n")).unwrap();
    }
    let script = "exec 3<three 4<four; exec \"$@\"";
    for (count, want) in
        [("0", "none\nnone\nnone\n"), ("1", "three\nnone\nnone\n"), ("2", "three\nfour\nnone\n")]
    {
        let id = door.id("fds");
        // The log is a file of the door's own, and stays so.
        let door_command =
            door.command(["--log", "log", "run", "--preserve-fds", count, "--bundle", dir(&bundle), &id]);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(door_command.get_program()).args(door_command.get_args());
        let output = door.finish(shell.current_dir(door.directory()).stdin(Stdio::null()));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (want, ""));
    }
}

#[test]
fn what_the_specification_says_to_warn_about_is_in_the_log() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]).edit(|config| {
        config["process"]["capabilities"]["bounding"]
            .as_array_mut()
            .unwrap()
            .push(json!("CAP_FROM_THE_FUTURE"));
    });
    let door = Door::new();
    let log = door.directory().join("log");
    let id = door.id("warn");
    let words =
        ["--log", log.to_str().unwrap(), "--log-format", "json", "run", "--bundle", dir(&bundle), &id];
    let output = door.run(words);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let text = String::from_utf8(files::read_file_at(files::CWD, &log, 1 << 20).unwrap()).unwrap();
    let entry = text.lines().find(|line| line.contains("CAP_FROM_THE_FUTURE")).expect("a warning");
    assert!(entry.starts_with(r#"{"level":"warning","msg":"run: "#), "{entry}");
}
