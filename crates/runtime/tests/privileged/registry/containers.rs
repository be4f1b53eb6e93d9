//! Containers of the register: made, started by the door alone (this test is their monitor), and removed.

use super::house::{House, files, said};
use forgeone_runtime::Kind;
use forgeone_runtime::registry::{Creation, Removal};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) fn a_container_that_says_nothing_is_confined() {
    let house = House::new();
    let all = house.shell(
        json!({}),
        "grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status; ulimit -n; hostname; echo $$; id -u; \
         (echo x > /sys/kernel/mm/ksm/run) 2>&1; (echo 1 > /proc/sys/kernel/panic) 2>&1; cat /proc/kcore | head -c 1; \
         mount -t tmpfs x /mnt 2>&1; unshare -r true 2>&1; mknod /n c 1 3 && echo made; ls /sys/class/net; cat /etc/hostname; \
         cat /proc/self/cgroup | head -1 | cut -d: -f3; env | sort | cut -d= -f1 | tr '\\n' ' '",
    );
    let hostname = all.id[..12].to_owned();
    for expected in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t00000000a80425fb",
        "1024",
        &hostname,
        "/proc/sys/kernel/panic: Read-only file system",
        "made",
        "lo",
        "HOME HOSTNAME PATH PWD SHLVL",
        "/",
    ] {
        assert!(all.text.lines().any(|line| line.trim().ends_with(expected)), "{expected:?} in {}", all.text);
    }
    let refused = all.text.lines().filter(|line| line.contains("mount:") || line.contains("unshare:"));
    assert_eq!(
        refused
            .filter(|line| line.contains("Operation not permitted") || line.contains("permission denied"))
            .count(),
        2,
        "{}",
        all.text
    );
}

pub(crate) fn each_field_is_seen_inside() {
    let house = House::new();
    let host = house.path("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "of the host").unwrap();
    fs::create_dir_all(house.base().join("etc")).unwrap();
    fs::write(house.base().join("etc/passwd"), "root:x:0:0::/root:\nwww:x:33:34::/w:\n").unwrap();
    fs::write(house.base().join("etc/group"), "www:x:34:\nlog:x:4:www\n").unwrap();
    let bind = |options: serde_json::Value| json!({"source": host, "destination": "/b", "options": options});
    let table = [
        (json!({"user": "www"}), "id -u; id -g; id -G; echo $HOME", "33 34 34 4 /w"),
        (json!({"user": "7:8", "group_add": ["log"]}), "id -u; id -G", "7 8 4"),
        (json!({"working_dir": "/new/deep"}), "pwd", "/new/deep"),
        (json!({"env": {"A": "b c"}}), "echo $A", "b c"),
        (
            json!({"network": {"mode": "none", "hostname": "web", "extra_hosts": {"db": "10.9.9.9"}, "dns": ["10.1.1.1"]}}),
            "hostname; grep -c db /etc/hosts; grep nameserver /etc/resolv.conf",
            "web 1 nameserver 10.1.1.1",
        ),
        (json!({"read_only": true}), "touch /x 2>&1 | grep -c Read-only", "1"),
        (
            json!({"mounts": [bind(json!(["ro"]))]}),
            "cat /b/file; touch /b/x 2>&1 | grep -c Read-only",
            "of the host1",
        ),
        (
            json!({"mounts": [{"destination": "/t", "mount_type": "tmpfs", "options": ["size=1m"]}]}),
            "df -k /t | tail -1 | awk '{print $2}'",
            "1024",
        ),
        (json!({"shm_size": 2_097_152}), "df -k /dev/shm | tail -1 | awk '{print $2}'", "2048"),
        (json!({"ulimits": {"nofile": {"soft": 50, "hard": 60}}}), "ulimit -Sn; ulimit -Hn", "50 60"),
        (json!({"cap_drop": ["ALL"]}), "grep CapEff /proc/self/status | cut -f2", "0000000000000000"),
        (
            json!({"user": "5", "cap_add": ["NET_ADMIN"]}),
            "grep CapEff /proc/self/status | cut -f2",
            "0000000000001000",
        ),
        (
            json!({"security_opt": ["no-new-privileges=false", "seccomp=unconfined"]}),
            "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status | cut -f2",
            "0 0",
        ),
        (json!({"sysctls": {"net.ipv4.ip_forward": "1"}}), "cat /proc/sys/net/ipv4/ip_forward", "1"),
        (
            json!({"devices": [{"source": "/dev/kmsg", "target": "/dev/mine", "permissions": "r"}]}),
            "test -c /dev/mine && (echo x > /dev/mine) 2>/dev/null || echo refused",
            "refused",
        ),
        (
            json!({"devices": [{"source": "/dev/kmsg", "permissions": "w"}]}),
            "echo forgeone test > /dev/kmsg && echo written",
            "written",
        ),
        (json!({"oom_score_adj": 7}), "cat /proc/self/oom_score_adj", "7"),
        (json!({"pid": "host"}), "test $$ -gt 1 && echo more", "more"),
        (
            json!({"privileged": true}),
            "grep Seccomp: /proc/self/status | cut -f2; mkdir -p /m; mount -t tmpfs x /m && echo done",
            "0 done",
        ),
    ];
    for (config, line, expected) in table {
        // Where the caller lacks a capability, the door warns that it can't give it.
        let said = house.shell(config.clone(), line).text;
        let said: String =
            said.lines().filter(|line| !line.starts_with("time=")).flat_map(|line| [line, "\n"]).collect();
        assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), expected.trim(), "{config}");
    }
    let limits = json!({"pids_limit": 33, "resource_limits": {"memory_bytes": 67_108_864}});
    let line = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || \
        cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max";
    assert_eq!(house.shell(limits, line).text.split_whitespace().collect::<Vec<_>>(), ["33", "67108864"]);
}

