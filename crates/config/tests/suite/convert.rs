//! What others write, and back: what is carried over is the same again, what isn't is said.

use forgeone_config::{
    export_configs, import_configs, parse_config, ContainerConfig, Dialect, Format, Lost, Variables,
};

fn yaml(text: &str) -> ContainerConfig {
    parse_config(text, Format::Yaml).unwrap()
}

fn import(text: &str, from: Dialect) -> (Vec<ContainerConfig>, Vec<String>) {
    let (configs, lost) = import_configs(text, from, &Variables::default()).unwrap();
    (configs, lost.iter().map(Lost::to_string).collect())
}

/// One configuration, of which nothing was lost.
fn whole(text: &str, from: Dialect) -> ContainerConfig {
    let (mut configs, lost) = import(text, from);
    assert_eq!((configs.len(), lost), (1, Vec::new()), "{text}");
    configs.remove(0)
}

/// Everything that all of them can say.
const COMMON: &str = r#"
image: nginx:1.27
name: web
command: /bin/server
args: ["-c", "it's $HOME; \"x\"", "", "--flag=ä"]
env: {A: "1", EMPTY: "", DOLLAR: "$x $$ ${y}"}
working_dir: /srv
resource_limits: {cpu_cores: 0.5, memory_bytes: 268435456, disk_bytes: 1073741824}
mounts:
  - {source: /srv/a, destination: /a, read_only: true}
  - {source: /srv/b, destination: /b}
  - {source: shared, destination: /shared, mount_type: volume, read_only: true}
  - {destination: /run, mount_type: tmpfs, options: ["size=65536"]}
volumes: [{name: data, path: /data}]
labels: {a: "b=c"}
annotations: {d.e/f: "g"}
user: "1000:2000"
group_add: ["5"]
tty: true
stdin_open: false
read_only: true
privileged: false
cap_add: [NET_ADMIN]
cap_drop: [MKNOD]
security_opt: [no-new-privileges]
sysctls: {net.ipv4.ip_forward: "1"}
restart: always
stop_grace_period: 30s
healthcheck: {test: [/bin/sh, -c, "test -f /x"], interval: 10s, timeout: 5s, retries: 4, start_period: 1m}
pid: host
network:
  mode: bridge
  hostname: web1
  dns: [1.1.1.1]
  dns_search: [example.org]
  extra_hosts: {db: 10.0.0.7}
  ports:
    - {host_port: 8080, container_port: 80}
    - {host_port: 53, container_port: 53, protocol: udp, host_ip: 127.0.0.1}
"#;

/// What Compose and docker run can say besides.
const DOCKER: &str = "
ulimits: {nofile: {soft: 1024, hard: 2048}}
devices: [{source: /dev/fuse}, {source: /dev/a, target: /dev/b, permissions: r}]
shm_size: 1048576
pids_limit: 100
ipc: private
init: true
stop_signal: SIGINT
cpu_shares: 512
cpu_quota: 50000
cpu_period: 100000
cpuset: 0-1
mem_reservation: 1048576
oom_score_adj: -500
oom_kill_disable: true
blkio_config: {weight: 500, device_read_bps: [{path: /dev/sda, rate: 1048576}], device_write_iops: [{path: /dev/sda, rate: 9}]}
userns_mode: host
uts: host
cgroup: private
platform: linux/arm64
pull_policy: always
logging: {driver: file, options: {max-file: '3', max-size: 10m}}
";

fn round(config: &ContainerConfig, dialect: Dialect) -> (String, ContainerConfig) {
    let (text, lost) = export_configs(std::slice::from_ref(config), dialect).unwrap();
    assert_eq!(lost, Vec::new(), "{text}");
    let again = whole(&text, dialect);
    (text, again)
}

