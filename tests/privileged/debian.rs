//! A whole Debian, made by debootstrap: its own programs, users and package manager.

use crate::inside::{dir, printed};
use serde_json::json;
use std::fs;
use testkit::{Bundle, Door};

/// Programs of a real system want more rights than the template gives.
fn debian() -> Option<Bundle> {
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_MKNOD",
        "CAP_AUDIT_WRITE",
        "CAP_SETFCAP",
    ]);
    let bundle = Bundle::debian()?;
    Some(bundle.writable().edit(|config| {
        let sets = config["process"]["capabilities"].as_object_mut().unwrap();
        sets.values_mut().for_each(|set| *set = capabilities.clone());
    }))
}

#[test]
fn the_package_manager_runs() {
    let Some(bundle) = debian() else { return };
    let bundle = bundle.shell("set -e; apt --version; dpkg --list | grep '^ii' | wc -l; dpkg --verify libc6 | grep -v ' /usr/share/doc/' || echo whole");
    let said = printed(&bundle);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("apt 2."), "{said}");
    assert!(lines[1].parse::<u32>().unwrap() > 50, "{said}");
    assert_eq!(lines[2], "whole", "{said}");
}

#[test]
fn a_package_is_removed_in_a_writable_root() {
    let Some(bundle) = debian() else { return };
    let line = "set -e; test -e /sbin/hwclock; dpkg --purge --force-depends util-linux-extra >/dev/null 2>&1
        test ! -e /sbin/hwclock; dpkg --list util-linux-extra 2>/dev/null | grep -c '^ii' || echo gone";
    assert_eq!(printed(&bundle.shell(line)), "0\ngone\n");
}

#[test]
fn users_are_found_by_the_systems_own_lookup() {
    let Some(bundle) = debian() else { return };
    let bundle = bundle.edit(|config| {
        config["process"]["user"] = json!({ "uid": 33, "gid": 33, "additionalGids": [4, 50], "umask": 0o27 });
        config["process"]["cwd"] = json!("/var/log");
    });
    let bundle = bundle.shell("id; whoami; pwd; echo $HOME; umask; touch /tmp/x; stat -c '%U:%G %a' /tmp/x; touch x 2>&1 | tail -c 18");
    let expected = "uid=33(www-data) gid=33(www-data) groups=33(www-data),4(adm),50(staff)\nwww-data\n/var/log\n/var/www\n0027\n\
                    www-data:www-data 640\nPermission denied\n";
    assert_eq!(printed(&bundle), expected);
}

#[test]
fn ordinary_tools_see_an_ordinary_system() {
    let Some(bundle) = debian() else { return };
    let line = "set -e; . /etc/os-release; echo $ID $VERSION_ID; hostname; id -un; tty || true; nproc >/dev/null
        mount | grep -c ' on /proc type proc '; findmnt -n -o FSTYPE /dev/pts; df --output=target /dev/shm | tail -n 1
        test -r /proc/self/status; ls /proc | grep -c '^[0-9]*$' >/dev/null; perl -e 'print \"perl $$\\n\"' | cut -d' ' -f1
        stat -c %F /dev/null; su -s /bin/sh www-data -c 'id -u'";
    let said =
        printed(&bundle.shell(line).edit(|config| config["process"]["noNewPrivileges"] = json!(false)));
    let expected =
        "debian 12\nbundle\nroot\nnot a tty\n1\ndevpts\n/dev/shm\nperl\ncharacter special file\n33\n";
    assert_eq!(said, expected);
}

#[test]
fn a_daemon_is_started_and_programs_executed_beside_it() {
    let Some(bundle) = debian() else { return };
    let bundle = bundle.args(["sleep", "infinity"]);
    let door = Door::new();
    let id = door.id("debian");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let said = door.ok(["exec", &id, "bash", "-c", "echo $BASH_VERSINFO; cat /proc/1/comm"]).stdout;
    assert_eq!(said, "5\nsleep\n");
    let said = door
        .ok([
            "exec",
            "--user",
            "33:33",
            "--cwd",
            "/tmp",
            "--env",
            "A=b",
            &id,
            "sh",
            "-c",
            "id -un; pwd; echo $A",
        ])
        .stdout;
    assert_eq!(said, "www-data\n/tmp\nb\n");
    let missing = door.run(["exec", &id, "no-such-program"]);
    assert_ne!(missing.code, 0);
    assert!(missing.stderr.contains("no-such-program"), "{}", missing.stderr);
    door.ok(["delete", "--force", &id]);
}

#[test]
fn a_whole_system_runs_in_a_user_namespace() {
    let Some(bundle) = debian() else { return };
    let first = 300_000;
    let bundle = bundle.owned_by(first, first).namespace(json!({ "type": "user" })).edit(|config| {
        let map = json!([{ "containerID": 0, "hostID": first, "size": 65536 }]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    let bundle = bundle.shell("set -e; apt --version | cut -d' ' -f1; touch /root/x; chown www-data /root/x; stat -c %U /root/x; cut -d' ' -f1-99 /proc/self/uid_map | tr -s ' '");
    assert_eq!(printed(&bundle), "apt\nwww-data\n 0 300000 65536\n");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(bundle.rootfs().join("root/x")).unwrap().uid(), first + 33);
}
