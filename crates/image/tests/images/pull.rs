//! `pull`: from Debian's registry, and from servers that lie, break off and have no time.

use crate::place::{MANIFEST, Place, architecture};
use crate::served::{CONFIG, LAYER, Served, digest, tar};
use forgeone_distribution::media_type::INDEX;
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use testkit::registry::{PASSWORD, USER};
use testkit::server::{Asked, Reply};
use testkit::{Registry, Server, eventually, privileged};

/// Files of every kind, with owners, times, attributes and what a second layer removes.
const FILES: &str = "
mkdir -p one/bin one/etc/gone one/etc/hidden two/bin two/etc/hidden
echo program >one/bin/tool; chmod 4755 one/bin/tool; ln one/bin/tool one/bin/other; ln -s ../etc one/bin/link
echo ping >one/bin/ping; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 one/bin/ping
mkfifo -m 640 one/etc/pipe; echo x >one/etc/gone/x; echo x >one/etc/hidden/x; echo 1 >one/etc/changed
chown 1000:100 one/etc/changed; chown -h 7:8 one/bin/link; touch -d '2001-02-03 04:05:06.789' one/etc/changed
setfattr -n user.note -v words one/etc/changed; truncate -s 300000 one/etc/sparse; echo end >>one/etc/sparse
: >two/etc/.wh.gone; : >two/etc/hidden/.wh..wh..opq; echo y >two/etc/hidden/y; echo 2 >two/etc/changed
chmod 1777 two/bin; touch -d '2005-06-07 08:09:10' two/bin one/etc one
for layer in one two; do tar -C $layer --xattrs --xattrs-include='*' --format=pax -cf $layer.tar .; done
";

/// Lists a tree: kind, mode, owner, time, size and target of everything, attributes and content.
const LIST: &str = "cd \"$1\"
find . -type d -printf '%p d %m %U:%G %T@\\n' -o -printf '%p %y %m %U:%G %T@ %n %s %l\\n' | sort >\"$2\"
getfattr -Rdh -m '^(user|security.capability)' . | sort >>\"$2\"; find . -type f -exec sha256sum {} + | sort >>\"$2\"";

/// What the store has of an image, and nobody begun.
fn nothing_stays(place: &Place, why: &str) {
    assert_eq!(place.names(), [""; 0], "{why}");
    assert_eq!(place.stored(), ["index.json", "oci-layout"], "{why}");
    assert_eq!(place.sh("ls data/images/tmp data/images/layers | grep -v : | wc -w"), "0\n", "{why}");
}

fn blobs_asked(asked: &[Asked]) -> Vec<(String, Option<String>)> {
    let blobs = asked.iter().filter(|asked| asked.target.contains("/blobs/"));
    let digest = |asked: &Asked| asked.target.rsplit('/').next().unwrap().to_owned();
    blobs.map(|asked| (digest(asked), asked.header("range").map(str::to_owned))).collect()
}