pub(crate) fn another_containers_namespaces_are_shared() {
    let house = House::new();
    let web = house
        .start(json!({"name": "web", "network": {"mode": "none", "hostname": "web"}}), &["sleep", "1000"]);
    let line = "for kind in net pid ipc; do readlink /proc/self/ns/$kind; done; cat /etc/hosts | grep -c web; touch /dev/shm/x";
    let config = json!({"network": {"mode": "container", "name": "web"}, "pid": "container:web", "ipc": "container:web"});
    let inside = house.shell(config, line).text;
    let pid = web.pid();
    let mut expected: Vec<String> = ["net", "pid", "ipc"]
        .map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().to_string_lossy().into_owned())
        .to_vec();
    expected.push("1".to_owned());
    assert_eq!(inside.lines().collect::<Vec<_>>(), expected);
    assert!(fs::exists(format!("/proc/{pid}/root/dev/shm/x")).unwrap());
    let missing = json!({"network": {"mode": "container", "name": "wbe"}});
    let error = house.refused(missing);
    assert_eq!(error, "network.mode: container \"wbe\" does not exist; did you mean \"web\"?");
    drop(web);
}

pub(crate) fn a_volume_outlives_its_containers_and_begins_with_the_images_files() {
    let house = House::new();
    fs::create_dir_all(house.base().join("v/deep")).unwrap();
    fs::write(house.base().join("v/deep/file"), "image").unwrap();
    let config = json!({"volumes": [{"name": "data", "path": "/v"}]});
    assert_eq!(
        house.shell(config.clone(), "cat /v/deep/file; echo own > /v/deep/file; rm -f /v/none").text,
        "image"
    );
    // The image had its chance: what is gone stays gone.
    assert_eq!(house.shell(config.clone(), "cat /v/deep/file; rm -r /v/deep").text, "own\n");
    assert_eq!(house.shell(config.clone(), "ls /v | wc -l").text.trim(), "0");
    let named = json!({"mounts": [{"source": "data", "destination": "/v", "mount_type": "volume", "read_only": true}]});
    assert_eq!(house.shell(named, "touch /v/x 2>&1 | grep -c Read-only").text.trim(), "1");
    let empty = json!({"mounts": [{"source": "other", "destination": "/v", "mount_type": "volume", "options": ["nocopy"]}]});
    assert_eq!(house.shell(empty, "ls /v | wc -l").text.trim(), "0");
    let volumes = house.volumes();
    let names: Vec<_> = volumes.list().unwrap().into_iter().map(|volume| volume.name).collect();
    assert_eq!(names, ["data", "other"]);
    let user = house.made(json!({"name": "user", "volumes": [{"name": "data", "path": "/v"}]}));
    let error = volumes.remove("data").unwrap_err().to_string();
    assert_eq!(error, "volume \"data\" is used by user; remove what uses it before");
    user.remove(Removal::default()).unwrap();
    assert_eq!(volumes.remove("dta").unwrap_err().to_string(), "no volume \"dta\"; did you mean \"data\"?");
    volumes.remove("data").unwrap();
    assert_eq!(volumes.prune(true).unwrap(), ["other"]);
    assert_eq!(volumes.list().unwrap(), []);
}