#[test]
fn what_is_carried_over_is_the_same_again() {
    let docker = yaml(&format!("{COMMON}{DOCKER}"));
    for dialect in [Dialect::Compose, Dialect::DockerRun] {
        let (text, again) = round(&docker, dialect);
        assert_eq!(again, docker, "{text}");
    }
    let (text, again) = round(&yaml(COMMON), Dialect::Kubernetes);
    assert_eq!(again, yaml(COMMON), "{text}");
    for network in [
        "{mode: host}",
        "{mode: none}",
        "{mode: container, name: x}",
        "{mode: custom, name: n, ip_address: 10.0.0.7}",
        "{mode: custom, name: n, options: {ip6_address: 'fd00::7', mac_address: '02:00:00:00:00:07', aliases: 'db,store'}}",
        "{mode: custom, name: n, options: {interface: lan0}}",
        "{mode: custom, name: 'n,forgeone', ip_address: 10.0.0.7, options: {forgeone.ip_address: 10.200.0.7, aliases: a}}",
        "{mode: bridge, options: {aliases: db}}",
        "{mode: bridge, ports: [{host_port: 0, container_port: 80}], extra_hosts: {host: host-gateway}}",
    ] {
        let config = yaml(&format!("image: a\nname: a\nnetwork: {network}"));
        for dialect in [Dialect::Compose, Dialect::DockerRun] {
            let (text, again) = round(&config, dialect);
            assert_eq!(again, config, "{text}");
        }
    }
    let drivers = "image: a\nname: a\nvolumes: [{name: v, path: /v, driver: local, options: {o: 'a,b=\"c\"', type: nfs}}]";
    for dialect in [Dialect::Compose, Dialect::DockerRun] {
        let (text, again) = round(&yaml(drivers), dialect);
        assert_eq!(again, yaml(drivers), "{text}");
    }
    let secrets =
        "image: a\nname: a\nsecrets: [{name: s, file: /s, target: /run/x}, {name: t, environment: T}]";
    let (text, again) = round(&yaml(secrets), Dialect::Compose);
    assert_eq!(again, yaml(secrets), "{text}");
}

#[test]
fn a_bundle_is_the_same_again() {
    let config = yaml(
        "image: /srv/rootfs\ncommand: /bin/a\nargs: [b]\nenv: {A: b, PATH: /bin}\nworking_dir: /x\nuser: '1:2'\n\
        group_add: ['3']\ntty: true\nread_only: true\ncap_add: [NET_ADMIN]\ncap_drop: [MKNOD]\nannotations: {a: b}\n\
        security_opt: [no-new-privileges, apparmor=x]\nsysctls: {net.ipv4.ip_forward: '1'}\nshm_size: 1048576\n\
        ulimits: {nofile: {soft: 1, hard: 2}}\npids_limit: 9\nresource_limits: {cpu_cores: 1.5, memory_bytes: 1048576}\n\
        ipc: host\nnetwork: {mode: none, hostname: h, domain_name: d}\n\
        mounts: [{source: /a, destination: /b, options: [nosuid], read_only: true}, \
        {destination: /t, mount_type: tmpfs, options: [size=1m]}, {source: bpf, destination: /bpf, mount_type: custom}]",
    );
    let (text, again) = round(&config, Dialect::Oci);
    assert_eq!(again, config, "{text}");
    let spec: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(spec["process"]["args"], serde_json::json!(["/bin/a", "b"]));
    assert!(spec["process"]["capabilities"]["bounding"]
        .as_array()
        .unwrap()
        .contains(&"CAP_NET_ADMIN".into()));
}

#[test]
fn several_configurations_are_one_compose_file() {
    let configs = [yaml("image: a\nname: one"), yaml("image: b\nname: two\nargs: []")];
    let (text, lost) = export_configs(&configs, Dialect::Compose).unwrap();
    assert_eq!((import(&text, Dialect::Compose).0, lost), (configs.to_vec(), Vec::new()));
    let twice = [yaml("image: a\nname: one"), yaml("image: b\nname: one")];
    let error = export_configs(&twice, Dialect::Compose).unwrap_err().to_string();
    assert_eq!(error, "two configurations have the name \"one\"; give them names of their own");
    assert!(export_configs(&configs, Dialect::Kubernetes).is_err());
}

