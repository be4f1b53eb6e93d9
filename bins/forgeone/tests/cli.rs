//! The command line as its users meet it: what is printed where, and the exit status.
//!
//! Nothing here needs a container or privileges.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use testkit::Temp;

/// Every command, in the order of the help.
const COMMANDS: &[&str] = &[
    "create", "start", "run", "exec", "state", "kill", "pause", "resume", "update", "events", "delete",
    "list", "ps", "spec", "features",
];

/// The door alone, without the programs that it hands over to, in a directory of its own and with nothing in its
/// environment.
struct Door {
    temp: Temp,
}

impl Door {
    fn new() -> Self {
        let temp = Temp::new("cli");
        fs::create_dir(temp.path().join("bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_forgeone"), temp.path().join("bin/forgeone")).unwrap();
        Self { temp }
    }

    fn dir(&self) -> &Path {
        self.temp.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.dir().join("bin/forgeone"));
        command.args(words).current_dir(self.dir()).env_clear().stdin(Stdio::null());
        command.env("FORGEONE_ROOT", self.dir().join("states"));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs what has to fail with this status and this one line, and say nothing else.
    #[track_caller]
    fn refuses(&self, words: &[&str], status: i32, line: &str) {
        let output = self.run(words);
        assert_eq!(text(&output.stderr), format!("forgeone: {line}\n"), "{words:?}");
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(status), ""), "{words:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_is_not_understood_is_one_line_and_runcs_status() {
    let door = Door::new();
    let table: &[(&[&str], i32, &str)] = &[
        (&["bogus"], 3, "unknown command bogus; see 'forgeone --help'"),
        (&["help", "bogus"], 3, "unknown command bogus; see 'forgeone --help'"),
        (&["--bogus"], 1, "unknown option --bogus; see 'forgeone --help'"),
        (
            &["exec", "--cgroups", "a", "x", "sh"],
            1,
            "exec: unknown option --cgroups; see 'forgeone exec --help'",
        ),
        (&["state"], 1, "state: missing <container-id>; see 'forgeone state --help'"),
        (&["state", "a", "b"], 1, "state: unexpected argument b; see 'forgeone state --help'"),
        (&["exec", "-c"], 1, "exec: option --cap needs a value: CAPABILITY; see 'forgeone exec --help'"),
        (&["kill", "x", "BOGUS"], 1, "kill: unknown signal \"BOGUS\"; see 'forgeone kill --help'"),
        (&["kill", "x", "65"], 1, "kill: unknown signal \"65\"; see 'forgeone kill --help'"),
        (
            &["list", "-f", "xml"],
            1,
            "list: option --format is table or json, not \"xml\"; see 'forgeone list --help'",
        ),
        (
            &["--log-format", "xml", "list"],
            1,
            "option --log-format is text or json, not \"xml\"; see 'forgeone --help'",
        ),
        (
            &["--root", "/", "list"],
            1,
            "list: option --root: \"/\" is the root directory; see 'forgeone list --help'",
        ),
        (
            &["exec", "-u", "+0", "x", "sh"],
            255,
            "exec: option --user: \"+0\" is not UID or UID:GID, in digits, below 2^32-1; see 'forgeone exec --help'",
        ),
        (
            &["exec", "--preserve-fds", "3", "x", "sh"],
            255,
            "exec: option --preserve-fds 3: descriptor 3 is not open; see 'forgeone exec --help'",
        ),
        (
            &["create", "--preserve-fds", "-1", "x"],
            1,
            "create: option --preserve-fds is a number, not \"-1\"; see 'forgeone create --help'",
        ),
    ];
    for (words, status, line) in table {
        door.refuses(words, *status, line);
    }
}

#[test]
fn a_container_that_does_not_exist_is_named() {
    let door = Door::new();
    let commands: &[&[&str]] =
        &[&["start"], &["state"], &["kill"], &["pause"], &["resume"], &["delete"], &["ps"], &["exec"]];
    for words in commands {
        let mut words = words.to_vec();
        words.push("nobody");
        let status = if words[0] == "exec" { 255 } else { 1 };
        let output = door.run(&words);
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{words:?}: {line}");
        assert!(line.starts_with(&format!("forgeone: {}: ", words[0])), "{line}");
        assert!(line.contains("container \"nobody\" does not exist"), "{line}");
        assert!(line.ends_with("; see 'forgeone list'\n"), "{line}");
    }
    assert!(!door.dir().join("states").exists(), "nothing was made");
}

