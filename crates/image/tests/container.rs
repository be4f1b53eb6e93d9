//! `diff`, `commit`, `export` and `cp` of a container, as other programs ask for them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use testkit::{Temp, privileged};

/// A data root with a container that was made from an image and has run.
struct Place(Temp);

impl Place {
    fn new() -> Option<Self> {
        if !privileged::machine_root() || !privileged::program("setfattr", "attr") {
            return None;
        }
        let place = Self(Temp::new("container"));
        place.sh("mkdir -p tree/etc tree/gone tree/replaced tree/out data/containers/c/rootfs
            echo old >tree/etc/file; echo kept >tree/etc/kept; : >tree/gone/x; : >tree/replaced/x
            tar -C tree -cf tree.tar .");
        let id =
            place.ok(&["import", "tree.tar", "web:1", "--change", "CMD [\"sh\"]", "--change", "ENV A=1"]);
        assert!(id.starts_with("sha256:"), "{id}");
        place.ok(&["rootfs", "--container", "data/containers/c", "web:1"]);
        let answer = place.json("data/containers/c/image.json");
        let upper = json!({ "directory": place.path("data/containers/c") });
        place.record(
            &json!({ "image": answer["image"], "rootfs": { "base": answer["base"], "upper": upper } }),
        );
        place.mounted(
            "mkdir new; echo new >new/file; ln new/file new/second; chown 5:6 new/file; setfattr -n user.note -v words new/file
            echo changed >etc/file; rm -r gone; rm -r replaced; mkdir replaced; : >replaced/y; mkfifo new/fifo; ln -s /etc/kept new/link",
        );
        Some(place)
    }

    fn record(&self, record: &Value) {
        fs::write(self.path("data/containers/c/container.json"), record.to_string()).unwrap();
    }

    /// Does something in the container's files, as the container itself would.
    fn mounted(&self, script: &str) {
        let layer =
            self.json("data/containers/c/image.json")["base"]["layers"][0].as_str().unwrap().to_owned();
        self.sh(&format!(
            "cd data/containers/c; mkdir -p upper work; unshare -m --propagation private sh -euc '
            mount -t overlay overlay -o lowerdir={layer},upperdir=upper,workdir=work rootfs; cd rootfs; {script}'"
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn output(&self, words: &[&str], input: Stdio) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
        command.args(words).args(["--data-root", "data"]).current_dir(self.0.path());
        command.stdin(input).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words, Stdio::null());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{words:?}");
        assert_eq!(testkit::temp::mounts_below(self.0.path()), [""; 0]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command for the container.
    fn container(&self, words: &[&str]) -> String {
        self.ok(&[&words[..1], &["--container", "data/containers/c"], &words[1..]].concat())
    }

    fn fails(&self, words: &[&str]) -> String {
        let words = [&words[..1], &["--container", "data/containers/c"], &words[1..]].concat();
        let output = self.output(&words, Stdio::null());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{words:?}: {error}");
        error.trim().strip_prefix("forgeone: ").unwrap().to_owned()
    }
}

#[test]
fn diff_tells_what_was_added_changed_and_removed() {
    let Some(place) = Place::new() else { return };
    let expected = "C /etc\nC /etc/file\nD /gone\nA /new\nA /new/fifo\nA /new/file\nA /new/link\nA /new/second\n\
        C /replaced\nD /replaced/x\nA /replaced/y\n";
    assert_eq!(place.container(&["diff"]), expected);
    let tree = place.path("tree");
    place.record(&json!({ "rootfs": { "base": { "directory": tree }, "upper": null } }));
    assert!(place.fails(&["diff"]).starts_with("what it changes isn't kept apart from what it began with"));
}

#[test]
fn an_image_that_was_committed_is_what_the_container_has() {
    let Some(place) = Place::new() else { return };
    let id = place.container(&[
        "commit",
        "web:2",
        "--change",
        "ENV A=2",
        "--change",
        "LABEL a=b",
        "--author",
        "me",
    ]);
    place.sh("mkdir data/containers/d");
    place.ok(&["rootfs", "--container", "data/containers/d", "web:2"]);
    let answer = place.json("data/containers/d/image.json");
    assert_eq!(answer["image"]["id"].as_str().unwrap(), id.trim());
    assert_eq!(answer["config"], json!({ "Cmd": ["sh"], "Env": ["A=2"], "Labels": { "a": "b" } }));
    let layers: Vec<String> = serde_json::from_value(answer["base"]["layers"].clone()).unwrap();
    assert_eq!(layers.len(), 2);
    // The same tree as the container's, by both ways out of the store.
    place.mounted("tar --sort=name --xattrs -cf ../../../../container.tar .");
    place.sh(&format!(
        "unshare -m --propagation private sh -euc 'mkdir m; mount -t overlay overlay -o lowerdir={} m
        tar -C m --sort=name --xattrs -cf image.tar .'; mkdir a b; tar --xattrs -C a -xf container.tar; tar --xattrs -C b -xf image.tar",
        layers.join(":")
    ));
    let list = |tree: &str| {
        place.sh(&format!("cd {tree}; find . -printf '%P %M %U:%G %s %l %n %T@\\n' | sort; getfattr -hdR -m user . ; cat etc/file"))
    };
    assert_eq!(list("a"), list("b"));
    assert!(list("b").contains("user.note=\"words\"") && !list("b").contains("gone"), "{}", list("b"));
    let said = place.fails(&["commit", "--change", "RUN x"]);
    assert!(said.starts_with("option --change \"RUN x\": CMD, ENTRYPOINT, "), "{said}");
    assert!(place.fails(&["commit", "Bad Name"]).starts_with("name \"Bad Name\": "));
    // What has no image becomes one whole.
    let tree = place.path("tree");
    place.record(&json!({ "rootfs": { "base": { "directory": tree }, "upper": null } }));
    place.container(&["commit", "whole"]);
    place.ok(&["rootfs", "--container", "data/containers/d", "whole"]);
    let layer = place.json("data/containers/d/image.json")["base"]["layers"][0].as_str().unwrap().to_owned();
    assert_eq!(place.sh(&format!("diff -r tree {layer}")), "");
}

#[test]
fn what_is_exported_is_imported_again() {
    let Some(place) = Place::new() else { return };
    place.container(&["export", "-o", "all.tar"]);
    let listed = place.sh("tar -tf all.tar | sort");
    for (name, there) in [("new/file", true), ("etc/kept", true), ("gone/", false), ("replaced/x", false)] {
        assert_eq!(listed.lines().any(|line| line == name), there, "{name}: {listed}");
    }
    let mut words = vec!["zstd -k", "xz -k", "gzip -k"];
    words.retain(|word| privileged::program(word.split(' ').next().unwrap(), "its own"));
    words.iter().for_each(|word| drop(place.sh(&format!("{word} all.tar"))));
    let plain = place.ok(&["import", "all.tar", "again"]);
    assert!(plain.starts_with("sha256:"));
    for file in ["all.tar.zst", "all.tar.xz", "all.tar.gz"].iter().filter(|file| place.path(file).exists()) {
        place.ok(&["import", file, "again"]);
        place.sh("rm -rf again; mkdir -p again");
        if privileged::program("umoci", "umoci") && privileged::program("skopeo", "skopeo") {
            place.sh("skopeo copy -q oci:data/images:docker.io/library/again:latest oci:l:again && umoci unpack --image l:again again/b && rm -r l");
            assert_eq!(place.sh("cat again/b/rootfs/new/file"), "new\n", "{file}");
        }
    }
    place.sh("head -c 2000 all.tar >half.tar");
    let output = place.output(&["import", "half.tar"], Stdio::null());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("forgeone: import: half.tar: layer: "));
}

#[test]
fn files_are_copied_in_and_out_and_nowhere_else() {
    let Some(place) = Place::new() else { return };
    let inside = |path: &str| fs::read_to_string(place.path("data/containers/c/upper").join(path)).unwrap();
    place.container(&["copy-out", "/new/file", "out"]);
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "new\n");
    assert_eq!(
        (fs::metadata(place.path("out")).unwrap().uid(), place.sh("getfattr -d out").contains("words")),
        (0, true)
    );
    place.container(&["copy-out", "--archive", "new", "."]);
    assert_eq!(fs::metadata(place.path("new/file")).unwrap().uid(), 5);
    assert_eq!(fs::metadata(place.path("new/second")).unwrap().nlink(), 2);
    // A last link is copied, and not what the host has in that place.
    assert_eq!(fs::read_link(place.path("new/link")).unwrap(), PathBuf::from("/etc/kept"));
    let output =
        place.output(&["copy-out", "--container", "data/containers/c", "/new/.", "-"], Stdio::null());
    fs::write(place.path("stream.tar"), output.stdout).unwrap();
    assert_eq!(place.sh("tar -tf stream.tar | sort | head -3"), "./\nfifo\nfile\n");
    fs::write(place.path("words"), "inside").unwrap();
    place.container(&["copy-in", "words", "/etc/file"]);
    place.container(&["copy-in", "words", "etc"]);
    assert_eq!((inside("etc/file"), inside("etc/words")), ("inside".into(), "inside".into()));
    place.container(&["copy-in", "new/.", "/copied"]);
    assert_eq!(inside("copied/file"), "new\n");
    let input = Stdio::from(fs::File::open(place.path("stream.tar")).unwrap());
    let output = place.output(&["copy-in", "--container", "data/containers/c", "-", "/etc"], input);
    assert_eq!((output.status.code(), inside("etc/second").as_str()), (Some(0), "new\n"));
    assert!(place.fails(&["copy-out", "/none", "."]).starts_with("/none: ENOENT"));
    assert!(place.fails(&["copy-in", "words", "/none/x"]).starts_with("/none/x: ENOENT"));
    assert_eq!(place.fails(&["copy-in", "words", "/none/"]), "/none/: there is no such directory");
    assert_eq!(
        place.fails(&["copy-in", "words", "/etc/new/fifo/x"]).split(':').next(),
        Some("/etc/new/fifo/x")
    );
    assert!(
        place
            .fails(&["copy-in", "tree", "/etc/file"])
            .contains("it is a directory, and what is there is none")
    );
}

/// Each of these would read or write the host if a link of the container were followed as it stands.
#[test]
fn links_of_a_container_lead_nowhere_but_into_it() {
    let Some(place) = Place::new() else { return };
    let host = Temp::new("host");
    fs::write(host.path().join("secret"), "secret").unwrap();
    let path = host.path().display();
    place.mounted(&format!(
        "ln -s {path} absolute; ln -s ../../../../../../../..{path} up; ln -s {path}/secret file; ln -s /proc/self/cwd cwd
        mkdir -p dir; ln -s {path}/secret dir/words; ln -s {path} dir/sub"
    ));
    fs::write(place.path("words"), "inside").unwrap();
    place.sh("mkdir -p dir/sub; echo inside >dir/words; echo inside >dir/sub/secret");
    for to in ["/absolute/secret", "/up/secret", "/absolute", "/up"] {
        let _ = place.output(&["copy-in", "--container", "data/containers/c", "words", to], Stdio::null());
        let _ = place.output(&["copy-in", "--container", "data/containers/c", "dir/.", to], Stdio::null());
    }
    for (from, to) in [("words", "/file"), ("dir/.", "/dir"), ("words", "/cwd/words")] {
        let _ = place.output(&["copy-in", "--container", "data/containers/c", from, to], Stdio::null());
    }
    assert_eq!(fs::read_to_string(host.path().join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 1);
    for from in ["/absolute/secret", "/up/secret", "/dir/sub/secret", "/cwd/words"] {
        let _ =
            place.output(&["copy-out", "--container", "data/containers/c", from, "stolen"], Stdio::null());
        let stolen = fs::read_to_string(place.path("stolen")).unwrap_or_default();
        assert!(!stolen.contains("secret"), "{from}");
        let _ = fs::remove_file(place.path("stolen"));
    }
}
