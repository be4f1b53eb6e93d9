//! `process.terminal`: with a console socket, and in the foreground of a real terminal.

use crate::running::{Running, dir, prepared_by, refusal};
use forgeone_sys::fs::{OFlags, open, set_nonblocking};
use forgeone_sys::pty::{Pty, open_pty, set_window_size, window_size};
use forgeone_sys::signal::wait_readable;
use forgeone_sys::{fs as files, socket};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::{Bundle, Door, eventually, privileged};

fn terminal(bundle: Bundle) -> Bundle {
    bundle.edit(|config| config["process"]["terminal"] = json!(true))
}

/// A terminal from the side of whoever sits at it.
struct Seat {
    master: File,
    text: String,
}

impl Seat {
    fn at(master: OwnedFd) -> Self {
        set_nonblocking(&master, true).unwrap();
        Self { master: master.into(), text: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this was shown; what was shown up to then is forgotten.
    #[track_caller]
    fn shows(&mut self, expected: &str) {
        let start = Instant::now();
        while !self.text.contains(expected) {
            let open = self.read();
            let ended = !open || start.elapsed() > Duration::from_secs(120);
            assert!(
                !ended || self.text.contains(expected),
                "no {expected:?} in {:?}, open: {open}",
                self.text
            );
        }
        let end = self.text.find(expected).unwrap() + expected.len();
        self.text.drain(..end);
    }

    /// Reads what is there, or waits a little for it; whether somebody has the terminal open.
    fn read(&mut self) -> bool {
        wait_readable(&self.master, Some(100)).unwrap();
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(count) => self.text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            Err(e) => return e.kind() == std::io::ErrorKind::WouldBlock,
        }
        true
    }

    /// Reads until nobody has the terminal open any more; what was shown.
    fn rest(mut self) -> String {
        eventually("the terminal is hung up", || !self.read());
        self.text
    }
}

/// A console socket and what is received there.
struct Console {
    path: PathBuf,
    listener: UnixListener,
}

impl Console {
    fn of(door: &Door) -> Self {
        let path = door.directory().join("console");
        Self { listener: UnixListener::bind(&path).unwrap(), path }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn receive(&self) -> Seat {
        let (connection, _) = self.listener.accept().unwrap();
        let mut message = socket::receive(&connection, 4096).unwrap();
        assert_eq!(message.fds.len(), 1, "one descriptor");
        Seat::at(message.fds.remove(0))
    }
}

#[test]
fn a_created_containers_terminal_goes_to_the_console_socket() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox().shell("read line; echo got $line; tty; exit 0"));
    let door = Door::new();
    let (console, id) = (Console::of(&door), door.id("console"));
    door.ok(["create", "--console-socket", console.path(), "--bundle", dir(&bundle), &id]);
    let mut seat = console.receive();
    door.ok(["start", &id]);
    seat.types("hello\n");
    seat.shows("got hello\r\n/dev/pts/0\r\n");
    door.await_status(&id, "stopped");
}

#[test]
fn run_detached_gives_its_terminal_to_the_console_socket() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox().shell("echo here; read line"));
    let door = Door::new();
    let (console, id) = (Console::of(&door), door.id("console"));
    door.ok(["run", "--detach", "--console-socket", console.path(), "--bundle", dir(&bundle), &id]);
    let mut seat = console.receive();
    seat.shows("here");
    assert_eq!(door.status(&id), "running");
    drop(seat);
    door.await_status(&id, "stopped");
}

#[test]
fn a_console_socket_may_be_named_by_a_link_which_leads_to_one() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox().args(["echo", "here"]));
    let door = Door::new();
    let (console, id) = (Console::of(&door), door.id("link"));
    let link = door.directory().join("link");
    let name = link.to_str().unwrap();
    for (target, cause) in [
        ("none", "ENOENT (No such file or directory)"),
        ("link", "ELOOP (Too many levels of symbolic links)"),
        ("/etc/passwd", "ENOTSOCK (Socket operation on non-socket)"),
    ] {
        symlink(target, &link).unwrap();
        let output = door.run(["create", "--console-socket", name, "--bundle", dir(&bundle), &id]);
        let line = output.stderr.starts_with("forgeone: create: --console-socket: ");
        assert!(line && output.stderr.ends_with(&format!(": {cause}\n")), "{}", output.stderr);
        assert_eq!(door.containers(), [""; 0]);
        std::fs::remove_file(&link).unwrap();
    }
    symlink("console", &link).unwrap();
    door.ok(["create", "--console-socket", name, "--bundle", dir(&bundle), &id]);
    let mut seat = console.receive();
    door.ok(["start", &id]);
    seat.shows("here");
}

