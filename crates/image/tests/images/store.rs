//! `load`, `images`, `tag`, `rmi`: what comes into the store and what doesn't.

use crate::place::{LOADED, Place};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use testkit::privileged;

#[test]
fn an_image_is_the_same_from_a_directory_an_archive_and_standard_input() {
    let Some(place) = Place::new() else { return };
    place.sh("tar -C oci -cf oci.tar . && zstd -q oci.tar && gzip -k oci.tar");
    let mut stored = Vec::new();
    for from in ["oci", "oci.tar", "oci.tar.zst", "-"] {
        let input = match from {
            "-" => Stdio::from(fs::File::open(place.path("oci.tar.gz")).unwrap()),
            _ => Stdio::null(),
        };
        let output = place.output(&["load", from], input);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), LOADED, "{from}: {:?}", output.stderr);
        stored.push(place.stored());
        // Once more changes nothing.
        place.ok(&["load", "-q", "-i", "oci"]);
        assert_eq!(place.stored(), stored[0]);
        let table = place.ok(&["images"]);
        assert!(table.starts_with("REPOSITORY             TAG  IMAGE ID      CREATED"), "{table}");
        assert!(table.contains("docker.io/library/web  1    "), "{table}");
        // Layers are what the image's builder had.
        let one = place.sh("find data/images/layers -path '*etc/file' | sed s,/etc/file,,");
        let one = one.trim();
        assert_eq!(place.sh(&format!("stat -c %u:%g {one}/etc/file")), "5:6\n");
        assert!(place.sh(&format!("getfattr -d {one}/etc/file")).contains("user.note=\"words\""));
        assert_eq!(place.sh(&format!("diff -r one {one}")), "");
        let gone = place.sh("stat -c '%F %t %T' data/images/layers/*/root/etc/gone | sort | head -1");
        assert_eq!(gone, "character special file 0 0\n");
        place.sh("rm -rf data");
    }
    assert!(stored.iter().all(|files| files == &stored[0]), "{stored:?}");
}

#[test]
fn images_are_shown_by_templates() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    let shown = |words: &[&str], format: &str| place.ok(&[words, &["--format", format]].concat());
    assert_eq!(shown(&["images"], "{{.Repository}}:{{.Tag}}\\t{{.Size}}"), "docker.io/library/web:1\t13B\n");
    let id = place.ok(&["images", "-q"]);
    assert_eq!(shown(&["image", "ls"], "{{.ID}}"), id);
    let whole = shown(&["images"], "{{.Id}}");
    assert!(whole.starts_with(&format!("sha256:{}", id.trim())) && whole.len() == 72, "{whole}");
    assert_eq!(
        shown(&["image", "inspect", "web:1"], "{{.Id}} {{json .RootFS.Type}}"),
        format!("{} \"layers\"\n", whole.trim())
    );
    let sizes = shown(&["image", "history", "web:1"], "{{.Size}}");
    assert_eq!(sizes.lines().map(|size| size.parse::<u64>().unwrap()).sum::<u64>(), 13);
    let json: Value = serde_json::from_str(&shown(&["images"], "json")).unwrap();
    assert_eq!((&json[0]["Size"], &json[0]["Tag"]), (&json!(13), &json!("1")));
    let error = place.fails(&["images", "--format", "{{.Nothing}}"]);
    assert!(error.starts_with("images: option --format: there is no Nothing; there are Id, ID,"), "{error}");
    let error = place.fails(&["images", "--format", "yaml"]);
    assert!(
        error.ends_with("option --format is table, json or a template such as {{.Id}}, not \"yaml\""),
        "{error}"
    );
}

#[test]
fn what_docker_saves_is_loaded_and_others_read_the_store() {
    let Some(place) = Place::new() else { return };
    if !privileged::program("skopeo", "skopeo") {
        return;
    }
    place
        .sh("skopeo copy -q oci:oci:docker.io/library/web:1 docker-archive:saved.tar:example.org/team/web:2");
    assert_eq!(place.ok(&["load", "saved.tar"]), "Loaded image: example.org/team/web:2\n");
    place.sh(
        "skopeo copy -q oci:data/images:example.org/team/web:2 oci:again:web && test -s again/index.json",
    );
    // Its id is the one that it had.
    place.ok(&["load", "oci"]);
    assert_eq!(place.ok(&["images", "-q"]).lines().count(), 1);
    assert_eq!(place.names(), ["docker.io/library/web:1", "example.org/team/web:2"]);
}

