//! What options come to.
#![allow(clippy::unwrap_used)]

use super::*;
use forgeone_cli::{Parsed, parse, tables::STANDALONE};
use forgeone_config::{MountType, NetworkMode, RestartPolicy};
use std::ffi::OsString;

fn read(words: &[&str]) -> Result<Asked> {
    let words = ["run"].iter().chain(words).map(OsString::from);
    match parse(&STANDALONE, words, &mut Values::default()) {
        Ok(Parsed::Call(call)) => asked(&call),
        other => panic!("{other:?}"),
    }
}

fn config(words: &[&str]) -> ContainerConfig {
    read(words).unwrap().config
}

#[test]
fn options_are_as_docker_and_podman_have_them() {
    let config = config(&[
        "-it",
        "--name",
        "web",
        "-e",
        "A=1",
        "-e",
        "B=x=y",
        "-v",
        "data:/srv:ro",
        "-v",
        "/etc:/host",
        "-w",
        "/srv",
        "-u",
        "1000:1000",
        "-h",
        "box",
        "-m",
        "512m",
        "--cpus",
        "1.5",
        "--pids-limit",
        "50",
        "--restart",
        "on-failure:3",
        "--network",
        "none",
        "--cap-add",
        "NET_ADMIN",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "-l",
        "tier=front",
        "--ulimit",
        "nofile=10:20",
        "--stop-timeout",
        "3",
        "nginx:1.27",
        "nginx",
        "-g",
        "daemon off;",
    ]);
    assert_eq!((config.image.as_str(), config.name.as_deref()), ("nginx:1.27", Some("web")));
    assert_eq!(config.args.unwrap(), ["nginx", "-g", "daemon off;"]);
    assert_eq!((config.tty, config.stdin_open, config.read_only), (Some(true), Some(true), Some(true)));
    let env = config.env.unwrap();
    assert_eq!((env["A"].as_str(), env["B"].as_str()), ("1", "x=y"));
    let limits = config.resource_limits.unwrap();
    assert_eq!((limits.memory_bytes, limits.cpu_cores), (Some(512 << 20), Some(1.5)));
    assert_eq!((config.pids_limit, config.restart), (Some(50), Some(RestartPolicy::OnFailure(Some(3)))));
    assert_eq!(config.network.unwrap().mode, NetworkMode::None);
    let mounts = config.mounts.unwrap();
    assert!(
        mounts.iter().any(|m| m.destination == "/srv" && m.mount_type == MountType::Volume && m.read_only)
    );
    assert!(
        mounts
            .iter()
            .any(|m| m.source == "/etc" && m.destination == "/host" && m.mount_type == MountType::Bind)
    );
    assert!(mounts.iter().any(|m| m.destination == "/tmp" && m.mount_type == MountType::Tmpfs));
}

#[test]
fn the_seeds_command_line_is_understood_to_the_letter() {
    let temp = testkit::Temp::new("asked");
    let archive = temp.path().join("nginx.tar.gz");
    std::fs::write(&archive, b"\x1f\x8b").unwrap();
    let archive = archive.to_str().unwrap();
    let asked = read(&[
        "--name",
        "web-server",
        "--rootfs",
        archive,
        "--cmd",
        "nginx -g 'daemon off;'",
        "--mem",
        "512",
        "--cpu",
        "1.0",
        "--volume",
        "/var/www:/usr/share/nginx/html",
        "--detach",
    ])
    .unwrap();
    assert_eq!(asked.how.source, Some(SourceKind::Archive));
    assert_eq!((asked.config.image.as_str(), asked.config.command.as_deref()), (archive, Some("nginx")));
    assert_eq!(asked.config.args.unwrap(), ["-g", "daemon off;"]);
    let limits = asked.config.resource_limits.unwrap();
    assert_eq!((limits.memory_bytes, limits.cpu_cores), (Some(512 << 20), Some(1.0)));
    assert_eq!(asked.config.mounts.unwrap()[0].destination, "/usr/share/nginx/html");
    // Interactive without a program is a shell.
    assert_eq!(config(&["--rootfs", archive, "-i", "-t"]).command.as_deref(), Some("/bin/sh"));
}

#[test]
fn networks_are_dockers_podmans_and_the_seeds() {
    let table: &[(&[&str], &str)] = &[
        (&["-p", "8080:80"], r#"{"mode": "bridge", "ports": [{"host_port": 8080, "container_port": 80}]}"#),
        (
            &["--net", "10.1.0.0/24", "--net6", "fd01::/64", "--bridge", "br7"],
            r#"{"mode": "bridge", "options": {"subnet": "10.1.0.0/24", "subnet6": "fd01::/64", "bridge": "br7"}}"#,
        ),
        (&["--net", "host"], r#"{"mode": "host"}"#),
        (
            &[
                "--network",
                "front",
                "--network",
                "back:alias=db",
                "--ip",
                "10.0.0.7",
                "--mac",
                "02:00:00:00:00:07",
            ],
            r#"{"mode": "custom", "name": "front,back", "ip_address": "10.0.0.7",
             "options": {"mac_address": "02:00:00:00:00:07", "back.aliases": "db"}}"#,
        ),
        (&["--cni"], r#"{"mode": "bridge", "options": {"driver": "cni"}}"#),
        (&["--network", "cni:lan"], r#"{"mode": "custom", "name": "lan", "options": {"driver": "cni"}}"#),
        (&["--network", "pasta"], r#"{"mode": "bridge", "options": {"driver": "pasta"}}"#),
        (
            &["--ingress", "any@tcp/80", "--ingress", "10.0.0.0/8", "--egress", "none"],
            r#"{"mode": "bridge", "options": {"ingress": "any@tcp/80,10.0.0.0/8", "egress": "none"}}"#,
        ),
    ];
    for (words, want) in table {
        let words: Vec<_> = words.iter().copied().chain(["a"]).collect();
        let want: forgeone_config::NetworkConfig = serde_json::from_str(want).unwrap();
        assert_eq!(config(&words).network, Some(want), "{words:?}");
    }
    assert_eq!(config(&["a"]).network, None);
    assert_eq!(config(&["--network-bps", "10m", "a"]).resource_limits.unwrap().network_bps, Some(10_000_000));
}

#[test]
fn what_can_not_be_meant_is_told_with_its_option() {
    let table: &[(&[&str], &str)] = &[
        (&[], "missing <image>"),
        (&["-m", "much", "a"], "option --memory: \"much\" is no size such as 512m"),
        (&["--restart", "often", "a"], "option --restart: "),
        (&["--cmd", "'x", "a"], "option --cmd: a ' isn't closed"),
        (&["--env", "=x", "a"], "option --env: \"=x\" has no name"),
        (&["--env-file", "/nowhere", "a"], "option --env-file: /nowhere: "),
        (&["--secret", "a,b=c", "a"], "option --secret: \"b=c\" is no source, env or target"),
        (&["--rootfs", "/nowhere"], "/nowhere: No such file or directory"),
        (&["--entrypoint", "[1", "a"], "option --entrypoint: "),
        (&["--network-bps", "fast", "a"], "option --network-bps: \"fast\" is no rate"),
        (&["-p", "80:x", "a"], "option --publish"),
        (&["--health-on-failure", "weep", "a"], "option --health-on-failure: \"weep\" is none of none, kill"),
        (&["--mem", "-1", "a"], "option --mem is a number, not \"-1\""),
    ];
    for (words, want) in table {
        let error = read(words).unwrap_err().to_string();
        assert!(error.starts_with(want), "{words:?}: {error}");
    }
}