#[test]
fn command_lines_as_people_write_them() {
    let line = r#"$ docker run -itd --rm --name=web -p 8080:80 -p 127.0.0.1:9000-9001:9000-9001/udp -v /a:/b:ro -vdata:/data \
        -e "GREETING=hello world" -eX=1 -m512m --cpus 1.5 --network host --tmpfs /run:size=64m,ro --restart on-failure:3 \
        --entrypoint /bin/sh --stop-timeout 5 --add-host db:10.0.0.1 --health-cmd 'curl -f x' --health-interval=5s \
        --mount type=bind,src=/c,dst=/d,readonly nginx:1 -c "echo hi""#;
    let expected = yaml(
        "image: nginx:1\nname: web\ncommand: /bin/sh\nargs: [-c, echo hi]\nenv: {GREETING: hello world, X: '1'}\ntty: true\n\
        stdin_open: true\nrestart: on-failure:3\nstop_grace_period: 5s\nvolumes: [{name: data, path: /data}]\n\
        healthcheck: {test: [/bin/sh, -c, curl -f x], interval: 5s}\nresource_limits: {cpu_cores: 1.5, memory_bytes: 536870912}\n\
        mounts: [{source: /a, destination: /b, read_only: true}, {source: /c, destination: /d, read_only: true}, \
        {destination: /run, mount_type: tmpfs, options: [size=64m], read_only: true}]\n\
        network: {mode: host, extra_hosts: {db: 10.0.0.1}, ports: [{host_port: 8080, container_port: 80}, \
        {host_port: 9000, container_port: 9000, protocol: udp, host_ip: 127.0.0.1}, \
        {host_port: 9001, container_port: 9001, protocol: udp, host_ip: 127.0.0.1}]}",
    );
    assert_eq!(whole(line.trim_start_matches("$ "), Dialect::DockerRun), expected);
    let plain = whole("sudo podman run --no-healthcheck --user 5 -- busybox", Dialect::DockerRun);
    assert_eq!(plain, yaml("image: busybox\nuser: '5'\nhealthcheck: {test: []}"));
}

#[test]
fn networks_are_named_as_docker_and_podman_do() {
    let table = [
        ("--network bridge", "{mode: bridge}"),
        ("--network front --ip 10.1.0.7 --ip6 fd00::7 --network-alias a --network-alias b",
         "{mode: custom, name: front, ip_address: 10.1.0.7, options: {ip6_address: 'fd00::7', aliases: 'a,b'}}"),
        ("--network front:ip=10.1.0.7,alias=a --network name=back,interface_name=lan0,mac-address=02:00:00:00:00:07",
         "{mode: custom, name: 'front,back', ip_address: 10.1.0.7, options: {aliases: a, back.interface: lan0, \
         back.mac_address: '02:00:00:00:00:07'}}"),
        ("--network bridge --network back", "{mode: custom, name: 'forgeone,back'}"),
        ("--mac-address 02:00:00:00:00:07", "{mode: bridge, options: {mac_address: '02:00:00:00:00:07'}}"),
        ("-P", "{mode: bridge, options: {publish_all: 'true'}}"),
    ];
    for (options, network) in table {
        let config = whole(&format!("docker run {options} a"), Dialect::DockerRun);
        assert_eq!(config, yaml(&format!("image: a\nnetwork: {network}")), "{options}");
    }
    let (configs, lost) = import("docker run --network host --ip 10.0.0.7 a", Dialect::DockerRun);
    assert_eq!(configs, [yaml("image: a\nnetwork: {mode: host}")]);
    assert_eq!(lost, ["--ip: the mode of the network has none of its own"]);
}

#[test]
fn what_a_command_line_loses_is_named_by_its_option() {
    let line =
        "docker run --gpus all -v /anonymous -p 80 -e TOKEN --pid container:x --ipc shareable --cpus many \
        -v a:/b:nocopy --pull sometimes -m 1x nginx";
    let (configs, lost) = import(line, Dialect::DockerRun);
    assert_eq!(configs[0].pid.as_deref(), Some("container:x"));
    let network = configs[0].network.clone().unwrap();
    assert_eq!(
        network.ports.unwrap().first().map(|port| (port.host_port, port.container_port)),
        Some((0, 80))
    );
    assert_eq!(
        lost,
        [
            "--gpus: a configuration has nothing like it",
            "--env[0]: it has no value here: whoever starts it would give one",
            "--cpus: \"many\" is no number of CPUs",
            "--memory: \"1x\" is no size such as 512m",
            "--ipc: \"shareable\" is none of private, host and container:NAME",
            "--pull: \"sometimes\" is none of missing, always and never",
            "--volume[0]: a volume without a name: give it one",
            "--volume[1]: a configuration has nothing like the option \"nocopy\"",
        ]
    );
    for (line, error) in [
        ("docker ps", "the command line: it isn't docker run …"),
        ("docker run", "the command line: it names no image"),
        ("docker run --name", "the command line: --name needs a value"),
        (
            "docker run --bogus x nginx",
            "the command line: --bogus isn't known, nor whether a value follows it; leave it out",
        ),
        ("docker run -y nginx", "the command line: -y isn't known"),
        ("docker run 'a", "the command line: a ' isn't closed"),
        ("docker run a | b", "the command line: | is for a shell; give one command alone"),
    ] {
        assert_eq!(
            import_configs(line, Dialect::DockerRun, &Variables::default()).unwrap_err().to_string(),
            error,
            "{line}"
        );
    }
}

