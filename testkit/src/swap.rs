//! The swapper of a race: a name in a directory that others use is now what they expect, now a link to the host.

use crate::Temp;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory of which one name can be swapped.
#[derive(Debug)]
pub struct Swap {
    directory: PathBuf,
    name: String,
}

impl Swap {
    /// What `directory/name` is, and links to `host`, by an absolute and by a relative way, stand ready beside it.
    pub fn new(directory: &Path, name: &str, host: &Path) -> Self {
        let swap = Self { directory: directory.to_owned(), name: name.to_owned() };
        if swap.at(name).symlink_metadata().is_ok() {
            fs::rename(swap.at(name), swap.at("real")).expect("rename");
        } else {
            fs::create_dir(swap.at("real")).expect("mkdir");
        }
        symlink(host, swap.at("trap1")).expect("symlink");
        let climb = format!("../../../../../../../../..{}", host.display());
        symlink(climb, swap.at("trap2")).expect("symlink");
        swap
    }

    /// A volume whose directory `swap` can be swapped.
    pub fn volume(host: &Path) -> (Temp, Self) {
        let volume = Temp::new("volume");
        let swap = Self::new(volume.path(), "swap", host);
        (volume, swap)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Does something while another thread makes the name the directory and the links in turn.
    pub fn meanwhile(&self, something: impl FnOnce()) {
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
                while !end.load(Ordering::Relaxed) {
                    for name in ["real", "trap1", "real", "trap2"] {
                        // The runtime may have made something under the name meanwhile: then it stays for a while.
                        let _ = fs::rename(self.at(name), self.at(&self.name));
                        let _ = fs::rename(self.at(&self.name), self.at(name));
                    }
                }
            });
            let _end = End(&end);
            something();
        });
    }
}
