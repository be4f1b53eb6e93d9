//! What `exec`'s options make of a process.
#![allow(clippy::unwrap_used)]
use super::*;
use forgeone_cli::tables::OCI;
use forgeone_cli::{Parsed, Values, parse};
use forgeone_runtime::Kind;

/// The change that these words ask for.
fn change(words: &[&str]) -> Result<Change> {
    let words = ["exec"].iter().chain(words).map(Into::into);
    match parse(&OCI, words, &mut Values::default()).unwrap() {
        Parsed::Call(call) => Change::of(&call),
        other => panic!("{other:?}"),
    }
}

fn template() -> Process {
    let caps = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let sets = Capabilities {
        bounding: caps(&["CAP_KILL"]),
        effective: caps(&["CAP_KILL"]),
        permitted: caps(&["CAP_KILL"]),
        ..Capabilities::default()
    };
    Process {
        args: vec!["init".to_owned()],
        env: vec!["A=1".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Some(sets),
        no_new_privileges: true,
        ..Process::default()
    }
}

#[test]
fn options_change_what_they_name_and_nothing_else() {
    let same = change(&["x", "sh", "-l"]).unwrap().applied_to(template()).unwrap();
    assert_eq!(same, Process { args: vec!["sh".into(), "-l".into()], ..template() });

    let words =
        ["-t", "-u", "1000:100", "-g", "5", "-g", "6", "-e", "A=2", "-e", "B=", "--cwd", "/tmp", "x", "sh"];
    let process = change(&words).unwrap().applied_to(template()).unwrap();
    assert!(process.terminal);
    assert_eq!((process.user.uid, process.user.gid, process.user.additional_gids), (1000, 100, vec![5, 6]));
    assert_eq!(
        (process.env, process.cwd),
        (vec!["A=1".into(), "A=2".into(), "B=".into()], "/tmp".to_owned())
    );

    let words = ["--no-new-privs=false", "--process-label", "l", "--apparmor", "p", "-u", "7", "x", "sh"];
    let process = change(&words).unwrap().applied_to(template()).unwrap();
    assert!(!process.no_new_privileges);
    assert_eq!((process.selinux_label.as_str(), process.user.uid, process.user.gid), ("l", 7, 0));
    assert_eq!(process.apparmor_profile, "p");
}

#[test]
fn a_process_file_is_completed_by_the_container() {
    let own = Process { apparmor_profile: "p".into(), oom_score_adj: Some(5), ..template() };
    let said = Process { args: vec!["sh".into()], cwd: "/tmp".into(), ..Process::default() };
    let all = completed(said.clone(), &own);
    assert_eq!(
        (&all.capabilities, &all.apparmor_profile, all.oom_score_adj),
        (&own.capabilities, &own.apparmor_profile, Some(5))
    );
    assert_eq!(
        (all.args, all.cwd, all.env.len()),
        (said.args.clone(), said.cwd.clone(), 0),
        "not the program"
    );
    let none = Process { capabilities: Some(Capabilities::default()), oom_score_adj: Some(0), ..said };
    assert_eq!(completed(none.clone(), &own).capabilities, none.capabilities, "what is said counts");
}

#[test]
fn a_capability_is_added_but_never_inheritable() {
    let add =
        |process| change(&["-c", "CAP_NET_RAW", "-c", "CAP_KILL", "x", "sh"]).unwrap().applied_to(process);
    let sets = add(template()).unwrap().capabilities.unwrap();
    let both = vec!["CAP_KILL".to_owned(), "CAP_NET_RAW".to_owned()];
    assert_eq!((&sets.bounding, &sets.effective, &sets.permitted), (&both, &both, &both));
    assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());

    let mut process = template();
    process.capabilities.as_mut().unwrap().inheritable = vec!["CAP_KILL".into()];
    let sets = add(process).unwrap().capabilities.unwrap();
    assert_eq!(sets.inheritable, ["CAP_KILL"]);
    assert_eq!(sets.ambient, ["CAP_NET_RAW", "CAP_KILL"]);

    let sets = add(Process { capabilities: None, ..template() }).unwrap().capabilities.unwrap();
    assert_eq!(sets.effective, ["CAP_NET_RAW", "CAP_KILL"]);

    for name in ["CAP_BOGUS", "net_raw", "NET_RAW", "", "CAP_NET_RAW "] {
        assert!(change(&["-c", name, "x", "sh"]).is_err(), "{name:?}");
    }
}

#[test]
fn a_program_is_needed_from_somewhere() {
    let none = Process { args: Vec::new(), ..template() };
    let error = change(&["x"]).unwrap().applied_to(none).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Usage, "missing [command]"));
    assert_eq!(change(&["-p", "/f", "x"]).unwrap().applied_to(template()).unwrap().args, ["init"]);
}

#[test]
fn users_are_digits() {
    let good = [
        ("0", (0, None)),
        ("1000", (1000, None)),
        ("1:2", (1, Some(2))),
        ("4294967294:4294967294", (4_294_967_294, Some(4_294_967_294))),
        ("007", (7, None)),
    ];
    for (text, (uid, gid)) in good {
        assert_eq!(user(text).unwrap(), (Some(uid), gid), "{text}");
    }
    let bad = [
        "root",
        "+5",
        "-1",
        " 5",
        "5 ",
        "1:",
        ":1",
        ":",
        "1:2:3",
        "0x10",
        "1e3",
        "1_0",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "1:4294967295",
        "1:-1",
        "١",
        "1\n",
        "",
    ];
    for text in bad {
        assert!(user(text).is_err(), "{text:?}");
    }
}

#[test]
fn additional_groups_are_digits() {
    assert_eq!(change(&["-g", "5", "x", "sh"]).unwrap().additional_gids, [5]);
    for text in ["-1", "wheel", "1,2", "4294967295", ""] {
        assert!(change(&["-g", text, "x", "sh"]).is_err(), "{text:?}");
    }
}

#[test]
fn a_process_file_is_read_strictly() {
    let path = std::env::temp_dir().join(format!("forgeone-process-{}", std::process::id()));
    let read_text = |text: &str| {
        std::fs::write(&path, text).unwrap();
        input::json::<Process>(&path).map_err(|e| e.to_string())
    };
    let good = read_text(r#"{"user":{"uid":1,"gid":2},"args":["sh"],"cwd":"/","terminal":true}"#).unwrap();
    assert_eq!((good.user.uid, good.args, good.terminal), (1, vec!["sh".to_owned()], true));
    assert!(read_text(r#"{"user":{"uid":"x"}}"#).unwrap_err().contains("user.uid"));
    assert!(read_text("{").is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(input::json::<Process>(&path).unwrap_err().to_string().starts_with(&path.display().to_string()));
}

/// No text that isn't digits may name a user: runc read `-u` with a parser that took signs (CVE-2026-30892).
#[test]
fn no_sign_space_or_letter_gets_into_an_id() {
    for byte in (0u8..=255).filter(|b| !b.is_ascii_digit() && b.is_ascii()) {
        let text = char::from(byte).to_string();
        for odd in [format!("{text}1"), format!("1{text}"), format!("1{text}1")] {
            assert!(group(&odd).is_err() && (odd == "1:1" || user(&odd).is_err()), "{odd:?}");
        }
    }
}