pub(crate) fn a_volume_of_the_image_goes_with_its_container() {
    let house = House::new();
    house.image(json!({"Cmd": ["sh"], "Volumes": {"/v": {}, "/w/": {}}}));
    let container = house.made(json!({"volumes": [{"name": "mine", "path": "/w"}]}));
    let own = container.record().anonymous_volumes.clone();
    assert_eq!(own.iter().map(|volume| volume.path.as_str()).collect::<Vec<_>>(), ["/v"]);
    assert_eq!(house.volumes().list().unwrap().len(), 2);
    container.remove(Removal::default()).unwrap();
    let left: Vec<_> = house.volumes().list().unwrap().into_iter().map(|volume| volume.name).collect();
    assert_eq!(left, ["mine"]);
}

pub(crate) fn secrets_are_files_of_the_users_in_memory_and_nowhere_else() {
    let house = House::new();
    let file = house.path("token");
    fs::write(&file, "hush-file").unwrap();
    let config = json!({"user": "7:8", "secrets": [
        {"name": "a", "file": file}, {"name": "b", "environment": "CARGO_PKG_NAME", "target": "/x/b"}]});
    let name = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    if name.is_empty() {
        testkit::single::skip("needs a variable of cargo's");
    }
    let line = "cat /run/secrets/a /x/b; stat -c ' %a %u' /run/secrets/a; (echo x > /run/secrets/a) 2>/dev/null || echo refused";
    let container = house.keep(config, line);
    assert_eq!(
        container.text.split_whitespace().collect::<Vec<_>>(),
        [&format!("hush-file{name}"), "400", "7", "refused"]
    );
    let kept = files(&house.path("data"));
    for path in kept {
        let text = fs::read(&path).unwrap_or_default();
        assert!(!text.windows(9).any(|part| part == b"hush-file"), "{}", path.display());
    }
    let error = house.refused(json!({"secrets": [{"name": "a", "file": "/no/such/file"}]}));
    assert!(error.starts_with("secret \"a\": ") && error.contains("ENOENT"), "{error}");
}

