//! `forgeone-image rootfs`: what a container is made from, whatever it comes as.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use testkit::{Registry, Temp, privileged};

/// A directory with an image, a root file system, and the directory of a container in a data root.
struct Place(Temp);

impl Place {
    fn new() -> Option<Self> {
        if !privileged::machine_root() {
            return None;
        }
        let place = Self(Temp::new("made-from"));
        place.sh(
            "mkdir -p data/containers/c tree/etc && echo words >tree/etc/file && tar -C tree -cf tree.tar .",
        );
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a layout with images of one layer, the tree, under these names.
    fn layout(&self, names: &[&str]) {
        let digest = format!("sha256:{}", &self.sh("sha256sum tree.tar")[..64]);
        let mut manifests = Vec::new();
        for name in names {
            let config = json!({
                "architecture": self.sh("uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/'").trim(), "os": "linux",
                "config": { "Cmd": ["/bin/sh"], "Env": ["NAME=".to_owned() + name] },
                "rootfs": { "type": "layers", "diff_ids": [digest, digest] },
            });
            let layer = self.blob("application/vnd.oci.image.layer.v1.tar", "tree.tar");
            let config = self.json("application/vnd.oci.image.config.v1+json", &config);
            let layers = [layer.clone(), layer];
            let manifest =
                json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
            let mut manifest = self.json(MANIFEST, &manifest);
            manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
            manifests.push(manifest);
        }
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.path("oci/index.json"), index.to_string()).unwrap();
        self.sh("echo '{\"imageLayoutVersion\":\"1.0.0\"}' >oci/oci-layout");
    }

    fn blob(&self, media_type: &str, file: &str) -> Value {
        let digest = &self.sh(&format!("sha256sum {file}"))[..64];
        self.sh(&format!("mkdir -p oci/blobs/sha256 && cp {file} oci/blobs/sha256/{digest}"));
        let size = self.path(file).metadata().unwrap().len();
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    }

    fn json(&self, media_type: &str, value: &Value) -> Value {
        fs::write(self.path("json"), value.to_string()).unwrap();
        self.blob(media_type, "json")
    }

    fn output(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
        command.args(words).args(["--data-root", "data"]).current_dir(self.0.path()).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a container is made from.
    fn answer(&self, words: &[&str]) -> Value {
        let _ = fs::remove_file(self.path("data/containers/c/image.json"));
        self.ok(&[&["rootfs", "--container", "data/containers/c"], words].concat());
        serde_json::from_slice(&fs::read(self.path("data/containers/c/image.json")).unwrap()).unwrap()
    }

    /// What is said of what nothing can be made from; nothing stays of it.
    fn fails(&self, words: &[&str]) -> String {
        let _ = fs::remove_file(self.path("data/containers/c/image.json"));
        let output = self.output(&[&["rootfs", "--container", "data/containers/c"], words].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(125), 1), "{words:?}: {error}");
        assert_eq!(self.sh("ls data/containers/c data/images/tmp | grep -v : | wc -w"), "0\n");
        error.trim().strip_prefix("forgeone: ").unwrap().to_owned()
    }

