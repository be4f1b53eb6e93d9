//! What other programs make of an image and what is made of it here are the same, file by file.

use crate::place::{Place, architecture};
use forgeone_sys::fs as sys;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use testkit::privileged;

/// Three layers with what is easily lost: owners, set-user-id, capabilities, attributes, times, names, links, holes; and what
/// upper layers do to lower ones.
const LAYERS: &str = r#"
mkdir -p one/etc one/bin one/a/deep one/opaque/under one/gone/deep one/file-to-dir.d one/dir-to-file one/dir-to-link one/private one/twice
echo users >one/etc/passwd; chown 5:6 one/etc/passwd; chmod 640 one/etc/passwd
echo ping >one/bin/ping; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 one/bin/ping
echo su >one/bin/su; chown 7:8 one/bin/su; chmod 6755 one/bin/su; mkdir one/tmp; chmod 1777 one/tmp
echo linked >one/a/first; ln one/a/first one/a/deep/second; ln one/a/first one/third
ln -s /etc/passwd one/absolute; ln -s ../../nowhere one/dangling; chown -h 9:10 one/dangling; touch -h -d '1999-12-31 23:59:59.123456789' one/dangling
mkfifo -m 620 one/fifo; : >one/empty; mkdir -m 0 one/none
truncate -s 9M one/sparse; echo end >>one/sparse; printf '\0\0' >one/zeros
echo bytes >"one/$(printf 'caf\351')"; echo line >"one/$(printf 'two\nlines')"; long=$(printf '%0200d' 0); mkdir -p "one/$long/$long"; echo long >"one/$long/$long/$long"
echo x >one/opaque/x; echo y >one/opaque/under/y; echo z >one/gone/deep/z; echo f >one/file-to-dir; echo g >one/dir-to-file/g; echo h >one/dir-to-link/h
echo p >one/private/p; chmod 700 one/private; echo kept >one/kept; echo t >one/twice/t
setfattr -n user.note -v words one/kept; setfattr -n user.note -v words one/etc
touch -d '2001-02-03 04:05:06.789' one/etc/passwd one/kept

mkdir -p two/etc two/a two/opaque two/file-to-dir two/twice; chmod 711 two/etc
echo other >two/a/first; echo alone >two/a/new; ln two/a/new two/a/newer
echo users >two/etc/passwd; chmod 600 two/etc/passwd; : >two/.wh.gone; : >two/opaque/.wh..wh..opq; echo n >two/opaque/n
echo in >two/file-to-dir/in; echo file >two/dir-to-file; ln -s kept two/dir-to-link; : >two/twice/.wh.t
chown 11:12 two/opaque; touch -d '2002-02-02' two/a/new

mkdir -p three/gone three/opaque three/twice three/private; echo again >three/gone/again; : >three/opaque/.wh.n; echo m >three/opaque/m
echo t >three/twice/t; : >three/.wh.empty; : >three/.wh.none; chmod 750 three/private; : >three/file-to-dir
for layer in one two three; do find $layer -depth -type d -exec touch -d '2003-03-03 03:03:03' {} +; done
for layer in one two three; do tar -C $layer --xattrs --xattrs-include='*' --format=pax --pax-option=delete=atime,delete=ctime -cf $layer.tar .; done
gzip -n one.tar -c >one.tar.gz
"#;

/// Makes the image `web:1` of these layers.
fn image(place: &Place) {
    place.sh(&format!("rm -rf one two *.tar*; {LAYERS}"));
    let diffs = ["one.tar", "two.tar", "three.tar"].map(|file| place.sha(file));
    let config = json!({ "architecture": architecture(), "os": "linux", "rootfs": { "type": "layers", "diff_ids": diffs }, "config": {} });
    let plain = "application/vnd.oci.image.layer.v1.tar";
    let layers = [
        place.blob(&format!("{plain}+gzip"), "one.tar.gz"),
        place.blob(plain, "two.tar"),
        place.blob(plain, "three.tar"),
    ];
    place.image(&config, &json!(layers));
}

/// All that can be known of a tree: a line for each file.
fn listing(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let (mut all, mut links) = (BTreeMap::new(), HashMap::<_, Vec<Vec<u8>>>::new());
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let path = root.join(&relative);
        let path = path.as_path();
        let found = path.symlink_metadata().unwrap();
        let kind = found.file_type();
        let content = match () {
            () if kind.is_symlink() => format!("{:?}", fs::read_link(path).unwrap()),
            () if kind.is_file() => {
                let bytes = fs::read(path).unwrap();
                format!("{} {:?}", bytes.len(), forgeone_distribution::Digest::of(&bytes).to_string())
            }
            () if kind.is_dir() => {
                open.extend(
                    fs::read_dir(path).unwrap().map(|entry| relative.join(entry.unwrap().file_name())),
                );
                "directory".to_owned()
            }
            () => format!("fifo {} {}", kind.is_fifo(), found.rdev()),
        };
        let mut attributes: Vec<String> = Vec::new();
        if !kind.is_symlink() {
            for name in sys::listxattr(path).unwrap() {
                let value = sys::getxattr(path, &name).unwrap();
                attributes.push(format!("{name:?}={value:?}"));
            }
        }
        // What overlays and other programs note for themselves.
        attributes.retain(|text| {
            !text.contains(".overlay.") && !text.contains("umoci") && !text.contains("selinux")
        });
        attributes.sort();
        let (mode, owner, time) =
            (found.mode(), (found.uid(), found.gid()), (found.mtime(), found.mtime_nsec()));
        let name = relative.as_os_str().as_bytes().to_vec();
        if kind.is_file() && found.nlink() > 1 {
            links.entry((found.dev(), found.ino())).or_default().push(name.clone());
        }
        all.insert(name, format!("{mode:o} {owner:?} {time:?} {content} {attributes:?}"));
    }
    for mut names in links.into_values() {
        names.sort();
        let names: Vec<_> = names.into_iter().map(OsString::from_vec).collect();
        for name in names.iter().filter(|_| names.len() > 1) {
            all.get_mut(name.as_bytes()).unwrap().push_str(&format!(" links {names:?}"));
        }
    }
    all
}

