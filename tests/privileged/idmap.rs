//! Idmapped mounts: whose files they are inside, and whose on the host.

use crate::inside::{Mounted, dir, mount, mount_at, own_host, printed, probed, refused, shell, writable};
use crate::userns::Holder;
use forgeone_sys::mount::{self as sys_mount, MountFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Temp, privileged, programs};

/// Where ranges of these tests begin on the host.
const FIRST: u32 = 300_000;

fn range(inside: u32, outside: u32, size: u32) -> Value {
    json!([{ "containerID": inside, "hostID": outside, "size": size }])
}

/// A bind of `source` at `/data` whose ids from 0 are shown as the host's from `first`.
fn bind(source: &Path, options: &str, first: u32) -> Value {
    with_ids(mount("/data", "bind", source, options), range(0, first, 65536), range(0, first, 65536))
}

fn with_ids(mut mount: Value, users: Value, groups: Value) -> Value {
    mount["uidMappings"] = users;
    mount["gidMappings"] = groups;
    mount
}

/// A directory everybody may write to, with a file of 0:0, `root`, and one of 7:8, `user`.
fn owned() -> Temp {
    let source = Temp::new("owned");
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for (name, uid, gid) in [("root", 0, 0), ("user", 7, 8)] {
        fs::write(source.path().join(name), "").unwrap();
        chown(source.path().join(name), Some(uid), Some(gid)).unwrap();
    }
    source
}

fn own_users(bundle: Bundle) -> Bundle {
    bundle.owned_by(FIRST, FIRST).namespace(json!({ "type": "user" })).edit(|config| {
        config["linux"]["uidMappings"] = range(0, FIRST, 65536);
        config["linux"]["gidMappings"] = range(0, FIRST, 65536);
    })
}

/// Owners of files inside, as the probe saw them.
fn owner<'a>(seen: &'a Value, path: &str) -> &'a str {
    seen["asked"][format!("stat:{path}")]["owner"].as_str().unwrap_or("none")
}

fn owner_on_host(path: impl AsRef<Path>) -> (u32, u32) {
    let stat = fs::metadata(path).unwrap();
    (stat.uid(), stat.gid())
}

#[test]
fn a_bind_shows_other_owners_and_the_source_keeps_its_own() {
    if !privileged::machine_root() {
        return;
    }
    let source = owned();
    let bundle = writable()
        .mount(with_ids(
            mount("/data", "bind", source.path(), "bind"),
            range(0, 1000, 10),
            range(0, 2000, 10),
        ))
        .mount(mount("/plain", "bind", source.path(), "bind"));
    let seen = probed(bundle, &["stat:/data/root", "stat:/data/user", "stat:/plain/user"]);
    assert_eq!((owner(&seen, "/data/root"), owner(&seen, "/data/user")), ("1000:2000", "1007:2008"));
    assert_eq!(owner(&seen, "/plain/user"), "7:8");
    // Who has no id in the file system can't make files in it; who has makes them as that one.
    let bundle = writable().mount(bind(source.path(), "bind idmap", 1000));
    let said = shell(bundle, "touch /data/new 2>&1 || true");
    assert!(said.contains("Value too large"), "{said}");
    let bundle = writable()
        .mount(bind(source.path(), "bind idmap", 1000))
        .edit(|config| config["process"]["user"] = json!({ "uid": 1003, "gid": 1004 }));
    assert_eq!(shell(bundle, "touch /data/new; stat -c %u:%g /data/new"), "1003:1004\n");
    assert_eq!(owner_on_host(source.path().join("new")), (3, 4));
    assert_eq!(owner_on_host(source.path().join("user")), (7, 8));
}

#[test]
fn options_of_the_bind_hold_as_well() {
    if !privileged::machine_root() {
        return;
    }
    let source = owned();
    let bundle = writable().mount(bind(source.path(), "bind idmap ro nosuid noexec", 1000));
    fs::set_permissions(source.path().join("root"), fs::Permissions::from_mode(0o666)).unwrap();
    let seen = probed(bundle, &["write:/data/root", "stat:/data/root"]);
    assert_eq!(seen["asked"]["write:/data/root"], 30, "EROFS");
    assert_eq!(owner(&seen, "/data/root"), "1000:1000");
    let words = crate::inside::options_at(&seen, "/data");
    assert!(words.contains("noexec,nosuid") && words.contains("idmapped"), "{words}");
}

