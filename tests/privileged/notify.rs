//! `SCMP_ACT_NOTIFY`: an agent of the test's gets the listener, and answers the program's system calls.

use crate::fallback::without_new_calls;
use crate::running::{dir, refusal};
use forgeone_sys::seccomp::{
    Answer, Notification, seccomp_notify_add_fd, seccomp_notify_receive, seccomp_notify_send,
};
use forgeone_sys::signal::{PollFd, poll};
use forgeone_sys::{Errno, OwnedFd, process, socket};
use serde_json::{Value, json};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use testkit::{Bundle, Door, privileged};

/// x86_64's numbers.
const SENDMSG: i32 = 46;
const EXECVE: i32 = 59;
const CHDIR: i32 = 80;
const MKDIR: i32 = 83;
const OPENAT: i32 = 257;

/// What an agent was told and asked.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// The container process states, in their order.
    states: Vec<Value>,
    /// The calls that waited for it, each with the process that made it.
    calls: Vec<(i32, u32)>,
}

type Reply = dyn Fn(&OwnedFd, &Notification) + Send + Sync;

/// Somebody who listens at a socket, one thread for each listener that is sent.
struct Agent {
    path: PathBuf,
    thread: JoinHandle<Heard>,
}

impl Agent {
    fn start(door: &Door, reply: impl Fn(&OwnedFd, &Notification) + Send + Sync + 'static) -> Self {
        let path = door.directory().join("agent");
        let socket = UnixListener::bind(&path).unwrap();
        let reply: Arc<Reply> = Arc::new(reply);
        let thread = thread::spawn(move || {
            let (mut heard, mut threads) = (Heard::default(), Vec::new());
            loop {
                let (connection, _) = socket.accept().unwrap();
                let mut message = socket::receive(&connection, 1 << 16).unwrap();
                if message.eof {
                    break;
                }
                assert!(socket::receive(&connection, 1).unwrap().eof, "one state to a connection");
                let listener = message.fds.remove(0);
                assert!(message.fds.is_empty());
                heard.states.push(serde_json::from_slice(&message.bytes).unwrap());
                let reply = reply.clone();
                threads.push(thread::spawn(move || serve(&listener, &*reply)));
            }
            heard.calls = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            heard
        });
        Self { path, thread }
    }

    /// What it heard; all containers have ended.
    fn end(self) -> Heard {
        // Refused, if a connection without a state has ended it already.
        drop(UnixStream::connect(&self.path));
        self.thread.join().unwrap()
    }
}

/// Answers until nobody is left who could ask.
fn serve(listener: &OwnedFd, reply: &Reply) -> Vec<(i32, u32)> {
    let mut calls = Vec::new();
    loop {
        let mut ready = [PollFd::readable(listener)];
        poll(&mut ready, None).unwrap();
        if !ready[0].is_readable() {
            return calls;
        }
        // Whoever asked may have been killed meanwhile.
        let Ok(call) = seccomp_notify_receive(listener) else { continue };
        calls.push((call.number, call.pid));
        reply(listener, &call);
    }
}

fn go_on(listener: &OwnedFd, call: &Notification) {
    seccomp_notify_send(listener, call.id, Answer::Continue).unwrap();
}

/// The string that an argument of a waiting call points to.
fn text(call: &Notification, argument: usize) -> String {
    let memory = File::open(format!("/proc/{}/mem", call.pid)).unwrap();
    let mut bytes = [0; 256];
    let length = memory.read_at(&mut bytes, call.arguments[argument]).unwrap();
    String::from_utf8_lossy(bytes[..length].split(|byte| *byte == 0).next().unwrap()).into_owned()
}

/// A bundle whose filter notifies the socket `agent` of these calls and allows all others.
fn notifying(bundle: Bundle, agent: &Path, calls: &[&str]) -> Bundle {
    let rule = json!({ "names": calls, "action": "SCMP_ACT_NOTIFY" });
    filtered(bundle, json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": agent }))
}

fn filtered(bundle: Bundle, seccomp: Value) -> Bundle {
    bundle.edit(|config| config["linux"]["seccomp"] = seccomp)
}

fn with_new_privileges(bundle: Bundle) -> Bundle {
    bundle.edit(|config| config["process"]["noNewPrivileges"] = json!(false))
}

/// A door, and where its agent is going to be.
fn door() -> (Door, PathBuf) {
    let door = Door::new();
    let path = door.directory().join("agent");
    (door, path)
}

#[test]
fn an_agent_answers_with_an_error_or_lets_the_call_go_on() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    let bundle = notifying(Bundle::busybox(), &path, &["mkdir"]);
    let line = "mkdir /dev/shm/refused; mkdir /dev/shm/made && ls /dev/shm";
    let bundle = bundle.shell(line);
    let agent = Agent::start(&door, |listener, call| {
        assert_eq!(call.number, MKDIR);
        match text(call, 0).as_str() {
            "/dev/shm/refused" => {
                seccomp_notify_send(listener, call.id, Answer::Fail(Errno::DQUOT)).unwrap();
            }
            _ => go_on(listener, call),
        }
    });
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("answers")]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "made\n"), "{}", output.stderr);
    assert!(output.stderr.contains("quota exceeded"), "{}", output.stderr);
    assert_eq!(agent.end().calls.len(), 2);
}

