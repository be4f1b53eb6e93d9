//! `save`, `image inspect`, `image history`: what is told and given of images.

use crate::place::Place;
use serde_json::{Value, json};
use testkit::privileged;

#[test]
fn what_is_saved_is_loaded_again_here_and_elsewhere() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    place.ok(&["tag", "web:1", "other:2"]);
    let stored = place.stored();
    let id = place.ok(&["images", "-q"]);
    place.ok(&["save", "--format", "oci-archive", "-o", "saved-oci.tar", "web:1", "other:2"]);
    place.ok(&["save", "-o", "saved-docker.tar", "web:1", "other:2"]);
    assert_eq!(place.sh("ls | grep -c '^saved'"), "2\n");
    let layers = place.sh("tar xOf saved-docker.tar manifest.json");
    let saved: Value = serde_json::from_str(&layers).unwrap();
    assert_eq!(saved.as_array().unwrap().len(), 1, "{saved}");
    assert_eq!(saved[0]["RepoTags"], json!(["docker.io/library/web:1", "docker.io/library/other:2"]));
    // Layers in it are what the config says that they are.
    let layer = saved[0]["Layers"][0].as_str().unwrap();
    assert_eq!(
        place.sh(&format!("tar xOf saved-docker.tar {layer} | sha256sum")),
        format!("{}  -\n", &layer[..64])
    );
    if privileged::program("skopeo", "skopeo") {
        place.sh("skopeo copy -q docker-archive:saved-docker.tar:docker.io/library/web:1 oci:one:web");
        place.sh("skopeo copy -q oci-archive:saved-oci.tar:docker.io/library/other:2 oci:two:web");
    }
    for archive in ["saved-oci.tar", "saved-docker.tar"] {
        place.sh("rm -rf data");
        place.ok(&["load", archive]);
        assert_eq!(place.names(), ["docker.io/library/other:2", "docker.io/library/web:1"], "{archive}");
        assert_eq!(place.ok(&["images", "-q"]), id, "{archive}");
        if archive == "saved-oci.tar" {
            assert_eq!(place.stored(), stored);
        }
    }
    place.sh("cp saved-oci.tar before; for blob in data/images/blobs/sha256/*; do echo x >>$blob; done");
    let error = place.fails(&["save", "--format", "oci-archive", "-o", "saved-oci.tar", "web:1"]);
    assert!(error.contains("is damaged"), "{error}");
    assert_eq!(place.sh("cmp before saved-oci.tar; ls | grep -c '^saved'"), "2\n");
    assert_eq!(
        place.fails(&["save", "nobody"]),
        "save: no image \"nobody\"; 'forgeone images' lists what there is"
    );
}

#[test]
fn an_image_is_told_in_full() {
    let Some(place) = Place::new() else { return };
    let manifest = place.manifest();
    let layers = ["one.tar", "two.tar"].map(|file| place.sha(file));
    let config = json!({
        "architecture": crate::place::architecture(), "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": { "Env": ["A=b"], "Cmd": ["sh"], "Labels": { "a": "b" } },
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": [
            { "created": "2024-01-02T03:04:05Z", "created_by": "COPY one /\u{1b}[31m" },
            { "created_by": "ENV A=b", "empty_layer": true },
            { "created_by": "RUN something long enough that it does not fit into a column of the table", "comment": "why" },
        ],
    });
    let file = place.path("oci/blobs/sha256").join(&manifest["digest"].as_str().unwrap()[7..]);
    let content: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    place.image(&config, &content["layers"]);
    place.ok(&["load", "oci"]);
    place.ok(&["tag", "web:1", "localhost:5000/web:2"]);
    let told: Value = serde_json::from_str(&place.ok(&["image", "inspect", "web:1"])).unwrap();
    assert_eq!(told[0]["RepoTags"], json!(["docker.io/library/web:1", "localhost:5000/web:2"]));
    assert_eq!(told[0]["Config"]["Env"], json!(["A=b"]));
    assert_eq!(told[0]["RootFS"], json!({ "Type": "layers", "Layers": layers }));
    let digest = told[0]["Digest"].as_str().unwrap();
    assert_eq!(told[0]["RepoDigests"][1], format!("localhost:5000/web@{digest}"));
    let steps: Value = serde_json::from_str(&place.ok(&["image", "history", "-f", "json", "web:1"])).unwrap();
    let sizes: Vec<_> = steps.as_array().unwrap().iter().map(|step| step["Size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [4, 0, 9]);
    let table = place.ok(&["image", "history", "web:1"]);
    assert!(table.contains("RUN something long enough that it does not f…  4B    why\n"), "{table}");
    assert!(table.contains("COPY one / [31m") && !table.contains('\u{1b}'), "{table}");
    assert_eq!(place.fails(&["image", "nothing"]), "image: unknown command nothing");
}
