//! What the programs that call a runtime look for in its words: they have no other way to tell failures apart.
//!
//! | client | where it looks | as read in |
//! |---|---|---|
//! | containerd | last entry of level error in the JSON log; output of kill | pkg/process/utils.go |
//! | Podman | standard error, or the log; output of state | libpod/oci_util.go, oci_conmon_common.go |
//! | Docker | containerd's error, in small letters | daemon/errors.go |

use crate::running::dir;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use testkit::{Bundle, Door, Output, privileged};

/// The last error of a log, as containerd decodes it.
fn last_error(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap();
    let entries = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    let errors = entries.filter(|entry| entry["level"] == "error");
    errors.last().unwrap()["msg"].as_str().unwrap().trim().to_owned()
}

/// A call with a log, and what is wrong with its failure: all clients have to find the same words wherever they look.
fn fault(door: &Door, words: &[&str], status: i32, phrase: &str) -> Option<String> {
    let log = door.directory().join("log.json");
    let _ = fs::remove_file(&log);
    let options = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    let Output { code, stdout, stderr, .. } = door.run([&options[..], words].concat());
    if code != status || !stdout.is_empty() || stderr.lines().count() != 1 {
        return Some(format!("{words:?}: {code} {stdout:?} {stderr:?}"));
    }
    let logged = last_error(&log);
    let has = |text: &str| text.contains(phrase);
    let fits = has(&stderr) && has(&logged) && stderr == format!("forgeone: {logged}\n");
    (!fits).then(|| format!("{words:?}: {phrase:?} is not in {stderr:?} and {logged:?}"))
}

#[test]
fn clients_find_the_words_by_which_they_know_a_failure() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let (running, stopped) = (door.id("running"), door.id("stopped"));
    for id in [&running, &stopped] {
        door.ok(["run", "--detach", "--bundle", dir(&bundle), id]);
    }
    door.ok(["kill", &stopped, "KILL"]);
    door.await_status(&stopped, "stopped");
    let table: &[(&[&str], i32, &str)] = &[
        // containerd's checkKillError: the process has ended already, or there is none.
        (&["kill", &stopped, "TERM"], 1, "container not running"),
        (&["kill", "nobody", "9"], 1, "does not exist"),
        // containerd and Podman: deleted already.
        (&["delete", "nobody"], 1, "does not exist"),
        (&["state", "nobody"], 1, "does not exist"),
        (&["start", "nobody"], 1, "does not exist"),
        (&["exec", "nobody", "sh"], 255, "does not exist"),
        // Docker and Podman: exit status 127.
        (&["exec", &running, "nosuch"], 255, "executable file not found in"),
        (&["exec", &running, "/nosuch"], 255, "no such file or directory"),
        // Docker and Podman: exit status 126.
        (&["exec", &running, "/etc/passwd"], 255, "permission denied"),
        (&["exec", &running, "/etc"], 255, "permission denied"),
        (&["exec", &stopped, "sh"], 255, "not running"),
        (&["start", &stopped], 1, "is stopped"),
        (&["start", &running], 1, "is running"),
        (&["delete", &running], 1, "is running"),
        (&["pause", &stopped], 1, "not running"),
        (&["resume", &running], 1, "not paused"),
    ];
    let faults: Vec<_> =
        table.iter().filter_map(|(words, status, phrase)| fault(&door, words, *status, phrase)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // What has happened already is none: Podman's cleanup, and containerd's.
    for words in [&["delete", "--force", "nobody"][..], &["kill", "--all", &stopped, "9"]] {
        let output = door.ok(words);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{words:?}");
    }
}

/// Podman and Docker tell a command that can't be found from one that can't be executed.
#[test]
fn clients_find_why_a_container_can_not_be_created() {
    if !privileged::root() {
        return;
    }
    let table: &[(&str, &str)] = &[
        ("nosuch", "executable file not found in"),
        ("/nosuch", "no such file or directory"),
        ("/etc", "permission denied"),
        ("/etc/passwd", "permission denied"),
    ];
    let door = Door::new();
    for (program, phrase) in table {
        let bundle = Bundle::busybox().args([*program]);
        for command in ["create", "run"] {
            let id = door.id("why");
            let fault = fault(&door, &[command, "--bundle", dir(&bundle), &id], 1, phrase);
            assert!(fault.is_none(), "{}", fault.unwrap());
        }
    }
    let bundle = Bundle::busybox();
    let taken = door.id("taken");
    door.ok(["create", "--bundle", dir(&bundle), &taken]);
    let fault = fault(&door, &["create", "--bundle", dir(&bundle), &taken], 1, "exists");
    assert!(fault.is_none(), "{}", fault.unwrap());
}

