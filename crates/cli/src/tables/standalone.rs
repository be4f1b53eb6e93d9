//! The commands of `forgeone-standalone`: containers from images, without a daemon.
//!
//! Names, short forms and meanings are Podman's and Docker's, and those of ForgeOne's first command line.

use super::image::{ARCHIVE, AUTHOR, CHANGE, MESSAGE};
use super::oci::UPDATE_FLAGS;
use super::{FORMAT, GLOBAL, TEMPLATE};
use crate::table::{Command, Flag, Program, plain, switch, value};

/// The standalone command line.
pub const STANDALONE: Program = Program { commands: COMMANDS, global: GLOBAL };

const CONTAINER: &[&str] = &["<container>"];
const CONTAINERS: &[&str] = &["<container>", "[containers...]"];

const QUIET: Flag = switch("quiet", Some('q'), "only ids");
const INTERACTIVE: Flag = switch("interactive", Some('i'), "keep standard input open");
const TTY: Flag = switch("tty", Some('t'), "give it a terminal");
const DETACH: Flag = switch("detach", Some('d'), "don't wait for it; print its id");
const DETACH_KEYS: Flag = value("detach-keys", None, "KEYS", "what detaches from a terminal (ctrl-p,ctrl-q)");
const ENV: Flag =
    value("env", Some('e'), "KEY[=VALUE]", "environment variable; the caller's without a value");
const ENV_FILE: Flag = value("env-file", None, "FILE", "lines of KEY=VALUE");
const USER: Flag = value("user", Some('u'), "USER[:GROUP]", "names or numbers");
const WORKDIR: Flag = value("workdir", Some('w'), "DIR", "directory inside that the program starts in");
const TIME: Flag =
    value("time", Some('t'), "SECONDS", "how long it may take to end (10) before it is killed");
const ALL: Flag = switch("all", Some('a'), "all containers");
const FORCE: Flag = switch("force", Some('f'), "don't ask");

const RUN_TEXT: &str = "\
<image> is a name of a registry, an id, oci:PATH, oci-archive:PATH, docker-archive:PATH,
or a path: a directory, an archive, a disk image. What isn't on this machine yet is pulled.

    forgeone run --rm -it alpine sh
    forgeone run -d --name web -m 512m --cpus 1 -v data:/srv --restart always nginx
    forgeone run -d --rootfs nginx.tar.gz --cmd \"nginx -g 'daemon off;'\"

Exit status: the program's; 125 if ForgeOne fails, 126 if the program can't be executed,
127 if there is none, 128 and its number for a signal.";

const NETWORK_FLAGS: &[Flag] = &[
    value("driver", Some('d'), "DRIVER", "bridge or macvlan (bridge)"),
    value("subnet", None, "CIDR", "addresses, of IPv4 and of IPv6 (repeatable)"),
    value("gateway", None, "ADDRESS", "the host's own address among them (repeatable)"),
    value("ip-range", None, "CIDR", "those of them that are given to containers (repeatable)"),
    value("bridge", None, "NAME", "name of the bridge; one that exists is joined"),
    value("parent", None, "INTERFACE", "interface of the host that macvlan or a VLAN is on"),
    value("vlan", None, "NUMBER", "VLAN on the parent"),
    value("mtu", None, "BYTES", "of a packet"),
    switch("internal", None, "nothing leads out of it"),
    switch("isolated", None, "not reached from other networks, not even by published ports"),
    switch("disable-dns", None, "without names"),
    value("label", Some('l'), "KEY=VALUE", "label (repeatable)"),
];

