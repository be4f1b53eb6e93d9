//! Tables of what configurations become.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::registry::found::{HostDevice, Joined};
use crate::registry::record::tests::record;
use crate::registry::volumes::Bound;
use serde_json::{Value, json};

fn found() -> Found {
    Found {
        directory: "/data/containers/c".into(),
        init: "/libexec/forgeone-standalone".into(),
        hostname: "machine".to_owned(),
        nofile: 1 << 20,
        ..Found::default()
    }
}

fn made_with(config: Value, image: Value, user: &User, found: &Found) -> Result<Value> {
    let record = record(config, image);
    make(&Inputs { record: &record, user, found, given: &Given::default() })
        .map(|spec| serde_json::to_value(spec).unwrap())
}

fn made(config: Value, image: Value) -> Result<Value> {
    made_with(config, image, &User::default(), &found())
}

/// With a program, which has to be said.
fn of(mut config: Value) -> Value {
    if config.get("command").is_none() {
        config["command"] = "sh".into();
    }
    made(config, json!({})).unwrap()
}

fn mount_at<'a>(spec: &'a Value, at: &str) -> &'a Value {
    let mounts = spec["mounts"].as_array().unwrap();
    mounts.iter().find(|mount| mount["destination"] == at).unwrap_or(&Value::Null)
}

#[test]
fn the_program_is_what_dockers_rules_make_of_image_and_configuration() {
    let (both, entry, cmd) = (
        json!({"Entrypoint": ["/e", "x"], "Cmd": ["c"]}),
        json!({"Entrypoint": ["/e"]}),
        json!({"Cmd": ["/c", "d"]}),
    );
    let table = [
        (json!({}), &both, json!(["/e", "x", "c"])),
        (json!({"args": ["a", "b"]}), &both, json!(["/e", "x", "a", "b"])),
        (json!({"args": []}), &both, json!(["/e", "x"])),
        (json!({"command": "/p"}), &both, json!(["/p"])),
        (json!({"command": "/p", "args": ["a"]}), &both, json!(["/p", "a"])),
        (json!({}), &entry, json!(["/e"])),
        (json!({}), &cmd, json!(["/c", "d"])),
        (json!({"args": ["sh"]}), &cmd, json!(["sh"])),
        (json!({"args": ["sh"], "init": true}), &cmd, json!(["/dev/forgeone-init", "init", "--", "sh"])),
    ];
    for (config, image, expected) in table {
        assert_eq!(
            made(config.clone(), image.clone()).unwrap()["process"]["args"],
            expected,
            "{config} {image}"
        );
    }
    let error = made(json!({}), json!({})).unwrap_err().to_string();
    assert!(error.starts_with("command: neither the image nor the configuration names a program"), "{error}");
}

