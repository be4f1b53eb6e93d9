//! Wrong words: for every command and every option of the table, one line that names it, the right exit status, and
//! nothing was changed. The table is read from the help, so that a new option is tried as soon as it is there.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::Temp;

/// An option: its names, and what its value is called.
struct Flag {
    long: String,
    short: Option<char>,
    value: Option<String>,
    mode: bool,
}

/// `  -b, --bundle DIR           what it does`
fn flag(line: &str) -> Flag {
    let head = line.trim_start().split("  ").next().unwrap();
    let (short, long) = match head.split_once(", ") {
        Some((short, long)) => (short.chars().nth(1), long),
        None => (None, head),
    };
    let (long, value) = match long.split_once(' ') {
        // A long one has one blank behind it; a value's name has no small letters.
        Some((long, rest)) => (long, rest.split(' ').next().filter(|word| *word == word.to_uppercase())),
        None => (long, None),
    };
    let name = long.split('[').next().unwrap();
    Flag {
        long: name.strip_prefix("--").unwrap().to_owned(),
        short,
        value: value.map(str::to_owned),
        mode: name != long,
    }
}

fn flags(help: &str, title: &str) -> Vec<Flag> {
    let lines = help.lines().skip_while(|line| *line != title).skip(1);
    lines.take_while(|line| !line.is_empty()).map(flag).collect()
}

/// A command: its name, its words as in the usage, its options.
struct Verb {
    name: String,
    words: Vec<String>,
    flags: Vec<Flag>,
}

impl Verb {
    /// As many words as it needs.
    fn needed(&self) -> Vec<&str> {
        let word = |word: &String| match word.as_str() {
            "<shell>" => "bash",
            _ => "nobody",
        };
        self.words.iter().filter(|word| word.starts_with('<')).map(word).collect()
    }

    /// Whether words behind the needed ones are another program's.
    fn takes_any(&self) -> bool {
        self.words.last().is_some_and(|word| word.ends_with("...]"))
    }

    fn failure(&self) -> i32 {
        if self.name == "exec" { 255 } else { 1 }
    }
}

/// The door alone, without the programs that it hands over to.
struct Door {
    temp: Temp,
    bin: Temp,
}

impl Door {
    fn new() -> Self {
        let temp = Temp::new("words");
        fs::create_dir(temp.path().join("here")).unwrap();
        let bin = Temp::new("bin");
        fs::copy(env!("CARGO_BIN_EXE_forgeone"), bin.path().join("forgeone")).unwrap();
        Self { temp, bin }
    }

    fn ask(&self, words: &[OsString]) -> (i32, String, String) {
        let mut command = Command::new(self.bin.path().join("forgeone"));
        command.args(words).current_dir(self.temp.path().join("here")).env_clear().stdin(Stdio::null());
        let output = command.env("FORGEONE_ROOT", self.temp.path().join("states")).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn help(&self, command: &str) -> String {
        self.ask(&["help".into(), command.into()]).1
    }

    fn verbs(&self) -> Vec<Verb> {
        let help = self.ask(&["help".into()]).1;
        let lines = help.lines().skip_while(|line| *line != "containers:").skip(1);
        let names =
            lines.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().next().unwrap());
        let verb = |name: &str| {
            let help = self.help(name);
            let usage = help.lines().find_map(|line| line.strip_prefix("usage: forgeone ")).unwrap();
            let words = usage.split(' ').skip(1).filter(|word| *word != "[options]").map(str::to_owned);
            Verb { name: name.to_owned(), words: words.collect(), flags: flags(&help, "options:") }
        };
        names.filter(|name| *name != "help").map(verb).collect()
    }

    fn global(&self) -> Vec<Flag> {
        flags(&self.ask(&["help".into()]).1, "global options:")
    }

    /// What is wrong with the answer to words that aren't understood.
    fn fault(&self, words: &[OsString], status: i32, line: &str) -> Option<String> {
        let (code, out, err) = self.ask(words);
        let wrong = |what: &str| Some(format!("{words:?}: {what}: {code} {out:?} {err:?}, not {line:?}"));
        if code != status {
            return wrong("exit status");
        }
        if !out.is_empty() || err.matches('\n').count() != 1 || !err.starts_with("forgeone: ") {
            return wrong("one line on standard error alone");
        }
        if !err.contains(line) {
            return wrong("cause");
        }
        let left = entries(self.temp.path());
        if left != ["here"] {
            return wrong(&format!("made {left:?}"));
        }
        None
    }
}

