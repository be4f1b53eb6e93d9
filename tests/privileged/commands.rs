//! Each command from the outside: output and exit status, as runc's in the same situation.

use forgeone_sys::socket;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use testkit::{Bundle, Door, Output, eventually, privileged};

fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// What a script may look at: exit status, standard output, and whether anything was said on standard error. Numbers and times
/// that differ at each start are left out.
fn seen(output: &Output, id: &str, pid: &str) -> (i32, String, bool) {
    let text = output.stdout.replace(id, "ID").replace(pid, "PID");
    // Each speaks of the version of the specification that it implements.
    let text = text.replace("\"1.0.2-dev\"", "VERSION").replace("\"1.3.0\"", "VERSION");
    let is_time = |piece: &str| piece.len() > 20 && piece.starts_with("20") && piece.ends_with('Z');
    let pieces = text.split_inclusive(['"', ' ', '\n']);
    let pieces =
        pieces.map(|piece| if is_time(piece.trim_end_matches(['"', ' ', '\n'])) { "TIME " } else { piece });
    let text = pieces.collect::<String>();
    (output.code, text.split_whitespace().collect::<Vec<_>>().join(" "), output.stderr.is_empty())
}

/// The same words to both runtimes, through a container's whole life.
#[test]
fn every_command_answers_as_runcs_does() {
    if !privileged::root() || !privileged::program("runc", "runc") {
        return;
    }
    let script: &[&[&str]] = &[
        &["state", "ID"],
        &["create", "--bundle", "BUNDLE", "--pid-file", "FILE", "ID"],
        &["create", "--bundle", "BUNDLE", "ID"],
        &["state", "ID"],
        &["list", "--quiet"],
        &["list", "--format", "json"],
        &["list"],
        &["ps", "--format", "json", "ID"],
        &["resume", "ID"],
        &["exec", "ID", "echo", "in a created one"],
        &["start", "ID"],
        &["start", "ID"],
        &["state", "ID"],
        &["ps", "ID", "-o", "pid"],
        &["exec", "ID", "sh", "-c", "echo out; echo err >&2; exit 7"],
        &["exec", "ID", "sh", "-c", "kill -KILL $$"],
        &["exec", "ID", "nosuch"],
        &["exec", "ID", "/etc"],
        &["exec", "ID", "/etc/passwd"],
        &["exec", "ID"],
        &["exec", "--cwd", "/nowhere", "ID", "true"],
        &[
            "exec",
            "--cwd",
            "/tmp",
            "--env",
            "A=b",
            "--user",
            "1000:2000",
            "ID",
            "sh",
            "-c",
            "pwd; echo $A; id",
        ],
        &["exec", "--user", "nobody", "ID", "id"],
        &["exec", "--process", "/nowhere", "ID"],
        &["exec", "--tty", "--detach", "ID", "true"],
        &["exec", "--console-socket", "/nowhere", "ID", "true"],
        &["kill", "ID", "0"],
        &["kill", "ID", "BOGUS"],
        &["kill", "ID", "999"],
        &["kill", "ID", "SIGCONT"],
        &["kill", "ID", "cont"],
        &["kill", "--all", "ID", "18"],
        &["update", "--pids-limit", "50", "ID"],
        &["update", "ID", "--memory", "64M", "--cpu-share=512"],
        &["update", "--memory", "lots", "ID"],
        &["update", "--cpuset-cpus", "4000", "ID"],
        &["update", "--resources", "/nowhere", "ID"],
        &["events", "--interval", "0s", "ID"],
        &["events", "nobody"],
        &["pause", "ID"],
        &["state", "ID"],
        &["exec", "ID", "true"],
        &["delete", "ID"],
        &["resume", "ID"],
        &["resume", "ID"],
        &["delete", "ID"],
        &["kill", "ID", "KILL"],
        &["AWAIT", "stopped"],
        &["state", "ID"],
        &["kill", "ID", "KILL"],
        &["kill", "--all", "ID", "KILL"],
        &["exec", "ID", "true"],
        &["start", "ID"],
        &["pause", "ID"],
        &["resume", "ID"],
        &["update", "--pids-limit", "50", "ID"],
        &["events", "--stats", "ID"],
        &["ps", "--format", "json", "ID"],
        &["list"],
        &["delete", "ID"],
        &["delete", "ID"],
        &["delete", "--force", "ID"],
        &["kill", "ID"],
        &["list", "--format", "json"],
    ];
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let answers = |program: PathBuf| {
        let door = Door::of(program);
        let id = door.id("runc");
        let file = door.directory().join("pid");
        let mut pid = "none".to_owned();
        let mut answers = Vec::new();
        for words in script {
            if words[0] == "AWAIT" {
                door.await_status(&id, words[1]);
                continue;
            }
            let word = |word: &&str| match *word {
                "ID" => id.clone(),
                "BUNDLE" => dir(&bundle).to_owned(),
                "FILE" => file.display().to_string(),
                other => other.to_owned(),
            };
            let output = door.run(words.iter().map(word));
            pid = fs::read_to_string(&file).unwrap_or(pid);
            answers.push(seen(&output, &id, &pid));
        }
        answers
    };
    let (runc, ours) = (answers(privileged::find_program("runc").unwrap()), answers(testkit::forgeone()));
    let commands = script.iter().filter(|words| words[0] != "AWAIT");
    let differences: Vec<_> = commands
        .zip(runc.iter().zip(&ours))
        .filter(|(_, (runc, ours))| runc != ours)
        .map(|(words, (runc, ours))| format!("{words:?}\n  runc {runc:?}\n  ours {ours:?}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A running container with the probe, and its id.
fn running(door: &Door, bundle: &Bundle) -> String {
    let id = door.id("running");
    door.ok(["run", "--detach", "--bundle", dir(bundle), &id]);
    id
}

#[test]
fn exec_options_change_the_program_and_nothing_else() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().with_probe().args(["sleep", "1000"]).edit(|config| {
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["env"].as_array_mut().unwrap().push(json!("OF=config"));
    });
    let door = Door::new();
    let id = running(&door, &bundle);
    let plain = door.ok(["exec", &id, "/probe"]).json();
    assert_eq!(plain["process"]["cwd"], "/");
    assert_eq!(plain["process"]["no_new_privs"], "0");
    assert_eq!(plain["credentials"]["CapEff"], "0000000020000420");
    assert_eq!(plain["credentials"]["CapInh"], "0000000000000000");

    let words = [
        "exec",
        "--env",
        "A=1",
        "-e",
        "OF=exec",
        "--cwd",
        "/tmp",
        "--user",
        "1000:2000",
        "-g",
        "7",
        "--additional-gids",
        "8",
        "--cap",
        "CAP_NET_ADMIN",
        "-c",
        "CAP_SYS_TIME",
        "--no-new-privs",
        &id,
        "/probe",
        "--env",
        "x",
    ];
    let changed = door.ok(words).json();
    assert_eq!(changed["process"]["args"], json!(["/probe", "--env", "x"]));
    assert_eq!(changed["process"]["cwd"], "/tmp");
    assert_eq!(changed["process"]["no_new_privs"], "1");
    let env: Vec<_> =
        changed["process"]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"A=1") && env.contains(&"OF=exec") && !env.contains(&"OF=config"), "{env:?}");
    assert!(env.contains(&"HOME=/home"), "the user's own home: {env:?}");
    assert_eq!(changed["credentials"]["Uid"], "1000\t1000\t1000\t1000");
    assert_eq!(changed["credentials"]["Gid"], "2000\t2000\t2000\t2000");
    assert_eq!(changed["credentials"]["Groups"], "7 8");
    assert_eq!(changed["credentials"]["CapBnd"], "0000000022001420");
    assert_eq!(changed["credentials"]["CapInh"], "0000000000000000");
    assert_eq!(door.ok(["exec", &id, "/probe"]).json()["credentials"], plain["credentials"]);
}