#[test]
fn what_comes_from_a_registry_is_what_other_programs_make_of_it() {
    let Some(place) = Place::new() else { return };
    let Some(registry) = Registry::guarded() else { return };
    if !["skopeo", "umoci"].iter().all(|program| privileged::program(program, program)) {
        return;
    }
    place.sh("rm -rf one two *.tar *.gz");
    place.sh(FILES);
    let diff_ids = json!([place.sha("one.tar"), place.sha("two.tar")]);
    let config = json!({ "architecture": architecture(), "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    place.sh("gzip -kn one.tar; zstd -q two.tar");
    let layers = [
        place.blob(&format!("{LAYER}+gzip"), "one.tar.gz"),
        place.blob(&format!("{LAYER}+zstd"), "two.tar.zst"),
    ];
    place.image(&config, &json!(layers));
    let name = format!("{}/team/web:1", registry.host());
    place.sh(&format!(
        "skopeo copy -q --dest-tls-verify=false --dest-creds {USER}:{PASSWORD} oci:oci docker://{name}
        echo '{{\"auths\": {{\"{}\": {{\"auth\": \"'$(printf {USER}:{PASSWORD} | base64)'\"}}}}}}' >auth.json",
        registry.host()
    ));
    let error = place.fails(&["pull", &name]);
    assert!(error.starts_with("pull ") && error.contains("unknown authority"), "{error}");
    let authority = registry.authority();
    let trusted = ["pull", "--cacert", authority.to_str().unwrap(), &name];
    let id = place.ok(&trusted);
    assert!(id.starts_with("sha256:") && place.names() == [name.clone()], "{id}");

    // Its tree is the one that umoci makes of the same. That makes no layers of zstd.
    let again = json!([layers[0], place.blob(LAYER, "two.tar")]);
    place.image(&config, &again);
    place.sh("sed -i 's,docker.io/library/,,' oci/index.json; umoci unpack --image oci:web:1 bundle");
    let lower = diff_ids.as_array().unwrap().iter().rev();
    let lower: Vec<_> =
        lower.map(|id| format!("data/images/layers/{}/root", &id.as_str().unwrap()[7..])).collect();
    fs::write(place.path("list"), LIST).unwrap();
    place.sh(&format!(
        "mkdir merged; unshare -m sh -euc 'mount -t overlay -o lowerdir={} none merged; sh list merged \"$PWD/ours\"'
        sh list bundle/rootfs \"$PWD/theirs\"",
        lower.join(":")
    ));
    assert_eq!(place.sh("diff theirs ours || :"), "");
    let ours = place.sh("cat ours");
    assert!(ours.contains("./etc/hidden/y") && ours.contains("security.capability"), "{ours}");

    let (before, other) = (place.stored(), ["pull", "-q", "--tls-verify=false", &name]);
    assert_eq!(place.ok(&other), id);
    assert_eq!(place.stored(), before);
    place.sh("sed -i s/auth\\\"/other\\\"/ auth.json");
    let error = place.fails(&trusted);
    assert!(error.contains("wants a user name and password; log in with "), "{error}");
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let Some(place) = Place::new() else { return };
    let served = Served::image(400_000);
    let (whole, half) = (served.layer(0), served.layer(1));
    let healthy = Arc::new(AtomicBool::new(false));
    let server = {
        let (served, healthy, half) = (served.clone(), healthy.clone(), half.clone());
        Server::new(move |asked| {
            let hangs = !healthy.load(Ordering::SeqCst) && asked.target.ends_with(&half);
            match hangs {
                true => {
                    let bytes = &served.blobs[&half];
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
                    Reply::Silence([head.as_bytes(), &bytes[..150_000]].concat())
                }
                false => served.answer(asked),
            }
        })
    };
    let name = format!("{}/web:1", server.host());
    let mut pulling = place.command(&["pull", &name]).stdin(Stdio::null()).spawn().unwrap();
    let part = place.path(&format!("data/images/pulls/{}.part", &half[7..]));
    let stored = place.path(&format!("data/images/blobs/sha256/{}", &whole[7..]));
    eventually("half of the image is there", || {
        stored.exists() && part.metadata().is_ok_and(|found| found.len() == 150_000)
    });
    pulling.kill().unwrap();
    pulling.wait().unwrap();
    // The collector leaves it, which removes another image's.
    place.ok(&["load", "-q", "oci"]);
    place.ok(&["rmi", "web:1"]);
    assert_eq!(part.metadata().unwrap().len(), 150_000);
    healthy.store(true, Ordering::SeqCst);
    let before = server.asked().len();
    place.ok(&["pull", &name]);
    let asked = blobs_asked(&server.asked()[before..]);
    assert_eq!(asked, [(half, Some("bytes=150000-".to_owned()))]);
    assert_eq!(place.sh("ls data/images/pulls data/images/tmp | grep -v : | wc -w"), "0\n");
    let files = place.sh("cd data/images/layers; sha256sum */root/file? | cut -c-64 | sort");
    let sizes = place.sh("stat -c %s data/images/layers/*/root/file?");
    assert_eq!((files.lines().count(), sizes.as_str()), (2, "400000\n400000\n"));
    // Once more, nothing is fetched but the manifest.
    let before = server.asked().len();
    place.ok(&["pull", &name]);
    assert_eq!(blobs_asked(&server.asked()[before..]), []);
}

#[test]
fn what_came_before_and_is_damaged_is_fetched_again() {
    let Some(place) = Place::new() else { return };
    let served = Served::image(50_000);
    let layer = served.layer(0);
    let server = Server::new(move |asked| served.answer(asked));
    let name = format!("{}/web:1", server.host());
    place.ok(&["images"]);
    place.sh(&format!("head -c 9000 /dev/zero >data/images/pulls/{}.part", &layer[7..]));
    place.ok(&["pull", &name]);
    let asked = blobs_asked(&server.asked());
    let of_layer = asked.iter().filter(|(digest, _)| *digest == layer);
    let ranges: Vec<_> = of_layer.map(|(_, range)| range.as_deref()).collect();
    assert_eq!(ranges, [Some("bytes=9000-"), None]);
}

#[test]
fn of_several_platforms_the_one_that_is_wanted_comes() {
    let Some(place) = Place::new() else { return };
    let mut served = Served::image(100);
    let own = served.tag("own", served.manifest.clone());
    let config = json!({ "architecture": "s390x", "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": [digest(&tar(9, 9))] } });
    let config = served.blob(CONFIG, config.to_string().into_bytes());
    let layer = served.blob(LAYER, tar(9, 9));
    let foreign = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let foreign = served.tag("foreign", foreign);
    let with = |mut found: Value, architecture: &str| {
        found["platform"] = json!({ "os": "linux", "architecture": architecture });
        found
    };
    let manifests = json!([with(foreign.clone(), "s390x"), with(own.clone(), architecture())]);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let index = served.tag("all", index);
    let lies = json!([with(foreign, architecture())]);
    served.tag("lies", json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": lies }));
    let mut wrong = with(own, architecture());
    wrong["size"] = json!(17);
    served.tag("size", json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [wrong] }));
    let server = Server::new(move |asked| served.answer(asked));
    let name = |tag: &str| format!("{}/web:{tag}", server.host());

    let says = |words: &[&str], expected: &str| {
        let error = place.fails(words);
        assert!(error.starts_with("pull") && error.contains(expected), "{error}");
        nothing_stays(&place, expected);
    };
    says(&["pull", &name("foreign")], "it is for linux/s390x, and this is linux/");
    says(&["pull", &name("lies")], "it is for linux/s390x, and this is linux/");
    says(&["pull", "--platform", "mips", &name("all")], "it is not for linux/mips, only for linux/");
    says(&["pull", "--platform", "a/b/c/d", &name("all")], "is not OS/ARCHITECTURE[/VARIANT]");
    says(&["pull", &name("size")], "and its index says 17 and ");
    place.ok(&["pull", &name("all")]);
    assert_eq!(place.sh("ls data/images/layers/*/root | grep -c file"), "2\n");
    place.ok(&["rmi", &name("all")]);
    place.ok(&["pull", "--platform", "linux/s390x", &name("all")]);
    assert_eq!(place.sh("ls data/images/layers/*/root"), "file9\n");
    // By the digest of the index it is called so.
    let digest = index["digest"].as_str().unwrap();
    let by_digest = format!("{}/web@{digest}", server.host());
    place.ok(&["pull", &by_digest]);
    place.ok(&["tag", &by_digest, "here"]);
}