#[test]
fn an_agent_can_give_the_program_a_descriptor() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    let bundle = notifying(Bundle::busybox(), &path, &["openat"]).args(["cat", "/no/such/file"]);
    let given = door.directory().join("given");
    std::fs::write(&given, "from outside\n").unwrap();
    let agent = Agent::start(&door, move |listener, call| {
        if call.number == OPENAT && text(call, 1) == "/no/such/file" {
            let file = File::open(&given).unwrap();
            seccomp_notify_add_fd(listener, call.id, file.as_fd()).unwrap();
        } else {
            go_on(listener, call);
        }
    });
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("descriptor")]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "from outside\n"), "{}", output.stderr);
    agent.end();
}

#[test]
fn create_start_and_exec_each_tell_the_agent_who_it_is() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    let bundle = notifying(Bundle::busybox(), &path, &["chdir"]);
    let bundle = bundle.shell("cd /dev; exec sleep 1000").edit(|config| {
        config["linux"]["seccomp"]["listenerMetadata"] = json!("any text");
        config["annotations"] = json!({ "a": "b" });
    });
    let agent = Agent::start(&door, go_on);
    let id = door.id("states");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    door.ok(["start", &id]);
    let pid_file = door.directory().join("pid");
    let exec = ["exec", "--pid-file", pid_file.to_str().unwrap(), &id, "sh", "-c", "cd /dev/shm; pwd"];
    assert_eq!(door.ok(exec).stdout, "/dev/shm\n");
    let (init, process) = (door.state(&id)["pid"].clone(), std::fs::read_to_string(&pid_file).unwrap());
    door.ok(["delete", "--force", &id]);
    let heard = agent.end();
    let of_init = json!({
        "ociVersion": heard.states[0]["ociVersion"],
        "fds": ["seccompFd"],
        "pid": init,
        "metadata": "any text",
        "state": {
            "ociVersion": heard.states[0]["ociVersion"],
            "id": id,
            "status": "created",
            "pid": init,
            "bundle": bundle.path(),
            "annotations": { "a": "b" },
        },
    });
    assert_eq!(heard.states[0], of_init);
    let mut of_exec = of_init;
    of_exec["pid"] = process.parse::<i64>().unwrap().into();
    of_exec["state"]["status"] = json!("running");
    assert_eq!(heard.states[1], of_exec);
    let callers: Vec<_> = heard.calls.iter().map(|(_, pid)| json!(pid)).collect();
    assert!(callers.contains(&heard.states[0]["pid"]) && callers.contains(&heard.states[1]["pid"]));
}

#[test]
fn a_profile_may_notify_of_every_call_and_the_first_is_the_exec() {
    if !privileged::root() {
        return;
    }
    for change in [with_new_privileges, |bundle| bundle] {
        let (door, path) = door();
        let profile = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": path });
        let bundle = change(filtered(Bundle::busybox(), profile)).args(["echo", "seen"]);
        let agent = Agent::start(&door, go_on);
        let output = door.run(["run", "--bundle", dir(&bundle), &door.id("every")]);
        assert_eq!((output.code, output.stdout.as_str()), (0, "seen\n"), "{}", output.stderr);
        let calls = agent.end().calls;
        assert!(calls.len() > 3, "{calls:?}");
        assert_eq!(calls[0].0, EXECVE, "the runtime makes no call under the filter: {calls:?}");
    }
}