/// `exec --process FILE --detach --pid-file FILE ID`, and a log of JSON lines: so calls conmon.
#[test]
fn exec_as_conmon_calls_it() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = running(&door, &bundle);
    let file = |name: &str| door.directory().join(name).display().to_string();
    let (process, pid_file, log) = (file("process.json"), file("pid"), file("log"));
    let program = |args: Value| json!({"args": args, "cwd": "/tmp", "user": {"uid": 1000, "gid": 7}, "env": ["PATH=/bin"]});
    fs::write(
        &process,
        program(json!(["sh", "-c", "echo $PWD $(id -u):$(id -g); exec sleep 1000"])).to_string(),
    )
    .unwrap();
    let words = [
        "--log",
        &log,
        "--log-format",
        "json",
        "exec",
        "--pid-file",
        &pid_file,
        "--process",
        &process,
        "--detach",
        &id,
    ];
    let output = door.ok(words);
    eventually("it has said where it is", || output.stdout_now() == "/tmp 1000:7\n");
    let pid: i64 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let pids = door.ok(["ps", "--format", "json", &id]).json();
    assert!(pids.as_array().unwrap().iter().any(|one| *one == pid), "{pids}");

    fs::write(&process, program(json!(["nosuch"])).to_string()).unwrap();
    let output = door.run(words);
    assert_eq!(output.code, 255);
    let text = fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(
        last["msg"].as_str().unwrap().ends_with("exec: \"nosuch\": executable file not found in $PATH"),
        "{last}"
    );
    assert_eq!(
        fs::read_to_string(&pid_file).unwrap(),
        pid.to_string(),
        "a program that isn't started has no number"
    );
}