/// Changes the manifest that is served.
fn manifest<'c>(change: &'c dyn Fn(&mut Value)) -> impl Fn(&mut Served) + 'c {
    move |served| {
        let mut manifest = served.manifest.clone();
        change(&mut manifest);
        served.tag("1", manifest);
    }
}

#[test]
fn what_is_wrong_is_told_in_a_line_and_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    let good = Served::image(30_000);
    let mut cases: Vec<(&str, Served)> = Vec::new();
    let mut case = |expected, change: &dyn Fn(&mut Served)| {
        let mut served = good.clone();
        change(&mut served);
        cases.push((expected, served));
    };
    case("the registry has no such manifest; check name and tag", &|served| served.manifests.clear());
    case("the registry has no such blob", &|served| drop(served.blobs.remove(&good.layer(1))));
    case("what came has the digest sha256:", &|served| {
        served.blobs.get_mut(&good.layer(1)).unwrap()[20_000] ^= 1;
    });
    case("it has 29 bytes, not 31744 as its manifest says", &|served| {
        served.blobs.insert(good.layer(1), vec![0; 29]);
    });
    case("bytes, not 7 as its manifest says", &manifest(&|content| content["layers"][0]["size"] = json!(7)));
    case(
        "and the disk has room for",
        &manifest(&|content| {
            content["layers"][0]["size"] = json!(1_u64 << 60);
        }),
    );
    case("it has no layers, so there is nothing to run", &manifest(&|content| content["layers"] = json!([])));
    case(
        "it has 1 layers, and a config for 2",
        &manifest(&|content| {
            content["layers"].as_array_mut().unwrap().pop();
        }),
    );
    case(
        "it has 501 layers, more than 500",
        &manifest(&|content| {
            content["layers"] = json!(vec![content["layers"][0].clone(); 501]);
        }),
    );
    case(
        "\"text/html\" is no layer's media type that is known here",
        &manifest(&|content| {
            content["layers"][0]["mediaType"] = json!("text/html");
        }),
    );
    case(
        "it is an artifact (application/x), not an image that can run",
        &manifest(&|content| {
            content["config"]["mediaType"] = json!("application/x");
        }),
    );
    case("holds sha256:", &manifest(&|content| content["layers"].as_array_mut().unwrap().reverse()));
    case(
        "it came as application/vnd.oci.image.manifest.v1+json, which has config and layers",
        &manifest(&|content| {
            content["manifests"] = json!([]);
        }),
    );
    case(
        "the answer has more than 4194304 bytes",
        &manifest(&|content| {
            content["annotations"] = json!({ "bomb": "x".repeat(5 << 20) });
        }),
    );
    case("it is no image's config: ", &|served| {
        let config = served.blob(CONFIG, b"{\"rootfs\": 1}".to_vec());
        manifest(&|content| content["config"] = config.clone())(served);
    });
    let text = |served: &mut Served, bytes: &[u8]| {
        let layer = served.blob(LAYER, bytes.to_vec());
        manifest(&|content| content["layers"][0] = layer.clone())(served);
    };
    case("layer: ", &|served| {
        text(served, b"this is no archive, whatever it is called, and by far too short")
    });
    case("layer: ", &|served| text(served, b"\x1f\x8b\x08\0 and then no gzip"));

    let now = Arc::new(Mutex::new(good.clone()));
    let server = {
        let now = now.clone();
        Server::new(move |asked| now.lock().unwrap().answer(asked))
    };
    for (expected, served) in cases {
        *now.lock().unwrap() = served;
        let error = place.fails(&["pull", &format!("{}/web:1", server.host())]);
        assert!(error.starts_with("pull ") && error.contains(expected), "{error}\n{expected}");
        nothing_stays(&place, expected);
    }
    *now.lock().unwrap() = good;
    place.ok(&["pull", &format!("{}/web:1", server.host())]);
}