#[test]
fn the_terminal_is_the_programs_own_and_its_console() {
    if !privileged::root() {
        return;
    }
    let line = "stty size; for i in 0 1 2; do readlink /proc/$$/fd/$i; done; ps -o tty,pid | grep ' 1$'; \
                stat -c '%t:%T %a %u:%g' /dev/pts/0 /dev/console; echo through > /dev/console; echo tty > /dev/tty; exit 0";
    let bundle = terminal(Bundle::busybox().shell(line)).edit(|config| {
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 101 });
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    });
    let door = Door::new();
    let (console, id) = (Console::of(&door), door.id("own"));
    door.ok(["create", "--console-socket", console.path(), "--bundle", dir(&bundle), &id]);
    let mut seat = console.receive();
    door.ok(["start", &id]);
    seat.shows("33 101\r\n/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n136,0 ");
    // The same device twice, its user's: 88 is major number 136.
    seat.shows("88:0 620 1000:5\r\n88:0 620 1000:5\r\n");
    seat.shows("through\r\ntty\r\n");
    door.await_status(&id, "stopped");
}

#[test]
fn job_control_works() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox().args(["sh", "-i"]));
    let door = Door::new();
    let (console, id) = (Console::of(&door), door.id("jobs"));
    door.ok(["create", "--console-socket", console.path(), "--bundle", dir(&bundle), &id]);
    let mut seat = console.receive();
    door.ok(["start", &id]);
    seat.shows("# ");
    seat.types("echo re''ady; cat\n");
    seat.shows("ready\r\n");
    seat.types("echoed\n");
    seat.shows("echoed\r\nechoed\r\n");
    seat.types("\x1a");
    seat.shows("Stopped");
    seat.shows("# ");
    seat.types("jobs -l | wc -l; fg\n");
    seat.shows("1\r\ncat\r\n");
    seat.types("again\n");
    seat.shows("again\r\nagain\r\n");
    seat.types("\x03");
    seat.shows("# ");
    seat.types("echo status $?\n");
    seat.shows("status 130\r\n");
    seat.shows("# ");
    seat.types("exit\n");
    door.await_status(&id, "stopped");
}

#[test]
fn exec_has_a_terminal_of_its_own() {
    if !privileged::root() {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let console = Console::of(&running.door);
    running.door.ok([
        "exec",
        "--detach",
        "--tty",
        "--console-socket",
        console.path(),
        &running.id,
        "sh",
        "-c",
        "tty; ls -l /proc/self/fd/0 | grep -o '/dev/pts/.*'; read line; echo bye $line",
    ]);
    let mut seat = console.receive();
    seat.shows("/dev/pts/0\r\n/dev/pts/0\r\n");
    seat.types("now\n");
    seat.shows("bye now\r\n");
    drop(seat.rest());
}

#[test]
fn a_terminal_without_anybody_to_take_it_is_refused() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox());
    let error = refusal(&bundle);
    assert!(
        error.contains("process.terminal: a detached container's terminal needs --console-socket"),
        "{error}"
    );
    let running = Running::of(Bundle::busybox());
    let (door, id) = (&running.door, running.door.id("nobody"));
    for args in [
        &["run", "--detach", "--bundle", dir(&bundle), &id][..],
        &["exec", "--detach", "--tty", &running.id, "sh"],
    ] {
        let output = door.run(args);
        assert!(output.code != 0 && output.stderr.contains("--console-socket"), "{}", output.stderr);
    }
    let console = Console::of(door);
    let plain = Bundle::busybox();
    let output = door.run(["create", "--console-socket", console.path(), "--bundle", dir(&plain), &id]);
    assert!(output.code == 1 && output.stderr.contains("--console-socket: is only for"), "{}", output.stderr);
    let output = door.run(["create", "--console-socket", "/no/such/socket", "--bundle", dir(&bundle), &id]);
    assert!(output.code == 1 && output.stderr.contains("--console-socket: "), "{}", output.stderr);
    assert_eq!(door.containers(), [running.id.as_str()]);
}

/// A door that runs in the foreground of a terminal of 24 rows and 80 columns.
fn seated(door: &Door, args: &[&str]) -> (Child, Seat, OwnedFd) {
    let devpts = open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, files::Mode::empty()).unwrap();
    let Pty { master, peer } = open_pty(&devpts).unwrap();
    set_window_size(&master, 24, 80).unwrap();
    let mut command: Command = prepared_by("exec setsid -c -w \"$@\"", door, args);
    let stream = || Stdio::from(files::dup(&peer).unwrap());
    let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    drop(command);
    (child, Seat::at(master), peer)
}

