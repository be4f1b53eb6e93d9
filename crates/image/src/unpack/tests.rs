//! What archives become, well-meant and hostile ones.

#![allow(clippy::unwrap_used)]

use super::*;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Temp, privileged};

/// An archive that is written entry by entry, as no well-meaning program would.
#[derive(Default)]
struct Hostile(Vec<u8>);

impl Hostile {
    fn entry(mut self, kind: EntryType, name: &[u8], link: &[u8], content: &[u8]) -> Self {
        self.header(kind, name, link, content.len() as u64);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn header(&mut self, kind: EntryType, name: &[u8], link: &[u8], size: u64) {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
    }

    fn file(self, name: &str) -> Self {
        self.entry(EntryType::Regular, name.as_bytes(), b"", b"content")
    }

    fn unpack(&self, to: &Path) -> Result<Unpacked, String> {
        let directory = File::open(to).unwrap();
        layer(&self.0[..], directory.as_fd()).map_err(|failure| failure.to_string())
    }
}

fn sh(directory: &Path, script: &str) {
    let status = Command::new("sh").args(["-euc", script]).current_dir(directory).status().unwrap();
    assert!(status.success(), "{script}");
}

/// All below a directory: path, type and mode, owner, time, links, size, content, attributes.
fn tree(root: &Path) -> Vec<String> {
    let listed =
        Command::new("find").args([".", "-printf", "%P %M %U:%G %T@ %n %s %l\n"]).current_dir(root).output();
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&listed.unwrap().stdout).lines().map(str::to_owned).collect();
    // What a directory takes is the file system's.
    for line in &mut lines {
        if line.contains(" d") {
            let words: Vec<&str> = line.split(' ').collect();
            *line = words[..words.len() - 3].join(" ");
        }
    }
    let sums = "find . -type f -exec sha256sum {} + | sort; getfattr -hRd -m - . 2>/dev/null | sort";
    let sums = Command::new("sh").args(["-c", sums]).current_dir(root).output().unwrap();
    lines.sort();
    lines.extend(String::from_utf8_lossy(&sums.stdout).lines().map(str::to_owned));
    lines
}

#[test]
fn a_layer_becomes_what_tar_makes_of_it() {
    if !privileged::machine_root() || !privileged::program("getfattr", "attr") {
        return;
    }
    let (from, here, there) = (Temp::new("from"), Temp::new("here"), Temp::new("there"));
    let long = format!("{}/{}", "directory".repeat(20), "file".repeat(30));
    sh(
        from.path(),
        &format!(
            "umask 022; mkdir -p usr/bin etc run/lock '{}'; echo text >etc/file; chmod 640 etc/file; chown 33:44 etc/file
            echo suid >usr/bin/su; chmod 4755 usr/bin/su; ln -s usr/bin bin; ln -s /etc/file absolute; ln -s ../../.. up
            chown -h 7:8 bin; ln usr/bin/su usr/bin/second; mkfifo -m 620 fifo; echo long >'{long}'; : >empty
            truncate -s 3M sparse; echo end >>sparse; setfattr -n user.note -v words etc/file; setfattr -n user.of -v d etc
            setcap cap_net_raw+ep usr/bin/su || :; printf x >\"$(printf 'no\\377utf8')\"; chmod 1777 run/lock
            chown 100000:100000 empty; touch -h -d @1600000000.123456789 etc/file bin usr/bin etc run/lock . ",
            Path::new(&long).parent().unwrap().display()
        ),
    );
    let archive = from.path().with_extension("tar");
    for options in
        ["--format=pax --xattrs --xattrs-include=*", "--format=gnu --sparse", "--format=gnu --zstd"]
    {
        let path = archive.display();
        sh(from.path(), &format!("tar --create {options} --file={path} ."));
        for to in [&here, &there] {
            sh(to.path(), "find . -mindepth 1 -delete");
        }
        let extract = "tar --extract --preserve-permissions --same-owner --xattrs --xattrs-include='*'";
        sh(there.path(), &format!("{extract} --file={path}"));
        let directory = File::open(here.path()).unwrap();
        let unpacked = layer(File::open(&archive).unwrap(), directory.as_fd()).unwrap();
        assert_eq!(tree(here.path()), tree(there.path()), "{options}");
        assert!(unpacked.size > 3 << 20, "{options}: {}", unpacked.size);
        let sparse = fs::metadata(here.path().join("sparse")).unwrap();
        assert!(sparse.blocks() * 512 < 1 << 20, "{options}: {} blocks", sparse.blocks());
        if !options.contains("zstd") {
            assert_eq!(unpacked.diff_id, Digest::of(&fs::read(&archive).unwrap()));
        }
    }
    fs::remove_file(archive).unwrap();
}

