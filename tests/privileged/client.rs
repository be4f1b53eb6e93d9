//! The library in a program with threads: its client spawns the door, and nothing is cloned behind the program's back.

use forgeone_runtime::Kind;
use forgeone_runtime::client::Client;
use forgeone_runtime::lifecycle::{CreateOptions, ExecOptions, Runtime, Settings};
use std::sync::mpsc;
use testkit::{Bundle, Door, eventually, privileged};

fn settings(door: &Door) -> Settings {
    Settings { root: door.root(), ..Settings::default() }
}

fn options(bundle: &Bundle) -> CreateOptions {
    CreateOptions { bundle: bundle.path().to_owned(), ..CreateOptions::default() }
}

/// Calls `run` while other threads live.
fn beside_threads(run: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let waiting = scope.spawn(move || stopped.recv());
        run();
        drop(stop);
        assert!(waiting.join().unwrap().is_err());
    });
}

#[test]
fn a_program_with_threads_uses_the_client() {
    if !privileged::root() {
        return;
    }
    let shell = "while [ ! -e /tmp/done ]; do sleep 0.01; done; exec sleep 1000";
    let bundle = Bundle::busybox().writable().shell(shell);
    let door = Door::new();
    let id = door.id("client");
    let pid_file = door.directory().join("pid");
    let process = door.directory().join("process.json");
    std::fs::write(&process, r#"{"cwd": "/tmp", "args": ["touch", "done"], "env": ["PATH=/bin"]}"#).unwrap();
    beside_threads(|| {
        let client = Client::new(testkit::forgeone(), settings(&door));
        client.create(&id, &CreateOptions { pid_file: Some(pid_file.clone()), ..options(&bundle) }).unwrap();
        let created = client.state(&id).unwrap();
        assert_eq!((created.status.as_str(), created.id.as_str()), ("created", id.as_str()));
        assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), created.pid.to_string());
        client.start(&id).unwrap();
        assert_eq!(client.state(&id).unwrap().status, "running");
        client.exec(&id, &process, Some(&pid_file)).unwrap();
        eventually("the program has run", || bundle.rootfs().join("tmp/done").exists());
        assert_ne!(std::fs::read_to_string(&pid_file).unwrap(), created.pid.to_string());
        client.kill(&id, 9, false).unwrap();
        eventually("it is stopped", || client.state(&id).unwrap().status == "stopped");
        client.delete(&id, false).unwrap();
        assert_eq!(client.state(&id).unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn several_threads_use_clients_at_the_same_time() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let ids: Vec<_> = (0..6).map(|n| door.id(&format!("thread{n}"))).collect();
    let (settings, bundle) = (&settings(&door), &bundle);
    std::thread::scope(|scope| {
        for id in &ids {
            scope.spawn(move || {
                let client = Client::new(testkit::forgeone(), settings.clone());
                client.create(id, &options(bundle)).unwrap();
                client.start(id).unwrap();
                client.kill(id, 9, true).unwrap();
                client.delete(id, true).unwrap();
            });
        }
    });
    assert!(door.containers().is_empty());
}

#[test]
fn the_clients_errors_say_what_the_door_says() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["nosuch"]);
    let door = Door::new();
    let client = Client::new(testkit::forgeone(), settings(&door));
    let id = door.id("errors");
    let said = client.create(&id, &options(&bundle)).unwrap_err().to_string();
    assert!(said.contains("\"nosuch\": executable file not found in $PATH"), "{said}");
    assert!(!said.contains('\n') && !said.contains("forgeone:"), "{said}");
    assert_eq!(client.create("a/b", &options(&bundle)).unwrap_err().kind(), Kind::Usage);
    let nowhere = CreateOptions { bundle: "/nowhere".into(), ..CreateOptions::default() };
    assert_eq!(client.create(&id, &nowhere).unwrap_err().kind(), Kind::Config);
    assert!(client.start(&id).unwrap_err().to_string().contains("does not exist"));
    client.delete(&id, true).unwrap();
    let missing = Client::new("/no/such/forgeone", settings(&door));
    assert!(missing.start(&id).unwrap_err().to_string().contains("spawn the runtime"));
}

/// A fork of a threaded process may do next to nothing: it is refused before anything is left.
#[test]
fn the_runtime_itself_refuses_a_program_with_threads() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let (id, other) = (door.id("direct"), door.id("running"));
    door.ok(["run", "--detach", "--bundle", bundle.path().to_str().unwrap(), &other]);
    beside_threads(|| {
        let runtime = Runtime::new(settings(&door));
        for refused in [runtime.create(&id, &options(&bundle)), runtime.run(&id, &options(&bundle))] {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("more than one thread"), "{said}");
            assert_eq!(door.containers(), std::slice::from_ref(&other));
        }
        let exec = runtime.exec(&other, &ExecOptions::default(), &|own| Ok(own.clone()));
        let said = exec.unwrap_err().to_string();
        assert!(said.contains("more than one thread"), "{said}");
    });
    assert_eq!(door.status(&other), "running");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("State:") && std::fs::read("/proc/self/environ").is_ok(), "we are as we were");
}
