//! `-it` and `attach` through a real terminal.

use crate::kit::Machine;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// A command that `script` has given a terminal.
struct Typist {
    child: Child,
    shown: String,
}

impl Typist {
    fn new(machine: &Machine, words: &[&str]) -> Self {
        let command = machine.command(words);
        let quoted: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")))
            .collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { child: script.spawn().unwrap(), shown: String::new() }
    }

    /// Waits until it has shown this, after what was waited for before.
    fn sees(&mut self, text: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let mut byte = [0];
            let count = self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(count, 1, "{text:?} is not in {:?}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        self.shown.push_str(&String::from_utf8_lossy(&seen));
    }

    fn types(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The exit status, and what was shown in all.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), self.shown + &String::from_utf8_lossy(&rest))
    }
}

#[test]
fn a_shell_in_a_terminal_is_as_any_other() {
    let Some(machine) = Machine::new() else { return };
    if !testkit::privileged::program("script", "util-linux") {
        return;
    }
    let rootfs = machine.rootfs();
    let mut shell =
        Typist::new(&machine, &["run", "--rm", "-it", "--rootfs", rootfs.to_str().unwrap(), "/bin/sh"]);
    shell.sees("# ");
    shell.types(b"tty; test -t 0 && echo is$((1+1))terminal; exit 5\n");
    let (status, shown) = shell.ends();
    assert!(shown.contains("/dev/pts/0") && shown.contains("is2terminal"), "{shown}");
    assert_eq!(status, Some(5));
    assert_eq!(machine.ok(&["ps", "-aq"]), "");
}

#[test]
fn the_keys_leave_it_running() {
    let Some(machine) = Machine::new() else { return };
    if !testkit::privileged::program("script", "util-linux") {
        return;
    }
    let rootfs = machine.rootfs();
    let words = ["run", "-it", "--name", "shell", "--rootfs", rootfs.to_str().unwrap(), "/bin/sh"];
    let mut shell = Typist::new(&machine, &words);
    shell.sees("# ");
    shell.types(b"X=kept; echo a$((1+1))b\n");
    shell.sees("a2b");
    shell.types(b"\x10\x11");
    assert_eq!(shell.ends().0, Some(0));
    assert_eq!(machine.ok(&["ps", "--format", "{{.Names}}"]), "shell\n");
    let mut again = Typist::new(&machine, &["attach", "shell"]);
    again.types(b"echo $X$((2+3))\n");
    again.sees("kept5");
    again.types(b"exit\n");
    again.ends();
    machine.await_so("shell", "{{.State.Status}}", "exited");
}
