//! A directory with an image and a store in it.

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use testkit::{Temp, privileged};

/// A directory in which there is an OCI image layout, and a data root.
pub(crate) struct Place(pub(crate) Temp);

impl Place {
    /// With an image `web:1` of two layers, whose second removes a file of the first; nothing without what that takes.
    pub(crate) fn new() -> Option<Self> {
        if !privileged::machine_root() || !privileged::program("getfattr", "attr") {
            return None;
        }
        let place = Self(Temp::new("images"));
        place.sh(
            "mkdir -p one/etc two/etc; echo one >one/etc/file; echo gone >one/etc/gone; chown 5:6 one/etc/file
            setfattr -n user.note -v words one/etc/file; : >two/etc/.wh.gone; echo two >two/etc/two
            tar -C one --xattrs --xattrs-include='*' --format=pax -cf one.tar . && tar -C two -cf two.tar .
            mkdir -p oci/blobs/sha256 && echo '{\"imageLayoutVersion\":\"1.0.0\"}' >oci/oci-layout",
        );
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": "2024-01-02T03:04:05Z",
            "rootfs": { "type": "layers", "diff_ids": [place.sha("one.tar"), place.sha("two.tar")] },
        });
        place.sh("gzip -kn one.tar");
        let layers = [
            place.blob("application/vnd.oci.image.layer.v1.tar+gzip", "one.tar.gz"),
            place.blob("application/vnd.oci.image.layer.v1.tar", "two.tar"),
        ];
        place.image(&config, &json!(layers));
        Some(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn sha(&self, file: &str) -> String {
        format!("sha256:{}", &self.sh(&format!("sha256sum {file}"))[..64])
    }

    /// Puts a file among the blobs; its descriptor.
    pub(crate) fn blob(&self, media_type: &str, file: &str) -> Value {
        let digest = self.sha(file);
        self.sh(&format!("cp {file} oci/blobs/sha256/{}", &digest[7..]));
        json!({ "mediaType": media_type, "digest": digest, "size": self.path(file).metadata().unwrap().len() })
    }

    pub(crate) fn json(&self, media_type: &str, value: &Value) -> Value {
        fs::write(self.path("json"), value.to_string()).unwrap();
        self.blob(media_type, "json")
    }

    /// Makes the layout's index name an image.
    pub(crate) fn image(&self, config: &Value, layers: &Value) {
        let config = self.json("application/vnd.oci.image.config.v1+json", config);
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let mut manifest = self.json(MANIFEST, &manifest);
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "docker.io/library/web:1" });
        self.index(&json!([manifest]));
    }

    pub(crate) fn index(&self, manifests: &Value) {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.path("oci/index.json"), index.to_string()).unwrap();
    }

    pub(crate) fn manifest(&self) -> Value {
        let index: Value = serde_json::from_slice(&fs::read(self.path("oci/index.json")).unwrap()).unwrap();
        index["manifests"][0].clone()
    }

    /// The program with these words, in this directory, with nothing of this machine's configuration.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.command_alone(words);
        command.args(["--data-root", "data"]);
        command
    }

    /// The same for a command that needs no store.
    pub(crate) fn command_alone(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
        command.args(words).current_dir(self.0.path());
        let none = self.path("registries.conf");
        command.env("CONTAINERS_REGISTRIES_CONF", none).env("REGISTRY_AUTH_FILE", self.path("auth.json"));
        command
    }

    pub(crate) fn output(&self, words: &[&str], input: Stdio) -> Output {
        self.command(words).stdin(input).output().unwrap()
    }

    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words, Stdio::null());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that fails says, without the program's name.
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let output = self.output(words, Stdio::null());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(1), &b""[..]),
            "{words:?}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        error.trim().strip_prefix("forgeone: ").unwrap().to_owned()
    }

    /// The files of the store, without those that lock it.
    pub(crate) fn stored(&self) -> Vec<String> {
        let found = self.sh("find data/images -type f ! -name '*lock' -printf '%P\\n' | sort");
        found.lines().map(str::to_owned).collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let images: Value = serde_json::from_str(&self.ok(&["images", "--format", "json"])).unwrap();
        let name = |image: &Value| {
            format!("{}:{}", image["Repository"].as_str().unwrap(), image["Tag"].as_str().unwrap())
        };
        images.as_array().unwrap().iter().map(name).collect()
    }
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const LOADED: &str = "Loaded image: docker.io/library/web:1\n";

pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
