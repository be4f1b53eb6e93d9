//! Words and what they come to.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::help_of;
use crate::tables::{IMAGE, OCI, STANDALONE};

/// What words come to, in short: `exec t=true e=A=1 | id sh -c x | root=/r`.
fn read(words: &[&str]) -> std::result::Result<String, String> {
    let mut global = Values::default();
    let parsed = parse(&OCI, words.iter().map(OsString::from), &mut global);
    let show = |values: &Values| values.given().collect::<Vec<_>>().join(" ");
    match parsed {
        Err(misuse) => Err(misuse.error.to_string()),
        Ok(Parsed::Help(None)) => Ok("help".to_owned()),
        Ok(Parsed::Help(Some(command))) => Ok(format!("help {}", command.name)),
        Ok(Parsed::Version) => Ok("version".to_owned()),
        Ok(Parsed::Call(call)) => {
            let words: Vec<_> = call.words.iter().map(|w| w.to_str().unwrap()).collect();
            let parts = [show(&call.flags), words.join(" "), show(&global)];
            Ok(format!("{} {}", call.command.name, parts.join(" | ")))
        }
    }
}

#[test]
fn calls_are_understood_as_runc_and_the_seed_write_them() {
    let table: &[(&[&str], &str)] = &[
        // As the seed writes them: options behind the id.
        (&["create", "my-id", "--bundle", "."], "create bundle=. | my-id | "),
        (&["delete", "x", "--force"], "delete force=true | x | "),
        (&["kill", "x", "KILL"], "kill  | x KILL | "),
        (&["spec", "--output", "config.json"], "spec output=config.json |  | "),
        (&["list", "--format", "json"], "list format=json |  | "),
        // As conmon and containerd do.
        (
            &[
                "--root=/r",
                "--log",
                "/l",
                "--log-format=json",
                "create",
                "--bundle",
                "/b",
                "--pid-file",
                "/p",
                "x",
            ],
            "create bundle=/b pid-file=/p | x | root=/r log=/l log-format=json",
        ),
        (
            &["exec", "--pid-file", "/p", "--process", "/j", "--detach", "--tty", "x"],
            "exec pid-file=/p process=/j detach=true tty=true | x | ",
        ),
        (&["kill", "--all", "x", "9"], "kill all=true | x 9 | "),
        (&["delete", "-f", "x"], "delete force=true | x | "),
        // Options end at exec's command, and at ps' id.
        (&["exec", "-t", "x", "sh", "-c", "--", "-t"], "exec tty=true | x sh -c -- -t | "),
        (&["exec", "x", "-u", "1:2", "sh", "--help"], "exec user=1:2 | x sh --help | "),
        (&["exec", "x", "--", "-weird", "-t"], "exec  | x -weird -t | "),
        (&["exec", "--", "x", "sh", "--", "a"], "exec  | x sh -- a | "),
        (&["ps", "-f", "table", "x", "-f", "-h"], "ps format=table | x -f -h | "),
        (&["ps", "x"], "ps  | x | "),
        // Values: attached, next, repeated, starting with a dash.
        (&["exec", "-eA=1", "-e", "B=2", "--env=C=", "x", "sh"], "exec env=A=1 env=B=2 env=C= | x sh | "),
        (&["exec", "-dt", "x", "sh"], "exec detach=true tty=true | x sh | "),
        (&["exec", "-g", "-1", "x", "sh"], "exec additional-gids=-1 | x sh | "),
        (&["spec", "--output", "-"], "spec output=- |  | "),
        // Switches with a value, and long names behind one dash, as Go's flags have them.
        (&["exec", "--no-new-privs=false", "-t=0", "x", "sh"], "exec no-new-privs=false tty=false | x sh | "),
        (&["-root", "/r", "-debug", "state", "x"], "state  | x | root=/r debug=true"),
        (&["delete", "-force", "x"], "delete force=true | x | "),
        (&["list", "-format=json"], "list format=json |  | "),
        // Global options among a command's own.
        (&["state", "x", "--root", "/r", "--debug"], "state  | x | root=/r debug=true"),
        // --rootless takes the next word only if it is one of its values.
        (&["--rootless", "state", "x"], "state  | x | rootless=true"),
        (&["--rootless", "auto", "state", "x"], "state  | x | rootless=auto"),
        (&["--rootless", "false", "state", "x"], "state  | x | rootless=false"),
        (&["--rootless=FALSE", "state", "x"], "state  | x | rootless=false"),
        (&["state", "true", "--rootless"], "state  | true | rootless=true"),
        (&["spec", "--rootless"], "spec rootless=true |  | "),
        (&["--rootless", "true", "spec", "--rootless"], "spec rootless=true |  | rootless=true"),
        // Behind -- everything is a word.
        (&["state", "--", "--help"], "state  | --help | "),
    ];
    for (words, want) in table {
        assert_eq!(read(words).as_deref(), Ok(*want), "{words:?}");
    }
}