#[test]
fn what_a_layer_removes_is_gone_in_an_overlay() {
    if !privileged::machine_root() {
        return;
    }
    let temp = Temp::new("layers");
    let lower = temp.path().join("lower");
    for directory in ["upper", "merged", "lower"] {
        fs::create_dir(temp.path().join(directory)).unwrap();
    }
    sh(&lower, "mkdir kept hidden; echo 1 >gone; echo 2 >kept/also; echo 3 >kept/stays; echo 4 >hidden/all");
    let upper = Hostile::default()
        .file("./.wh.gone")
        .file("kept/.wh.also")
        .file("hidden/.wh..wh..opq")
        .file("hidden/new");
    upper.unpack(&temp.path().join("upper")).unwrap();
    let script = "mount -t overlay overlay -o lowerdir=upper:lower merged && find merged -type f | sort";
    let listed = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .current_dir(temp.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "merged/hidden/new\nmerged/kept/stays\n");
}

#[test]
fn what_leaves_the_directory_or_lies_is_refused_by_name() {
    if !privileged::machine_root() {
        return;
    }
    let (to, host) = (Temp::new("to"), Temp::new("host"));
    fs::write(host.path().join("secret"), "secret").unwrap();
    let secret = host.path().join("secret");
    let outside = secret.as_os_str().as_bytes();
    let (file, link) = (EntryType::Regular, EntryType::Link);
    let new = Hostile::default;
    let mut large = new();
    large.header(file, b"large", b"", 1 << 60);
    let long = format!("{}/{}", "a/".repeat(2048), "b");
    for (archive, expected) in [
        (new().file("/etc/passwd"), "layer: entry \"/etc/passwd\": has an absolute name"),
        (new().file("a/../../b"), "layer: entry \"a/../../b\": has a name with .."),
        (
            new().entry(link, b"a", outside, b""),
            "layer: entry \"a\": the target of the link: has an absolute name",
        ),
        (
            new().entry(link, b"a", b"../b", b""),
            "layer: entry \"a\": the target of the link: has a name with ..",
        ),
        (new().entry(link, b"a", b"b", b""), "layer: entry \"a\": is a link to what is not in this layer"),
        (new().entry(EntryType::Symlink, b"a", b"", b""), "layer: entry \"a\": is a link to nothing"),
        (new().file("a").file("a"), "layer: entry \"a\": comes a second time"),
        (
            new().file("a").entry(EntryType::Directory, b"a", b"", b""),
            "layer: entry \"a\": comes a second time",
        ),
        (new().file(".wh...").file("b"), "layer: entry \".wh...\": removes nothing that can have that name"),
        (new().file(".wh."), "layer: entry \".wh.\": removes nothing that can have that name"),
        (new().file("."), "layer: entry \".\": is called like the root directory, and is none"),
        (
            new().entry(EntryType::Char, b"sda", b"", b""),
            "layer: entry \"sda\": is a device; devices are given to containers when they start",
        ),
        (
            new().entry(EntryType::new(b'Q'), b"a", b"", b""),
            "layer: entry \"a\": is of type 'Q', which is not known",
        ),
        (
            new()
                .entry(EntryType::XHeader, b"x", b"", b"46 SCHILY.xattr.trusted.overlay.redirect=/etc\n")
                .file("a"),
            "layer: entry \"a\": has the attribute trusted.overlay.redirect, which is overlayfs' own",
        ),
        (
            new().entry(EntryType::GNULongName, b"long", b"", long.as_bytes()).file("a"),
            "has a name of more than 4095 bytes",
        ),
        (
            new().entry(EntryType::GNULongName, b"long", b"", &vec![b'a'; 2 << 20]).file("a"),
            "layer: more than 1048576 bytes before an entry",
        ),
        (
            new().entry(EntryType::XHeader, b"x", b"", &vec![b'1'; 2 << 20]).file("a"),
            "layer: more than 1048576 bytes before an entry",
        ),
        (large, "has 1152921504606846976 bytes, and the disk has room for "),
    ] {
        let error = archive.unpack(to.path()).unwrap_err();
        assert!(error.contains(expected), "{error}\n{expected}");
        sh(to.path(), "find . -mindepth 1 -delete");
    }
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

/// Each of these would write to the host if a name were followed as it stands.
#[test]
fn links_lead_nowhere_but_into_the_directory() {
    if !privileged::machine_root() {
        return;
    }
    let (to, host) = (Temp::new("to"), Temp::new("host"));
    fs::write(host.path().join("secret"), "secret").unwrap();
    let outside = host.path().as_os_str().as_bytes();
    let up: Vec<u8> = [&b"../../../../../.."[..], outside].concat();
    let new = || Hostile::default().entry(EntryType::Symlink, b"d", outside, b"");
    for archive in [
        new().file("d/secret"),
        new().file("d/made/secret"),
        new().entry(EntryType::Directory, b"d/made", b"", b""),
        new().file("d/.wh.secret"),
        new().file("d/.wh..wh..opq"),
        new().entry(EntryType::Symlink, b"d/secret", b"x", b""),
        Hostile::default().entry(EntryType::Symlink, b"d", &up, b"").file("d/secret"),
        Hostile::default().entry(EntryType::Symlink, b"s", b"/proc/self/cwd", b"").file("s/secret"),
    ] {
        archive.unpack(to.path()).unwrap();
        assert_eq!(tree(host.path()).len(), 3, "{:?}", tree(host.path()));
        assert_eq!(fs::read(host.path().join("secret")).unwrap(), b"secret");
        sh(to.path(), "find . -mindepth 1 -delete");
    }
    // The same through a link that is there already, and the target of a hard link.
    symlink(host.path(), to.path().join("d")).unwrap();
    let error =
        Hostile::default().entry(EntryType::Link, b"a", b"d/secret", b"").unpack(to.path()).unwrap_err();
    assert_eq!(error, "layer: entry \"a\": is a link to what is not in this layer");
}

#[test]
fn devices_below_dev_are_left_out() {
    if !privileged::machine_root() {
        return;
    }
    let to = Temp::new("to");
    let archive = Hostile::default().entry(EntryType::Directory, b"dev", b"", b"");
    archive.entry(EntryType::Char, b"./dev/null", b"", b"").file("dev/file").unpack(to.path()).unwrap();
    let made: Vec<PathBuf> =
        fs::read_dir(to.path().join("dev")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(made, [to.path().join("dev/file")]);
    assert!(!made[0].metadata().unwrap().file_type().is_char_device());
    assert_eq!(to.path().join("dev").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn half_an_archive_is_an_error() {
    if !privileged::machine_root() {
        return;
    }
    let to = Temp::new("to");
    let whole = Hostile::default().entry(EntryType::Regular, b"a", b"", &[1; 2000]);
    let half = Hostile(whole.0[..1500].to_vec());
    assert_eq!(half.unpack(to.path()).unwrap_err(), "layer: entry \"a\": ends before its size");
}

#[test]
fn times_are_read_as_tar_writes_them() {
    for (text, expected) in [
        ("1700000000", Some((1_700_000_000, 0))),
        ("1700000000.5", Some((1_700_000_000, 500_000_000))),
        ("1.1234567899", Some((1, 123_456_789))),
        ("-1.25", Some((-2, 750_000_000))),
        ("1.x", None),
        ("", None),
    ] {
        assert_eq!(time(text), expected, "{text}");
    }
}
