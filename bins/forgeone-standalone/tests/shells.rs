//! What is made from the table of commands besides the parser: completion in real shells, and manual pages.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use testkit::{Installed, Temp, privileged};

const PROGRAM: &str = env!("CARGO_BIN_EXE_forgeone-standalone");

fn ask(words: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Candidates for the last of these words, without what they are.
fn candidates(words: &[&str]) -> Vec<String> {
    let text = ask(&[&["completion", "words"], words].concat());
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn a_word_becomes_what_fits_at_its_place() {
    let table: &[(&[&str], &[&str])] = &[
        (&["sta"], &["start", "state", "stats"]),
        (&["volume", "i"], &["inspect"]),
        (&["volume", "ls", "--q"], &["--quiet"]),
        (&["run", "--na"], &["--name"]),
        (&["run", "--bun"], &["--bundle"]),
        (&["run", "alpine", "--na"], &[":files"]),
        (&["--debug", "fea"], &["features"]),
        (&["--root", "/x", "del"], &["delete"]),
        (&["help", "paus"], &["pause"]),
        (&["--roo"], &["--root", "--rootless"]),
        (&["--vers"], &["--version"]),
        (&["state", "--vers"], &[]),
        (&["delete", "--fo"], &["--force"]),
        (&["delete", "x", "--fo"], &["--force"]),
        (&["start", "--fo"], &[]),
        (&["list", "--format", ""], &["table", "json"]),
        (&["list", "-f", "j"], &["json"]),
        (&["list", "--format=j"], &["--format=json"]),
        (&["list", "-q", "--format=x"], &[]),
        (&["--log-format="], &["--log-format=text", "--log-format=json"]),
        (&["--rootless="], &["--rootless=true", "--rootless=false", "--rootless=auto"]),
        (&["exec", "-dc", "CAP_SYS_A"], &["CAP_SYS_ADMIN"]),
        (&["exec", "--no-new-privs="], &["--no-new-privs=true", "--no-new-privs=false"]),
        (&["exec", "--user", "10"], &[]),
        (&["--root", ""], &[":dirs"]),
        (&["--log", "x"], &[":files"]),
        (&["run", "-b", ""], &[":dirs"]),
        (&["create", "--bundle="], &[":dirs"]),
        (&["run", ""], &[]),
        (&["kill", "x", "K"], &["KILL"]),
        (&["kill", "x", "KILL", ""], &[]),
        (&["exec", "x", "ls", "--"], &[":files"]),
        (&["exec", "x", "--te"], &[]),
        (&["list", ""], &[]),
        (&["state", "--", "--"], &[]),
        (&["completion", ""], &["bash", "zsh", "fish"]),
        (&["bogus", "sta"], &["start", "state", "stats"]),
    ];
    for (words, want) in table {
        assert_eq!(candidates(words), *want, "{words:?}");
    }
    assert!(candidates(&[]).len() > 10 && candidates(&[""]).len() > 10);
    assert!(candidates(&["exec", "-"]).contains(&"--cap".to_owned()));
}

#[test]
fn ids_are_those_of_the_state_root_that_the_words_name() {
    let temp = Temp::new("completion");
    for id in ["web-1", "web-2", "db"] {
        fs::create_dir_all(temp.path().join("states").join(id)).unwrap();
    }
    let root = temp.path().join("states").display().to_string();
    for command in ["start", "kill", "exec", "delete", "state"] {
        assert_eq!(candidates(&["--root", &root, command, "web"]), ["web-1", "web-2"], "{command}");
        assert_eq!(candidates(&[command, &format!("--root={root}"), "web-2"]), ["web-2"], "{command}");
    }
    assert!(candidates(&["--root", &root, "run", "web"]).is_empty(), "a new one needs another");
    assert!(candidates(&["--root", "/nowhere", "start", ""]).is_empty());
    assert_eq!(ask(&["completion", "words", "--root", &root, "start", "db"]), "db\tstopped\n");
}

/// A line that is typed into an interactive shell with the completion loaded; what the shell then shows.
fn typed(shell: &str, typed: &str) -> Option<String> {
    if !privileged::program(shell, shell) || !privileged::program("script", "util-linux") {
        return None;
    }
    let temp = Temp::new("shell");
    let installed = Installed::new();
    let start = match shell {
        "bash" => "bash --norc --noprofile -i",
        "zsh" => "zsh -f -i",
        _ => "fish --no-config -i",
    };
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", start, "/dev/null"]).current_dir(temp.path());
    let path = format!("{}/bin:{}", installed.prefix().display(), std::env::var("PATH").unwrap());
    script.env("PATH", path).env("HOME", temp.path()).env("TERM", "dumb").env("FORGEONE_ROOT", temp.path());
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

#[test]
fn bash_completes_what_is_typed() {
    let lines = "source <(forgeone completion bash)\n\
                 forgeone fea\t\n\
                 forgeone list --format=j\t\n\
                 forgeone help del\t --roo\t\n\
                 mkdir 'a directory'; echo > 'a file'\n\
                 forgeone --root a\t list; echo status $?\n\
                 exit\n";
    let Some(shown) = typed("bash", lines) else { return };
    assert!(shown.contains("forgeone features \n{\n    \"ociVersionMin\""), "{shown}");
    assert!(shown.contains("forgeone list --format=json \nnull"), "{shown}");
    assert!(shown.contains("forgeone help delete "), "{shown}");
    assert!(shown.contains("forgeone --root a\\ directory/ list") && shown.contains("status 0"), "{shown}");
}

/// Typing into these is another matter at each version; that they run the script and show the candidates is seen.
#[test]
fn zsh_completes_what_is_typed() {
    let lines = "autoload -U compinit; compinit -u -D; source <(forgeone completion zsh)\n\
                 forgeone fea\t\n\
                 forgeone list --format=j\t\n\
                 exit\n";
    let Some(shown) = typed("zsh", lines) else { return };
    assert!(shown.contains("\"ociVersionMin\""), "{shown}");
    assert!(shown.contains("null"), "{shown}");
}

#[test]
fn fish_completes_a_line() {
    if !privileged::program("fish", "fish") {
        return;
    }
    let temp = Temp::new("fish");
    let installed = Installed::new();
    let complete = |line: &str| {
        let lines = format!("forgeone completion fish | source; complete --do-complete '{line}'");
        let path = format!("{}/bin:{}", installed.prefix().display(), std::env::var("PATH").unwrap());
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &lines]).env("PATH", path).env("HOME", temp.path());
        String::from_utf8(fish.current_dir(temp.path()).output().unwrap().stdout).unwrap()
    };
    assert_eq!(complete("forgeone fea"), "features\tshow as JSON what this runtime implements\n");
    assert_eq!(complete("forgeone list --format=j"), "--format=json\n");
    fs::create_dir(temp.path().join("directory")).unwrap();
    fs::write(temp.path().join("forgeone.log"), "").unwrap();
    assert!(complete("forgeone --root ").starts_with("directory/"), "{}", complete("forgeone --root "));
    assert!(complete("forgeone --log fo").starts_with("forgeone"), "{}", complete("forgeone --log fo"));
}

#[test]
fn a_shell_that_is_not_known_is_refused() {
    for (words, cause) in [
        (&["tcsh"][..], "shell is bash, zsh or fish, not \"tcsh\""),
        (&["bash", "x"], "unexpected argument x"),
        (&[], "missing <shell>"),
    ] {
        let output = Command::new(PROGRAM).arg("completion").args(words).output().unwrap();
        let line = format!("forgeone: completion: {cause}; see 'forgeone completion --help'\n");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr)), (Some(1), line.into()));
    }
}