fn status(mut child: Child) -> Option<i32> {
    let mut status = None;
    eventually("the command ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

#[test]
fn run_in_a_terminal_is_transparent() {
    if !privileged::machine_root() || !privileged::program("setsid", "util-linux") {
        return;
    }
    // What the config says of the size is for a terminal that is nobody's.
    let bundle = terminal(Bundle::busybox().args(["sh", "-i"])).edit(|config| {
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 101 });
    });
    let door = Door::new();
    let id = door.id("run");
    let (child, mut seat, peer) = seated(&door, &["run", "--bundle", dir(&bundle), &id]);
    seat.shows("# ");
    seat.types("stty size; tty\n");
    seat.shows("24 80\r\n/dev/pts/0\r\n");
    seat.shows("# ");
    // The size follows ours.
    set_window_size(&peer, 30, 90).unwrap();
    assert_eq!(window_size(&peer).unwrap(), (30, 90));
    seat.types("while test \"$(stty size)\" != '30 90'; do :; done; echo re''sized\n");
    seat.shows("resized\r\n");
    seat.shows("# ");
    // The keys are the program's.
    seat.types("echo re''ady; cat\n");
    seat.shows("ready\r\n");
    seat.types("here\n");
    seat.shows("here\r\nhere\r\n");
    seat.types("\x03");
    seat.shows("# ");
    seat.types("echo status $?\n");
    seat.shows("status 130\r\n");
    seat.shows("# ");
    seat.types("exit 5\n");
    assert_eq!(status(child), Some(5));
    drop(peer);
}

#[test]
fn exec_in_a_terminal_is_transparent() {
    if !privileged::machine_root() || !privileged::program("setsid", "util-linux") {
        return;
    }
    let running = Running::of(Bundle::busybox());
    let (child, mut seat, peer) = seated(&running.door, &["exec", "--tty", &running.id, "sh", "-i"]);
    seat.shows("# ");
    seat.types("stty size; tty; ps -o pid,tty | tail -n 1 | grep -o 136,0\n");
    seat.shows("24 80\r\n/dev/pts/0\r\n136,0\r\n");
    seat.shows("# \x1b[6n");
    seat.types("\x04");
    assert_eq!(status(child), Some(0));
    drop(peer);
}

#[test]
fn a_terminal_is_as_it_was_after_run() {
    if !privileged::machine_root() || !privileged::program("setsid", "util-linux") {
        return;
    }
    let bundle = terminal(Bundle::busybox().shell("read line; exit 0"));
    let door = Door::new();
    let id = door.id("state");
    let before = "stty -g > \"$0.before\"; \"$@\"; stty -g > \"$0.after\"";
    let devpts = open("/dev/pts", OFlags::PATH | OFlags::DIRECTORY, files::Mode::empty()).unwrap();
    let Pty { master, peer } = open_pty(&devpts).unwrap();
    let name = door.directory().join("stty");
    let run = ["run", "--bundle", dir(&bundle), &id];
    let line = format!("exec setsid -c -w sh -c '{before}' {} \"$@\"", name.display());
    let mut command = prepared_by(&line, &door, &run);
    let stream = || Stdio::from(files::dup(&peer).unwrap());
    let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    let mut seat = Seat::at(master);
    seat.types("x\n");
    assert_eq!(status(child), Some(0));
    let read = |end: &str| std::fs::read_to_string(name.with_extension(end)).unwrap();
    assert_eq!(read("before"), read("after"));
}

#[test]
fn run_with_a_terminal_works_without_one_of_ours() {
    if !privileged::root() {
        return;
    }
    let bundle = terminal(Bundle::busybox().shell("tty; read line || echo end; exit 4"));
    let door = Door::new();
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("without")]);
    assert_eq!((output.code, output.stdout.as_str()), (4, "/dev/pts/0\nend\n"), "{}", output.stderr);
}

#[test]
fn without_a_terminal_there_is_none() {
    if !privileged::machine_root() || !privileged::program("setsid", "util-linux") {
        return;
    }
    let bundle = Bundle::busybox()
        .shell("(: < /dev/tty); (: > /dev/tty); test -t 1 && echo ours; ls /dev/console; exit 6");
    let door = Door::new();
    let id = door.id("none");
    // Started from a terminal: its streams are the container's, but it isn't the session's.
    let (child, mut seat, peer) = seated(&door, &["run", "--bundle", dir(&bundle), &id]);
    seat.shows("/dev/tty: No such device or address");
    seat.shows("/dev/tty: No such device or address");
    seat.shows("ours\r\n");
    seat.shows("/dev/console: No such file or directory");
    assert_eq!(status(child), Some(6));
    drop(peer);
}