/// The terminal's master comes over the socket, with the terminal's name as runc writes it.
#[test]
fn console_sockets_receive_the_terminal() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().shell("tty; exec sleep 1000").edit(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    });
    let door = Door::new();
    let path = door.directory().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.to_str().unwrap();
    let master = || {
        let (stream, _) = listener.accept().unwrap();
        let mut message = socket::receive(&stream, 4096).unwrap();
        assert_eq!(message.fds.len(), 1);
        assert!(!message.bytes.is_empty(), "runc's clients want a name");
        fs::File::from(message.fds.remove(0))
    };
    let read = |mut master: &fs::File, until: &str| {
        let (mut text, mut buffer) = (String::new(), [0; 256]);
        while !text.contains(until) {
            let count = std::io::Read::read(&mut master, &mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        text
    };
    let id = door.id("console");
    door.ok(["create", "--bundle", dir(&bundle), "--console-socket", socket, &id]);
    let own = master();
    assert_eq!(forgeone_sys::pty::window_size(&own).unwrap(), (33, 77));
    door.ok(["start", &id]);
    assert_eq!(read(&own, "\n"), "/dev/pts/0\r\n");

    door.ok([
        "exec",
        "--tty",
        "--detach",
        "--console-socket",
        socket,
        &id,
        "sh",
        "-c",
        "tty; read line; echo got $line",
    ]);
    let second = master();
    assert_eq!(read(&second, "\n"), "/dev/pts/1\r\n");
    std::io::Write::write_all(&mut &second, b"hello\n").unwrap();
    assert!(read(&second, "got hello\r\n").starts_with("hello\r\n"));
}

#[test]
fn preserved_descriptors_reach_the_program_and_no_others() {
    if !privileged::root() || !privileged::program("bash", "bash") {
        return;
    }
    let bundle = Bundle::busybox().shell("cat <&3; cat <&4; ls /proc/self/fd | wc -l; exec sleep 1000");
    let door = Door::new();
    let file = door.directory().join("text");
    fs::write(&file, "descriptor\n").unwrap();
    let with = |words: &[&str]| {
        let mut bash = std::process::Command::new("bash");
        let line = format!("exec 3<{0} 4<{0} 5<{0}; exec \"$@\"", file.display());
        bash.args(["-c", &line, "bash"]).arg(testkit::forgeone()).arg("--root").arg(door.root()).args(words);
        door.finish(&mut bash)
    };
    let id = door.id("fds");
    let output = with(&["run", "--detach", "--preserve-fds", "2", "--bundle", dir(&bundle), &id]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    // 0, 1, 2, 3, 4, and the one that ls reads by.
    eventually("it has counted", || output.stdout_now() == "descriptor\ndescriptor\n6\n");
    let output = with(&["exec", "--preserve-fds", "1", &id, "sh", "-c", "cat <&3; ls /proc/self/fd | wc -l"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "descriptor\n5\n"), "{}", output.stderr);
    let output = with(&["exec", &id, "sh", "-c", "ls /proc/self/fd | wc -l"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "4\n"), "{}", output.stderr);
}

#[test]
fn kill_sends_names_and_numbers_to_one_or_all() {
    if !privileged::root() {
        return;
    }
    let trap = "for s in HUP USR1 USR2 TERM WINCH; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.01; done";
    let bundle = Bundle::busybox().shell(trap);
    let door = Door::new();
    let id = door.id("kill");
    let output = door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let mut expected = "ready\n".to_owned();
    eventually("it is ready", || output.stdout_now() == expected);
    for (words, name) in
        [(&["1"][..], "HUP"), (&["SIGUSR1"], "USR1"), (&["usr2"], "USR2"), (&[], "TERM"), (&["28"], "WINCH")]
    {
        door.ok([&["kill", &id], words].concat());
        expected += &format!("{name}\n");
        eventually(name, || output.stdout_now() == expected);
    }
    let other = door.ok([
        "exec",
        "--detach",
        &id,
        "sh",
        "-c",
        "trap 'echo other; exit' USR1; echo go; while :; do sleep 0.01; done",
    ]);
    eventually("the other is ready", || other.stdout_now() == "go\n");
    door.ok(["kill", "--all", &id, "USR1"]);
    eventually("all have it", || {
        other.stdout_now() == "go\nother\n" && output.stdout_now().ends_with("USR1\n")
    });
}

/// Where the container has no PID namespace of its own, its other processes don't go with init by themselves.
#[test]
fn kill_and_delete_end_processes_that_share_our_pid_namespace() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().shell("sleep 1000 & sleep 1000 & wait").edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    });
    let door = Door::new();
    let id = door.id("shared");
    let gone = |pid: &Value| {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    for last in ["kill", "delete", "orphans"] {
        door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
        let pids = || door.ok(["ps", "--format", "json", &id]).json();
        eventually("three processes", || pids().as_array().is_some_and(|pids| pids.len() == 3));
        let three = pids();
        if last == "kill" {
            door.ok(["kill", &id, "KILL"]);
            door.await_status(&id, "stopped");
        }
        if last == "orphans" {
            // Init is gone and they aren't.
            forgeone_sys::process::kill(door.state(&id)["pid"].as_i64().unwrap() as i32, 9).unwrap();
            door.await_status(&id, "stopped");
            assert!(door.run(["kill", &id, "TERM"]).stderr.contains("container not running"));
            door.ok(["kill", &id, "KILL"]);
            eventually("they are gone", || three.as_array().unwrap().iter().all(gone));
            assert!(door.run(["kill", &id, "KILL"]).stderr.contains("container not running"));
        }
        door.ok(["delete", "--force", &id]);
        assert!(three.as_array().unwrap().iter().all(gone));
    }
}