fn page_of(command: &str) -> String {
    let file = format!("forgeone-{command}.1");
    pages().into_iter().find(|(name, _)| *name == file).unwrap().1
}

fn pages() -> Vec<(String, String)> {
    testkit::manual::pages(&Installed::new().door(), "2026-01-01")
}

#[test]
fn every_command_and_option_has_its_place_in_the_manual() {
    let (pages, installed) = (pages(), Installed::new());
    let options = |help: &str| -> Vec<String> {
        let words =
            help.lines().filter(|line| line.starts_with("  ")).flat_map(|line| line.split([' ', '[']));
        words
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(|word| word.replace('-', "\\-"))
            .collect()
    };
    for (name, _) in commands() {
        let file = format!("forgeone-{name}.1");
        let (_, page) = pages.iter().find(|(page, _)| *page == file).expect(&file);
        let help = help(&installed, &[&name]);
        assert!(help.lines().next().is_some_and(|about| page.contains(&about.replace('-', "\\-"))), "{name}");
        for option in options(&help) {
            assert!(page.contains(&format!("\\fB{option}\\fR")), "{file}: {option}");
        }
        assert!(pages[0].1.contains(&format!(".BR forgeone\\-{name} (1)")), "{name}");
    }
    let whole = help(&installed, &[]);
    for option in options(whole.split("global options:").nth(1).unwrap()) {
        assert!(pages[0].1.contains(&format!("\\fB{option}\\fR")), "{option}");
    }
    assert_eq!(pages.len(), commands().len() + 1, "no page of a command that isn't there");
}

fn help(installed: &Installed, topic: &[&str]) -> String {
    let output = Command::new(installed.door()).arg("help").args(topic).output().unwrap();
    assert!(output.status.success(), "{topic:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Name and what it does, as the completion tells them.
fn commands() -> Vec<(String, String)> {
    let text = ask(&["completion", "words", ""]);
    let pairs = text.lines().map(|line| line.split_once('\t').unwrap());
    pairs.filter(|(name, _)| *name != "help").map(|(n, a)| (n.to_owned(), a.to_owned())).collect()
}

#[test]
fn manual_pages_are_shown_without_a_warning() {
    let temp = Temp::new("manual");
    let readers: &[(&str, &str, &[&str])] = &[
        ("groff", "groff-base", &["-man", "-Tutf8", "-ww", "-z"]),
        ("mandoc", "mandoc", &["-T", "lint", "-W", "warning"]),
    ];
    for (program, package, arguments) in readers {
        if !privileged::program(program, package) {
            continue;
        }
        for (name, page) in pages() {
            let file = temp.path().join(&name);
            fs::write(&file, page).unwrap();
            let output = Command::new(program).args(*arguments).arg(&file).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&said), "", "{program} {name}");
        }
    }
    if !privileged::program("man", "man-db") {
        return;
    }
    fs::write(temp.path().join("forgeone-exec.1"), page_of("exec")).unwrap();
    let mut man = Command::new("man");
    let output = man.args(["--warnings", "-l"]).arg(temp.path().join("forgeone-exec.1")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let shown = String::from_utf8_lossy(&output.stdout).replace('\u{2010}', "-");
    assert!(shown.contains("-c, --cap CAPABILITY") && shown.contains("forgeone exec web ps -ef"), "{shown}");
}