/// The first line names the runtime behind "version" for Docker; the others are found by their beginnings.
#[test]
fn the_version_is_understood_by_those_who_ask() {
    let output = std::process::Command::new(testkit::forgeone()).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (runtime, version) = text.lines().next().unwrap().split_once("version").unwrap();
    assert_eq!(runtime.trim(), "forgeone");
    assert!(version.trim().split('.').all(|part| !part.is_empty() && part.parse::<u32>().is_ok()), "{text}");
    assert!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
    let known =
        |line: &str| ["forgeone version ", "commit: ", "spec: "].iter().any(|start| line.starts_with(start));
    assert!(text.lines().all(known) && text.ends_with('\n'), "{text}");
}

/// Paths that options name and that don't do: found before or while the container is made, of which nothing stays.
#[test]
fn a_path_of_an_option_that_does_not_do_is_named_and_nothing_stays() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let plain = Bundle::busybox().args(["sleep", "1000"]);
    let terminal = Bundle::busybox().edit(|config| config["process"]["terminal"] = json!(true));
    let place = |name: &str| door.directory().join(name).display().to_string();
    let (file, directory, link) = (place("file"), place("directory"), place("link"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&directory).unwrap();
    symlink("/nowhere", &link).unwrap();
    let below_file = format!("{file}/x");
    let table: Vec<(&Bundle, &str, &str, &str)> = vec![
        (&plain, "--pid-file", "/nowhere/pid", "--pid-file"),
        (&plain, "--pid-file", &below_file, "--pid-file"),
        (&plain, "--pid-file", &directory, "--pid-file"),
        (&plain, "--console-socket", &file, "--console-socket: is only for containers with a terminal"),
        (&terminal, "--console-socket", "/nowhere/socket", "--console-socket: "),
        (&terminal, "--console-socket", &file, "--console-socket: "),
        (&terminal, "--console-socket", &link, "--console-socket: "),
        (&terminal, "--pid-file", &file, "a detached container's terminal needs --console-socket"),
        (&plain, "--bundle", "/nowhere", "/nowhere"),
        (&plain, "--bundle", &file, "file"),
        (&plain, "--bundle", &directory, "config.json"),
        (&plain, "--preserve-fds", "1000000", "option --preserve-fds 1000000: descriptor"),
    ];
    for (bundle, option, value, cause) in table {
        for command in [&["create"][..], &["run", "--detach"]] {
            let id = door.id("path");
            let words = [command, &["--bundle", dir(bundle), option, value, &id]].concat();
            let fault = fault(&door, &words, 1, cause);
            assert!(fault.is_none() && door.containers().is_empty(), "{words:?}: {fault:?}");
        }
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "");

    // The state root.
    let id = door.id("root");
    for (root, cause) in [(&file, "state root"), (&below_file, "state root"), (&link, "state root")] {
        let output = door.run(["--root", root, "create", "--bundle", dir(&plain), &id]);
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{root}: {}", output.stderr);
        assert!(output.stderr.contains(cause) && output.stderr.contains(root.as_str()), "{}", output.stderr);
    }

    // And of exec, in a container that goes on.
    let id = door.id("running");
    door.ok(["run", "--detach", "--bundle", dir(&plain), &id]);
    for (option, value, cause) in [
        ("--pid-file", "/nowhere/pid", "--pid-file"),
        ("--process", "/nowhere", "/nowhere"),
        ("--process", directory.as_str(), "directory"),
        ("--process", file.as_str(), "file"),
        ("--cwd", "/nowhere", "process.cwd"),
        ("--cwd", "relative", "process.cwd"),
        ("--env", "novalue", "novalue"),
        ("--env", "=x", "process.env"),
    ] {
        let fault = fault(&door, &["exec", option, value, &id, "true"], 255, cause);
        assert!(fault.is_none(), "{}", fault.unwrap());
    }
    assert_eq!(
        door.ok(["ps", "--format", "json", &id]).json().as_array().unwrap().len(),
        1,
        "nothing stayed"
    );
}
