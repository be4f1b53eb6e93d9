//! A container as the service of a manager such as systemd: the sockets that it is activated by, and its word that it
//! is ready. The manager is a datagram socket of the test's.

use crate::running::{dir, prepared_by, read, refusal};
use forgeone_sys::socket;
use serde_json::{Value, json};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, eventually, privileged, programs};

/// Descriptors 3 and 4 are open, and whatever stands before `exec` is the service manager's.
fn activated(variables: &str) -> String {
    format!("exec 3</etc/passwd 4</etc/group; {variables} exec \"$@\"")
}

fn environment(seen: &Value) -> Vec<&str> {
    seen["process"]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn sockets_of_the_manager_reach_the_program_before_preserved_descriptors() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::probe();
    let door = Door::new();
    // LISTEN_PID, LISTEN_FDS, --preserve-fds; what the program is told, and the last descriptor that it has.
    let table = [
        ("LISTEN_PID=$$ LISTEN_FDS=2", "0", Some("LISTEN_FDS=2"), 4),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "0", Some("LISTEN_FDS=1"), 3),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "1", Some("LISTEN_FDS=1"), 4),
        ("LISTEN_PID=1 LISTEN_FDS=2", "0", None, 2),
        ("LISTEN_PID=1 LISTEN_FDS=2", "1", None, 3),
        ("LISTEN_FDS=2", "0", None, 2),
        ("LISTEN_PID=$$", "0", None, 2),
        ("LISTEN_PID=$$ LISTEN_FDS=-1", "0", None, 2),
        ("LISTEN_PID=$$ LISTEN_FDS=", "0", None, 2),
    ];
    for (variables, preserve, told, last) in table {
        let id = door.id("listen");
        let words = ["run", "--preserve-fds", preserve, "--bundle", dir(&bundle), &id];
        let seen = door.finish(&mut prepared_by(&activated(variables), &door, &words)).json();
        let listen: Vec<_> =
            environment(&seen).into_iter().filter(|pair| pair.starts_with("LISTEN_")).collect();
        let expected: Vec<_> = told.into_iter().chain(told.map(|_| "LISTEN_PID=1")).collect();
        assert_eq!(listen, expected, "{variables}");
        let numbers: Vec<_> = seen["descriptors"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(numbers, (0..=last).map(|n| n.to_string()).collect::<Vec<_>>(), "{variables} {preserve}");
    }
}

/// The numbers are looked at before anything of ours is opened.
#[test]
fn a_socket_that_is_promised_and_not_there_is_named() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::probe();
    let door = Door::new();
    let table = [
        ("LISTEN_PID=$$ LISTEN_FDS=3", "0", "LISTEN_FDS 3: descriptor 5 is not open"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=4294967295",
            "4294967295",
            "LISTEN_FDS 4294967295: descriptor 5 is not open",
        ),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "2", "option --preserve-fds 2: descriptor 5 is not open"),
    ];
    for (variables, preserve, cause) in table {
        let words = ["create", "--preserve-fds", preserve, "--bundle", dir(&bundle), "x"];
        let output = door.finish(&mut prepared_by(&activated(variables), &door, &words));
        assert_eq!(output.stderr, format!("forgeone: create: {cause}; see 'forgeone create --help'\n"));
        assert_eq!(output.code, 1);
        assert!(door.containers().is_empty());
    }
}

#[test]
fn a_created_container_keeps_its_sockets_until_it_starts() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::probe();
    let door = Door::new();
    let id = door.id("later");
    let words = ["create", "--bundle", dir(&bundle), &id];
    let created = door.finish(&mut prepared_by(&activated("LISTEN_PID=$$ LISTEN_FDS=2"), &door, &words));
    assert_eq!(created.code, 0, "{}", created.stderr);
    door.ok(["start", &id]);
    eventually("it has told", || serde_json::from_str::<Value>(&created.stdout_now()).is_ok());
    let seen: Value = serde_json::from_str(&created.stdout_now()).unwrap();
    assert_eq!(seen["descriptors"].as_object().unwrap().len(), 5);
    assert!(environment(&seen).contains(&"LISTEN_FDS=2"));
}

