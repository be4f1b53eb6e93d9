//! What broke other runtimes: each really attempted, and the host is unharmed. The paths of a hostile root file system
//! are tried one by one in `crates/runtime/tests/privileged/fs/attacks.rs`; here is what the whole runtime makes of them.

mod descriptors;
mod files;
mod identity;
mod root;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::{Bundle, Door, Output, Temp};

pub(crate) fn dir(bundle: &Bundle) -> &str {
    path(bundle.path())
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(door: &Door, bundle: &Bundle) -> Output {
    door.run(["run", "--bundle", dir(bundle), &door.id("attack")])
}

/// A volume with a directory, and with links that lead to `host`, for [`while_swapped`].
pub(crate) fn swapped_volume(host: &Path) -> Temp {
    let volume = Temp::new("volume");
    fs::create_dir(volume.path().join("real")).unwrap();
    symlink(host, volume.path().join("trap1")).unwrap();
    symlink("../../../../../../../../..".to_owned() + path(host), volume.path().join("trap2")).unwrap();
    volume
}

/// Does something while another thread makes `swap` of the volume the directory and the links in turn.
pub(crate) fn while_swapped(volume: &Temp, something: impl FnOnce()) {
    /// Also where an assertion fails, or the thread would be waited for in vain.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let at = |name: &str| volume.path().join(name);
            while !end.load(Ordering::Relaxed) {
                for name in ["real", "trap1", "real", "trap2"] {
                    let _ = fs::rename(at(name), at("swap"));
                    let _ = fs::rename(at("swap"), at(name));
                }
            }
        });
        let _end = End(&end);
        something();
    });
}

/// A container that runs until it is killed.
fn start(door: &Door, bundle: Bundle) -> (Bundle, String) {
    let (bundle, id) = (bundle.args(["sleep", "1000"]), door.id("victim"));
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    (bundle, id)
}

fn capabilities(bundle: Bundle, names: &[&str]) -> Bundle {
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(names);
        }
    })
}

fn bind(source: &Path, destination: &str) -> Value {
    json!({ "destination": destination, "source": source, "options": ["bind"] })
}

/// Everything below a directory of the host that nobody is to touch: path, mode, owner, size.
fn picture(directory: &Path) -> Vec<(PathBuf, u32, u32, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        all.push((path.clone(), meta.mode(), meta.uid(), meta.len()));
        if meta.is_dir() {
            all.extend(picture(&path));
        }
    }
    all.sort();
    all
}

/// A directory of the host with a file, which no container may change.
struct Host(Temp);

impl Host {
    fn new() -> (Self, Vec<(PathBuf, u32, u32, u64)>) {
        let host = Self(Temp::new("host"));
        fs::write(host.0.path().join("secret"), "secret").unwrap();
        fs::create_dir(host.0.path().join("etc")).unwrap();
        let picture = picture(host.0.path());
        (host, picture)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}