/// Of `create` and `run`.
macro_rules! container_flags {
    ($($flag:expr),*) => {
        &[
            $($flag,)*
            value("name", None, "NAME", "the container's name (two words, if there is none)"),
            INTERACTIVE,
            TTY,
            switch("rm", None, "remove it when it has ended"),
            value("rootfs", None, "PATH", "root file system, instead of an image: directory, archive or disk image"),
            value("cmd", None, "COMMAND", "the program and its arguments, split as a shell does it"),
            value("config", None, "FILE", "read the container's configuration: JSON, YAML or TOML"),
            value("entrypoint", None, "PROGRAM", "instead of the image's; a JSON list has arguments"),
            ENV,
            ENV_FILE,
            switch("env-host", None, "with the caller's environment"),
            USER,
            value("domainname", None, "NAME", "the domain of that name"),
            value("group-add", None, "GROUP", "further group (repeatable)"),
            WORKDIR,
            value("hostname", Some('h'), "NAME", "its name for itself (the id)"),
            value("label", Some('l'), "KEY=VALUE", "label (repeatable)"),
            value("annotation", None, "KEY=VALUE", "annotation (repeatable)"),
            value("volume", Some('v'), "SOURCE:DIR[:OPTIONS]", "mount a directory or a named volume (repeatable)"),
            value("mount", None, "OPTIONS", "type=bind|volume|tmpfs,source=S,target=D,... (repeatable)"),
            value("tmpfs", None, "DIR[:OPTIONS]", "mount an empty file system in memory (repeatable)"),
            switch("read-only", None, "make the root file system read-only"),
            value("device", None, "PATH[:PATH[:RWM]]", "device of the host (repeatable)"),
            value("shm-size", None, "SIZE", "of /dev/shm (64m)"),
            value("secret", None, "NAME[,OPTIONS]", "secret as a file: source=FILE or env=VARIABLE (repeatable)"),
            value("memory", Some('m'), "SIZE", "limit of memory: bytes, or 512m, 2g"),
            value("mem", None, "MIB", "limit of memory, in MiB"),
            value("memory-reservation", None, "SIZE", "memory that is left to it when others want it"),
            value("cpus", None, "NUMBER", "CPUs' time: 0.5 is half of one"),
            value("cpu", None, "NUMBER", "as --cpus"),
            value("cpu-shares", None, "NUMBER", "weight of CPU time"),
            value("cpu-period", None, "NUMBER", "period of the CPU quota, microseconds"),
            value("cpu-quota", None, "NUMBER", "CPU time in a period, microseconds"),
            value("cpuset-cpus", None, "LIST", "CPUs that it may use, such as 0-3,7"),
            value("blkio-weight", None, "NUMBER", "weight of block I/O, 10 to 1000"),
            value("device-read-bps", None, "PATH:RATE", "limit of reading from a device (repeatable)"),
            value("device-write-bps", None, "PATH:RATE", "limit of writing to a device (repeatable)"),
            value("device-read-iops", None, "PATH:RATE", "the same in operations a second (repeatable)"),
            value("device-write-iops", None, "PATH:RATE", "the same in operations a second (repeatable)"),
            value("oom-score-adj", None, "NUMBER", "how likely it is killed without memory: -1000 to 1000"),
            switch("oom-kill-disable", None, "let it wait at its limit of memory (cgroup v1)"),
            value("pids-limit", None, "NUMBER", "limit of processes and threads; -1 is none"),
            value("pids", None, "NUMBER", "as --pids-limit"),
            value("ulimit", None, "NAME=SOFT[:HARD]", "limit of getrlimit(2) (repeatable)"),
            value("disk", None, "SIZE", "limit of written files"),
            value("sysctl", None, "KEY=VALUE", "kernel parameter of its namespaces (repeatable)"),
            value("cap-add", None, "CAPABILITY", "add a capability, such as NET_ADMIN, or ALL (repeatable)"),
            value("cap-drop", None, "CAPABILITY", "take a capability away, or ALL (repeatable)"),
            value("security-opt", None, "OPTION", "no-new-privileges, seccomp=FILE, apparmor=PROFILE, label=LABEL (repeatable)"),
            value("seccomp", None, "FILE", "profile of system calls; unconfined is none"),
            switch("no-new-privs", None, "never gain privileges by exec (true)"),
            switch("privileged", None, "hardly confine it: all capabilities and devices, no filter"),
            value("network", None, "NETWORK", "NAME[:ip=...,alias=...] (repeatable), none, host, container:NAME, pasta"),
            value("net", None, "CIDR", "the network of these IPv4 addresses, made if there is none; or as --network"),
            value("net6", None, "CIDR", "the network of these IPv6 addresses"),
            value("bridge", None, "NAME", "the network of this bridge, made if there is none"),
            switch("cni", None, "the network of the first list in /etc/cni/net.d"),
            value("publish", Some('p'), "[[IP:][PORT]:]PORT[/PROTOCOL]", "port of the host that leads inside; ranges, too (repeatable)"),
            switch("publish-all", Some('P'), "publish what the image exposes, at ports that are free"),
            value("ip", None, "ADDRESS", "IPv4 address"),
            value("ip6", None, "ADDRESS", "IPv6 address"),
            value("mac-address", None, "ADDRESS", "hardware address"),
            value("mac", None, "ADDRESS", "as --mac-address"),
            value("network-alias", None, "NAME", "further name in its first network (repeatable)"),
            value("ingress", None, "RULE", "who may reach it: any, ADDRESS, label:KEY[=VALUE]; with @PROTOCOL[/PORT]"),
            value("egress", None, "RULE", "whom it may reach (repeatable)"),
            value("network-bps", None, "RATE", "limit of each direction, in bits a second: 10m"),
            value("dns", None, "ADDRESS", "name server (repeatable)"),
            value("dns-search", None, "DOMAIN", "domain of short names (repeatable)"),
            value("add-host", None, "NAME:ADDRESS", "line of /etc/hosts (repeatable)"),
            value("pid", None, "MODE", "processes: private, host or container:NAME"),
            value("ipc", None, "MODE", "shared memory: private, host or container:NAME"),
            value("uts", None, "MODE", "host name: private or host"),
            value("userns", None, "MODE", "users: host, auto or container:NAME"),
            value("cgroupns", None, "MODE", "cgroups: private or host"),
            switch("init", None, "run an init as process 1, which reaps and passes on signals"),
            value("restart", None, "POLICY", "no, on-failure[:TIMES], always or unless-stopped"),
            value("stop-signal", None, "SIGNAL", "what asks it to end (TERM)"),
            value("stop-timeout", None, "SECONDS", "how long it may take to end (10)"),
            value("health-cmd", None, "COMMAND", "command that tells whether it works"),
            value("health-interval", None, "TIME", "time between two of them (30s)"),
            value("health-timeout", None, "TIME", "how long one may take (30s)"),
            value("health-retries", None, "NUMBER", "failures in a row that count (3)"),
            value("health-start-period", None, "TIME", "how long failures don't count after a start (0s)"),
            value("health-on-failure", None, "ACTION", "what follows when it is unhealthy: none, kill, restart or stop (none)"),
            switch("no-healthcheck", None, "without the image's health check"),
            value("log-driver", None, "DRIVER", "k8s-file or none (k8s-file)"),
            value("log-opt", None, "KEY=VALUE", "max-size=SIZE, max-file=NUMBER (repeatable)"),
            value("cidfile", None, "FILE", "write the container's id to FILE"),
            value("pull", None, "POLICY", "missing, always or never (missing)"),
            value("platform", None, "OS/ARCH", "of the image, if not this machine's"),
            value("storage-driver", None, "DRIVER", "overlay, btrfs or vfs (the first that works)")
        ]
    };
}

