//! Debian's `docker-registry` on the loopback interface, in plain HTTP or with TLS, for all, for one user, or for who has a
//! certificate.
//!
//! It listens on a port that the kernel chose, keeps everything in a directory of its own, and ends with its value.

use crate::Temp;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Who may use a registry that isn't for all.
pub const USER: &str = "tester";

/// That user's password.
pub const PASSWORD: &str = "geheim";

/// The password by bcrypt, as `htpasswd -nbB` writes it: the one form that the registry reads.
const HTPASSWD: &str = "tester:$2y$05$TRyy7ntBUYjKTr7J8Sox6.7ExpPkonux6tdXcsKHLJTAPJU5EeTFy\n";

/// Whom a registry is for.
#[derive(Clone, Copy, PartialEq)]
enum Guests {
    All,
    User,
    Certificate,
}

/// A registry that runs.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    host: String,
    directory: Temp,
}

impl Registry {
    /// In plain HTTP, for all. `None` if it isn't installed; the test was skipped then.
    pub fn plain() -> Option<Self> {
        Self::start(Guests::All)
    }

    /// With TLS, for [`USER`] with [`PASSWORD`] alone.
    pub fn guarded() -> Option<Self> {
        Self::start(Guests::User)
    }

    /// With TLS, for whoever shows a certificate of its authority, such as [`identity`](Self::identity).
    pub fn mutual() -> Option<Self> {
        Self::start(Guests::Certificate)
    }

    fn start(guests: Guests) -> Option<Self> {
        let there = |program: &str| Path::new("/usr/bin").join(program).exists();
        if let Some(missing) = ["docker-registry", "openssl"].into_iter().find(|program| !there(program)) {
            crate::skip(format!("needs {missing}, of the Debian package of that name"));
            return None;
        }
        let directory = Temp::new("registry");
        let place = directory.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, formatter: json}}\nstorage:\n  \
            filesystem: {{rootdirectory: {place}/data}}\n  delete: {{enabled: true}}\nhttp:\n  \
            addr: 127.0.0.1:0\n  secret: of no use\n"
        );
        if guests != Guests::All {
            certificates(directory.path());
            let clients = match guests {
                Guests::Certificate => format!(", clientcas: [{place}/ca.crt]"),
                _ => String::new(),
            };
            config.push_str(&format!(
                "  tls: {{certificate: {place}/server.crt, key: {place}/server.key{clients}}}\n"
            ));
        }
        if guests == Guests::User {
            fs::write(directory.path().join("htpasswd"), HTPASSWD).expect("write htpasswd");
            config.push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {place}/htpasswd}}\n"));
        }
        let file = directory.path().join("config.yml");
        fs::write(&file, config).expect("write the registry's configuration");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start docker-registry");
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let mut said = Vec::new();
        let host = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let host = line.split_once("listening on ").map(|(_, rest)| host(rest));
            said.push(line);
            host
        });
        // It may not block at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let host = host.unwrap_or_else(|| panic!("docker-registry doesn't listen: {said:?}"));
        Some(Self { child, host, directory })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of its authority, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// A certificate of its authority, and the key to it, in PEM.
    pub fn identity(&self) -> (PathBuf, PathBuf) {
        (self.directory.path().join("client.crt"), self.directory.path().join("client.key"))
    }

    /// Where it keeps what it has.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

/// What follows "listening on": `127.0.0.1:5000, tls","time":…`.
fn host(rest: &str) -> String {
    rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect()
}

/// An authority, a certificate of 127.0.0.1 and localhost by it, and a client's.
fn certificates(directory: &Path) {
    let run = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let output =
            Command::new("openssl").args(&words).current_dir(directory).output().expect("run openssl");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("write names");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=Test -days 2"));
    for name in ["server", "client"] {
        run(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        run(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 -extfile names"
        ));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