#[test]
fn a_user_namespace_writes_to_a_volume_as_the_hosts_users() {
    if !privileged::root() {
        return;
    }
    let source = owned();
    // Out of reach for the container's root: the runtime gets there.
    let closed = Temp::new("closed");
    let inner = closed.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let bundle = own_users(writable())
        .mount(bind(source.path(), "bind", FIRST))
        .mount(mount("/own", "bind", source.path(), "bind idmap"))
        .mount(mount("/plain", "bind", source.path(), "bind"))
        .mount(mount("/inner", "bind", &inner, "bind idmap"));
    let line = "cd /data; stat -c %u:%g root user /own/user /plain/user
        touch new /own/own /inner/deep; stat -c %u:%g new /own/own";
    assert_eq!(shell(bundle, line), "0:0\n7:8\n7:8\n65534:65534\n0:0\n0:0\n");
    assert_eq!(owner_on_host(source.path().join("new")), (0, 0));
    assert_eq!(owner_on_host(source.path().join("own")), (0, 0));
    assert_eq!(owner_on_host(inner.join("deep")), (0, 0));
}

#[test]
fn a_joined_user_namespace_maps_as_well() {
    if !privileged::machine_root() {
        return;
    }
    let holder = Holder::new(FIRST);
    let source = owned();
    let bundle = Bundle::busybox()
        .owned_by(FIRST, FIRST)
        .writable()
        .namespace(json!({ "type": "user", "path": holder.namespace() }))
        .mount(mount("/data", "bind", source.path(), "bind idmap"))
        .mount(with_ids(
            mount("/other", "bind", source.path(), "bind"),
            range(0, FIRST + 100, 10),
            range(0, FIRST + 200, 10),
        ));
    let seen = probed(bundle, &["stat:/data/root", "stat:/data/user", "stat:/other/user"]);
    assert_eq!((owner(&seen, "/data/root"), owner(&seen, "/data/user")), ("0:0", "7:8"));
    assert_eq!(owner(&seen, "/other/user"), "107:208");
}

#[test]
fn ridmap_reaches_the_mounts_below_and_idmap_does_not() {
    if !privileged::machine_root() {
        return;
    }
    own_host();
    let source = owned();
    let below = source.path().join("below");
    fs::create_dir(&below).unwrap();
    sys_mount::mount("below", &below, "tmpfs", MountFlags::empty(), None).unwrap();
    let _unmounted = Mounted(below.clone());
    fs::write(below.join("file"), "").unwrap();
    let questions = ["stat:/data/root", "stat:/data/below/file"];
    for (options, expected) in [
        ("rbind", ("1000:1000", "0:0")),
        ("rbind idmap", ("1000:1000", "0:0")),
        ("rbind ridmap", ("1000:1000", "1000:1000")),
        ("bind ridmap", ("1000:1000", "none")),
    ] {
        let seen = probed(writable().mount(bind(source.path(), options, 1000)), &questions);
        assert_eq!(
            (owner(&seen, questions[0].trim_start_matches("stat:")), owner(&seen, "/data/below/file")),
            expected,
            "{options}"
        );
    }
    let bundle = own_users(writable()).mount(mount("/data", "bind", source.path(), "rbind ridmap"));
    let seen = probed(bundle, &questions);
    assert_eq!((owner(&seen, "/data/root"), owner(&seen, "/data/below/file")), ("0:0", "0:0"));
}

#[test]
fn a_new_file_system_can_be_idmapped() {
    if !privileged::machine_root() {
        return;
    }
    let tmpfs =
        |options| with_ids(mount("/data", "tmpfs", "tmpfs", options), range(0, 1000, 10), range(0, 1000, 10));
    let seen = probed(writable().mount(tmpfs("idmap mode=755")), &["stat:/data"]);
    assert_eq!(owner(&seen, "/data"), "1000:1000");
    assert!(mount_at(&seen, "/data")["options"].as_array().unwrap().contains(&json!("idmapped")));
    // What is copied up keeps its owners in the file system, and they are shown as others too.
    let bundle = writable().file("/data/file", "text\n").mount(tmpfs("tmpcopyup"));
    chown(bundle.rootfs().join("data/file"), Some(3), Some(4)).unwrap();
    let seen = probed(bundle, &["stat:/data/file", "read:/data/file"]);
    assert_eq!(
        (owner(&seen, "/data/file"), &seen["asked"]["read:/data/file"]),
        ("1003:1004", &json!("text\n"))
    );
    // In a user namespace the file system has the container's ids already.
    let said = refused(&own_users(writable()).mount(mount("/data", "tmpfs", "tmpfs", "idmap")));
    assert!(said.contains("mounts[7].options: idmap") && said.contains("user namespace"), "{said}");
}