/// A manager that can be asked what it was told.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        Self::of(UnixDatagram::bind(path).unwrap())
    }

    /// One that is told nothing fails the test in the end.
    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// The next message; what is sent with it is closed, which is the answer to a barrier.
    fn hears(&self) -> String {
        String::from_utf8(socket::receive(&self.0, 4096).unwrap().bytes).unwrap()
    }

    fn hears_nothing_more(&self) {
        self.0.set_nonblocking(true).unwrap();
        let more = self.0.recv(&mut [0; 16]);
        assert_eq!(more.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// The program says each of these, then the rest of the line follows.
fn speaking(messages: &[&str], then: &str) -> Bundle {
    let says = messages.iter().map(|message| format!("{PROBE} \"notify:{message}\" >&2 || exit 9; "));
    Bundle::busybox().with_probe().shell(&format!("{}{then}", says.collect::<String>()))
}

fn notifying(door: &Door, socket: &Path, words: &[&str]) -> Command {
    let mut command = door.command(words);
    command.env("NOTIFY_SOCKET", socket);
    command
}

fn spawned(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// On this kernel, and on one without pidfds.
fn doors() -> [Door; 2] {
    let lane = programs::lane().display().to_string();
    [Door::new(), Door::new().launched([lane, "ENOSYS".to_owned()])]
}

/// Only that it is ready: a container isn't believed what it says of processes, descriptors and time-outs of the host.
#[test]
fn ready_is_passed_on_with_the_main_process_and_nothing_else_is() {
    if !privileged::root() {
        return;
    }
    let noise = ["STATUS=starting", "MAINPID=1", "FDSTORE=1", "READY=0", "X=READY=1"];
    let bundle = speaking(&[&noise[..], &["STATUS=up\nREADY=1\nMAINPID=1"]].concat(), "exec sleep 1000");
    for door in doors() {
        passes_on(&door, &bundle);
    }
}

fn passes_on(door: &Door, bundle: &Bundle) {
    let path = door.directory().join("manager");
    let manager = Manager::at(&path);

    let id = door.id("detached");
    let mut run = spawned(&mut notifying(door, &path, &["run", "--detach", "--bundle", dir(bundle), &id]));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", door.state(&id)["pid"]));
    assert!(run.try_wait().unwrap().is_none(), "it waits until the manager has read it");
    assert_eq!(manager.hears(), "BARRIER=1");
    assert!(run.wait().unwrap().success());

    let id = door.id("created");
    let created = door.finish(&mut notifying(door, &path, &["create", "--bundle", dir(bundle), &id]));
    assert_eq!(created.code, 0, "{}", created.stderr);
    let mut start = spawned(&mut notifying(door, &path, &["start", &id]));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", door.state(&id)["pid"]));
    assert_eq!(manager.hears(), "BARRIER=1");
    assert!(start.wait().unwrap().success());
    manager.hears_nothing_more();
}

/// In the foreground the door is what the manager has started, and whose end it sees.
#[test]
fn in_the_foreground_the_main_process_is_the_door() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let path = door.directory().join("manager");
    let manager = Manager::at(&path);
    let bundle = speaking(&["READY=1"], "sleep 1000 & wait");
    let id = door.id("foreground");
    let mut run = spawned(&mut notifying(&door, &path, &["run", "--bundle", dir(&bundle), &id]));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", run.id()));
    // It still passes signals on, and ends with the program.
    door.ok(["kill", &id, "KILL"]);
    assert_eq!(run.wait().unwrap().code(), Some(137));

    // With a terminal between; and a program that ends as soon as it has said it.
    let bundle = speaking(&["READY=1"], "exit 5").edit(|config| config["process"]["terminal"] = json!(true));
    let id = door.id("terminal");
    let mut run = spawned(&mut notifying(&door, &path, &["run", "--bundle", dir(&bundle), &id]));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", run.id()));
    assert_eq!(run.wait().unwrap().code(), Some(5));
    manager.hears_nothing_more();
}

/// `start` and `run --detach` come back when a program ends that never was ready.
#[test]
fn a_program_that_ends_before_it_is_ready_is_not_waited_for() {
    if !privileged::root() {
        return;
    }
    let bundle = speaking(&["STATUS=no"], "exit 3");
    for door in doors() {
        ends(&door, &bundle);
    }
}

fn ends(door: &Door, bundle: &Bundle) {
    let path = door.directory().join("manager");
    let manager = Manager::at(&path);
    for (i, way) in [&["run", "--detach"][..], &["create"]].iter().enumerate() {
        let id = door.id(&format!("ends{i}"));
        let words = [way, &["--bundle", dir(bundle), &id][..]].concat();
        assert_eq!(door.finish(&mut notifying(door, &path, &words)).code, 0);
        if way[0] == "create" {
            assert_eq!(door.finish(&mut notifying(door, &path, &["start", &id])).code, 0);
        }
        door.await_status(&id, "stopped");
    }
    manager.hears_nothing_more();
}

#[test]
fn the_socket_inside_is_for_every_user_and_can_not_be_replaced() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let path = door.directory().join("manager");
    let manager = Manager::at(&path);
    // A state root that nobody else may search, an unusual mask, ids that aren't the host's, and a user that isn't root.
    fs::set_permissions(door.root(), fs::Permissions::from_mode(0o700)).unwrap();
    let ranges = json!([{ "containerID": 0, "hostID": 300_000, "size": 65536 }]);
    let line = format!(
        "rm -f $NOTIFY_SOCKET 2>&1; touch /run/notify/x 2>&1; {PROBE} notify:READY=1 >/dev/null; exec sleep 1000"
    );
    let bundle = Bundle::busybox().with_probe().shell(&line).writable().owned_by(300_000, 300_000);
    let bundle = bundle.namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = ranges.clone();
        config["linux"]["gidMappings"] = ranges.clone();
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    });
    let id = door.id("user");
    let socket = format!("export NOTIFY_SOCKET={}; umask 077; exec \"$@\"", path.display());
    let words = ["create", "--bundle", dir(&bundle), &id];
    let output = door.finish(&mut prepared_by(&socket, &door, &words));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let mut start = spawned(&mut prepared_by(&socket, &door, &["start", &id]));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", door.state(&id)["pid"]));
    assert_eq!(manager.hears(), "BARRIER=1");
    assert!(start.wait().unwrap().success());
    let said = output.stdout_now();
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
}