#[test]
fn compose_files_as_people_write_them() {
    let file = r#"
name: project
services:
  web:
    image: nginx
    build: .
    command: nginx -g 'daemon off;'
    ports: ["8080:80", {target: 443, published: "8443", mode: host}]
    environment: [A=1, TOKEN]
    depends_on: [db]
    env_file: .env
    volumes: [./html:/html:ro, data:/data]
    deploy: {resources: {limits: {cpus: "0.5", memory: 1G, pids: 10}}, replicas: 2}
    networks: {front: {ipv4_address: 10.0.0.2}, back: {}}
    secrets: [key]
    x-own: 1
  db:
    image: "postgres:${TAG}"
    container_name: database
    network_mode: service:web
    ulimits: {nproc: 10}
volumes: {data: {driver: local, external: true}}
secrets: {key: {file: ./key}}
networks: {front: {}, back: {driver: overlay}}
"#;
    let (configs, lost) = import(file, Dialect::Compose);
    let web = yaml(
        "image: nginx\nname: web\nargs: [nginx, -g, daemon off;]\nenv: {A: '1'}\npids_limit: 10\n\
        resource_limits: {cpu_cores: 0.5, memory_bytes: 1073741824}\nsecrets: [{name: key, file: ./key}]\n\
        mounts: [{source: ./html, destination: /html, read_only: true}]\n\
        volumes: [{name: data, path: /data, driver: local}]\n\
        network: {mode: custom, name: 'front,back', ip_address: 10.0.0.2, ports: [{host_port: 8080, container_port: 80}, \
        {host_port: 8443, container_port: 443}]}",
    );
    let db = yaml(
        "image: 'postgres:'\nname: database\nulimits: {nproc: {soft: 10, hard: 10}}\nnetwork: {mode: bridge}",
    );
    assert_eq!(configs, [web, db]);
    let mut lost = lost;
    lost.sort();
    let nothing = "a configuration has nothing like it";
    assert_eq!(
        lost,
        [
            format!("name: {nothing}"),
            format!("networks.back.driver: {nothing}"),
            "services.db.image: variable TAG isn't set, so that nothing stands in its place".to_owned(),
            "services.db.network_mode: \"service:web\" is none of bridge, host, none, container:NAME"
                .to_owned(),
            format!("services.web.build: {nothing}"),
            format!("services.web.depends_on: {nothing}"),
            format!("services.web.deploy.replicas: {nothing}"),
            format!("services.web.env_file: {nothing}"),
            "services.web.environment[1]: it has no value here: whoever starts it would give one".to_owned(),
            "services.web.ports[1].mode: ports of the host alone".to_owned(),
            format!("services.web.x-own: {nothing}"),
        ]
    );
}

#[test]
fn pods_as_people_write_them() {
    let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: pod, labels: {app: web}, namespace: prod}
spec:
  serviceAccountName: x
  restartPolicy: OnFailure
  securityContext: {runAsUser: 1000, runAsNonRoot: true}
  initContainers: [{name: first, image: busybox}]
  containers:
    - name: web
      image: nginx
      command: [nginx, -g]
      args: [daemon off;]
      ports: [{containerPort: 80}]
      env: [{name: A, value: b}, {name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}]
      resources: {limits: {cpu: 250m, memory: 64Mi}, requests: {cpu: 1}}
      volumeMounts: [{name: host, mountPath: /h, readOnly: true}, {name: conf, mountPath: /c}, {name: mem, mountPath: /m}]
      livenessProbe: {httpGet: {path: /, port: 80}}
    - {name: side, image: busybox, securityContext: {runAsUser: 5}}
  volumes:
    - {name: host, hostPath: {path: /srv, type: Directory}}
    - {name: conf, configMap: {name: x}}
    - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