#[test]
fn forced_delete_of_nobody_is_no_failure() {
    let output = Door::new().run(&["delete", "--force", "nobody"]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

/// To write the file anew: `for c in "" create start …; do forgeone help $c; done > tests/help.txt`.
#[test]
fn help_is_as_promised() {
    let door = Door::new();
    let mut helps = text(&door.run(&["help"]).stdout);
    for command in COMMANDS {
        let output = door.run(&["help", command]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, door.run(&[command, "--help"]).stdout);
        assert_eq!(output.stdout, door.run(&[command, "-h"]).stdout);
        helps += &text(&output.stdout);
    }
    let promised = include_str!("help.txt");
    assert!(helps == promised, "tests/help.txt says otherwise; the help is now:\n{helps}");
    for words in [&[][..], &["-h"], &["--help"], &["help"], &["--root", "/x"]] {
        let output = door.run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(promised.starts_with(&text(&output.stdout)), "{words:?}");
    }
}

#[test]
fn version_is_in_runcs_form() {
    for words in [["-v"], ["--version"]] {
        let output = text(&Door::new().run(&words).stdout);
        let [version, commit, spec] = output.lines().collect::<Vec<_>>()[..] else {
            panic!("three lines: {output}")
        };
        assert_eq!(version, concat!("forgeone version ", env!("CARGO_PKG_VERSION")));
        assert!(commit.strip_prefix("commit: ").is_some_and(|commit| !commit.is_empty()), "{commit}");
        assert_eq!(spec, "spec: 1.3.0");
    }
}

#[test]
fn a_failure_is_written_to_the_log_too() {
    let door = Door::new();
    let log = door.dir().join("log.json");
    fs::write(&log, "{}\n").unwrap();
    let output = door.run(&["--log", "log.json", "--log-format", "json", "state", "nobody"]);
    let said = text(&output.stderr);
    let written = fs::read_to_string(&log).unwrap();
    let entry = written.strip_prefix("{}\n").expect("what was there is kept");
    let entry: Value = serde_json::from_str(entry).unwrap();
    assert_eq!(entry["level"], "error");
    assert_eq!(said, format!("forgeone: {}\n", entry["msg"].as_str().unwrap()));
    assert_eq!(entry["time"].as_str().unwrap().len(), "2026-11-21T22:40:26.123456789Z".len());

    // Also one of the words, as far as they are understood.
    door.run(&["--log", "words.json", "--log-format=json", "state", "--bogus"]);
    let entry: Value = serde_json::from_slice(&fs::read(door.dir().join("words.json")).unwrap()).unwrap();
    assert_eq!(entry["msg"], "state: unknown option --bogus; see 'forgeone state --help'");

    door.run(&["--log", "log.txt", "state", "nobody"]);
    let written = fs::read_to_string(door.dir().join("log.txt")).unwrap();
    assert!(
        written.starts_with("time=\"20") && written.contains("level=error msg=\"state: container"),
        "{written}"
    );
}

/// As containerd's and CRI-O's decoders want it: a JSON value after the other, with these keys and a time of RFC 3339.
/// The last one of level error is what they show.
#[test]
fn entries_are_as_clients_decode_them() {
    let door = Door::new();
    let write = |words: &[&str]| {
        let words = [&["--debug", "--log", "log.json", "--log-format", "json"], words].concat();
        door.run(&words)
    };
    write(&["list"]);
    write(&["state", "nobody"]);
    write(&["state", "\u{1b}\"\\"]);
    let text = fs::read_to_string(door.dir().join("log.json")).unwrap();
    let entries: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(entries.len(), text.lines().count(), "one a line");
    for entry in &entries {
        assert_eq!(entry.as_object().unwrap().keys().collect::<Vec<_>>(), ["level", "msg", "time"]);
        assert!(["debug", "warning", "error"].contains(&entry["level"].as_str().unwrap()), "{entry}");
        let time: Vec<_> = entry["time"].as_str().unwrap().split(['-', 'T', ':', '.', 'Z']).collect();
        let digits = time[..7].iter().map(|part| part.parse::<u32>().map(|_| part.len()));
        assert_eq!(digits.collect::<Result<Vec<_>, _>>(), Ok(vec![4, 2, 2, 2, 2, 2, 9]), "{entry}");
    }
    let errors: Vec<_> = entries.iter().filter(|entry| entry["level"] == "error").collect();
    assert_eq!(errors.len(), 2);
    assert!(errors[0]["msg"].as_str().unwrap().contains("container \"nobody\" does not exist"));
    assert!(errors[1]["msg"].as_str().unwrap().starts_with("state: container id "), "{}", errors[1]);
    assert!(text.starts_with("{\"level\":\"debug\",\"msg\":\"") && text.ends_with("\"}\n"), "{text}");
}

/// A log that is made may be read by others and written by nobody else, even without a umask; one that is there keeps
/// its mode.
#[test]
fn a_log_is_made_with_runcs_mode() {
    let door = Door::new();
    let mode = || fs::metadata(door.dir().join("log")).unwrap().permissions().mode() & 0o777;
    let script = "umask 0; exec \"$0\" --log log list";
    let run = || {
        Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_forgeone")])
            .current_dir(door.dir())
            .output()
    };
    run().unwrap();
    assert_eq!(mode(), 0o644);
    fs::set_permissions(door.dir().join("log"), fs::Permissions::from_mode(0o600)).unwrap();
    run().unwrap();
    assert_eq!(mode(), 0o600);
}

#[test]
fn json_on_standard_error_is_one_entry() {
    let output = Door::new().run(&["--log-format", "json", "state", "nobody"]);
    let entry: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&entry["level"], output.status.code()), (&"error".into(), Some(1)));
}

