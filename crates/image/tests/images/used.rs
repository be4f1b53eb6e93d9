//! What containers are made of stays; what is damaged is found, and mended where that is possible.

use crate::place::Place;
use serde_json::json;
use std::fs;
use testkit::eventually;

/// Makes the directory of a container of the store's one image.
fn container(place: &Place) {
    let digest = place.sh("grep -o '\"digest\":\"[^\"]*' data/images/index.json | cut -d'\"' -f4");
    let layers = place.sh("ls -d \"$PWD\"/data/images/layers/*/root");
    let directory = place.path("data/containers").join("0".repeat(64));
    fs::create_dir_all(&directory).unwrap();
    let image = json!({ "image": { "name": "docker.io/library/web:1", "digest": digest.trim(), "id": digest.trim() },
        "config": null, "base": { "layers": layers.lines().collect::<Vec<_>>() }, "driver": "overlay" });
    fs::write(directory.join("image.json"), image.to_string()).unwrap();
    fs::write(directory.join("container.json"), r#"{"name": "shop"}"#).unwrap();
}

#[test]
fn an_image_that_a_container_is_made_of_keeps_its_layers() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    container(&place);
    let stored = place.stored();
    assert_eq!(
        place.fails(&["rmi", "web:1"]),
        "rmi: docker.io/library/web:1 is used by the container shop; remove that first, or --force takes the name alone"
    );
    place.ok(&["tag", "web:1", "other"]);
    assert_eq!(place.ok(&["rmi", "web:1"]), "Untagged: docker.io/library/web:1\n");
    assert_eq!(place.ok(&["image", "prune", "--all"]), "Total reclaimed space: 0B\n");
    assert_eq!(place.ok(&["rmi", "--force", "other"]), "Untagged: docker.io/library/other:latest\n");
    assert_eq!((place.names(), place.stored()), (vec![], stored.clone()));
    place.ok(&["image", "prune", "--all"]);
    assert_eq!(place.stored(), stored);
    // Whatever the record is, nothing is removed that may be needed.
    let record = place.path("data/containers").join("0".repeat(64)).join("image.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, "{").unwrap();
    let error = place.fails(&["image", "prune"]);
    assert!(error.contains("remove this container, whose image isn't known"), "{error}");
    assert_eq!(place.stored(), stored);
    fs::write(&record, whole).unwrap();
    place.sh("rm -r data/containers");
    let freed = place.ok(&["image", "prune"]);
    assert!(freed.starts_with("Total reclaimed space: ") && !freed.contains(" 0B"), "{freed}");
    assert_eq!(place.stored(), ["index.json", "oci-layout"]);
}

#[test]
fn prune_removes_images_without_a_name_and_what_is_left_of_pulls() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    let mut manifest = place.manifest();
    manifest.as_object_mut().unwrap().remove("annotations");
    place.sh("rm -rf data");
    place.index(&json!([manifest]));
    let digest = place.ok(&["load", "oci"]).trim().trim_start_matches("Loaded image: ").to_owned();
    place.sh("echo begun >data/images/pulls/$(printf '%064d' 1).part");
    let pruned = place.ok(&["image", "prune"]);
    assert!(pruned.starts_with(&format!("Deleted: {digest}\nTotal reclaimed space: ")), "{pruned}");
    assert_eq!(place.stored(), ["index.json", "oci-layout"]);
}

#[test]
fn what_is_damaged_is_named_and_mended_or_removed() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    let stored = place.stored();
    assert_eq!(place.ok(&["fsck"]), "4 blobs and 2 layers read, 0 damaged\n");
    let damaged = |words: &[&str]| {
        let output = place.output(words, std::process::Stdio::null());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    // A layer that has lost a file is unpacked again.
    place.sh("rm data/images/layers/*/root/etc/file");
    let (status, told) = damaged(&["fsck"]);
    assert!(status == Some(1) && told.contains("(its blob is whole): has files of 5 bytes, not 9"), "{told}");
    assert_eq!(damaged(&["fsck", "--repair"]).0, Some(0));
    assert_eq!((damaged(&["fsck"]).0, place.stored()), (Some(0), stored));
    // A blob can only be fetched again.
    let (digest, layer) = (place.sha("one.tar.gz"), place.sha("two.tar"));
    place
        .sh(&format!("printf x | dd of=data/images/blobs/sha256/{} conv=notrunc bs=1 seek=30", &digest[7..]));
    let (status, told) = damaged(&["fsck"]);
    let expected = format!("blob {digest}: has the digest sha256:");
    assert!(status == Some(1) && told.starts_with(&expected), "{told}");
    assert!(told.contains("docker.io/library/web:1: not whole; pull or load it again\n"), "{told}");
    assert_eq!(damaged(&["fsck", "--repair"]).0, Some(0));
    assert_eq!(
        (place.names(), place.stored()),
        (vec![], vec!["index.json".to_owned(), "oci-layout".to_owned()])
    );
    place.ok(&["load", "oci"]);
    place.sh(&format!("rm data/images/blobs/sha256/{}", &layer[7..]));
    let (status, told) = damaged(&["fsck"]);
    assert!(status == Some(1) && told.starts_with(&format!("blob {layer}: is not there\n")), "{told}");
}

#[test]
fn a_collector_waits_for_who_makes_something() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    let lock = fs::File::options().write(true).open(place.path("data/images/lock")).unwrap();
    lock.lock_shared().unwrap();
    let mut pruning = place.command(&["image", "prune", "-a"]).spawn().unwrap();
    let pid = pruning.id();
    eventually("it waits for the lock", || {
        fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(|line| line.contains("->") && line.contains(&format!(" {pid} ")))
    });
    assert_eq!(place.stored().iter().filter(|file| file.starts_with("blobs")).count(), 4);
    lock.unlock().unwrap();
    assert!(pruning.wait().unwrap().success());
    assert_eq!(place.stored(), ["index.json", "oci-layout"]);
}