#[test]
fn a_manager_may_listen_at_an_abstract_name() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let name = door.id("abstract");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    let bundle = speaking(&["READY=1"], "true");
    let words = ["run", "--bundle", dir(&bundle), &door.id("run")];
    let mut run = spawned(&mut notifying(&door, Path::new(&format!("@{name}")), &words));
    assert_eq!(manager.hears(), format!("READY=1\nMAINPID={}", run.id()));
    assert!(run.wait().unwrap().success());
}

/// The variable may be left over from another service: the container runs, and nobody waits for what nobody hears.
#[test]
fn a_manager_that_can_not_be_reached_is_warned_about() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let nobody = door.directory().join("nobody");
    drop(UnixDatagram::bind(&nobody).unwrap());
    for (i, socket) in
        [Path::new("/nowhere/socket"), Path::new("vsock:2:1234"), Path::new("relative"), &nobody]
            .into_iter()
            .enumerate()
    {
        let id = door.id(&format!("lost{i}"));
        let output =
            door.finish(&mut notifying(&door, socket, &["run", "--detach", "--bundle", dir(&bundle), &id]));
        assert_eq!(output.code, 0);
        let said = &output.stderr;
        assert!(said.contains("level=warning") && said.contains("NOTIFY_SOCKET: "), "{said}");
        assert_eq!(door.status(&id), "running");
        door.ok(["delete", "--force", &id]);
    }
    // As was one that was created without: there is no way to it.
    let id = door.id("without");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    let output = door.finish(&mut notifying(&door, &nobody, &["start", &id]));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

/// The way to the manager is mounted over what the config has there, and gone with the container.
#[test]
fn the_mount_is_the_last_and_leaves_nothing() {
    if !privileged::root() {
        return;
    }
    let door = Door::new();
    let path = door.directory().join("manager");
    let _manager = Manager::at(&path);
    let bundle = Bundle::busybox().shell("exec sleep 1000").mount(json!({
        "destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"],
    }));
    let id = door.id("mount");
    let created = door.finish(&mut notifying(&door, &path, &["create", "--bundle", dir(&bundle), &id]));
    assert_eq!(created.code, 0, "{}", created.stderr);
    let pid = door.state(&id)["pid"].to_string();
    let mounts = read(format!("/proc/{pid}/mountinfo"));
    let mount = mounts.lines().find(|line| line.contains(" /run/notify ")).expect("it is mounted");
    assert!(mount.contains(" ro,nosuid,nodev,noexec"), "{mount}");
    // Whatever a container that may mount has put there.
    let inside = door.root().join(&id).join("notify");
    fs::create_dir_all(inside.join("a/b")).unwrap();
    std::os::unix::fs::symlink("/etc", inside.join("a/etc")).unwrap();
    door.ok(["delete", "--force", &id]);
    assert!(door.containers().is_empty() && Path::new("/etc/passwd").exists());

    // A create that fails takes the directory with it.
    let broken = Bundle::busybox().args(["nosuch"]);
    assert!(refusal(&broken).contains("nosuch"));
    let output = door.finish(&mut notifying(&door, &path, &["create", "--bundle", dir(&broken), &id]));
    assert_eq!(output.code, 1);
    assert!(door.containers().is_empty());
}