#[test]
fn the_listener_is_there_before_the_program_whatever_calls_are_refused() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    // All by which it could be handed over, and that this program doesn't need.
    let names = ["sendmsg", "recvmsg", "sendto", "recvfrom", "ptrace", "pidfd_getfd", "capset", "poll"];
    let kill = json!({ "names": names, "action": "SCMP_ACT_KILL_PROCESS" });
    let mkdir = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
    let profile =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [kill, mkdir], "listenerPath": path });
    let bundle = with_new_privileges(filtered(Bundle::busybox(), profile)).args(["mkdir", "/dev/shm/x"]);
    let agent = Agent::start(&door, |listener, call| {
        seccomp_notify_send(listener, call.id, Answer::Value(0)).unwrap();
    });
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("handover")]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(agent.end().calls.len(), 1);
}

#[test]
fn without_the_calls_to_fetch_it_the_listener_is_sent() {
    if !privileged::root() {
        return;
    }
    for door in without_new_calls() {
        let path = door.directory().join("agent");
        let bundle = notifying(Bundle::busybox(), &path, &["mkdir"]).shell("mkdir /dev/shm/x && echo made");
        let agent = Agent::start(&door, go_on);
        let id = door.id("sent");
        let output = door.run(["run", "--bundle", dir(&bundle), &id]);
        assert_eq!((output.code, output.stdout.as_str()), (0, "made\n"), "{}", output.stderr);
        // What would stop the sending is refused, not waited for.
        let bundle = notifying(bundle, &path, &["sendmsg"]);
        let output = door.run(["run", "--bundle", dir(&bundle), &id]);
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("linux.seccomp: SCMP_ACT_NOTIFY for sendmsg"), "{}", output.stderr);
        let heard = agent.end();
        assert_eq!((heard.states.len(), heard.calls.len()), (1, 1));
        assert!(heard.calls[0].0 != SENDMSG && door.containers().is_empty());
    }
}

#[test]
fn a_call_that_an_agent_has_taken_is_only_interrupted_by_a_kill_where_the_profile_says_so() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    let bundle = notifying(Bundle::busybox(), &path, &["chdir"])
        .edit(|config| {
            config["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
        })
        .shell("trap 'echo trapped' USR1; cd /dev/shm; pwd");
    let agent = Agent::start(&door, |listener, call| {
        assert_eq!(call.number, CHDIR);
        process::kill(call.pid as i32, 10).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", call.pid)).unwrap();
        let pending = status.lines().find(|line| line.starts_with("ShdPnd:")).unwrap();
        assert!(pending.ends_with("0200"), "the signal waits: {pending}");
        go_on(listener, call);
    });
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("killable")]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "trapped\n/dev/shm\n"), "{}", output.stderr);
    assert_eq!(agent.end().calls.len(), 1, "asked once, not again after the signal");
}

#[test]
fn an_agent_that_is_not_there_is_an_error_and_no_container() {
    if !privileged::root() {
        return;
    }
    let (door, path) = door();
    let bundle = notifying(Bundle::busybox(), &path, &["mkdir"]).args(["true"]);
    let expect = |output: testkit::Output, cause: &str| {
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        let line = &output.stderr;
        assert!(line.contains("linux.seccomp.listenerPath: ") && line.contains(cause), "{line}");
    };
    let id = door.id("agent");
    for command in ["create", "run"] {
        expect(door.run([command, "--bundle", dir(&bundle), &id]), "ENOENT");
        assert!(door.containers().is_empty());
    }
    std::fs::write(&path, "").unwrap();
    expect(door.run(["create", "--bundle", dir(&bundle), &id]), "is not a socket");
    std::fs::remove_file(&path).unwrap();
    // A socket at which nobody listens any more.
    drop(UnixListener::bind(&path).unwrap());
    expect(door.run(["run", "--bundle", dir(&bundle), &id]), "ECONNREFUSED");
    assert!(door.containers().is_empty());
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    expect(door.run(["start", &id]), "ECONNREFUSED");
    // Init ends by itself, without its program.
    door.await_status(&id, "stopped");
    door.ok(["delete", &id]);
}

#[test]
fn notification_that_nobody_could_get_is_refused_by_field() {
    if !privileged::root() {
        return;
    }
    let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
    let alone = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
    let error = refusal(&filtered(Bundle::busybox(), alone));
    assert!(error.contains("linux.seccomp.listenerPath: missing"), "{error}");
    let error = refusal(&filtered(Bundle::busybox(), json!({ "defaultAction": "SCMP_ACT_NOTIFY" })));
    assert!(error.contains("linux.seccomp.listenerPath: missing"), "{error}");
    let flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    let error =
        refusal(&filtered(Bundle::busybox(), json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": flags })));
    assert!(error.contains("linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"), "{error}");
}
