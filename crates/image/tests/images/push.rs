//! `login`, `push`, `logout`, against Debian's registry.

use crate::place::Place;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use testkit::registry::{PASSWORD, USER};
use testkit::{Registry, privileged};

fn login(place: &Place, words: &[&str], password: &str) -> Output {
    let mut command = place.command_alone(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who refuses the words doesn't read it.
    let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn what_is_pushed_is_pulled_again_byte_for_byte_by_who_logged_in() {
    let Some(place) = Place::new() else { return };
    let Some(registry) = Registry::guarded() else { return };
    let (host, authority) = (registry.host(), registry.authority());
    let authority = authority.to_str().unwrap();
    place.ok(&["load", "oci"]);
    std::fs::write(place.path("auth.json"), "{}").unwrap();
    let name = format!("{host}/team/web:1");
    place.ok(&["tag", "web:1", &name]);
    let error = place.fails(&["push", "--cacert", authority, &name]);
    assert!(error.contains(&format!("log in with forgeone login {host}")), "{error}");

    let words = ["login", "--cacert", authority, "-u", USER, "--password-stdin", host];
    let wrong = login(&place, &words, "falsch");
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        said.starts_with(&format!("forgeone: login: log in to {host}: the server answers 401")),
        "{said}"
    );
    assert_eq!(place.sh("cat auth.json"), "{}");
    let output = login(&place, &words, PASSWORD);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        format!("Logged in to {host} as {USER}; kept in {}\n", place.path("auth.json").display())
    );
    assert_eq!(place.path("auth.json").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let digest = place.ok(&["push", "--cacert", authority, &name]);
    let before = place.stored();
    assert_eq!(place.ok(&["push", "-q", "--tls-verify=false", "web:1", &format!("{host}/other:2")]), digest);
    if privileged::program("skopeo", "skopeo") {
        let copied = format!(
            "skopeo copy -q --preserve-digests --src-tls-verify=false --src-creds {USER}:{PASSWORD} docker://{name} oci:copied:web &&
            ls copied/blobs/sha256"
        );
        assert_eq!(place.sh(&copied), place.sh("ls data/images/blobs/sha256"));
    }
    place.ok(&["rmi", "-f", place.ok(&["images", "-q"]).trim()]);
    assert_eq!(place.stored(), ["index.json", "oci-layout"]);
    place.ok(&["pull", "--cacert", authority, &format!("{host}/other@{}", digest.trim())]);
    assert_eq!(place.stored(), before);

    let output = login(&place, &["logout", host], "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("Logged out of {host}\n"));
    assert!(!place.sh("cat auth.json").contains(host));
    let output = login(&place, &["logout", host], "");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("forgeone: logout: not logged in to {host}\n")
    );
    // Nothing to ask, nobody to ask it.
    let output = login(&place, &["login", host], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no terminal to ask for the password"), "{said}");
}

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let Some(place) = Place::new() else { return };
    let Some(registry) = Registry::guarded() else { return };
    if !privileged::program("setsid", "util-linux") {
        return;
    }
    let pty = forgeone_sys::pty::open_pty(File::open("/dev/pts").unwrap()).unwrap();
    let login = place.command_alone(&["login", "--tls-verify=false", registry.host()]);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(login.get_program()).args(login.get_args());
    command
        .envs(login.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(place.path(""));
    let error = pty.peer.try_clone().unwrap();
    let mut child = command.stdin(pty.peer).stderr(error).stdout(Stdio::piped()).spawn().unwrap();
    drop(command);
    let mut terminal = File::from(pty.master);
    let mut shown = String::new();
    for (question, typed) in [("Username: ", format!("{USER}\n")), ("Password: ", format!("{PASSWORD}\r"))] {
        let mut byte = [0];
        while !shown.ends_with(question) {
            terminal.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
        }
        terminal.write_all(typed.as_bytes()).unwrap();
    }
    assert!(child.wait().unwrap().success());
    // A terminal that nobody has open any more fails at its end.
    let mut rest = Vec::new();
    let _ = terminal.read_to_end(&mut rest);
    shown.push_str(&String::from_utf8_lossy(&rest));
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.starts_with("Logged in to "), "{told}");
    assert!(!shown.contains(PASSWORD) && shown.contains(USER), "{shown}");
}