#[test]
fn a_log_that_can_not_be_opened_is_a_failure() {
    let door = Door::new();
    for (log, cause) in
        [("missing/log", "No such file"), (".", "Is a directory"), ("/proc/version/x", "Not a directory")]
    {
        let output = door.run(&["--log", log, "list"]);
        assert_eq!(output.status.code(), Some(1));
        let line = text(&output.stderr);
        assert!(line.starts_with(&format!("forgeone: option --log: {log}: {cause}")), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn debug_says_what_is_done() {
    let door = Door::new();
    let debug = |command: &mut Command| text(&command.output().unwrap().stderr);
    assert_eq!(debug(&mut door.command(&["list"])), "");
    assert!(debug(&mut door.command(&["--debug", "list"])).contains("level=debug msg=\"forgeone 0."));
    assert!(debug(door.command(&["list"]).env("DEBUG", "1")).contains("level=debug"));
    assert_eq!(debug(door.command(&["--debug=false", "list"]).env("DEBUG", "1")), "");
    assert_eq!(debug(door.command(&["list"]).env("DEBUG", "0")), "");
}

#[test]
fn an_empty_list_looks_as_runcs() {
    let door = Door::new();
    let list = |words: &[&str]| text(&door.run(words).stdout);
    assert_eq!(list(&["list"]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    assert_eq!(list(&["list", "--format", "json"]), "null\n");
    assert_eq!(list(&["list", "-q"]), "");
    let missing = door.run(&["--root", "gone", "list"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/gone does not exist"));
}

#[test]
fn spec_writes_a_config_and_no_second_one() {
    let door = Door::new();
    assert_eq!(door.run(&["spec"]).status.code(), Some(0));
    let config = fs::read_to_string(door.dir().join("config.json")).unwrap();
    assert!(
        config.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,"),
        "{config}"
    );
    door.refuses(&["spec"], 1, "spec: config.json exists; remove it first");
    assert_eq!(fs::read_to_string(door.dir().join("config.json")).unwrap(), config);

    fs::create_dir(door.dir().join("bundle")).unwrap();
    assert_eq!(door.run(&["spec", "--bundle", "bundle", "--rootless"]).status.code(), Some(0));
    let rootless: Value =
        serde_json::from_slice(&fs::read(door.dir().join("bundle/config.json")).unwrap()).unwrap();
    assert_eq!(rootless["linux"]["uidMappings"][0]["containerID"], 0);

    assert_eq!(door.run(&["spec", "--output", "other.json"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(door.dir().join("other.json")).unwrap(), config);
    assert_eq!(text(&door.run(&["spec", "--output", "-"]).stdout), format!("{config}\n"));
    assert_eq!(door.run(&["spec", "--bundle", "nowhere"]).status.code(), Some(1));
}

#[test]
fn features_are_json_with_the_runtimes_version() {
    let output = Door::new().run(&["features"]);
    let features: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["annotations"]["io.forgeone.version"], env!("CARGO_PKG_VERSION"));
    assert!(text(&output.stdout).starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure_but_a_full_disk_is() {
    let door = Door::new();
    for words in [&["--help"][..], &["--version"], &["features"], &["list"], &["spec", "--output", "-"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = door.command(words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((gone.status.code(), text(&gone.stderr).as_str()), (Some(0), ""), "{words:?}");

        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = door.command(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(full.status.code(), Some(1), "{words:?}");
        assert!(text(&full.stderr).contains("write to standard output: No space left"), "{words:?}");
    }
}

#[test]
fn it_runs_without_any_open_stream() {
    let door = Door::new();
    let script = "exec <&- >&- 2>&-; \"$0\" state nobody";
    let program = env!("CARGO_BIN_EXE_forgeone");
    let status =
        Command::new("sh").args(["-c", script, program]).current_dir(door.dir()).env_clear().status();
    assert_eq!(status.unwrap().code(), Some(1));
}
