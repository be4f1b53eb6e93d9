//! The programs as `make install` lays them out, since the door finds its helpers by where it lies itself.

use crate::{Temp, programs};
use std::fs;
use std::path::{Path, PathBuf};

/// A directory with `bin/forgeone` and `libexec/forgeone/…`; removed on drop.
#[derive(Debug)]
pub struct Installed {
    prefix: Temp,
}

impl Installed {
    /// The door and all helpers.
    ///
    /// # Panics
    /// If a program can't be put there.
    #[allow(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let prefix = Temp::new("prefix");
        let put = |program: &Path, directory: &str| {
            let directory = prefix.path().join(directory);
            fs::create_dir_all(&directory).expect("mkdir");
            let to = directory.join(program.file_name().expect("a program has a name"));
            // A link is enough on the same file system; one that is written to is a program of its own.
            if fs::hard_link(program, &to).is_err() {
                fs::copy(program, &to).expect("copy");
            }
        };
        put(&programs::forgeone(), "bin");
        put(&programs::standalone(), "libexec/forgeone");
        put(&programs::image(), "libexec/forgeone");
        Self { prefix }
    }

    /// The directory that they are in, as `PREFIX`.
    pub fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// `bin/forgeone`.
    pub fn door(&self) -> PathBuf {
        self.prefix.path().join("bin/forgeone")
    }
}
