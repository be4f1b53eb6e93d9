//! What `forgeone config export --to oci` writes is started by `forgeone run --bundle`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};
use testkit::{Bundle, Door, privileged};

/// What the container finds: a line each.
const LOOK: &str = "id -u; id -g; pwd; hostname; echo \"$GREETING\"; ulimit -n; cat /proc/sys/net/ipv4/ip_forward; \
    touch /x 2>/dev/null || echo read-only; touch /scratch/x && echo scratch; cat /data/note; \
    touch /data/y 2>/dev/null || echo read-only; grep NoNewPrivs /proc/self/status; df -k /dev/shm | tail -n 1; exit 7";

#[test]
fn an_exported_configuration_runs() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox();
    let (data, rootfs) = (bundle.path().join("data"), bundle.rootfs());
    fs::create_dir(&data).unwrap();
    fs::write(data.join("note"), "noted\n").unwrap();
    let config = serde_json::json!({
        "image": rootfs, "command": "/bin/sh", "args": ["-c", LOOK], "working_dir": "/etc",
        "env": { "GREETING": "hello  world" }, "user": "1000:1001", "read_only": true,
        "network": { "mode": "none", "hostname": "exported" },
        "ulimits": { "nofile": { "soft": 77, "hard": 88 } }, "sysctls": { "net.ipv4.ip_forward": "1" },
        "mounts": [
            { "source": data, "destination": "/data", "read_only": true },
            { "destination": "/scratch", "mount_type": "tmpfs" },
        ],
        "security_opt": ["no-new-privileges"], "shm_size": 1 << 20, "pids_limit": 64,
        "resource_limits": { "memory_bytes": 64 << 20, "cpu_cores": 0.5 },
    });
    let file = bundle.path().join("web.json");
    fs::write(&file, config.to_string()).unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
    export.args(["config", "export", "--to", "oci"]).arg(&file).stdin(Stdio::null());
    let output = export.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let bundle = bundle.raw(output.stdout);
    let door = Door::new();
    let run = door.run(["run", "--bundle", bundle.path().to_str().unwrap(), &door.id("exported")]);
    assert_eq!((run.code, run.stderr.as_str()), (7, ""), "{}", run.stdout);
    let lines: Vec<_> = run.stdout.lines().collect();
    let (last, rest) = lines.split_last().unwrap();
    assert_eq!(
        rest,
        [
            "1000",
            "1001",
            "/etc",
            "exported",
            "hello  world",
            "77",
            "1",
            "read-only",
            "scratch",
            "noted",
            "read-only",
            "NoNewPrivs:\t1"
        ]
    );
    assert_eq!(last.split_whitespace().nth(1), Some("1024"), "{last}");
}