#[track_caller]
fn same(whose: &str, theirs: &BTreeMap<Vec<u8>, String>, ours: &BTreeMap<Vec<u8>, String>) {
    let mut different = Vec::new();
    for name in theirs.keys().chain(ours.keys()).collect::<std::collections::BTreeSet<_>>() {
        if theirs.get(name) != ours.get(name) {
            let shown = String::from_utf8_lossy(name);
            different.push(format!(
                "{shown}\n  {whose}: {:?}\n  here: {:?}",
                theirs.get(name),
                ours.get(name)
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What a container of the image has, as it was made with a driver: a directory, mounted where it has to be until this goes.
struct Made<'p>(&'p Place, PathBuf, bool);

impl<'p> Made<'p> {
    fn new(place: &'p Place, driver: &str) -> Self {
        let container = place.path("data/containers").join(driver);
        fs::create_dir_all(&container).unwrap();
        let directory = container.to_str().unwrap();
        place.ok(&["rootfs", "--container", directory, "--storage-driver", driver, "oci:oci"]);
        let source: Value = serde_json::from_slice(&fs::read(container.join("image.json")).unwrap()).unwrap();
        let Some(layers) = source["base"]["layers"].as_array() else {
            return Self(place, container.join("tree"), false);
        };
        let layers: Vec<_> = layers.iter().map(|layer| layer.as_str().unwrap()).collect();
        fs::create_dir(container.join("rootfs")).unwrap();
        place.sh(&format!("mount -t overlay overlay -o ro,lowerdir={} {directory}/rootfs", layers.join(":")));
        Self(place, container.join("rootfs"), true)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if self.2 {
            self.0.sh(&format!("umount {}", self.1.display()));
        }
    }
}

#[test]
fn an_image_is_what_umoci_and_podman_make_of_it() {
    let Some(place) = Place::new() else { return };
    image(&place);
    let (overlay, vfs) = (Made::new(&place, "overlay"), Made::new(&place, "vfs"));
    let ours = listing(&overlay.1);
    // What is there at all, in case that others forget the same.
    let line = |name: &str| ours.get(name.as_bytes()).map(String::as_str).unwrap_or_default();
    assert!(line("bin/ping").contains("security.capability"), "{}", line("bin/ping"));
    assert!(line("bin/su").starts_with("106755 (7, 8)"), "{}", line("bin/su"));
    assert!(
        line("a/deep/second").contains(r#"links ["a/deep/second", "third"]"#),
        "{}",
        line("a/deep/second")
    );
    assert!(line("dangling").contains("(946684799, 123456789)"), "{}", line("dangling"));
    assert!(line("etc").starts_with("40711 ") && !line("etc").contains("user.note"), "{}", line("etc"));
    assert!(ours.contains_key(&b"caf\xe9"[..]) && ours.contains_key(&b"two\nlines"[..]));
    let gone = [
        "gone/deep",
        "opaque/x",
        "opaque/under",
        "opaque/n",
        "empty",
        "none",
        "file-to-dir/in",
        "dir-to-file/g",
    ];
    assert_eq!(gone.map(line), [""; 8]);
    let sparse = overlay.1.join("sparse").metadata().unwrap();
    assert!(sparse.blocks() * 512 < sparse.len() / 2, "{} blocks", sparse.blocks());
    same("overlay", &ours, &listing(&vfs.1));
    let sparse = vfs.1.join("sparse").metadata().unwrap();
    assert!(sparse.blocks() * 512 < sparse.len() / 2, "{} blocks", sparse.blocks());

    if privileged::program("umoci", "umoci") && privileged::program("skopeo", "skopeo") {
        place.sh("skopeo copy -q oci:oci:docker.io/library/web:1 oci:copied:web && umoci unpack --image copied:web bundle >/dev/null 2>&1");
        same("umoci", &listing(&place.path("bundle/rootfs")), &ours);
    }
    if privileged::program("podman", "podman") {
        let _mounts = OfPodman(&place);
        let podman = "podman --root $PWD/storage --runroot $PWD/runroot --storage-driver overlay";
        let id = place.sh(&format!("{podman} pull -q oci:oci:docker.io/library/web:1"));
        let mounted = place.sh(&format!("{podman} image mount {}", id.trim()));
        let mut theirs = listing(Path::new(mounted.trim()));
        // Podman gives the root directory a mode and a time of its own, whatever the layers say.
        theirs.insert(Vec::new(), line("").to_owned());
        same("podman", &theirs, &ours);
    }
}

/// What Podman has mounted below a place, until this goes.
struct OfPodman<'p>(&'p Place);

impl Drop for OfPodman<'_> {
    fn drop(&mut self) {
        self.0.sh("for point in storage/overlay/*/merged storage/overlay; do ! mountpoint -q $point || umount $point; done");
    }
}
