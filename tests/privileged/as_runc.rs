//! What the specification leaves open and runc's users rely on.

use crate::inside::{Mounted, mount, options_at, own_host, probed, refused, shell, source, writable};
use crate::running::{Running, dir, prepared_by, read, refusal, run};
use forgeone_sys::mount::{self as sys_mount, MountFlags};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use testkit::{Bundle, Door, Temp, privileged};

/// A directory that is mounted on itself, with these flags.
fn flagged(flags: MountFlags) -> (Temp, Mounted) {
    let source = source();
    let path = source.path().to_owned();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    sys_mount::mount_bind(&path, &path, false).unwrap();
    let mounted = Mounted(path.clone());
    sys_mount::mount_remount(&path, flags | MountFlags::BIND, None).unwrap();
    (source, mounted)
}

/// Its binds at `/0`, `/1` and so on.
fn binds(bundle: Bundle, source: &Temp, options: &[(&str, &str)]) -> Bundle {
    let numbered = options.iter().enumerate();
    numbered.fold(bundle, |bundle, (i, (words, _))| {
        bundle.mount(mount(&format!("/{i}"), "bind", source.path(), words))
    })
}

const READ_ONLY: MountFlags = MountFlags::RDONLY.union(MountFlags::NOEXEC).union(MountFlags::NOATIME);

#[test]
fn a_bind_has_its_sources_flags_until_an_option_speaks_of_one() {
    if !privileged::machine_root() {
        return;
    }
    own_host();
    let (source, _mounted) = flagged(READ_ONLY);
    let table = [
        ("bind rprivate", "noatime,noexec,ro"),
        ("bind nosuid", "noatime,nosuid,rw"),
        ("rbind dev", "noatime,rw"),
        ("bind ro", "noatime,ro"),
        ("bind atime", "noatime,rw"),
        ("bind relatime noexec", "noexec,relatime,rw"),
        ("bind nodiratime", "nodiratime,relatime,rw"),
        ("rbind rro", "noatime,noexec,ro"),
    ];
    let seen = probed(binds(writable(), &source, &table), &[]);
    for (i, (words, options)) in table.iter().enumerate() {
        assert_eq!(options_at(&seen, &format!("/{i}")), *options, "{words}");
    }
}

/// A bundle with root of its own.
fn in_user_namespace() -> Bundle {
    Bundle::busybox().owned_by(200_000, 200_000).writable().namespace(json!({ "type": "user" })).edit(
        |config| {
            let ids = json!([{ "containerID": 0, "hostID": 200_000, "size": 65536 }]);
            config["linux"]["uidMappings"] = ids.clone();
            config["linux"]["gidMappings"] = ids;
        },
    )
}

#[test]
fn in_a_user_namespace_a_bind_keeps_what_is_locked_and_says_so_where_it_was_asked_to_go() {
    if !privileged::machine_root() {
        return;
    }
    own_host();
    let (source, _mounted) = flagged(READ_ONLY | MountFlags::NOSYMFOLLOW);
    let table = [
        ("bind", "noatime,noexec,nosymfollow,ro"),
        ("bind nosuid", "noatime,noexec,nosuid,ro"),
        ("bind dev", "noatime,noexec,ro"),
    ];
    let seen = probed(binds(in_user_namespace(), &source, &table), &[]);
    for (i, (words, options)) in table.iter().enumerate() {
        assert_eq!(options_at(&seen, &format!("/{i}")), *options, "{words}");
    }
    for words in ["bind rw", "bind exec", "bind strictatime"] {
        let said = refused(&binds(in_user_namespace(), &source, &[(words, "")]));
        assert!(said.contains("mounts[7] \"/0\"") && said.contains("EPERM"), "{words}: {said}");
    }
}

#[test]
fn a_destination_that_begins_with_the_roots_path_is_inside_the_root() {
    if !privileged::root() {
        return;
    }
    let source = source();
    let bundle = writable();
    let data = bundle.rootfs().join("data");
    let bundle = bundle.mount(mount(data.to_str().unwrap(), "bind", source.path(), "bind"));
    // A source below the root's path is what is mounted there by then.
    let again = mount("/again", "bind", data.join("sub"), "bind");
    assert_eq!(
        shell(bundle.mount(again), "cat /data/sub/file /again/file"),
        "from the host\nfrom the host\n"
    );
    let bundle = writable();
    let root = bundle.rootfs();
    let said = refused(&bundle.mount(mount(root.to_str().unwrap(), "bind", source.path(), "bind")));
    assert!(said.contains("mounts[7].destination"), "{said}");
}

#[test]
fn exec_has_the_containers_personality() {
    if !privileged::root() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let personality = json!({ "domain": "LINUX32" });
    let running = Running::of(Bundle::busybox().edit(|config| config["linux"]["personality"] = personality));
    assert_eq!(running.says("uname -m"), "i686");
}

#[test]
fn a_capability_lets_a_user_execute_what_only_the_owner_may() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().file("/opt/tool", "#!/bin/sh\necho ran as $(id -u)\n").args(["/opt/tool"]);
    let tool = bundle.rootfs().join("opt/tool");
    chown(&tool, Some(0), Some(0)).unwrap();
    fs::set_permissions(&tool, Permissions::from_mode(0o744)).unwrap();
    let bundle = bundle.edit(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    let error = refusal(&bundle);
    assert!(error.ends_with("exec: \"/opt/tool\": permission denied"), "{error}");
    let bundle = bundle.edit(|config| {
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
        }
    });
    assert_eq!(run(&bundle).stdout, "ran as 1000\n");
}

#[test]
fn a_hook_that_names_no_environment_has_that_of_its_surroundings() {
    if !privileged::root() {
        return;
    }
    let out = Temp::new("environment");
    let points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let seen = mount("/out", "bind", out.path(), "bind");
    let bundle = writable().mount(seen).args(["true"]).edit(|config| {
        config["process"]["env"] = json!(["OF=the program", "PATH=/bin"]);
        for point in points {
            let to = if point == "startContainer" { "/out".into() } else { out.path().display().to_string() };
            let line = format!("/bin/cat /proc/self/environ > {to}/{point}");
            config["hooks"][point] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", line] }]);
        }
    });
    let door = Door::new();
    let id = door.id("environment");
    let args = ["run", "--bundle", dir(&bundle), &id];
    let output = door.finish(&mut prepared_by("exec env OF=the\\ runtime \"$@\"", &door, &args));
    assert_eq!(output.code, 0, "{}", output.stderr);
    for point in points {
        let text = read(out.path().join(point));
        let of: BTreeSet<_> = text.split('\0').filter(|pair| pair.starts_with("OF=")).collect();
        let expected = match point {
            "createContainer" => None,
            "startContainer" => Some("OF=the program"),
            _ => Some("OF=the runtime"),
        };
        assert_eq!(of, expected.into_iter().collect(), "{point}: {text}");
    }
}

#[test]
fn the_filter_holds_for_start_container_hooks() {
    if !privileged::root() {
        return;
    }
    for no_new_privileges in [true, false] {
        let bundle = Bundle::busybox().args(["true"]).edit(|config| {
            let rule = json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 });
            config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            let args = ["sh", "-c", "mkdir /dev/shm/x"];
            config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": args }]);
        });
        let output = run(&bundle);
        assert_eq!(output.code, 1);
        let said = &output.stderr;
        assert!(said.contains("hooks.startContainer[0]") && said.contains("No space left"), "{said}");
    }
}