#[test]
fn several_mounts_have_their_own_maps() {
    if !privileged::root() {
        return;
    }
    let source = owned();
    let at = |place: &str, first| {
        let mut mount = bind(source.path(), "bind idmap shared", first);
        mount["destination"] = json!(place);
        mount
    };
    let places: Vec<_> = (0..20).map(|n| (format!("/m/{n}"), 1000 + n % 3 * 100)).collect();
    let bundle = places
        .iter()
        .fold(own_users(writable()), |bundle, (place, first)| bundle.mount(at(place, FIRST + first)));
    // No descriptor is left over: the program's limit is lower than the number of mounts.
    let bundle = bundle.edit(|config| {
        config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 20, "soft": 20 }]);
    });
    let questions: Vec<_> = places.iter().map(|(place, _)| format!("stat:{place}/user")).collect();
    let bundle = bundle.with_probe();
    let bundle = bundle.args([&[PROBE.to_owned()][..], &questions].concat());
    let seen: Value = serde_json::from_str(&printed(&bundle)).unwrap();
    for (place, first) in &places {
        assert_eq!(owner(&seen, &format!("{place}/user")), format!("{}:{}", first + 7, first + 8));
        assert!(mount_at(&seen, place)["propagation"].as_array().unwrap().contains(&json!("shared")));
    }
    let door = Door::new();
    let id = door.id("idmapped");
    let sleeping = bundle.args(["sleep", "1000"]);
    door.ok(["run", "--detach", "--bundle", dir(&sleeping), &id]);
    let inside = door.ok(["exec", &id, "sh", "-c", "echo /proc/[0-9]*"]).stdout;
    assert_eq!(
        inside.split_whitespace().count(),
        2,
        "sleep and sh: no process was left for the maps: {inside}"
    );
    door.ok(["delete", "--force", &id]);
}

#[test]
fn an_earlier_mount_can_make_the_source_of_an_idmapped_bind() {
    if !privileged::root() {
        return;
    }
    let source = owned();
    fs::create_dir(source.path().join("below")).unwrap();
    let below = owned();
    for (own_users, seen) in [(false, "1007:1008\n2007:2008\n7:8\n"), (true, "7:8\n107:108\n65534:65534\n")] {
        let bundle = match own_users {
            true => self::own_users(Bundle::busybox().writable()),
            false => Bundle::busybox().writable(),
        };
        let first = if own_users { FIRST } else { 1000 };
        // One source isn't there before the first mount, the other is there and empty.
        let (missing, covered) = (bundle.rootfs().join("made/below"), bundle.rootfs().join("there"));
        fs::create_dir(&covered).unwrap();
        let at = |place: &str, mut mount: Value| {
            mount["destination"] = json!(place);
            mount
        };
        let bundle = bundle
            .mount(mount("/made", "bind", source.path(), "bind"))
            .mount(mount("/made/below", "bind", below.path(), "bind"))
            .mount(mount("/there", "bind", below.path(), "bind"))
            .mount(at("/first", bind(&missing, "bind", first)))
            .mount(at("/second", bind(&covered, "rbind", first + if own_users { 100 } else { 1000 })));
        let line = "stat -c %u:%g /first/user /second/user /made/below/user";
        assert_eq!(shell(bundle, line), seen);
        assert_eq!(owner_on_host(below.path().join("user")), (7, 8));
    }
}

#[test]
fn what_can_not_be_idmapped_is_refused_by_name_and_cause() {
    if !privileged::machine_root() {
        return;
    }
    let source = owned();
    let mut lacking = bind(source.path(), "bind idmap", 1000);
    lacking["gidMappings"] = json!([]);
    let mut overlapping = bind(source.path(), "bind idmap", 1000);
    overlapping["uidMappings"].as_array_mut().unwrap().push(range(0, 5, 5)[0].clone());
    for (mount, expected) in [
        (
            bind(Path::new("/sys/kernel"), "bind idmap", 1000),
            vec!["mounts[7] \"/data\" (bind of /sys/kernel)", "can't be idmapped by this kernel"],
        ),
        (
            bind(Path::new("/nowhere/at/all"), "bind idmap", 1000),
            vec!["mounts[7] \"/data\"", "/nowhere/at/all", "ENOENT"],
        ),
        (bind(Path::new("x"), "", 1000), vec!["mounts[7].type"]),
        (
            with_ids(mount("/data", "mqueue", "mqueue", "idmap"), range(0, 1, 1), range(0, 1, 1)),
            vec!["mounts[7] \"/data\" (mqueue)", "idmapped by this kernel"],
        ),
        (lacking, vec!["mounts[7].gidMappings"]),
        (overlapping, vec!["mounts[7] \"/data\"", "uidMappings"]),
    ] {
        let said = refused(&writable().mount(mount.clone()));
        assert!(expected.iter().all(|part| said.contains(part)), "{mount}: {said}");
    }
    // Never by less: without the calls there is no idmapped mount.
    let bundle = writable().mount(bind(source.path(), "bind idmap", 1000)).args(["true"]);
    let door = Door::new().launched([programs::lane().to_str().unwrap(), "ENOSYS"]);
    let output = door.run(["run", "--bundle", dir(&bundle), &door.id("old")]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("mounts[7]") && output.stderr.contains("need Linux 5.12"),
        "{}",
        output.stderr
    );
}