#[test]
fn the_environment_is_the_defaults_then_the_images_then_the_configurations() {
    let image = json!({"Cmd": ["sh"], "Env": ["PATH=/image", "A=image", "B=image", "broken", "=x"]});
    let spec = made(json!({"env": {"B": "own", "Z": "a=b"}, "tty": true}), image).unwrap();
    let expected = ["PATH=/image", "HOSTNAME=0123456789ab", "TERM=xterm", "A=image", "B=own", "Z=a=b"];
    assert_eq!(spec["process"]["env"], json!(expected));
    let plain = of(json!({}));
    let env = plain["process"]["env"].as_array().unwrap();
    assert_eq!(env[0], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_eq!(env.len(), 2, "nothing of the host: {env:?}");
}

#[test]
fn a_container_that_says_nothing_is_confined() {
    let spec = of(json!({}));
    let process = &spec["process"];
    assert_eq!(process["noNewPrivileges"], true);
    let bounding = process["capabilities"]["bounding"].as_array().unwrap();
    assert_eq!(bounding.len(), 14, "{bounding:?}");
    assert!(!bounding.contains(&json!("CAP_SYS_ADMIN")) && !bounding.contains(&json!("CAP_NET_ADMIN")));
    assert_eq!(process["rlimits"], json!([{"type": "RLIMIT_NOFILE", "hard": 524_288, "soft": 1024}]));
    let linux = &spec["linux"];
    let kinds: Vec<_> = linux["namespaces"].as_array().unwrap().iter().map(|n| n["type"].clone()).collect();
    assert_eq!(kinds, ["mount", "pid", "ipc", "uts", "cgroup", "network"]);
    assert_eq!(linux["resources"]["pids"]["limit"], 2048);
    assert_eq!(linux["resources"]["devices"], json!([{"allow": false, "access": "rwm"}]));
    assert_eq!(linux["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    for path in ["/proc/kcore", "/proc/keys", "/sys/firmware"] {
        assert!(linux["maskedPaths"].as_array().unwrap().contains(&path.into()), "{path}");
    }
    assert!(linux["readonlyPaths"].as_array().unwrap().contains(&"/proc/sys".into()));
    for path in ["/sys", "/sys/fs/cgroup"] {
        assert!(mount_at(&spec, path)["options"].as_array().unwrap().contains(&"ro".into()), "{path}");
    }
    assert_eq!(spec["hostname"], "0123456789ab");
    assert_eq!(spec["root"], json!({"path": "rootfs"}));
}

#[test]
fn privileged_gives_it_all_up() {
    let spec = of(json!({"privileged": true}));
    assert_eq!(spec["process"].get("noNewPrivileges"), None);
    assert!(spec["process"]["capabilities"]["effective"].as_array().unwrap().len() > 35);
    assert_eq!(spec["linux"]["resources"]["devices"], json!([{"allow": true, "access": "rwm"}]));
    for key in ["seccomp", "maskedPaths", "readonlyPaths"] {
        assert_eq!(spec["linux"].get(key), None, "{key}");
    }
    assert!(mount_at(&spec, "/sys")["options"].as_array().unwrap().contains(&"rw".into()));
}

#[test]
fn fields_stand_where_the_door_finds_them() {
    let table = [
        (json!({"working_dir": "/w"}), "/process/cwd", json!("/w")),
        (json!({"tty": true}), "/process/terminal", json!(true)),
        (json!({"read_only": true}), "/root/readonly", json!(true)),
        (json!({"oom_score_adj": -5}), "/process/oomScoreAdj", json!(-5)),
        (json!({"security_opt": ["no-new-privileges=false"]}), "/process/noNewPrivileges", Value::Null),
        (json!({"security_opt": ["seccomp=unconfined"]}), "/linux/seccomp", Value::Null),
        (json!({"security_opt": ["apparmor:web"]}), "/process/apparmorProfile", json!("web")),
        (
            json!({"sysctls": {"net.ipv4.ip_forward": "1"}}),
            "/linux/sysctl",
            json!({"net.ipv4.ip_forward": "1"}),
        ),
        (json!({"annotations": {"a": "b"}}), "/annotations", json!({"a": "b"})),
        (json!({"resource_limits": {"memory_bytes": 5}}), "/linux/resources/memory", json!({"limit": 5})),
        (
            json!({"resource_limits": {"cpu_cores": 1.5}}),
            "/linux/resources/cpu",
            json!({"quota": 150_000, "period": 100_000}),
        ),
        (
            json!({"cpu_quota": 5000, "cpu_period": 10_000}),
            "/linux/resources/cpu",
            json!({"quota": 5000, "period": 10_000}),
        ),
        (
            json!({"cpu_shares": 512, "cpuset": "0-1"}),
            "/linux/resources/cpu",
            json!({"shares": 512, "cpus": "0-1"}),
        ),
        (json!({"mem_reservation": 5}), "/linux/resources/memory", json!({"reservation": 5})),
        (json!({"pids_limit": 9}), "/linux/resources/pids/limit", json!(9)),
        (json!({"pids_limit": u64::MAX}), "/linux/resources/pids/limit", json!(-1)),
        (json!({"blkio_config": {"weight": 77}}), "/linux/resources/blockIO", json!({"weight": 77})),
        (json!({"network": {"mode": "none", "hostname": "h", "domain_name": "d"}}), "/hostname", json!("h")),
        (
            json!({"network": {"mode": "none", "hostname": "h", "domain_name": "d"}}),
            "/domainname",
            json!("d"),
        ),
        (json!({"network": {"mode": "host"}}), "/hostname", json!("machine")),
        (json!({"uts": "host"}), "/hostname", Value::Null),
    ];
    for (config, at, expected) in table {
        let spec = of(config.clone());
        assert_eq!(spec.pointer(at).cloned().unwrap_or_default(), expected, "{config}");
    }
    let ulimits = of(json!({"ulimits": {"core": {"soft": 0, "hard": 1}, "nofile": {"soft": 2, "hard": 3}}}));
    let expected = json!([{"type": "RLIMIT_CORE", "hard": 1, "soft": 0}, {"type": "RLIMIT_NOFILE", "hard": 3, "soft": 2}]);
    assert_eq!(ulimits["process"]["rlimits"], expected);
    let image = made(json!({}), json!({"Cmd": ["sh"], "WorkingDir": "/image", "User": "7"})).unwrap();
    assert_eq!(image["process"]["cwd"], "/image");
}

#[test]
fn capabilities_are_added_and_dropped_by_any_spelling() {
    let sets = |config: Value, uid: u32| {
        let user = User { uid, ..User::default() };
        let mut config = config;
        config["command"] = "sh".into();
        let spec = made_with(config, json!({}), &user, &found()).unwrap();
        let set = |name: &str| {
            let list = spec["process"]["capabilities"][name].as_array().cloned().unwrap_or_default();
            list.iter()
                .map(|name| name.as_str().unwrap().trim_start_matches("CAP_").to_owned())
                .collect::<Vec<_>>()
        };
        [set("bounding"), set("effective"), set("ambient")]
    };
    let [bounding, effective, _] =
        sets(json!({"cap_drop": ["all"], "cap_add": ["net_admin", "CAP_CHOWN"]}), 0);
    assert_eq!(
        (bounding.join(" "), effective.join(" ")),
        ("CHOWN NET_ADMIN".into(), "CHOWN NET_ADMIN".into())
    );
    let [bounding, ..] = sets(json!({"cap_drop": ["MKNOD"]}), 0);
    assert!(bounding.len() == 13 && !bounding.contains(&"MKNOD".to_owned()));
    let [bounding, ..] = sets(json!({"cap_add": ["ALL"], "cap_drop": ["SYS_ADMIN"]}), 0);
    assert!(bounding.len() > 35 && !bounding.contains(&"SYS_ADMIN".to_owned()));
    // Another user has what was added by name, and keeps it.
    let [bounding, effective, ambient] = sets(json!({"cap_add": ["NET_ADMIN"]}), 7);
    assert_eq!(
        (bounding.len(), effective.join(" "), ambient.join(" ")),
        (15, "NET_ADMIN".into(), "NET_ADMIN".into())
    );
    let [_, effective, _] = sets(json!({}), 7);
    assert_eq!(effective, Vec::<String>::new());
}

#[test]
fn namespaces_are_the_hosts_or_anothers_where_that_is_said() {
    let kinds = |config: Value, found: &Found| {
        let mut config = config;
        config["command"] = "sh".into();
        let spec = made_with(config, json!({}), &User::default(), found).unwrap();
        let namespaces = spec["linux"]["namespaces"].as_array().unwrap().clone();
        let show =
            |n: &Value| format!("{}{}", n["type"].as_str().unwrap(), n["path"].as_str().unwrap_or_default());
        (namespaces.iter().map(show).collect::<Vec<_>>().join(" "), spec)
    };
    let all =
        json!({"pid": "host", "ipc": "host", "uts": "host", "cgroup": "host", "network": {"mode": "host"}});
    let (host, spec) = kinds(all, &found());
    assert_eq!(host, "mount");
    assert_eq!(mount_at(&spec, "/dev/shm")["source"], "/dev/shm");
    let joined = |kind, file: &str| Joined { kind, path: format!("/proc/7/ns/{file}"), pid: 7 };
    let found = Found { joined: vec![joined("ipc", "ipc"), joined("network", "net")], ..found() };
    let other = json!({"ipc": "container:x", "network": {"mode": "container", "name": "x"}});
    let (other, spec) = kinds(other, &found);
    assert_eq!(other, "mount pid ipc/proc/7/ns/ipc uts cgroup network/proc/7/ns/net");
    assert_eq!(mount_at(&spec, "/dev/shm")["source"], "/data/containers/c/shm");
}

#[test]
fn mounts_are_in_the_order_of_depth_and_have_their_options() {
    let volume = Bound {
        path: "/v".to_owned(),
        source: "/data/volumes/v/data".to_owned(),
        kind: "bind".to_owned(),
        options: vec!["rbind".to_owned()],
        fills: None,
    };
    let config = json!({"command": "sh", "init": true, "shm_size": 7, "mounts": [
        {"source": "/deep", "destination": "/a/b/c"},
        {"source": "/host", "destination": "/a", "options": ["z", "nosuid", "rslave"], "read_only": true},
        {"destination": "/t", "mount_type": "tmpfs", "options": ["size=1m", "exec"]},
        {"source": "bpf", "destination": "/bpf", "mount_type": "custom"},
        {"source": "/etc/hosts", "destination": "/etc/hosts"}],
        "secrets": [{"name": "s", "file": "/s"}, {"name": "t", "file": "/t", "target": "/x"}]});
    let found = Found { volumes: vec![volume], ..found() };
    let spec = made_with(config, json!({}), &User::default(), &found).unwrap();
    let order: Vec<_> =
        spec["mounts"].as_array().unwrap().iter().map(|m| m["destination"].as_str().unwrap()).collect();
    let at = |path: &str| order.iter().position(|known| *known == path).unwrap();
    assert!(at("/a") < at("/a/b/c") && at("/dev") < at("/dev/forgeone-init") && at("/v") > at("/sys"));
    assert_eq!(mount_at(&spec, "/a")["options"], json!(["rbind", "rprivate", "nosuid", "rslave", "ro"]));
    assert_eq!(mount_at(&spec, "/t")["options"], json!(["nosuid", "nodev", "noexec", "size=1m", "exec"]));
    assert_eq!(mount_at(&spec, "/bpf")["type"], "bpf");
    assert_eq!(mount_at(&spec, "/etc/hosts")["source"], "/etc/hosts");
    assert_eq!(order.iter().filter(|path| **path == "/etc/hosts").count(), 1);
    assert_eq!(mount_at(&spec, "/etc/resolv.conf")["source"], "/data/containers/c/resolv.conf");
    assert_eq!(mount_at(&spec, "/run/secrets/s")["source"], "/data/containers/c/secrets/s");
    assert_eq!(mount_at(&spec, "/x")["source"], "/data/containers/c/secrets/t");
    assert!(mount_at(&spec, "/dev/shm")["options"].as_array().unwrap().contains(&"size=7".into()));
}

#[test]
fn devices_are_nodes_and_may_be_used() {
    let device = HostDevice {
        path: "/dev/f".to_owned(),
        kind: "c",
        major: 10,
        minor: 229,
        mode: 0o666,
        uid: 0,
        gid: 5,
        access: "rw".to_owned(),
    };
    let found = Found { devices: vec![device], ..found() };
    let spec = made_with(json!({"command": "sh"}), json!({}), &User::default(), &found).unwrap();
    assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/f");
    assert_eq!(spec["linux"]["devices"][0]["gid"], 5);
    let rule = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"});
    assert_eq!(spec["linux"]["resources"]["devices"][1], rule);
}

#[test]
fn what_can_not_be_had_is_refused_by_its_field() {
    let table = [
        (json!({"cap_add": ["KILL"], "cap_drop": ["CAP_KILL"]}), "cap_add: KILL: cap_drop names it, too"),
        (json!({"cap_add": ["NO_SUCH"]}), "cap_add: \"NO_SUCH\": there is no such capability"),
        (json!({"uts": "host", "network": {"mode": "none", "hostname": "h"}}), "network.hostname: "),
        (json!({"security_opt": ["label=type:x"]}), "security_opt: label: SELinux isn't switched on here"),
        (json!({"security_opt": ["label=x"]}), "security_opt: \"label=x\": a label is disable"),
        (
            json!({"mounts": [{"source": "/a", "destination": "/b", "options": ["bogus"]}]}),
            "mount /b: there is no option \"bogus\"",
        ),
    ];
    for (mut config, expected) in table {
        config["command"] = "sh".into();
        let error = made(config.clone(), json!({})).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{config}: {error}");
    }
    let v2 = Found { cgroup2: true, ..found() };
    let asked = json!({"command": "sh", "oom_kill_disable": true});
    assert!(made_with(asked.clone(), json!({}), &User::default(), &v2).is_err());
    assert!(made(asked, json!({})).is_ok());
}

#[test]
fn without_rights_over_cgroups_no_limit_is_asked_for_by_itself() {
    let user = Found { rootless: true, nofile: 500, ..found() };
    let spec = made_with(json!({"command": "sh"}), json!({}), &User::default(), &user).unwrap();
    assert_eq!(spec["linux"]["resources"].get("pids"), None);
    assert_eq!(spec["process"]["rlimits"], json!([{"type": "RLIMIT_NOFILE", "hard": 500, "soft": 500}]));
    let asked =
        made_with(json!({"command": "sh", "pids_limit": 5}), json!({}), &User::default(), &user).unwrap();
    assert_eq!(asked["linux"]["resources"]["pids"]["limit"], 5);
    let host = json!({"command": "sh", "network": {"mode": "host"}});
    assert_eq!(
        mount_at(&made_with(host, json!({}), &User::default(), &user).unwrap(), "/sys")["type"],
        "bind"
    );
}

/// What is made is what the specification's own types read.
#[test]
fn what_is_made_is_valid_for_the_oracle() {
    for config in
        [json!({}), json!({"privileged": true}), json!({"cap_add": ["ALL"], "blkio_config": {"weight": 10}})]
    {
        serde_json::from_value::<oci_spec::runtime::Spec>(of(config)).unwrap();
    }
}