pub(crate) fn names_are_given_once_and_found_by_their_beginning() {
    let house = House::new();
    let register = house.register();
    let mut web = house.made(json!({"name": "web"}));
    let other = house.made(json!({}));
    assert!(other.name().contains('_'), "{}", other.name());
    let id = web.id().to_owned();
    for word in ["web", &id, &id[..12]] {
        assert_eq!(register.find(word).unwrap().id(), id, "{word}");
    }
    let error = house.refused(json!({"name": "web"}));
    assert_eq!(
        error,
        format!("name \"web\" is container {}'s; choose another, or remove that one", &id[..12])
    );
    assert_eq!(
        register.find("wbe").unwrap_err().to_string(),
        "container \"wbe\" does not exist; did you mean \"web\"?"
    );
    assert_eq!(register.find("../x").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(web.rename(other.name()).unwrap_err().kind(), Kind::Exists);
    assert_eq!(web.rename("a b").unwrap_err().kind(), Kind::Usage);
    web.rename("www").unwrap();
    assert_eq!(register.find("www").unwrap().id(), id);
    assert!(register.find("web").is_err());
    house.made(json!({"name": "web"}));
    assert_eq!(register.list().unwrap().len(), 3);
    web.remove(Removal::default()).unwrap();
    assert!(register.find("www").is_err());
    house.made(json!({"name": "www"}));
}

pub(crate) fn what_fails_leaves_nothing() {
    let house = House::new();
    for (config, expected) in [
        (json!({"trusted_issuers": ["acme"]}), "trusted issuers (acme) can't be checked"),
        (json!({"minimum_entropy": 128.0}), "a minimum entropy (128 bits) can't be checked"),
        (json!({"exec_mode": "wasm"}), "exec_mode wasm: this version has no such engine"),
        (json!({"name": "a/b"}), "name \"a/b\": a name has letters"),
        (json!({"cap_add": ["NOPE"]}), "error: cap_add[0]: \"NOPE\": there is no such capability"),
        (json!({"mounts": [{"source": "/no/such", "destination": "/x"}]}), "mount /x: /no/such: ENOENT"),
        (json!({"devices": [{"source": "/dev/no-such"}]}), "devices[0]: /dev/no-such: "),
        (json!({"devices": [{"source": "/etc/passwd"}]}), "devices[0]: /etc/passwd: is no device"),
        (json!({"security_opt": ["seccomp=/no/such"]}), "security_opt: seccomp profile /no/such: "),
        (
            json!({"volumes": [{"name": "v", "path": "/v", "driver": "nfs"}]}),
            "volume \"v\": there is no driver \"nfs\"",
        ),
        (json!({"pid": "container:nobody"}), "pid: container \"nobody\" does not exist"),
    ] {
        let error = house.refused(config.clone());
        assert!(error.starts_with(expected), "{config}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let register = house.register();
    let error = register.create("/no/such/image", None, None, &Creation::default()).unwrap_err();
    assert_eq!(error.to_string(), "no image \"/no/such/image\"");
    for directory in ["containers", "names", "volumes"] {
        let left = fs::read_dir(house.path("data").join(directory)).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "{directory}");
    }
    let told = house.made(json!({"network": {"mode": "bridge"}, "privileged": true}));
    let said = told.warnings().join("\n");
    assert!(said.contains("can do to the host what root can") && !said.contains("bridge"), "{said}");
    let dna = house.made(json!({"labels": {"a": "b"}}));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(dna.dir().join(name)).unwrap()).unwrap()
    };
    let (mine, contract) = (read("dna.json"), read("contract.json"));
    assert_eq!((mine["id"].as_str(), mine["trust_label"].as_str()), (Some(dna.id()), Some("unsigned")));
    assert_eq!(mine["runtime_entropy"].as_str().unwrap().len(), 64);
    assert_eq!(
        (contract["minimum_entropy"].as_f64(), contract["exec_mode"].as_str()),
        (Some(0.0), Some("native"))
    );
}

pub(crate) fn what_a_killed_command_left_is_taken_away() {
    let house = House::new();
    let register = house.register();
    house.made(json!({"name": "whole"}));
    let containers = house.path("data/containers");
    let left = "f".repeat(64);
    fs::create_dir_all(containers.join(&left).join("upper/deep")).unwrap();
    symlink(&left, house.path("data/names/web")).unwrap();
    // Somebody who is making it: his lock is held.
    let making = "e".repeat(64);
    fs::create_dir(containers.join(&making)).unwrap();
    let lock = fs::File::open(containers.join(&making)).unwrap();
    lock.lock().unwrap();
    assert_eq!(register.list().unwrap().len(), 1, "an unfinished one is never listed");
    assert_eq!(house.register().list().unwrap().len(), 1);
    assert!(!containers.join(&left).exists());
    assert!(containers.join(&making).exists());
    assert!(fs::symlink_metadata(house.path("data/names/web")).is_err());
    drop(lock);
    house.register();
    assert!(!containers.join(&making).exists());
    house.made(json!({"name": "web"}));
}