#[test]
fn pid_files_are_written_whole_or_not_at_all() {
    if !privileged::root() {
        return;
    }
    let mut bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let file = door.directory().join("pid");
    let id = door.id("pid");
    fs::write(&file, "999999999999").unwrap();
    door.ok(["create", "--bundle", dir(&bundle), "--pid-file", file.to_str().unwrap(), &id]);
    assert_eq!(fs::read_to_string(&file).unwrap(), door.state(&id)["pid"].to_string());
    door.ok(["delete", &id]);
    let nowhere = door.directory().join("no/such/pid");
    let output = door.run(["create", "--bundle", dir(&bundle), "--pid-file", nowhere.to_str().unwrap(), &id]);
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(
        output.stderr.contains("--pid-file")
            && output.stderr.contains(nowhere.parent().unwrap().to_str().unwrap())
    );
    bundle = bundle.args(["nosuch"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(
        door.run(["run", "--bundle", dir(&bundle), "--pid-file", file.to_str().unwrap(), &id]).code,
        1
    );
    assert!(!file.exists() && door.containers().is_empty());
}

/// `spec`, a root, `run`: what the README's reader does.
#[test]
fn the_config_that_spec_writes_runs_as_it_is() {
    if !privileged::root() || !privileged::program("script", "bsdutils") {
        return;
    }
    let bundle = Bundle::busybox();
    fs::remove_file(bundle.path().join("config.json")).unwrap();
    let door = Door::new();
    door.finish(door.command(["spec"]).current_dir(bundle.path()));
    let id = door.id("spec");
    let line = format!("'{}' --root '{}' run {id}", testkit::forgeone().display(), door.root().display());
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(bundle.path());
    let input = door.directory().join("input");
    fs::write(&input, "echo $((6*7)) on $(tty) at $(hostname)\nexit 9\n").unwrap();
    let output = door.finish(script.stdin(fs::File::open(input).unwrap()));
    assert_eq!(output.code, 9, "{}", output.stdout);
    assert!(output.stdout.contains("42 on /dev/pts/0 at forgeone"), "{}", output.stdout);
    assert!(!output.stdout.contains("level=warning"), "{}", output.stdout);
}

/// The built-in image, wherever it is called from; another bundle only if it is named.
#[test]
fn run_self_is_the_built_in_image_also_beside_a_bundle() {
    if !privileged::machine_root() {
        return;
    }
    let bundle = Bundle::busybox().shell("echo the bundle");
    let door = Door::new();
    let run = |words: &[&str], dir: &Path| {
        let mut command = door.command([&["run"], words].concat());
        door.finish(command.current_dir(dir))
    };
    for (place, warnings) in [(door.directory(), 0), (bundle.path(), 1)] {
        let output = run(&["self"], place);
        assert!(
            output.stdout.contains("hello from inside a container"),
            "{}{}",
            output.stdout,
            output.stderr
        );
        let line = output.stdout.lines().find(|line| line.contains("overwrite this program")).unwrap();
        assert!(line.ends_with("refused: EROFS (Read-only file system)"), "{line}");
        assert_eq!(
            (output.code, output.stderr.matches("--bundle .").count()),
            (0, warnings),
            "{}",
            output.stderr
        );
    }
    assert_eq!(run(&["--bundle", ".", "self"], bundle.path()).stdout, "the bundle\n");
    let output = run(&["--detach", "self"], bundle.path());
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    assert!(output.stderr.contains("not with --detach"), "{}", output.stderr);
    assert!(door.containers().is_empty());
}
