//! What holds after every fault, and the neighbour who isn't to notice it.

use serde_json::{Value, json};
use std::fs;
use testkit::{Bundle, Door, Leaks};

pub(crate) fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// A container that has something of everything that a command must not leave behind.
pub(crate) fn rich() -> Bundle {
    Bundle::busybox().args(["sleep", "1000"]).namespace(json!({ "type": "cgroup" })).edit(|config| {
        config["linux"]["resources"]["pids"] = json!({ "limit": 100 });
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
        for hook in ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            config["hooks"][hook] = json!([{ "path": "/bin/true" }]);
        }
    })
}

/// A machine with a container that has nothing to do with what fails.
pub(crate) struct Place {
    pub(crate) leaks: Leaks,
    pub(crate) bundle: Bundle,
    neighbour: (Bundle, String, u64),
    pub(crate) door: Door,
}

impl Place {
    pub(crate) fn new(bundle: Bundle) -> Self {
        Self::of(Door::new(), bundle)
    }

    pub(crate) fn of(door: Door, bundle: Bundle) -> Self {
        let (other, id) = (Bundle::busybox().args(["sleep", "1000"]), door.id("neighbour"));
        door.ok(["run", "--detach", "--bundle", dir(&other), &id]);
        let pid = door.state(&id)["pid"].as_u64().unwrap();
        // From here on, so that the neighbour isn't taken for what is left.
        Self { leaks: Leaks::before(), bundle, neighbour: (other, id, pid), door }
    }

    /// What is left of a container can be deleted, nobody else was disturbed, and the id is free again.
    #[track_caller]
    pub(crate) fn assert_whole(&self, id: &str, what: &str) {
        let record = self.door.root().join(id).join("state.json");
        if let Ok(text) = fs::read(&record) {
            let parsed = serde_json::from_slice::<Value>(&text);
            assert!(parsed.is_ok(), "{what}: state.json is broken: {}", String::from_utf8_lossy(&text));
        }
        let state = self.door.run(["state", id]);
        let listed = self.door.run(["list"]);
        assert_eq!(listed.code, 0, "{what}: list: {}", listed.stderr);
        self.assert_deletable(id, &format!("{what} ({}{})", state.stdout, state.stderr));
        let left = self.leaks.left();
        assert!(left.is_empty(), "{what}: left behind:\n  {}", left.join("\n  "));
        let again = self.door.run(["create", "--bundle", dir(&self.bundle), id]);
        assert_eq!(again.code, 0, "{what}: a second create: {}", again.stderr);
        assert_eq!(self.door.status(id), "created", "{what}");
        self.door.ok(["start", id]);
        self.assert_deletable(id, what);
    }

    #[track_caller]
    fn assert_deletable(&self, id: &str, what: &str) {
        let deleted = self.door.run(["delete", "--force", id]);
        assert_eq!(deleted.code, 0, "{what}: delete --force: {}", deleted.stderr);
        let (_, neighbour, pid) = &self.neighbour;
        assert_eq!(self.door.containers(), std::slice::from_ref(neighbour), "{what}");
        let state = self.door.state(neighbour);
        assert_eq!((&state["status"], state["pid"].as_u64()), (&json!("running"), Some(*pid)), "{what}");
    }

    /// It still can be used, which takes longer to find out.
    #[track_caller]
    pub(crate) fn assert_neighbour_works(&self) {
        let said = self.door.ok(["exec", &self.neighbour.1, "echo", "here"]);
        assert_eq!(said.stdout, "here\n");
    }
}