#[test]
fn help_and_version_are_found_wherever_they_stand() {
    let table: &[(&[&str], &str)] = &[
        (&[], "help"),
        (&["--root", "/r"], "help"),
        (&["help"], "help"),
        (&["-h"], "help"),
        (&["--help", "run"], "help"),
        (&["help", "run"], "help run"),
        (&["h", "exec"], "help exec"),
        (&["run", "--help"], "help run"),
        (&["run", "x", "-h"], "help run"),
        (&["--debug", "run", "x", "-h"], "help run"),
        (&["-v"], "version"),
        (&["--version"], "version"),
    ];
    for (words, want) in table {
        assert_eq!(read(words).as_deref(), Ok(*want), "{words:?}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let table: &[(&[&str], &str)] = &[
        (&["bogus"], "unknown command bogus"),
        (&["help", "bogus"], "unknown command bogus"),
        (&["checkpoint", "x"], "unknown command checkpoint"),
        (&["--bogus", "state", "x"], "unknown option --bogus"),
        (&["-x"], "unknown option -x"),
        (&["exec", "--cgroups", "/a", "x", "sh"], "exec: unknown option --cgroups"),
        (&["exec", "--selinux=a", "x", "sh"], "exec: unknown option --selinux"),
        (&["start", "--pidfd-socket", "/s", "x"], "start: unknown option --pidfd-socket"),
        (&["kill", "x", "-9"], "kill: unknown option -9"),
        (&["state", "x", "-v"], "state: unknown option -v"),
        (&["exec", "-tz", "x", "sh"], "exec: unknown option -z"),
        (&["state"], "state: missing <container-id>"),
        (&["exec"], "exec: missing <container-id>"),
        (&["state", "x", "y"], "state: unexpected argument y"),
        (&["kill", "x", "9", "y"], "kill: unexpected argument y"),
        (&["list", "x"], "list: unexpected argument x"),
        (&["exec", "--cap"], "exec: option --cap needs a value: CAPABILITY"),
        (&["exec", "-c"], "exec: option --cap needs a value: CAPABILITY"),
        (&["--root"], "option --root needs a value: DIR"),
        (&["delete", "--force=maybe", "x"], "delete: option --force is true or false, not \"maybe\""),
        (&["--rootless=maybe", "state", "x"], "option --rootless is true, false or auto, not \"maybe\""),
    ];
    for (words, want) in table {
        assert_eq!(read(words), Err((*want).to_owned()), "{words:?}");
    }
}

#[test]
fn global_options_are_known_even_if_what_follows_is_wrong() {
    let mut global = Values::default();
    let words = ["--log", "/l", "--log-format", "json", "exec", "--bogus"];
    assert!(parse(&OCI, words.map(OsString::from), &mut global).is_err());
    assert_eq!(global.value("log"), Some(OsStr::new("/l")));
    assert_eq!(global.value("log-format"), Some(OsStr::new("json")));
}

#[test]
fn values_are_read_strictly() {
    let values = |words: &[&str]| {
        let mut global = Values::default();
        match parse(&OCI, words.iter().map(OsString::from), &mut global).unwrap() {
            Parsed::Call(call) => call.flags,
            other => panic!("{other:?}"),
        }
    };
    for (text, want) in
        [("0", Some(0)), ("17", Some(17)), ("+1", None), ("-1", None), ("1x", None), ("4294967296", None)]
    {
        let number = values(&["create", "--preserve-fds", text, "x"]).number("preserve-fds");
        assert_eq!(number.ok(), want.map(Some), "{text}");
    }
    let last = values(&["create", "--bundle", "/a", "--bundle", "/b", "x"]);
    assert_eq!(last.path("bundle").unwrap().unwrap(), std::path::Path::new("/b"));
    assert_eq!(values(&["create", "--pid-file", "", "x"]).path("pid-file").unwrap(), None);
    assert_eq!(values(&["exec", "--no-new-privs=f", "x", "s"]).choice("no-new-privs"), Some(false));
    assert_eq!(values(&["exec", "x", "s"]).choice("no-new-privs"), None);
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let odd = || OsString::from_vec(vec![b'-', b'-', 0xff]);
    let mut global = Values::default();
    assert!(parse(&OCI, [OsString::from("state"), odd()], &mut global).is_err());
    assert!(parse(&OCI, [odd()], &mut global).is_err());
    let word = OsString::from_vec(vec![0xff]);
    let Ok(Parsed::Call(call)) = parse(&OCI, [OsString::from("state"), word], &mut global) else { panic!() };
    assert!(call.id().unwrap_err().to_string().ends_with("is not UTF-8"));
}

/// Every command of every program.
fn commands() -> impl Iterator<Item = &'static Command> {
    let of_groups = |command: &'static Command| std::iter::once(command).chain(command.group);
    [&OCI, &IMAGE, &STANDALONE].into_iter().flat_map(|program| program.commands).flat_map(of_groups)
}

#[test]
fn names_in_the_tables_are_unique() {
    for command in commands() {
        let mut seen = std::collections::BTreeSet::new();
        for flag in command.flags {
            assert!(seen.insert(flag.long.to_owned()), "{} --{}", command.name, flag.long);
            assert!(
                flag.short.is_none_or(|c| seen.insert(c.to_string())),
                "{} -{:?}",
                command.name,
                flag.short
            );
        }
    }
    for command in OCI.commands {
        assert!(command.flags.iter().all(|flag| !matches!(flag.short, Some('h' | 'v'))), "{}", command.name);
    }
}

#[test]
fn help_fits_a_screen_line() {
    for text in commands().map(help_of) {
        for line in text.lines() {
            assert!(line.chars().count() <= 110, "{line}");
        }
    }
}