/// A transient unit of the machine's systemd, gone with the test.
struct Unit(String);

impl Unit {
    /// Asks for it and waits for nothing.
    fn start(door: &Door, properties: &[&str], words: &[&str]) -> Self {
        let unit = Self(door.id("unit"));
        let command = door.command(words);
        let mut run = Command::new("systemd-run");
        run.args(["--quiet", "--no-block", "--collect", "--property=TimeoutStopSec=1", "--unit", &unit.0]);
        run.args(properties).arg(command.get_program()).args(command.get_args());
        assert!(run.stdin(Stdio::null()).status().unwrap().success(), "{run:?}");
        unit
    }

    fn shows(&self, name: &str) -> String {
        let unit = format!("{}.service", self.0);
        let output = Command::new("systemctl").args(["show", "--value", "--property", name, &unit]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let names = ["socket", "service"].map(|kind| format!("{}.{kind}", self.0));
        let _ = Command::new("systemctl").arg("stop").args(names).stderr(Stdio::null()).status();
    }
}

/// With the real manager: the unit is being started until the program says that it is ready.
#[test]
fn a_unit_of_systemd_is_active_when_its_program_is_ready() {
    if !systemd_runs() {
        return;
    }
    let wait = "until [ -e /go ]; do sleep 0.01; done";
    let line = format!("{wait}; {PROBE} notify:READY=1 >/dev/null; exec sleep 1000");
    for (way, detached) in [(&["run"][..], false), (&["run", "--detach"], true)] {
        let bundle = Bundle::busybox().with_probe().writable().shell(&line);
        let door = Door::new();
        let id = door.id("ready");
        let words = [way, &["--bundle", dir(&bundle), &id]].concat();
        let unit = Unit::start(&door, &["--property=Type=notify", "--property=NotifyAccess=main"], &words);
        eventually("the container is there", || door.containers() == [id.clone()]);
        door.await_status(&id, "running");
        assert_eq!(unit.shows("ActiveState"), "activating");
        let before = unit.shows("MainPID");
        fs::write(bundle.rootfs().join("go"), "").unwrap();
        eventually("it is ready", || unit.shows("ActiveState") == "active");
        let main = if detached { door.state(&id)["pid"].to_string() } else { before };
        eventually("its main process is known", || unit.shows("MainPID") == main);
        door.ok(["delete", "--force", &id]);
        eventually("its end is seen", || unit.shows("ActiveState") != "active");
    }
}

#[test]
fn a_unit_of_systemd_passes_its_sockets_on() {
    if !systemd_runs() {
        return;
    }
    let bundle = Bundle::busybox().writable().shell(
        "readlink /proc/self/fd/3 >/new; echo $LISTEN_FDS $LISTEN_PID $$ >>/new; mv /new /seen; exec sleep 1000",
    );
    let door = Door::new();
    let (id, socket) = (door.id("socket"), door.directory().join("socket"));
    let listen = format!("--socket-property=ListenStream={}", socket.display());
    let words = ["run", "--bundle", dir(&bundle), &id];
    let _unit = Unit::start(&door, &[&listen], &words);
    eventually("systemd listens", || UnixStream::connect(&socket).is_ok());
    let seen = bundle.rootfs().join("seen");
    eventually("the program has told", || seen.exists());
    let told = read(&seen);
    assert!(told.starts_with("socket:[") && told.ends_with("\n1 1 1"), "{told}");
    door.ok(["delete", "--force", &id]);
}

fn systemd_runs() -> bool {
    privileged::systemd() && privileged::machine_root()
}