    /// The layers of an answer, all of which are there.
    fn layers(&self, answer: &Value) -> Vec<String> {
        let layers: Vec<String> = serde_json::from_value(answer["base"]["layers"].clone()).unwrap();
        assert!(layers.iter().all(|layer| layer.starts_with('/')), "{layers:?}");
        let top = format!("{}/etc/file", layers[0]);
        assert_eq!(fs::read_to_string(top).unwrap(), "words\n");
        layers
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn an_image_is_taken_from_the_store_a_layout_and_archives() {
    let Some(place) = Place::new() else { return };
    place.layout(&["docker.io/library/web:1", "docker.io/library/other:2"]);
    place.sh("tar -C oci -cf oci.tar . && gzip -k oci.tar");
    place.ok(&["load", "oci"]);
    let web = place.answer(&["web:1"]);
    assert_eq!(web["config"], json!({ "Cmd": ["/bin/sh"], "Env": ["NAME=docker.io/library/web:1"] }));
    assert_eq!(
        (&web["driver"], &web["image"]["name"]),
        (&json!("overlay"), &json!("docker.io/library/web:1"))
    );
    // overlayfs takes no layer twice.
    assert_eq!(place.layers(&web).len(), 1);
    for words in [
        &["oci:oci:1"][..],
        &["oci:oci:web:1"],
        &["oci-archive:oci.tar:1"],
        &["oci-archive:oci.tar.gz:web:1"],
    ] {
        assert_eq!(place.answer(words), web, "{words:?}");
    }
    for word in ["./oci", "./oci.tar.gz"] {
        let said = place.fails(&[word]);
        assert!(
            said.starts_with(&format!("{word}: it has several images; name one of docker.io/")),
            "{said}"
        );
    }
    let said = place.fails(&["oci:oci:3"]);
    assert_eq!(said, "oci: it has no image \"3\", only docker.io/library/web:1, docker.io/library/other:2");
    place.layout(&["docker.io/library/web:1"]);
    assert_eq!(place.answer(&["./oci"]), web);
    assert_eq!(place.fails(&["--pull", "never", "wbe:1"]), "no image \"wbe:1\"; did you mean \"web\"?");
}

#[test]
fn what_a_container_is_made_from_stays_until_it_is_gone() {
    let Some(place) = Place::new() else { return };
    place.layout(&["docker.io/library/web:1"]);
    place.ok(&["load", "oci"]);
    let before = place.sh("ls data/images/layers data/images/blobs/sha256");
    let layers = place.layers(&place.answer(&["web:1"]));
    place.ok(&["rmi", "--force", "web:1"]);
    assert_eq!(place.sh("ls data/images/layers data/images/blobs/sha256"), before);
    assert_eq!(place.ok(&["images", "-q"]), "");
    // A tar's layer has no image at all.
    place.sh("echo more >tree/more && tar -C tree -cf more.tar . && mkdir data/containers/d");
    place.ok(&["rootfs", "--container", "data/containers/d", "./more.tar"]);
    place.sh("rm -r data/containers/c");
    place.ok(&["load", "oci"]);
    place.ok(&["rmi", "--force", "web:1"]);
    assert!(!fs::exists(&layers[0]).unwrap());
    assert_eq!(place.sh("cat data/images/layers/*/root/more; ls data/images/archives | wc -l"), "more\n1\n");
    place.sh("echo damaged >data/containers/d/image.json");
    place.ok(&["load", "oci"]);
    let output = place.output(&["rmi", "web:1"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("data/containers/d/image.json: "));
    place.sh("rm -r data/containers/d");
    place.ok(&["load", "oci"]);
    place.ok(&["rmi", "--force", "web:1"]);
    assert_eq!(place.sh("ls data/images/layers data/images/archives | grep -v : | wc -w"), "0\n");
}

#[test]
fn a_root_file_system_is_a_directory_a_tar_or_a_disk() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.answer(&["./tree"])["base"], json!({ "directory": place.text("tree") }));
    assert_eq!(
        place.answer(&["--type", "directory", "tree"])["base"],
        json!({ "directory": place.text("tree") })
    );
    place.sh("gzip -k tree.tar; mv tree.tar.gz 1; for c in xz bzip2 zstd; do ! command -v $c || $c -k <tree.tar >$c.tar; done");
    let layers = place.layers(&place.answer(&["./tree.tar"]));
    let changed = |layers: &[String]| place.sh(&format!("stat -c %z {}/../size", layers[0]));
    let when = changed(&layers);
    for file in ["1", "xz.tar", "bzip2.tar", "zstd.tar", "tree.tar"] {
        if place.path(file).exists() {
            let answer = place.answer(&["--type", "archive", file]);
            assert_eq!((answer["image"].is_null(), place.layers(&answer)), (true, layers.clone()), "{file}");
        }
    }
    // The same archive isn't unpacked again.
    assert_eq!(changed(&layers), when);
    place.sh("truncate -s 1M noise && head -c 4096 /dev/urandom >>noise; head -c 1539 tree.tar >half.tar");
    let said = place.fails(&["./noise"]);
    assert!(said.starts_with("./noise: it is no tar archive, has no partition table"), "{said}");
    let said = place.fails(&["--type", "archive", "noise"]);
    assert_eq!(said, "noise: it has no entries, so there is nothing to run");
    assert!(place.fails(&["./half.tar"]).starts_with("./half.tar: layer: "));
    assert_eq!(place.fails(&["--type", "directory", "tree.tar"]), "tree.tar is no directory");
    assert!(place.fails(&["./none"]).starts_with("./none: "));
    assert!(place.fails(&["--type", "other", "tree"]).starts_with("option --type is image or directory or "));
    if privileged::program("mkfs.ext4", "e2fsprogs") {
        place.sh("mkfs.ext4 -q -F -d tree disk 8M && chmod 444 disk");
        let disk = place.answer(&["./disk"])["base"]["disk"].clone();
        let expected = json!({ "file": place.text("disk"), "offset": 0, "size": null, "filesystem": "ext4", "read_only": true });
        assert_eq!(disk, expected);
        place.sh("chmod 644 disk");
        assert_eq!(place.answer(&["./disk"])["base"]["disk"]["read_only"], json!(false));
    }
}

#[test]
fn an_image_is_pulled_when_it_is_asked_for() {
    let Some(place) = Place::new() else { return };
    let Some(registry) = Registry::plain() else { return };
    if !privileged::program("skopeo", "skopeo") {
        return;
    }
    let name = format!("{}/team/web:1", registry.host());
    let push = |tag: &str| {
        place.layout(&["docker.io/library/web:1"]);
        place.sh(&format!(
            "skopeo copy -q --dest-tls-verify=false oci:oci:docker.io/library/web:1 docker://{name}"
        ));
        place.sh(&format!("rm -r oci; echo {tag}"));
    };
    push("first");
    assert_eq!(
        place.fails(&["--pull", "never", &name]),
        format!("no image \"{name}\"; 'forgeone images' lists what there is")
    );
    let first = place.answer(&[&name]);
    assert_eq!((place.layers(&first).len(), &first["image"]["name"]), (1, &json!(name)));
    place.sh("echo more >tree/more && tar -C tree -cf tree.tar .");
    push("second");
    // What there is is taken, unless it is to be looked for.
    assert_eq!(place.answer(&[&name]), first);
    let second = place.answer(&["--pull", "always", &name]);
    assert_ne!(second["image"]["digest"], first["image"]["digest"]);
    assert_eq!(place.answer(&["--pull", "never", &name]), second);
    let said = place.fails(&["--platform", "linux/mips", &name]);
    assert!(said.contains("it is for linux/") && said.ends_with("not linux/mips"), "{said}");
    // The closest name is told as well as why it couldn't be pulled.
    let wrong = format!("{}/team/wbe:1", registry.host());
    let said = place.fails(&[&wrong]);
    assert!(
        said.starts_with(&format!("no image \"{wrong}\"; did you mean ")) && said.contains("(pull "),
        "{said}"
    );
}
