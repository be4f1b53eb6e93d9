//! What the options of `podman run` are inside.

use super::Podman;
use crate::client::Client;
use std::fs;
use testkit::privileged;

#[test]
fn podmans_options_are_seen_inside() {
    let Some(podman) = Podman::new() else { return };
    let output = podman.run(&["--rm", "--read-only"], &["sh", "-c", "touch /x; touch /tmp/x && echo tmp"]);
    assert!(output.stderr.contains("Read-only file system") && output.stdout == "tmp\n", "{output:?}");
    assert_eq!(podman.says(&["--user", "1000:2000"], "echo $(id -u):$(id -g)"), "1000:2000\n");
    assert_eq!(podman.says(&["--user", "user"], "id -un; echo $HOME"), "user\n/home\n");
    assert_eq!(podman.says(&["--hostname", "web"], "hostname"), "web\n");
    assert_eq!(podman.says(&[], "ls /sys/class/net"), "lo\n");
    assert_eq!(
        podman.says(&["--tmpfs", "/t:size=64k"], "df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2"),
        "64\n"
    );
    assert_eq!(
        podman.says(&["--cap-drop", "all"], "grep CapBnd /proc/self/status"),
        "CapBnd:\t0000000000000000\n"
    );
    assert_eq!(
        podman.says(&["--ulimit", "nofile=77:99", "--ulimit", "nproc=512:512"], "ulimit -Sn; ulimit -Hn"),
        "77\n99\n"
    );
    assert_eq!(
        podman.says(&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status"),
        "NoNewPrivs:\t1\n"
    );
    assert_eq!(
        podman.says(&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status"),
        "Seccomp:\t0\n"
    );
    assert_eq!(podman.says(&[], "grep Seccomp: /proc/self/status"), "Seccomp:\t2\n");
    let volume = format!("{}:/v:ro", podman.dir().display());
    assert_eq!(
        podman.says(
            &["--volume", &volume],
            "ls /v/containers.conf; touch /v/x 2>&1".replace("touch", "! touch").as_str()
        ),
        "/v/containers.conf\ntouch: /v/x: Read-only file system\n"
    );
    let map =
        podman.says(&["--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"], "cat /proc/self/uid_map");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "1000"]);
    let privileged = podman.says(&["--privileged"], "grep CapEff /proc/self/status; ls -d /sys/firmware");
    assert!(!privileged.contains("CapEff:\t00000000800405fb"), "{privileged}");
}

#[test]
fn podmans_devices_and_sysctls_are_the_containers() {
    let Some(podman) = Podman::new() else { return };
    assert_eq!(podman.says(&["--sysctl", "kernel.msgmax=4096"], "cat /proc/sys/kernel/msgmax"), "4096\n");
    if privileged::file("/dev/fuse") {
        let line = "(exec 3</dev/f) && echo readable; (exec 3>/dev/f) 2>/dev/null || echo refused";
        assert_eq!(podman.says(&["--device", "/dev/fuse:/dev/f:r"], line), "readable\nrefused\n");
        let made = "mknod /tmp/f c 10 229 && ! (exec 3</tmp/f) 2>/dev/null && echo refused";
        assert_eq!(podman.says(&["--cap-add", "mknod"], made), "refused\n");
    }
}

#[test]
fn podmans_seccomp_profile_is_the_containers() {
    let Some(podman) = Podman::new() else { return };
    let profile = podman.dir().join("profile.json");
    let rule = r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}"#;
    fs::write(&profile, format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#)).unwrap();
    let option = format!("seccomp={}", profile.display());
    let output = podman.run(&["--rm", "--security-opt", &option], &["mkdir", "/tmp/x"]);
    assert!(output.code == 1 && output.stderr.contains("No space left on device"), "{output:?}");
    assert_eq!(podman.says(&["--security-opt", &option], "touch /tmp/x; echo done"), "done\n");
}

#[test]
fn podmans_init_waits_for_orphans() {
    let Some(podman) = Podman::new() else { return };
    if !privileged::program("catatonit", "catatonit") {
        return;
    }
    podman.start("web", &["--init"], &["sleep", "1000"]);
    assert_eq!(podman.exec("web", "cat /proc/1/comm; cat /proc/2/comm"), "podman-init\nsleep");
    let orphan = "(true & exec sleep 0) & wait; while grep -q Z /proc/[0-9]*/stat; do :; done; echo none";
    assert_eq!(podman.exec("web", orphan), "none");
    podman.ok(["stop", "--time", "20", "web"]);
    assert_eq!(podman.inspect("web", "{{.State.ExitCode}}"), "143");
}

#[test]
fn podmans_automatic_user_namespaces_do_not_overlap() {
    let Some(podman) = Podman::among_users() else { return };
    let (uid_map, options) = ("cat /proc/self/uid_map", ["--userns=auto:size=1000"]);
    podman.start("one", &options, &["sleep", "1000"]);
    podman.start("two", &options, &["sleep", "1000"]);
    let map = |name| podman.exec(name, uid_map).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (one, two) = (map("one"), map("two"));
    let subordinate = (super::SUBORDINATE + 65536).to_string();
    assert_eq!([one[0].as_str(), &one[1], &one[2]], ["0", &subordinate, "1000"]);
    assert_eq!((two[0].as_str(), two[2].as_str()), ("0", "1000"));
    assert_ne!(one[1], two[1]);
    assert_eq!(podman.exec("one", "touch /x && ls -ln /x | tr -s ' ' | cut -d' ' -f3"), "0");
}
