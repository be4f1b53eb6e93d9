//! Containers with a monitor: their logs, how they end, are started again, attached to and checked.

mod attach;
mod health;
mod life;
mod lost;
mod many;
mod user;

use forgeone_runtime::client;
use forgeone_runtime::lifecycle::Settings;
use forgeone_runtime::monitor::{Attached, Client, Exit, Output, Status, log};
use forgeone_runtime::registry::Places;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use testkit::{Bundle, Leaks, Temp, eventually, names, programs};

/// Where containers of a test are. On drop they are ended, and what is left on the machine fails the test.
struct Home {
    places: Places,
    containers: std::cell::RefCell<Vec<Made>>,
    leaks: Leaks,
    temp: Temp,
}

/// A container of a test.
#[derive(Clone)]
struct Made {
    places: Places,
    id: String,
    dir: PathBuf,
}

impl Home {
    fn new() -> Self {
        let leaks = Leaks::before();
        let temp = Temp::new("home");
        let place = |name: &str| temp.path().join(name);
        fs::create_dir(place("state")).unwrap();
        let places = Places {
            data_root: place("data"),
            state_root: place("state"),
            door: programs::forgeone(),
            image_helper: PathBuf::from("/nowhere"),
            monitor: programs::standalone(),
        };
        Self { places, containers: Default::default(), leaks, temp }
    }

    /// A container that runs a line of shell in busybox' root, with more of its configuration; registered as `create`
    /// does it.
    fn shell(&self, line: &str, mut config: Value) -> Made {
        config["command"] = json!("sh");
        config["args"] = json!(["-c", line]);
        self.container(config)
    }

    fn container(&self, config: Value) -> Made {
        let id = names::unique("m");
        let dir = self.places.data_root.join("containers").join(&id);
        fs::create_dir_all(dir.join("rootfs")).unwrap();
        let bundle = Bundle::busybox();
        let files = self.temp.path().join(format!("{id}.rootfs"));
        fs::rename(bundle.rootfs(), &files).unwrap();
        fs::create_dir(bundle.rootfs()).unwrap();
        let record = json!({
            "version": 1, "id": id, "name": id, "created": "2026-11-22T10:00:00.000000000Z",
            "image": null, "image_config": {}, "config": config,
            "rootfs": {"base": {"directory": files}, "upper": null},
        });
        fs::write(dir.join("container.json"), record.to_string()).unwrap();
        let made = Made { places: self.places.clone(), id, dir };
        self.containers.borrow_mut().push(made.clone());
        made
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let containers = self.containers.take();
        for made in &containers {
            if let Ok(Some(mut client)) = Client::connect(&made.dir) {
                let _ = client.stop(Some(9), None);
            }
            let _ = made.door().delete(&made.id, true);
        }
        let left = self.leaks.left();
        if !left.is_empty() {
            let message = format!("left behind:\n  {}", left.join("\n  "));
            if std::thread::panicking() { eprintln!("{message}") } else { panic!("{message}") }
        }
    }
}

impl Made {
    fn client(&self) -> Client {
        Client::spawn(&self.places, &self.dir).unwrap()
    }

    fn door(&self) -> client::Client {
        let settings = Settings { root: self.places.state_root.clone(), ..Settings::default() };
        client::Client::new(self.places.door.clone(), settings)
    }

    fn start(&self) -> Client {
        let mut client = self.client();
        client.start().unwrap();
        client
    }

    /// Starts it and waits for its end.
    fn run(&self) -> Exit {
        self.start().wait().unwrap()
    }

    fn status(&self) -> Status {
        Status::read(&self.dir).unwrap()
    }

    /// Waits until its status is so.
    #[track_caller]
    fn until(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        eventually(what, || is(&self.status()));
        self.status()
    }

    /// What it wrote to a stream, put together of all files of its log.
    fn logged(&self, stream: log::Stream) -> String {
        let dir = fs::File::open(&self.dir).unwrap();
        let mut text = Vec::new();
        for file in log::files(&dir).unwrap() {
            let content = fs::read(self.dir.join(file)).unwrap();
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                let record = log::parse(line).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(line)));
                if record.stream == stream {
                    text.extend_from_slice(record.content);
                    text.extend_from_slice(if record.full { b"\n" } else { b"" });
                }
            }
        }
        String::from_utf8(text).unwrap()
    }

    fn stdout(&self) -> String {
        self.logged(log::Stream::Stdout)
    }

    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join("events")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn event_names(&self) -> Vec<String> {
        self.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// The file of its root with this name.
    fn inside(&self, name: &str) -> PathBuf {
        let record: Value =
            serde_json::from_slice(&fs::read(self.dir.join("container.json")).unwrap()).unwrap();
        PathBuf::from(record["rootfs"]["base"]["directory"].as_str().unwrap()).join(name)
    }

    fn monitor(&self) -> i32 {
        Client::connect(&self.dir).unwrap().expect("a monitor").pid().unwrap()
    }

    /// Waits until no monitor lives.
    fn await_rest(&self) {
        let dir = fs::File::open(&self.dir).unwrap();
        eventually("the monitor has ended", || !forgeone_runtime::monitor::lives(&dir).unwrap());
    }
}

/// Reads to the container's end: standard output, standard error, how it ended.
fn read_all(mut attached: Attached) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match attached.receive().unwrap() {
            Output::Stdout(piece) => out.extend(piece),
            Output::Stderr(piece) => err.extend(piece),
            Output::Ended(exit) => {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), exit);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Reads until the output has this in it.
fn read_until(attached: &mut Attached, text: &str) -> String {
    let mut out = String::new();
    while !out.contains(text) {
        match attached.receive().unwrap() {
            Output::Stdout(piece) => out.push_str(&String::from_utf8_lossy(&piece)),
            other => panic!("{other:?} after {out:?}"),
        }
    }
    out
}