#[test]
fn a_registry_that_has_no_time_is_told_and_the_rest_comes_later() {
    let Some(place) = Place::new() else { return };
    let served = Served::image(30_000);
    let last = served.layer(1);
    let healthy = Arc::new(AtomicBool::new(false));
    let server = {
        let healthy = healthy.clone();
        Server::new(move |asked| match asked.target.ends_with(&last) && !healthy.load(Ordering::SeqCst) {
            true => Reply::new(429, "").with("retry-after", "600"),
            false => served.answer(asked),
        })
    };
    let name = format!("{}/web:1", server.host());
    let error = place.fails(&["pull", &name]);
    assert!(error.contains("the server answers 429 Too Many Requests; try again in 600 s"), "{error}");
    assert_eq!((place.names(), place.sh("ls data/images/layers").as_str()), (vec![], ""));
    healthy.store(true, Ordering::SeqCst);
    let before = server.asked().len();
    place.ok(&["pull", &name]);
    assert_eq!(blobs_asked(&server.asked()[before..]).len(), 1);
}

#[test]
fn mirrors_are_asked_first_and_may_be_without_the_image() {
    let Some(place) = Place::new() else { return };
    let served = Served::image(100);
    let mirrored = served.clone();
    let empty = Server::new(|_| Reply::new(404, ""));
    let mirror = Server::new(move |asked| mirrored.answer(asked));
    let config = format!(
        "[[registry]]\nlocation = \"registry.example\"\n[[registry.mirror]]\nlocation = \"{}\"\n\
        [[registry.mirror]]\nlocation = \"{}/hub\"\n",
        empty.host(),
        mirror.host()
    );
    fs::write(place.path("registries.conf"), config).unwrap();
    place.ok(&["pull", "registry.example/team/web:1"]);
    assert_eq!(place.names(), ["registry.example/team/web:1"]);
    assert!(empty.asked().iter().any(|asked| asked.target == "/v2/team/web/manifests/1"));
    assert!(mirror.asked().iter().any(|asked| asked.target == "/v2/hub/team/web/manifests/1"));
    fs::write(
        place.path("registries.conf"),
        "[[registry]]\nlocation = \"registry.example\"\nblocked = true\n",
    )
    .unwrap();
    let error = place.fails(&["pull", "registry.example/a"]);
    assert_eq!(error, "pull: registry.example/a:latest: registries.conf blocks registry.example");
}
