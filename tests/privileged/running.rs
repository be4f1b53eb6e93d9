//! What several modules do with a container: run it and read what it says, or keep one to look into.

use serde_json::{Value, json};
use std::path::Path;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Output, privileged};

/// The bundle's directory, for `--bundle`.
pub(crate) fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// Runs a bundle in the foreground, to its end.
pub(crate) fn run(bundle: &Bundle) -> Output {
    let door = Door::new();
    door.run(["run", "--bundle", dir(bundle), &door.id("run")])
}

/// What a line of shell prints in this bundle; it has to end well.
#[track_caller]
pub(crate) fn says(bundle: Bundle, line: &str) -> String {
    let output = run(&bundle.shell(line));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    output.stdout.trim_end().to_owned()
}

/// The error of a bundle that can't be run. A container that isn't made leaves nothing, which the door checks.
#[track_caller]
pub(crate) fn refusal(bundle: &Bundle) -> String {
    let door = Door::new();
    let id = door.id("refused");
    let output = door.run(["create", "--bundle", dir(bundle), &id]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
    assert!(door.containers().is_empty(), "a failed create leaves nothing behind");
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "one line: {}", output.stderr);
    output.stderr.trim_end().to_owned()
}

/// What the probe sees in this bundle.
#[track_caller]
pub(crate) fn seen(bundle: &Bundle) -> Value {
    seen_by(&Door::new(), bundle)
}

/// The same under any runtime.
#[track_caller]
pub(crate) fn seen_by(door: &Door, bundle: &Bundle) -> Value {
    let output = door.run(["run", "--bundle", dir(bundle), &door.id("probe")]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    output.json()
}

/// runc, to compare with; noted as skipped where it isn't installed.
pub(crate) fn runc() -> Option<Door> {
    privileged::program("runc", "runc").then(|| Door::of(privileged::find_program("runc").unwrap()))
}

/// A container whose init waits for ever, to execute things in and to look at from the host.
pub(crate) struct Running {
    pub(crate) door: Door,
    pub(crate) id: String,
    bundle: Bundle,
}

impl Running {
    /// Created and started; its program is `sleep`.
    #[track_caller]
    pub(crate) fn of(bundle: Bundle) -> Self {
        let bundle = bundle.args(["sleep", "1000"]);
        let door = Door::new();
        let id = door.id("running");
        door.ok(["create", "--bundle", dir(&bundle), &id]);
        door.ok(["start", &id]);
        Self { door, id, bundle }
    }

    /// What it was made from.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Process id of init on the host.
    pub(crate) fn pid(&self) -> i32 {
        self.door.state(&self.id)["pid"].as_i64().unwrap() as i32
    }

    /// What a line of shell prints in the container.
    #[track_caller]
    pub(crate) fn says(&self, line: &str) -> String {
        let output = self.exec(line);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
        output.stdout.trim_end().to_owned()
    }

    /// Executes a line of shell.
    pub(crate) fn exec(&self, line: &str) -> Output {
        self.door.run(["exec", &self.id, "sh", "-c", line])
    }

    /// What the probe sees when it is executed; the bundle has to have it.
    #[track_caller]
    pub(crate) fn probe(&self) -> Value {
        self.door.ok(["exec", &self.id, PROBE]).json()
    }
}

/// A command of the door, started by a line of shell that ends with `exec "$@"`: the line makes what the door
/// inherits.
pub(crate) fn prepared_by(line: &str, door: &Door, args: &[&str]) -> std::process::Command {
    let plain = door.command(args);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", line, "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// `type` and inode of a process's namespace, as the kernel writes it.
pub(crate) fn namespace_of(pid: i32, name: &str) -> Value {
    json!(std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap())
}

/// A file's content without the newline at its end.
#[track_caller]
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    text.trim_end().to_owned()
}