const COMMANDS: &[Command] = &[
    Command {
        words: &["[image]", "[command]", "[arguments...]"],
        verbatim: Some(1),
        text: RUN_TEXT,
        flags: container_flags!(
            DETACH,
            DETACH_KEYS,
            switch("sig-proxy", None, "pass on signals to it (true)")
        ),
        failure: 125,
        ..plain("run", "make a container from an image and run it")
    },
    Command {
        words: &["[image]", "[command]", "[arguments...]"],
        verbatim: Some(1),
        text: RUN_TEXT,
        flags: container_flags!(),
        failure: 125,
        ..plain("create", "make a container from an image, without starting it")
    },
    Command {
        words: &["[containers...]"],
        flags: &[
            switch("attach", Some('a'), "show its output, and wait for its end"),
            INTERACTIVE,
            DETACH_KEYS,
            switch("all", None, "all that don't run"),
            value(
                "filter",
                None,
                "KEY=VALUE",
                "of all, those with restart-policy=POLICY (repeatable: any of them)",
            ),
        ],
        failure: 125,
        ..plain("start", "start containers")
    },
    Command {
        words: &["[containers...]"],
        flags: &[TIME, value("signal", Some('s'), "SIGNAL", "instead of the container's stop signal"), ALL],
        failure: 125,
        ..plain("stop", "ask containers to end, then kill those that go on")
    },
    Command {
        words: &["[containers...]"],
        flags: &[TIME, ALL],
        failure: 125,
        ..plain("restart", "stop containers and start them again")
    },
    Command {
        words: &["[containers...]"],
        flags: &[
            switch("force", Some('f'), "kill those that run"),
            switch("volumes", Some('v'), "remove volumes without name, too"),
            ALL,
        ],
        ..plain("rm", "remove containers")
    },
    Command {
        words: CONTAINERS,
        flags: &[value("signal", Some('s'), "SIGNAL", "name or number (KILL)"), ALL],
        failure: 125,
        ..plain("kill", "send a signal to containers")
    },
    Command { words: CONTAINERS, failure: 125, ..plain("pause", "suspend all processes of containers") },
    Command { words: CONTAINERS, failure: 125, ..plain("resume", "let paused containers go on") },
    Command { words: CONTAINERS, failure: 125, ..plain("unpause", "as resume") },
    Command {
        words: CONTAINERS,
        failure: 125,
        ..plain("wait", "wait for the end of containers; print their exit statuses")
    },
    Command { words: CONTAINER, ..plain("state", "show the OCI state of a container as JSON") },
    Command {
        words: CONTAINERS,
        flags: &[switch("force", Some('f'), "kill those that run")],
        ..plain("delete", "as rm")
    },
    Command { words: CONTAINER, flags: UPDATE_FLAGS, ..plain("update", "change the limits of a container") },
    Command {
        words: CONTAINER,
        flags: &[
            switch("follow", Some('f'), "go on with what comes"),
            switch("timestamps", Some('t'), "with the time of each line"),
            value("tail", Some('n'), "NUMBER", "the last lines only"),
            value("since", None, "TIME", "from this time on, or this long ago, such as 10m"),
            value("until", None, "TIME", "up to this time"),
        ],
        failure: 125,
        ..plain("logs", "show what a container has written")
    },
    Command {
        words: CONTAINER,
        flags: &[
            switch("no-stdin", None, "without input"),
            DETACH_KEYS,
            switch("sig-proxy", None, "pass on signals to it (true)"),
        ],
        failure: 125,
        ..plain("attach", "show the output of a container that runs, and give it input")
    },
    Command {
        words: &["<container>", "<command>", "[arguments...]"],
        verbatim: Some(2),
        text: "Options end at the command.\n\n    forgeone exec -it web sh",
        flags: &[
            INTERACTIVE,
            TTY,
            DETACH,
            ENV,
            ENV_FILE,
            USER,
            WORKDIR,
            switch("privileged", None, "with all capabilities"),
        ],
        failure: 125,
        ..plain("exec", "run another program in a container")
    },
    Command {
        flags: &[
            ALL,
            QUIET,
            switch("latest", Some('l'), "the latest only"),
            value("last", Some('n'), "NUMBER", "the last of them"),
            value(
                "filter",
                None,
                "KEY=VALUE",
                "name, id, label, status, ancestor, health, volume (repeatable)",
            ),
            switch("no-trunc", None, "whole ids and commands"),
            value("format", None, "FORMAT", "table, json, or a template such as {{.Names}}"),
        ],
        ..plain("ps", "list containers")
    },
    Command {
        words: CONTAINERS,
        flags: &[TEMPLATE],
        ..plain("inspect", "show all that is known of containers, as JSON")
    },
    Command {
        words: &["[containers...]"],
        flags: &[
            switch("no-stream", None, "once"),
            value("format", None, "FORMAT", "table, json, or a template"),
            ALL,
        ],
        ..plain("stats", "show what containers use")
    },
    Command {
        words: &["<container>", "[ps options...]"],
        verbatim: Some(1),
        ..plain("top", "list the processes of a container")
    },
    Command {
        words: &["<from>", "<to>"],
        text: "\
One of the two is CONTAINER:PATH; - is a tar archive on standard input or output.

    forgeone cp web:/var/log/nginx ./logs",
        flags: &[ARCHIVE],
        ..plain("cp", "copy files out of a container or into it")
    },
    Command { words: CONTAINER, ..plain("diff", "show what a container has added, changed and removed") },
    Command {
        words: &["<container>", "[name]"],
        flags: &[CHANGE, AUTHOR, MESSAGE],
        ..plain("commit", "make an image of what a container has changed")
    },
    Command {
        words: CONTAINER,
        flags: &[value("output", Some('o'), "FILE", "write to FILE (standard output)")],
        ..plain("export", "write the files of a container as a tar archive")
    },
    Command {
        words: &["<command>", "[arguments...]"],
        group: &[
            Command {
                words: &["<container>", "<name>"],
                text: "One that runs is paused meanwhile.",
                ..plain("snapshot create", "keep what a container has changed by now")
            },
            Command {
                words: CONTAINER,
                flags: &[TEMPLATE, switch("quiet", Some('q'), "only names")],
                ..plain("snapshot ls", "list the snapshots of a container")
            },
            Command {
                words: &["<container>", "<name>"],
                text: "The container must not run. What it has changed since is gone.",
                ..plain("snapshot restore", "have the files of a container as they were then")
            },
            Command {
                words: &["<container>", "<name>", "[names...]"],
                ..plain("snapshot rm", "remove snapshots of a container")
            },
        ],
        ..plain("snapshot", "snapshots of what containers have changed: create, ls, restore, rm")
    },
    Command { words: &["<container>", "<name>"], ..plain("rename", "give a container another name") },
    Command {
        words: &["[containers...]"],
        flags: &[
            switch("follow", None, "go on with what comes"),
            value("since", None, "TIME", "from this time on, or this long ago"),
            value("until", None, "TIME", "up to this time"),
            value("filter", None, "KEY=VALUE", "container, event, label (repeatable)"),
            FORMAT,
        ],
        ..plain("events", "show what has happened to containers")
    },
    Command {
        words: &["<command>", "[arguments...]"],
        group: &[
            Command {
                words: &["[name]"],
                flags: &[
                    value("driver", Some('d'), "DRIVER", "what provides it (local)"),
                    value("opt", Some('o'), "KEY=VALUE", "for the driver: type, device, o (repeatable)"),
                    value("label", Some('l'), "KEY=VALUE", "label (repeatable)"),
                ],
                ..plain("volume create", "make a volume")
            },
            Command { flags: &[QUIET, TEMPLATE], ..plain("volume ls", "list volumes") },
            Command {
                words: &["<volume>", "[volumes...]"],
                ..plain("volume inspect", "show volumes as JSON")
            },
            Command {
                words: &["<volume>", "[volumes...]"],
                flags: &[switch("force", Some('f'), "a missing one is no error")],
                ..plain("volume rm", "remove volumes")
            },
            Command { flags: &[FORCE], ..plain("volume prune", "remove volumes that no container has") },
        ],
        ..plain("volume", "named volumes: create, ls, inspect, rm, prune")
    },
    Command {
        words: &["<container>", "[port]"],
        ..plain("port", "show which ports of the host lead into a container")
    },
    Command {
        words: &["<command>", "[arguments...]"],
        group: &[
            Command { words: &["<name>"], flags: NETWORK_FLAGS, ..plain("network create", "make a network") },
            Command { flags: &[QUIET, TEMPLATE], ..plain("network ls", "list networks") },
            Command {
                words: &["<network>", "[networks...]"],
                ..plain("network inspect", "show networks and who is in them, as JSON")
            },
            Command {
                words: &["<network>", "[networks...]"],
                flags: &[switch("force", Some('f'), "a missing one is no error")],
                ..plain("network rm", "remove networks")
            },
            Command {
                words: &["<network>", "<container>"],
                flags: &[
                    value("ip", None, "ADDRESS", "IPv4 address"),
                    value("ip6", None, "ADDRESS", "IPv6 address"),
                    value("mac-address", None, "ADDRESS", "hardware address"),
                    value("interface", None, "NAME", "of the interface inside"),
                    value("alias", None, "NAME", "further name there (repeatable)"),
                ],
                ..plain("network connect", "connect a container to one more network")
            },
            Command {
                words: &["<network>", "<container>"],
                ..plain("network disconnect", "take a container out of a network")
            },
            Command { flags: &[FORCE], ..plain("network prune", "remove networks that no container has") },
            plain("network reload", "make rules and names anew, and take away what was left"),
        ],
        ..plain("network", "networks: create, ls, inspect, rm, connect, disconnect, prune, reload")
    },
    Command {
        words: &["<command>", "[arguments...]"],
        group: &[
            Command {
                flags: &[TEMPLATE],
                ..plain("system df", "show what images, containers and volumes take")
            },
            Command {
                flags: &[
                    FORCE,
                    switch("all", Some('a'), "all images that no container has"),
                    switch("volumes", None, "volumes, too"),
                ],
                ..plain("system prune", "remove what isn't used")
            },
            Command { flags: &[FORMAT], ..plain("system info", "show what this machine has and can") },
        ],
        ..plain("system", "the whole: df, prune, info")
    },
    Command {
        words: &["<shell>", "[words...]"],
        verbatim: Some(1),
        text: "\
The shell is bash, zsh or fish. To have it in every bash, or in this one:

    forgeone completion bash > /etc/bash_completion.d/forgeone
    source <(forgeone completion bash)

The scripts ask 'forgeone completion words WORDS...' what the last of the words
may become.",
        ..plain("completion", "show a script that completes commands in a shell")
    },
];
