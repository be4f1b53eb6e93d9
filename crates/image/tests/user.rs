//! Images of another user than root: files of all owners, in a user namespace with the ranges of /etc/subuid.
//!
//! The user is in no database, but where ranges are: there `/etc/passwd`, `/etc/subuid` and `/etc/subgid` are others, in a
//! mount namespace of the command's own.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use testkit::{Temp, privileged};

const USER: u32 = 54_322;
/// The first of the user's range.
const RANGE: u32 = 710_000;

/// A home with a layout whose files are of several owners.
struct Home(Temp);

impl Home {
    fn new() -> Option<Self> {
        let programs = [("setpriv", "util-linux"), ("newuidmap", "uidmap"), ("getfattr", "attr")];
        if !privileged::machine_root()
            || !programs.iter().all(|(name, package)| privileged::program(name, package))
        {
            return None;
        }
        let home = Self(Temp::new("user"));
        fs::copy(env!("CARGO_BIN_EXE_forgeone-image"), home.path("forgeone-image")).unwrap();
        home.sh(
            "mkdir -p one/etc two/etc two/hidden oci/blobs/sha256; echo mine >one/etc/root; echo theirs >one/etc/other
            : >two/etc/.wh.other; : >two/hidden/.wh..wh..opq; mkfifo one/fifo; mkdir -m 700 one/closed; echo x >one/closed/x
            chown -R 0:0 one two; chown 5:6 one/etc/other; chown 33 one/closed
            tar -C one -cf one.tar . && tar -C two -cf two.tar . && rm -r one two",
        );
        let layers =
            ["one.tar", "two.tar"].map(|file| home.blob("application/vnd.oci.image.layer.v1.tar", file));
        let config = json!({
            "architecture": home.sh("uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/'").trim(), "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [layers[0]["digest"], layers[1]["digest"]] },
        });
        let config = home.json("application/vnd.oci.image.config.v1+json", &config);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let mut manifest = home.json(
            kind,
            &json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers }),
        );
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "docker.io/library/web:1" });
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        fs::write(home.path("oci/index.json"), index.to_string()).unwrap();
        home.sh(&format!(
            "echo '{{\"imageLayoutVersion\":\"1.0.0\"}}' >oci/oci-layout; chown -R {USER}:{USER} ."
        ));
        Some(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn blob(&self, media_type: &str, file: &str) -> Value {
        let digest = &self.sh(&format!("sha256sum {file}"))[..64];
        self.sh(&format!("cp {file} oci/blobs/sha256/{digest}"));
        let size = self.path(file).metadata().unwrap().len();
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    }

    fn json(&self, media_type: &str, value: &Value) -> Value {
        fs::write(self.path("json"), value.to_string()).unwrap();
        self.blob(media_type, "json")
    }

    fn run(&self, ranges: &str, words: &[&str]) -> Output {
        let file = |name: &str, text: &str| {
            fs::write(self.path(name), text).unwrap();
            format!("mount --bind {0}/{name} /etc/{name}", self.0.path().display())
        };
        let passwd =
            fs::read_to_string("/etc/passwd").unwrap() + &format!("tester:x:{USER}:{USER}::/:/bin/sh\n");
        let mounts = [file("passwd", &passwd), file("subuid", ranges), file("subgid", ranges)].join(" && ");
        let script = format!(
            "{mounts} && exec setpriv --reuid {USER} --regid {USER} --clear-groups ./forgeone-image \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.0.path());
        command.current_dir(self.0.path()).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(&format!("tester:{RANGE}:1000\n"), words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const DATA: &str = ".local/share/forgeone";

#[test]
fn images_of_a_user_have_files_of_every_owner_and_go_away() {
    let Some(home) = Home::new() else { return };
    assert_eq!(home.ok(&["load", "oci"]), "Loaded image: docker.io/library/web:1\n");
    home.sh(&format!("mkdir -p {DATA}/containers/c && chown -R {USER}:{USER} {DATA}/containers"));
    let (data, container) = (DATA.to_owned(), format!("{DATA}/containers/c"));
    home.ok(&["rootfs", "--data-root", &data, "--container", &container, "web:1"]);
    let answer = fs::read(home.path(&container).join("image.json")).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let layers: Vec<PathBuf> = serde_json::from_value(answer["base"]["layers"].clone()).unwrap();
    let owner = |path: PathBuf| {
        let found = path.symlink_metadata().unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!(owner(layers[1].join("etc/root")), (USER, USER));
    assert_eq!(owner(layers[1].join("etc/other")), (RANGE + 4, RANGE + 5));
    // In the form that overlayfs takes without root.
    let said = home
        .sh(&format!("getfattr -m- -d {0}/hidden; stat -c '%F %t %T' {0}/etc/other", layers[0].display()));
    assert!(
        said.contains("user.overlay.opaque=\"y\"") && said.ends_with("character special file 0 0\n"),
        "{said}"
    );
    // So can a container's directory go, whoever its files belong to.
    home.sh(&format!(
        "cd {container} && mkdir -p upper/etc && touch upper/etc/file && chown -R {RANGE}:{RANGE} upper && chmod 0 upper/etc"
    ));
    home.ok(&["discard", &container]);
    assert!(!home.path(&container).exists());
    assert_eq!(home.ok(&["rmi", "web:1"]), "Untagged: docker.io/library/web:1\n");
    assert_eq!(home.sh(&format!("ls {DATA}/images/layers {DATA}/images/tmp | grep -v : | wc -w")), "0\n");
}

#[test]
fn without_ranges_it_is_said_what_is_missing() {
    let Some(home) = Home::new() else { return };
    let output = home.run("", &["load", "oci"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("layer: entry \"./") && error.contains("and there is no such id"), "{error}");
    assert!(error.contains("/etc/subuid and /etc/subgid"), "{error}");
    assert_eq!(home.sh(&format!("ls {DATA}/images/layers {DATA}/images/tmp | grep -v : | wc -w")), "0\n");
}