#[test]
fn names_come_and_go_and_nothing_stays_of_what_has_none() {
    let Some(place) = Place::new() else { return };
    place.ok(&["load", "oci"]);
    let id = place.ok(&["images", "-q"]);
    let id = id.trim();
    place.ok(&["tag", "web:1", "quay.io/other:2"]);
    place.ok(&["tag", id, "third"]);
    assert_eq!(
        place.names(),
        ["docker.io/library/third:latest", "docker.io/library/web:1", "quay.io/other:2"]
    );
    assert_eq!(
        place.fails(&["rmi", id]),
        format!(
            "rmi: {id} has the names docker.io/library/third:latest, docker.io/library/web:1, quay.io/other:2; \
            name one, or --force removes all"
        )
    );
    place.ok(&["tag", "third", "fourth"]);
    assert_eq!(place.ok(&["rmi", "fourth"]), "Untagged: docker.io/library/fourth:latest\n");
    assert_eq!(place.ok(&["rmi", "web:1"]), "Untagged: docker.io/library/web:1\n");
    assert_eq!(place.stored().iter().filter(|file| file.starts_with("blobs")).count(), 4);
    assert_eq!(
        place.fails(&["rmi", "quay.io/other:2", "thirt"]),
        "rmi: no image \"thirt\"; did you mean \"third\"?"
    );
    assert_eq!(place.names().len(), 2);
    place.ok(&["rmi", "--force", id]);
    assert_eq!(place.names(), [""; 0]);
    assert_eq!(place.stored(), ["index.json", "oci-layout"]);
    assert_eq!(
        place.fails(&["rmi", "web:1"]),
        "rmi: no image \"web:1\"; 'forgeone images' lists what there is"
    );
}

#[test]
fn what_is_no_image_is_refused_in_a_line_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let whole = place.manifest();
    let digest = whole["digest"].as_str().unwrap().to_owned();
    let read = |digest: &str| -> Value {
        let file = place.path("oci/blobs/sha256").join(&digest[7..]);
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    let manifest = read(&digest);
    let config = read(manifest["config"]["digest"].as_str().unwrap());
    let layers = &manifest["layers"];
    let first = layers[0]["digest"].as_str().unwrap();
    let check = |expected: &str| {
        let said = place.fails(&["load", "oci"]);
        assert!(said.starts_with("load: oci: ") && said.contains(expected), "{said}\n{expected}");
        assert_eq!(place.names(), [""; 0], "{expected}");
        assert_eq!(place.stored(), ["index.json", "oci-layout"], "{expected}");
        assert_eq!(
            place.sh("ls data/images/tmp data/images/layers | grep -v : | wc -w"),
            "0\n",
            "{expected}"
        );
    };
    let image = |config: &Value, layers: Value| place.image(config, &layers);
    image(&config, json!([]));
    check("it has no layers, so there is nothing to run");
    image(&config, json!([layers[0]]));
    check("it has 1 layers, and a config for 2");
    let mut other = config.clone();
    other["architecture"] = json!("mips");
    image(&other, layers.clone());
    check("it is for linux/mips, and this is linux/");
    let mut other = config.clone();
    other["rootfs"]["diff_ids"][0] = config["rootfs"]["diff_ids"][1].clone();
    image(&other, layers.clone());
    check(&format!(
        "layer {first}: holds {}, where the config has ",
        config["rootfs"]["diff_ids"][0].as_str().unwrap()
    ));
    image(&json!({ "rootfs": 1 }), layers.clone());
    check("it is no image's config: ");
    let mut longer = layers.clone();
    longer[1]["size"] = json!(layers[1]["size"].as_u64().unwrap() - 1);
    image(&config, longer);
    check("is longer than ");
    let mut missing = layers.clone();
    missing[1]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    image(&config, missing);
    check("there is no blobs/sha256/0000");
    let strange = json!({ "mediaType": "text/plain", "digest": digest, "size": whole["size"] });
    place.index(&json!([strange]));
    check("\"text/plain\" is no media type of a manifest");
    place.index(&json!([]));
    check("index.json names no image");
    image(&config, layers.clone());
    let layer = place.path("oci/blobs/sha256").join(&first[7..]);
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    check("it was changed or damaged");
    fs::write(&layer, &bytes[..middle]).unwrap();
    check(&format!("blob {first}: has {middle} bytes, not "));
    fs::remove_file(&layer).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &layer).unwrap();
    check(&format!("there is no blobs/sha256/{}", &first[7..]));
    fs::write(place.path("oci/index.json"), vec![b' '; 5 << 20]).unwrap();
    check("index.json is larger than 4194304 bytes");
    place.sh("rm oci/index.json");
    check("it holds neither index.json (an OCI image layout) nor manifest.json (docker save)");
}

#[test]
fn a_killed_load_leaves_nothing_that_the_next_does_not_take_away() {
    let Some(place) = Place::new() else { return };
    place.ok(&["images"]);
    place.sh("mkdir -p data/images/tmp/1-0/root && echo half >data/images/tmp/1-0/root/file && echo half >data/images/tmp/1-1");
    place.ok(&["load", "oci"]);
    assert_eq!(place.sh("ls data/images/tmp"), "");
}
