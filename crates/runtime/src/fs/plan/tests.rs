//! What is planned, by table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::json;
use crate::spec::IdMapping;
use forgeone_sys::mount::MountAttrFlags;

const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;

fn spec(parts: &str) -> Spec {
    let text = format!(
        r#"{{"ociVersion":"1.3.0","root":{{"path":"rootfs"}},
            "linux":{{"namespaces":[{{"type":"mount"}}]}},{parts}}}"#
    );
    json::from_slice(text.replace(",}", "}").as_bytes()).unwrap()
}

fn planned(parts: &str, options: &Options) -> Result<(RootfsPlan, Vec<String>)> {
    plan(&spec(parts), Path::new("/bundle"), options)
}

/// One mount's plan.
fn mounted(mount: &str) -> Result<(MountPlan, Vec<String>)> {
    let (plan, warnings) = planned(&format!(r#""mounts":[{mount}]"#), &Options::default())?;
    Ok((plan.mounts.into_iter().next().unwrap(), warnings))
}

fn linux(parts: &str) -> Result<(RootfsPlan, Vec<String>)> {
    let parts = format!(r#""linux":{{"namespaces":[{{"type":"mount"}}],{parts}}}"#);
    let text = format!(r#"{{"ociVersion":"1.3.0","root":{{"path":"/r"}},{parts}}}"#);
    plan(&json::from_slice(text.as_bytes()).unwrap(), Path::new("/bundle"), &Options::default())
}

#[test]
fn the_least_bundle() {
    let (plan, warnings) = planned("", &Options::default()).unwrap();
    assert_eq!(plan.path, Path::new("/bundle/rootfs"));
    assert!(!plan.readonly && plan.mounts.is_empty() && warnings.is_empty());
    assert_eq!(plan.devices.len(), 6);
    assert_eq!(plan.symlinks.len(), 6);
    assert_eq!(plan.propagation, None);
    let (plan, _) = linux(r#""rootfsPropagation":"rshared""#).unwrap();
    assert_eq!(plan.path, Path::new("/r"));
    assert_eq!(plan.propagation, Propagation::parse("rshared"));
}

#[test]
fn kinds_of_mounts() {
    let bind = |source: &str, recursive| MountKind::Bind { source: source.into(), recursive, procfs: false };
    let filesystem = |fstype: &str, source: &str, data: &[&str]| {
        MountKind::Filesystem(Filesystem {
            fstype: fstype.to_owned(),
            source: source.to_owned(),
            data: data.iter().map(|&d| d.to_owned()).collect(),
            ..Filesystem::default()
        })
    };
    for (mount, kind, shown) in [
        (
            r#"{"destination":"/data","source":"/srv/x","options":["rbind","ro"]}"#,
            bind("/srv/x", true),
            r#"mounts[0] "/data" (bind of /srv/x)"#,
        ),
        (
            r#"{"destination":"/data","type":"ext4","source":"vol/x","options":["bind"]}"#,
            bind("/bundle/vol/x", false),
            r#"mounts[0] "/data" (bind of /bundle/vol/x)"#,
        ),
        (
            r#"{"destination":"/tmp//x/./","type":"tmpfs","source":"tmpfs","options":["mode=755","nosuid"]}"#,
            filesystem("tmpfs", "tmpfs", &["mode=755"]),
            r#"mounts[0] "/tmp/x" (tmpfs)"#,
        ),
        (
            r#"{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup"}"#,
            MountKind::Cgroup { unified: false, data: vec![] },
            r#"mounts[0] "/sys/fs/cgroup" (cgroup)"#,
        ),
        (
            r#"{"destination":"/c","type":"cgroup2","options":["nsdelegate"]}"#,
            MountKind::Cgroup { unified: true, data: vec!["nsdelegate".to_owned()] },
            r#"mounts[0] "/c" (cgroup2)"#,
        ),
        (
            r#"{"destination":"/c","options":["bind","remount","ro"]}"#,
            MountKind::Remount { bind: true, superblock: MountFlags::empty(), data: vec![] },
            r#"mounts[0] "/c" (remount)"#,
        ),
    ] {
        let (got, warnings) = mounted(mount).unwrap();
        assert_eq!(got.kind, kind, "{mount}");
        assert_eq!(got.to_string(), shown);
        assert!(warnings.is_empty() && !got.strict);
    }
}

#[test]
fn what_is_read_only_when() {
    // A tmpfs, and whatever is at /dev, gets mount points and devices before it becomes read-only.
    let tmpfs = mounted(r#"{"destination":"/x","type":"tmpfs","options":["ro","nodev"]}"#).unwrap().0;
    assert!(tmpfs.late_readonly && tmpfs.attributes.set == NODEV);
    let tmpfs = mounted(r#"{"destination":"/x","type":"tmpfs","options":["rro"]}"#).unwrap().0;
    assert!(tmpfs.late_readonly && tmpfs.recursive.is_empty());
    let dev = mounted(r#"{"destination":"/dev","type":"devtmpfs","options":["ro"]}"#).unwrap().0;
    assert!(dev.late_readonly);
    let sysfs = mounted(r#"{"destination":"/sys","type":"sysfs","options":["ro"]}"#).unwrap().0;
    assert!(!sysfs.late_readonly && sysfs.strict && sysfs.attributes.set == RDONLY);
    // Only a recursive bind has a tree.
    let bind = mounted(r#"{"destination":"/x","source":"/y","options":["bind","nodev","rro"]}"#).unwrap().0;
    assert!(bind.recursive.is_empty() && bind.attributes.set == RDONLY | NODEV);
    let bind = mounted(r#"{"destination":"/x","source":"/y","options":["rbind","nodev","rro"]}"#).unwrap().0;
    assert_eq!((bind.recursive.set, bind.attributes.set), (RDONLY, NODEV));
}

#[test]
fn dev_of_the_host_gets_nothing() {
    for mount in [r#""source":"/dev","options":["rbind"]"#, r#""type":"devtmpfs""#] {
        let mount = format!(r#""mounts":[{{"destination":"/dev/",{mount}}}]"#);
        let (plan, _) = planned(&mount, &Options::default()).unwrap();
        assert!(plan.devices.is_empty() && plan.symlinks.is_empty(), "{mount}");
    }
    let below = r#""mounts":[{"destination":"/dev/shm","source":"/dev/shm","options":["rbind"]}]"#;
    assert_eq!(planned(below, &Options::default()).unwrap().0.devices.len(), 6);
}

#[test]
fn only_proc_on_proc() {
    for (mount, message) in [
        (r#"{"destination":"/proc","type":"proc"}"#, None),
        (r#"{"destination":"/proc","source":"/proc","options":["rbind"]}"#, None),
        (r#"{"destination":"/proc/uptime","source":"/x","options":["bind"]}"#, None),
        (r#"{"destination":"/process","type":"tmpfs"}"#, None),
        (
            r#"{"destination":"/proc","type":"tmpfs"}"#,
            Some(r#"mounts[0].destination: "/proc": only a proc file system can be mounted there"#),
        ),
        (
            r#"{"destination":"/proc/./self//attr","source":"/x","options":["bind"]}"#,
            Some(r#"mounts[0].destination: "/proc/self/attr": can't be mounted over: it is inside /proc"#),
        ),
        (
            r#"{"destination":"proc/sys","type":"proc"}"#,
            Some(r#"mounts[0].destination: "/proc/sys": can't be mounted over: it is inside /proc"#),
        ),
    ] {
        let got = mounted(mount);
        assert_eq!(got.as_ref().err().map(ToString::to_string).as_deref(), message, "{mount}");
        if let Ok((got, _)) = got {
            assert_eq!(got.strict, got.destination.starts_with("/proc/") || got.destination == "/proc");
        }
    }
    let MountKind::Bind { procfs, .. } =
        mounted(r#"{"destination":"/proc","source":"/p","options":["bind"]}"#).unwrap().0.kind
    else {
        panic!("not a bind mount")
    };
    assert!(procfs);
}

#[test]
fn wrong_mounts_are_named() {
    let bind = |rest: &str| format!(r#"{{"destination":"/x","source":"/y","options":["bind"],{rest}}}"#);
    let ids = r#"[{"containerID":0,"hostID":1000,"size":1}]"#;
    for (mount, message) in [
        (r#"{"destination":""}"#.to_owned(), "mounts[0].destination: empty"),
        (
            r#"{"destination":"/a/../b"}"#.to_owned(),
            r#"mounts[0].destination: "/a/../b": must not have ".." in it"#,
        ),
        (
            r#"{"destination":"/.//"}"#.to_owned(),
            r#"mounts[0].destination: "/.//": nothing can be mounted over the root itself"#,
        ),
        (r#"{"destination":"/a\u0000"}"#.to_owned(), "mounts[0].destination: holds a NUL byte"),
        (r#"{"destination":"/x"}"#.to_owned(), "mounts[0].type: missing"),
        (
            r#"{"destination":"/x","type":"bind","source":"/y"}"#.to_owned(),
            r#"mounts[0].type: "bind": a bind mount needs the option bind or rbind"#,
        ),
        (r#"{"destination":"/x","options":["rbind"]}"#.to_owned(), "mounts[0].source: missing"),
        (
            r#"{"destination":"/x","source":"/y","options":["bind","size=5"]}"#.to_owned(),
            r#"mounts[0].options: "size=5": not an option of a bind mount"#,
        ),
        (
            r#"{"destination":"/x","source":"/y","options":["bind","tmpcopyup"]}"#.to_owned(),
            r#"mounts[0].options: "tmpcopyup": only for a new tmpfs"#,
        ),
        (
            r#"{"destination":"/x","type":"tmpfs","options":["a\u0000b"]}"#.to_owned(),
            "mounts[0].options: holds a NUL byte",
        ),
        (
            bind(&format!(r#""uidMappings":{ids}"#)),
            "mounts[0].gidMappings: missing: users and groups are mapped together",
        ),
        (
            bind(&format!(r#""gidMappings":{ids}"#)),
            "mounts[0].uidMappings: missing: users and groups are mapped together",
        ),
        (
            bind(&format!(r#""gidMappings":{ids},"uidMappings":[{{"containerID":1,"hostID":1,"size":0}}]"#)),
            "mounts[0].uidMappings[0]: size: must be 1 or more and fit in 32 bits",
        ),
        (
            r#"{"destination":"/x","source":"/y","options":["bind","ridmap"]}"#.to_owned(),
            r#"mounts[0].options: "ridmap": needs uidMappings and gidMappings, or a user namespace"#,
        ),
        (
            format!(
                r#"{{"destination":"/x","options":["bind","remount"],"uidMappings":{ids},"gidMappings":{ids}}}"#
            ),
            "mounts[0].options: idmap: a mount that is there already can't be idmapped",
        ),
        (
            format!(r#"{{"destination":"/x","type":"cgroup","uidMappings":{ids},"gidMappings":{ids}}}"#),
            "mounts[0].options: idmap: a cgroup file system can't be idmapped",
        ),
        (
            format!(
                r#"{{"destination":"/x","type":"tmpfs","options":["silent"],"uidMappings":{ids},"gidMappings":{ids}}}"#
            ),
            "mounts[0].options: idmap: not with options that only mount(2) takes",
        ),
    ] {
        assert_eq!(mounted(&mount).unwrap_err().to_string(), message, "{mount}");
    }
}

#[test]
fn what_should_be_warned_about_is() {
    for (mount, warning) in [
        (
            r#"{"destination":"tmp","type":"tmpfs"}"#,
            r#"mounts[0].destination: "tmp": relative paths are deprecated, taken as relative to /"#,
        ),
        (
            r#"{"destination":"/x","source":"/y","options":["bind","sync","dirsync"]}"#,
            r#"mounts[0].options: "dirsync,sync": no effect on a bind mount"#,
        ),
    ] {
        assert_eq!(mounted(mount).unwrap().1, [warning]);
    }
}

#[test]
fn wrong_roots_and_paths_are_named() {
    let text = r#"{"ociVersion":"1.3.0","linux":{"namespaces":[{"type":"mount"}]}}"#;
    let rootless = json::from_slice::<Spec>(text.as_bytes()).unwrap();
    let e = plan(&rootless, Path::new("/b"), &Options::default()).unwrap_err();
    assert_eq!(e.to_string(), "root: missing");
    let text = r#"{"ociVersion":"1.3.0","root":{"path":"r"}}"#;
    let hostmounts = json::from_slice::<Spec>(text.as_bytes()).unwrap();
    let e = plan(&hostmounts, Path::new("/b"), &Options::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Unsupported);
    assert!(e.to_string().starts_with("linux.namespaces: no \"mount\""), "{e}");
    for (parts, message) in [
        (r#""maskedPaths":["/a","b"]"#, r#"linux.maskedPaths[1]: "b": must be absolute"#),
        (r#""readonlyPaths":["/a/.."]"#, r#"linux.readonlyPaths[0]: "/a/..": must not have ".." in it"#),
        (r#""readonlyPaths":["/"]"#, "linux.readonlyPaths[0]: the root itself"),
        (r#""rootfsPropagation":"both""#, r#"linux.rootfsPropagation: "both": unknown propagation"#),
        (r#""rootfsPropagation":"ro""#, r#"linux.rootfsPropagation: "ro": unknown propagation"#),
    ] {
        assert_eq!(linux(parts).unwrap_err().to_string(), message);
    }
    let (plan, _) = linux(r#""maskedPaths":["/a","/b","//a/"],"readonlyPaths":["/c/./d"]"#).unwrap();
    assert_eq!(
        (plan.masked_paths, plan.readonly_paths),
        (vec!["/a".into(), "/b".into()], vec!["/c/d".into()])
    );
    let mut private = spec("\"hostname\":\"h\"");
    private.linux.as_mut().unwrap().rootfs_propagation = "rprivate".to_owned();
    let options = Options { no_pivot: true, ..Options::default() };
    let e = super::plan(&private, Path::new("/b"), &options).unwrap_err();
    assert!(e.to_string().starts_with(r#"linux.rootfsPropagation: "rprivate": not safe"#), "{e}");
}

#[test]
fn the_terminal_group_gives_way_in_a_user_namespace() {
    let devpts = r#""mounts":[{"destination":"/dev/pts","type":"devpts","options":["newinstance","gid=5"]}]"#;
    let data = |gids: &[(u32, u32)], user_namespace| {
        let mut spec = spec(devpts);
        let map =
            |&(container_id, size): &(u32, u32)| IdMapping { container_id, size, ..IdMapping::default() };
        spec.linux.as_mut().unwrap().gid_mappings = gids.iter().map(map).collect();
        let options = Options { user_namespace, ..Options::default() };
        let (plan, warnings) = plan(&spec, Path::new("/b"), &options).unwrap();
        let MountKind::Filesystem(what) = plan.mounts.into_iter().next().unwrap().kind else { panic!() };
        (what.data.len(), what.lesser_data.map(|d| d.len()), warnings.len())
    };
    assert_eq!(data(&[], false), (2, None, 0));
    assert_eq!(data(&[(0, 65536)], true), (2, None, 0));
    assert_eq!(data(&[(0, 1), (5, 1)], true), (2, None, 0));
    assert_eq!(data(&[(0, 5)], true), (1, None, 1));
    assert_eq!(data(&[(6, u32::MAX)], true), (1, None, 1));
    // A joined one, whose map isn't known here: the kernel will say.
    assert_eq!(data(&[], true), (2, Some(1), 0));
}

#[test]
fn idmaps_are_the_mounts_own_or_the_containers() {
    let ids = |host| IdMapping { container_id: 0, host_id: host, size: 10, ..IdMapping::default() };
    let idmap = |mount: &str, namespace: &str| {
        let mounts = format!(r#""mounts":[{mount}]"#);
        let maps = r#"[{"containerID":0,"hostID":7,"size":10}]"#;
        let linux = format!(
            r#""linux":{{"namespaces":[{{"type":"mount"}}{namespace}],"uidMappings":{maps},"gidMappings":{maps}}}"#
        );
        let text = format!(r#"{{"ociVersion":"1.3.0","root":{{"path":"/r"}},{linux},{mounts}}}"#);
        let spec = json::from_slice::<Spec>(text.as_bytes()).unwrap();
        let options = Options { user_namespace: !namespace.is_empty(), ..Options::default() };
        plan(&spec, Path::new("/b"), &options).map(|(plan, _)| plan.mounts[0].idmap.clone())
    };
    let (new, joined) = (r#",{"type":"user"}"#, r#",{"type":"user","path":"/proc/7/ns/user"}"#);
    let mapped = |recursive, id| {
        let (uids, gids) = (vec![ids(id)], vec![ids(id)]);
        Some(Idmap { recursive, users: Users::Mapped { uids, gids } })
    };
    let own = r#""uidMappings":[{"containerID":0,"hostID":5,"size":10}],"gidMappings":[{"containerID":0,"hostID":5,"size":10}]"#;
    let bind = |options: &str, maps: &str| {
        format!(r#"{{"destination":"/x","source":"/y","options":["rbind"{options}]{maps}}}"#)
    };
    let own = format!(",{own}");
    for (mount, namespace, expected) in [
        (bind("", ""), new, None),
        (bind("", &own), "", mapped(false, 5)),
        (bind(r#","idmap""#, &own), "", mapped(false, 5)),
        (bind(r#","ridmap""#, &own), new, mapped(true, 5)),
        (bind(r#","idmap""#, &own), joined, mapped(false, 5)),
        (bind(r#","idmap""#, ""), new, mapped(false, 7)),
        (
            bind(r#","ridmap""#, ""),
            joined,
            Some(Idmap { recursive: true, users: Users::Joined("/proc/7/ns/user".into()) }),
        ),
        (format!(r#"{{"destination":"/x","type":"tmpfs"{own}}}"#), "", mapped(false, 5)),
    ] {
        assert_eq!(idmap(&mount, namespace).unwrap(), expected, "{mount} {namespace}");
    }
    for namespace in [new, joined] {
        let e = idmap(r#"{"destination":"/x","type":"tmpfs","options":["idmap"]}"#, namespace).unwrap_err();
        assert_eq!(e.kind(), Kind::Unsupported);
    }
}

#[test]
fn labels_go_into_new_file_systems() {
    let parts = r#""mountLabel":"u:r:t:s0:c1,c2""#;
    let (plan, _) = linux(parts).unwrap();
    assert_eq!(plan.mount_label, "u:r:t:s0:c1,c2");
    let mut spec = spec(
        r#""mounts":[{"destination":"/a","type":"tmpfs"},{"destination":"/sys","type":"sysfs"},
           {"destination":"/m","type":"mqueue"},{"destination":"/p","type":"proc"},{"destination":"/o","type":"overlay"}]"#,
    );
    spec.linux.as_mut().unwrap().mount_label = "u:r:t:s0:c1,c2".to_owned();
    let (plan, warnings) = super::plan(&spec, Path::new("/b"), &Options::default()).unwrap();
    let labels = |m: &MountPlan| match &m.kind {
        MountKind::Filesystem(f) => (f.data.clone(), f.classic, f.root_label.clone()),
        _ => panic!(),
    };
    let context = (vec!["context=\"u:r:t:s0:c1,c2\"".to_owned()], true, String::new());
    let none = (vec![], false, String::new());
    let root = (vec![], false, "u:r:t:s0:c1,c2".to_owned());
    let expected = [context.clone(), none.clone(), root, none, context];
    assert_eq!(plan.mounts.iter().map(labels).collect::<Vec<_>>(), expected);
    assert!(warnings.is_empty());
    let e = linux(r#""mountLabel":"a\",x=\"b""#).unwrap_err();
    assert!(e.to_string().starts_with("linux.mountLabel: "), "{e}");
}

#[test]
fn the_specs_default_bundle_is_planned_without_a_warning() {
    // As runc's `spec` writes it.
    let mounts = r#""mounts":[
      {"destination":"/proc","type":"proc","source":"proc"},
      {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
      {"destination":"/dev/pts","type":"devpts","source":"devpts",
       "options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"]},
      {"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
      {"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]},
      {"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]},
      {"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup",
       "options":["nosuid","noexec","nodev","relatime","ro"]}]"#;
    let (plan, warnings) = planned(mounts, &Options::default()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(plan.mounts.len(), 7);
    assert_eq!(plan.mounts.iter().map(|m| m.index).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    assert!(plan.mounts.iter().all(|m| !matches!(&m.kind, MountKind::Filesystem(f) if f.classic)));
}