/// All that is below a directory.
fn entries(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        names.push(entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            names.extend(entries(&entry.path()));
        }
    }
    names
}

fn words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Vec<OsString> {
    words.into_iter().map(|word| word.as_ref().into()).collect()
}

/// Values that none of these options has, and whether the failure is of the words, not of what they lead to.
fn garbage(flag: &Flag) -> &'static [&'static str] {
    match flag.value.as_deref() {
        None if flag.mode => &["maybe", ""],
        None => &["maybe", "2", "yes", "TRUE ", ""],
        Some("N") => &["x", "-1", "+1", " 1", "1.5", "0x10", "4294967296", "99999999999999999999"],
        Some("NUMBER") => &["x", " 1", "1.5", "0x10", "99999999999999999999"],
        Some("SIZE") => &["x", "g", "1x", "99999999999999999999"],
        Some("FORMAT") => &["xml", "JSON", "json ", "table,json"],
        Some("UID[:GID]") => &["root", "-1", "1:", ":1", "1:2:3", "4294967295", "0x0"],
        Some("GID") => &["wheel", "-1", "4294967295", ""],
        Some("CAPABILITY") => &["CAP_X", "net_admin", ""],
        _ => &[],
    }
}

#[test]
fn every_option_without_its_value_is_named() {
    let door = Door::new();
    let global = door.global();
    let mut faults = Vec::new();
    for verb in door.verbs() {
        for flag in verb.flags.iter().chain(&global).filter(|flag| flag.value.is_some()) {
            let value = flag.value.as_ref().unwrap();
            let line = format!(
                "{}: option --{} needs a value: {value}; see 'forgeone {0} --help'",
                verb.name, flag.long
            );
            for name in [format!("--{}", flag.long), format!("-{}", flag.long)]
                .into_iter()
                .chain(flag.short.map(|short| format!("-{short}")))
            {
                faults.extend(door.fault(&words([&verb.name, &name]), 1, &line));
            }
        }
    }
    for flag in global.iter().filter(|flag| flag.value.is_some()) {
        let line = format!(
            "option --{} needs a value: {}; see 'forgeone --help'",
            flag.long,
            flag.value.as_ref().unwrap()
        );
        faults.extend(door.fault(&words([format!("--{}", flag.long)]), 1, &line));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_option_with_a_value_that_it_can_not_have_is_named() {
    let door = Door::new();
    let mut faults = Vec::new();
    let mut tried = 0;
    for verb in door.verbs() {
        let switch = |flag: &&Flag| flag.value.is_none();
        let all: Vec<_> = verb.flags.iter().collect();
        for flag in all.iter().filter(|flag| flag.long != "help") {
            for value in garbage(flag) {
                // An empty one counts as not given, but where each counts or it is a switch's.
                if value.is_empty()
                    && !switch(flag)
                    && !matches!(flag.value.as_deref(), Some("GID" | "CAPABILITY"))
                {
                    continue;
                }
                let given = format!("--{}={value}", flag.long);
                let line = [vec![verb.name.as_str(), &given], verb.needed()].concat();
                // A switch is understood while the words are read.
                let status = if switch(flag) { 1 } else { verb.failure() };
                faults.extend(door.fault(
                    &words(line),
                    status,
                    &format!("{}: option --{}", verb.name, flag.long),
                ));
                tried += 1;
            }
        }
    }
    for flag in door.global().iter().filter(|flag| !matches!(flag.long.as_str(), "help" | "version")) {
        for value in garbage(flag).iter().filter(|value| flag.value.is_none() || !value.is_empty()) {
            let given = format!("--{}={value}", flag.long);
            faults.extend(door.fault(&words([&given, "list"]), 1, &format!("option --{} is ", flag.long)));
            faults.extend(door.fault(&words(["list", &given]), 1, &format!("option --{} is ", flag.long)));
            tried += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(tried > 60, "the help was not understood: {tried}");
}

/// Text that isn't UTF-8, or has what a terminal would obey, stays within the one line.
#[test]
fn every_option_with_odd_bytes_answers_in_one_line() {
    let door = Door::new();
    let mut faults = Vec::new();
    for verb in door.verbs().iter().filter(|verb| !verb.needed().is_empty() && verb.name != "completion") {
        for flag in verb.flags.iter().filter(|flag| flag.value.is_some()) {
            for bytes in [&b"\xff\xfe"[..], b"a\nb\x1b[2J", b"/nowhere/\xff", &[b'x'; 5000]] {
                let given = [b"--", flag.long.as_bytes(), b"=", bytes].concat();
                let mut line = words([&verb.name]);
                line.push(OsString::from_vec(given));
                line.extend(words(verb.needed()));
                faults.extend(door.fault(&line, verb.failure(), &format!("{}: ", verb.name)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_command_refuses_what_it_does_not_know() {
    let door = Door::new();
    let mut faults = Vec::new();
    for verb in door.verbs() {
        let (name, needed) = (verb.name.as_str(), verb.needed());
        let way_out = format!("; see 'forgeone {name} --help'");
        for option in ["--bogus", "--bogus=1", "-bogus", "-Z"] {
            // The first letter of a word with one dash.
            let shown = option.split('=').next().unwrap();
            let shown = if shown == "-bogus" { &shown[..2] } else { shown };
            let known = verb.flags.iter().any(|flag| Some('b') == flag.short) && shown == "-b";
            if !known {
                let line = [vec![name, option], needed.clone()].concat();
                faults.extend(door.fault(
                    &words(line),
                    1,
                    &format!("{name}: unknown option {shown}{way_out}"),
                ));
            }
        }
        for (count, missing) in verb.words.iter().filter(|word| word.starts_with('<')).enumerate() {
            let line = [vec![name], needed[..count].to_vec()].concat();
            faults.extend(door.fault(&words(line), 1, &format!("{name}: missing {missing}{way_out}")));
        }
        if !verb.takes_any() {
            let full = vec!["nobody"; verb.words.len()];
            let line = [vec![name], full, vec!["extra"]].concat();
            faults.extend(door.fault(
                &words(line),
                1,
                &format!("{name}: unexpected argument extra{way_out}"),
            ));
        }
        if verb.words.first().is_some_and(|word| word == "<container-id>") {
            for id in ["../x", "a b", "", "-", "x\u{1b}[2J", &"x".repeat(5000)] {
                let mut line = vec![name, "--", id];
                line.extend(["sh"].iter().filter(|_| name == "exec"));
                faults.extend(door.fault(&words(line), verb.failure(), name));
            }
        }
    }
    for (line, cause) in [
        (&["bogus"][..], "unknown command bogus; see 'forgeone --help'"),
        (&["help", "bogus"], "unknown command bogus; see 'forgeone --help'"),
        (&["--debug", ""], "unknown command ; see 'forgeone --help'"),
        (&["\u{1b}[2J"], "unknown command \\u{1b}[2J; see 'forgeone --help'"),
    ] {
        faults.extend(door.fault(&words(line), 3, cause));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// As runc: of an option that is given twice the last counts, but for those that say that each does.
#[test]
fn of_an_option_that_is_repeated_the_last_counts() {
    let door = Door::new();
    for verb in door.verbs().iter().filter(|verb| !verb.needed().is_empty() && verb.name != "completion") {
        for flag in verb
            .flags
            .iter()
            .filter(|flag| flag.value.as_deref().is_some_and(|name| name == "FORMAT" || name == "N"))
        {
            let bad = garbage(flag)[0];
            let good = if flag.value.as_deref() == Some("N") { "0" } else { "json" };
            let option = |value: &str| format!("--{}={value}", flag.long);
            let line = |first: &str, second: &str| {
                words([vec![verb.name.as_str(), &option(first), &option(second)], verb.needed()].concat())
            };
            let (_, _, err) = door.ask(&line(bad, good));
            assert!(!err.contains(&format!("option --{}", flag.long)), "{} {}: {err}", verb.name, flag.long);
            let (_, _, err) = door.ask(&line(good, bad));
            assert!(err.contains(&format!("option --{}", flag.long)), "{} {}: {err}", verb.name, flag.long);
        }
    }
}
