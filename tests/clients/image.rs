//! An image of busybox, made here: as a tar for `import`, and as an archive in the OCI image layout.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::Bundle;

/// The name of the image, as all clients write it.
pub(crate) const NAME: &str = "localhost/bb:latest";

/// Puts the root file system into `dir`, which has to exist, as a tar.
pub(crate) fn tar(dir: &Path) -> PathBuf {
    let bundle = Bundle::busybox();
    let file = dir.join("bb.tar");
    pack(&bundle.rootfs(), &file);
    file
}

/// The same as an OCI image layout in a tar. Its program sleeps: it is the pause image of pods, too.
pub(crate) fn oci_archive(dir: &Path) -> PathBuf {
    let layout = dir.join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let rootfs = fs::read(tar(dir)).unwrap();
    let layer = blob(&layout, "application/vnd.oci.image.layer.v1.tar", &rootfs);
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["sleep", "1000"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = blob(&layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer] });
    let mut manifest = blob(&layout, manifest_type, manifest.to_string().as_bytes());
    manifest["annotations"] =
        json!({ "io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    let archive = dir.join("bb.oci");
    pack(&layout, &archive);
    archive
}

/// Writes a blob; gives its descriptor.
fn blob(layout: &Path, media_type: &str, content: &[u8]) -> Value {
    let file = layout.join("blob");
    fs::write(&file, content).unwrap();
    let sum = Command::new("sha256sum").arg(&file).output().unwrap();
    let digest = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    fs::rename(&file, layout.join("blobs/sha256").join(&digest)).unwrap();
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len() })
}

fn pack(directory: &Path, file: &Path) {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(directory).args(["--numeric-owner", "-cf"]).arg(file).arg(".");
    assert!(tar.status().unwrap().success());
}