"#;
    let (configs, lost) = import(pod, Dialect::Kubernetes);
    let web = yaml(
        "image: nginx\nname: web\ncommand: nginx\nargs: [-g, daemon off;]\nenv: {A: b}\nuser: '1000'\nlabels: {app: web}\n\
        restart: on-failure\nresource_limits: {cpu_cores: 0.25, memory_bytes: 67108864}\n\
        mounts: [{source: /srv, destination: /h, read_only: true}, {destination: /m, mount_type: tmpfs, options: [size=1048576]}]",
    );
    let side = yaml("image: busybox\nname: side\nuser: '5'\nlabels: {app: web}\nrestart: on-failure");
    assert_eq!(configs, [web, side]);
    let paths: Vec<_> = lost.iter().filter_map(|lost| lost.split(": ").next()).collect();
    for path in [
        "metadata.namespace",
        "spec.serviceAccountName",
        "spec.securityContext.runAsNonRoot",
        "spec.initContainers",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].env[1].value",
        "spec.containers[0].env[1].valueFrom",
        "spec.containers[0].resources.requests",
        "spec.containers[0].volumeMounts[1].name",
        "spec.containers[0].livenessProbe.exec",
        "spec.containers[0].livenessProbe.httpGet",
        "spec.volumes[1].configMap",
    ] {
        assert!(paths.contains(&path), "{path} isn't among {lost:#?}");
    }
    let error = import_configs("kind: Deployment", Dialect::Kubernetes, &Variables::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "it is Deployment, not a Pod; give the Pod itself");
}

#[test]
fn what_cant_be_written_is_listed() {
    let own = yaml(
        "image: a\nname: a\nminimum_entropy: 128\ntrusted_issuers: [x]\nexec_mode: wasm\ncustom: {a: b}\nengine_options: {a: b}\n\
        resource_limits: {network_bps: 5}\nnetwork: {mode: bridge, gateway: 10.0.0.1, options: {a: b}}\n\
        mounts: [{source: ext4, destination: /x, mount_type: custom}]\ncap_add: [ALL]",
    );
    let own_paths = [
        "trusted_issuers",
        "minimum_entropy",
        "exec_mode",
        "custom",
        "engine_options",
        "resource_limits.network_bps",
    ];
    for dialect in [Dialect::DockerRun, Dialect::Compose, Dialect::Kubernetes, Dialect::Oci] {
        let (_, lost) = export_configs(std::slice::from_ref(&own), dialect).unwrap();
        let paths: Vec<_> = lost.iter().map(|lost| lost.path.as_str()).collect();
        for path in own_paths.iter().chain(&["network.gateway", "network.options"]) {
            assert!(paths.contains(path), "{dialect:?}: {path} isn't among {paths:?}");
        }
        assert_eq!(paths.contains(&"mounts[0]"), dialect != Dialect::Oci, "{paths:?}");
        assert_eq!(paths.contains(&"cap_add"), dialect == Dialect::Oci, "{paths:?}");
    }
    let none = export_configs(&[ContainerConfig::default()], Dialect::DockerRun).unwrap_err().to_string();
    assert_eq!(none, "there is no image, which docker run needs");
}

#[test]
fn what_isnt_what_it_is_said_to_be_is_refused() {
    for (text, dialect, cause) in [
        ("a: 1", Dialect::Compose, "it has no services: it is no Compose file"),
        ("{}", Dialect::Oci, "it has no ociVersion"),
        ("[]", Dialect::Kubernetes, "it is nothing of Kubernetes, not a Pod"),
        ("{", Dialect::Oci, ""),
        ("a: 1\na: 2", Dialect::Compose, "key \"a\" stands here a second time"),
    ] {
        let error = import_configs(text, dialect, &Variables::default()).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
    // Wrong types everywhere: nothing panics, all of it is told.
    let odd = "services: {a: {image: [1], ports: [[], {}], environment: 1, volumes: [{}, 5], healthcheck: 1, ulimits: [1], \
        deploy: [], networks: 1, extra_hosts: 1, command: {}, devices: [{}], secrets: [x, {}], cpus: inf, tmpfs: {}}, b: 1}";
    assert!(import(odd, Dialect::Compose).1.len() > 10);
}