pub(crate) fn an_init_reaps_passes_signals_on_and_ends_as_the_program_does() {
    let house = House::new().with_init();
    let line =
        "echo $$; sleep 0 & wait; (sh -c 'true &'); tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f1-4; exit 7";
    let said = house.keep(json!({"init": true}), line);
    assert_eq!((said.text.as_str(), said.status), ("2\n/dev/forgeone-init init -- sh\n", 7), "{}", said.text);
    let web =
        house.start(json!({"init": true}), &["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done"]);
    let children =
        || fs::read_to_string(format!("/proc/{}/task/{0}/children", web.pid())).unwrap_or_default();
    testkit::eventually("the program runs", || children().split_whitespace().count() == 1);
    forgeone_sys::process::kill(web.pid(), 15).unwrap();
    testkit::eventually("the program has ended by its own hand", || children().is_empty());
    drop(web);
    let error = house.status_of(json!({"init": true, "command": "/no/such"}));
    assert_eq!(error, 127);
}

/// What the filter refuses and what it lets through, by what the kernel answers inside.
pub(crate) fn the_filter_refuses_what_leads_out_and_lets_programs_live() {
    if std::env::consts::ARCH != "x86_64" {
        testkit::single::skip("has the numbers of x86-64");
    }
    if !testkit::privileged::program("perl", "perl-base") {
        return;
    }
    let house = House::new();
    let binds: Vec<_> = ["/usr", "/lib", "/lib64", "/bin"]
        .into_iter()
        .filter(|path| fs::exists(path).unwrap())
        .map(|path| json!({"source": path, "destination": path, "read_only": true}))
        .collect();
    const PERMITTED: [(&str, &str); 9] = [
        ("getpid", "39"),
        ("socket(AF_INET)", "41,2,1,0"),
        ("socket(AF_NETLINK)", "41,16,3,0"),
        ("personality(query)", "135,0xffffffff"),
        ("memfd_create", "319,$s,0"),
        ("futex wake", "202,$b,1,1,0,0,0"),
        ("getrandom", "318,$b,4,0"),
        ("seccomp(query)", "317,2,0,$k"),
        ("statx", "332,-100,$s,0,0,$b"),
    ];
    const REFUSED: [(&str, &str, i32); 20] = [
        ("keyctl", "250,0,-3,0", 1),
        ("add_key", "248,$u,$s,$s,1,-3", 1),
        ("request_key", "249,$u,$s,0,-3", 1),
        ("bpf", "321,0,$b,64", 1),
        ("perf_event_open", "298,$b,0,-1,-1,0", 1),
        ("userfaultfd", "323,1", 1),
        ("io_uring_setup", "425,1,$b", 1),
        ("unshare(CLONE_NEWUSER)", "272,0x10000000", 1),
        ("setns", "308,0,0", 1),
        ("mount", "165,$s,$s,$u,0,0", 1),
        ("pivot_root", "155,$s,$s", 1),
        ("kexec_load", "246,0,0,0,0", 1),
        ("init_module", "175,0,0,$s", 1),
        ("open_by_handle_at", "304,0,$b,0", 1),
        ("personality(ADDR_NO_RANDOMIZE)", "135,0x40000", 1),
        ("clone(CLONE_NEWUSER)", "56,0x10000000,0,0,0,0", 1),
        ("clone3", "435,$b,64", 38),
        ("socket(AF_VSOCK)", "41,40,1,0", 1),
        ("socket(AF_ALG)", "41,38,5,0", 1),
        ("a call that doesn't exist", "1000", 38),
    ];
    // perl gives no constant to a call, which might write to it. SECCOMP_RET_ALLOW is what is asked for.
    let mut script = r#"$s = "/"; $u = "user"; $b = "\0" x 256; $k = pack("L", 0x7fff0000);"#.to_owned();
    for call in PERMITTED.iter().map(|(_, call)| call).chain(REFUSED.iter().map(|(_, call, _)| call)) {
        script += &format!("$r = syscall({call}); print $r < 0 ? $!+0 : 0, \"\\n\";");
    }
    let said = said(&house, json!({"mounts": binds, "command": "/usr/bin/perl", "args": ["-e", script]}));
    let mut answers = said.lines().map(|line| line.parse::<i32>().unwrap());
    for (name, _) in PERMITTED {
        assert_eq!(answers.next(), Some(0), "{name} is let through: {said}");
    }
    for (name, _, errno) in REFUSED {
        assert_eq!(answers.next(), Some(errno), "{name} is refused: {said}");
    }
}
