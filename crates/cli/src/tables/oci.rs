//! The OCI runtime's commands: the door's own.
//!
//! Names, short forms and meanings are runc's (1.1 to 1.5). A runc option whose feature isn't built is absent,
//! so that it is refused and not ignored.

use super::{FORMAT, GLOBAL};
use crate::table::{Command, Flag, Program, plain, switch, value};

const ID: &str = "<container-id>";

const BUNDLE: Flag = value("bundle", Some('b'), "DIR", "the bundle (the current directory)");
const CONSOLE_SOCKET: Flag = value("console-socket", None, "PATH", "Unix socket that receives the terminal");
const PIDFD_SOCKET: Flag =
    value("pidfd-socket", None, "PATH", "Unix socket that receives the process's pidfd");
const PID_FILE: Flag = value("pid-file", None, "FILE", "write the process id to FILE");
const PRESERVE_FDS: Flag =
    value("preserve-fds", None, "N", "pass N more descriptors, from 3 on, to the program");
const NO_PIVOT: Flag = switch("no-pivot", None, "don't use pivot_root; for a root on a ramdisk");
const NO_NEW_KEYRING: Flag = switch("no-new-keyring", None, "keep the caller's session keyring");
const DETACH: Flag = switch("detach", Some('d'), "don't wait for the program");

const BUNDLE_TEXT: &str = "\
The bundle is a directory with a config.json (see 'forgeone spec') and a root
file system. <container-id> is your name for the container, unique below the
state root.

Called by systemd, it passes on the sockets of the unit (LISTEN_FDS), and the
program can say that it is ready (Type=notify, NOTIFY_SOCKET).";

const fn on_container(name: &'static str, about: &'static str) -> Command {
    Command { words: &[ID], ..plain(name, about) }
}

/// The command line of the OCI runtime.
pub const OCI: Program = Program { commands: COMMANDS, global: GLOBAL };

const COMMANDS: &[Command] = &[
    Command {
        text: BUNDLE_TEXT,
        flags: &[BUNDLE, CONSOLE_SOCKET, PIDFD_SOCKET, PID_FILE, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS],
        starts_program: true,
        ..on_container("create", "create a container from a bundle; its program waits for start")
    },
    on_container("start", "start the program of a created container"),
    Command {
        text: BUNDLE_TEXT,
        flags: &[
            BUNDLE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            DETACH,
            switch("keep", None, "don't delete the container when its program has ended"),
            PID_FILE,
            switch("no-subreaper", None, "don't adopt processes that the container leaves behind"),
            NO_PIVOT,
            NO_NEW_KEYRING,
            PRESERVE_FDS,
        ],
        starts_program: true,
        ..on_container("run", "create a container, start it and wait for its end")
    },
    Command {
        words: &[ID, "[command]", "[arguments...]"],
        verbatim: Some(2),
        text: EXEC_TEXT,
        flags: EXEC_FLAGS,
        starts_program: true,
        failure: 255,
        ..on_container("exec", "start another program in a running container")
    },
    on_container("state", "show the state of a container as JSON"),
    Command {
        words: &[ID, "[signal]"],
        text: "\
The signal is a name, with or without SIG, or a number; TERM if there is none.

    forgeone kill web KILL",
        flags: &[switch("all", Some('a'), "to all processes of the container; a stopped one is no error")],
        ..on_container("kill", "send a signal to the first process of a container")
    },
    on_container("pause", "suspend all processes of a container"),
    on_container("resume", "let the processes of a paused container go on"),
    Command {
        text: UPDATE_TEXT,
        flags: UPDATE_FLAGS,
        ..on_container("update", "change the limits of a container")
    },
    Command {
        text: EVENTS_TEXT,
        flags: &[
            value("interval", None, "TIME", "time between two lines of numbers, such as 500ms or 1m (5s)"),
            switch("stats", None, "show the numbers once"),
        ],
        ..on_container("events", "show what a container uses, and when it runs out of memory")
    },
    Command {
        flags: &[switch("force", Some('f'), "kill it first if it still runs; a missing one is no error")],
        ..on_container("delete", "delete a stopped container and all that it holds")
    },
    Command {
        words: &[],
        flags: &[FORMAT, switch("quiet", Some('q'), "only ids")],
        ..on_container("list", "list the containers below the state root")
    },
    Command {
        words: &[ID, "[ps options...]"],
        verbatim: Some(1),
        text: "The table is the ps program's, with these options (-ef if there are none).",
        flags: &[FORMAT],
        ..on_container("ps", "list the processes of a container")
    },
    Command {
        words: &[],
        text: "\
The config starts sh in a terminal, over the root file system in ./rootfs; edit
it to your needs. A file that exists is not overwritten.

    mkdir -p web/rootfs            # and put a root file system there
    cd web && forgeone spec
    forgeone run web",
        flags: &[
            value("bundle", Some('b'), "DIR", "the bundle (the current directory)"),
            value("output", None, "FILE", "file in the bundle (config.json); - is standard output"),
            switch("rootless", None, "a config for a container that you run without root"),
        ],
        ..on_container("spec", "write a config.json to start from")
    },
    Command { words: &[], ..on_container("features", "show as JSON what this runtime implements") },
];

const EXEC_TEXT: &str = "\
The program runs as the container's own would: its user, environment, working
directory and rights are those of config.json, or of the file that --process
names, changed by the options. Options end at the command.

    forgeone exec web ps -ef";

const EXEC_FLAGS: &[Flag] = &[
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    value("cwd", None, "DIR", "working directory inside"),
    value("env", Some('e'), "KEY=VALUE", "add to the environment (repeatable)"),
    switch("tty", Some('t'), "give it a terminal"),
    value("user", Some('u'), "UID[:GID]", "numeric user, and group"),
    value("additional-gids", Some('g'), "GID", "add a supplementary group (repeatable)"),
    value("process", Some('p'), "FILE", "JSON file with the process, as in config.json"),
    DETACH,
    PID_FILE,
    value("process-label", None, "LABEL", "SELinux label of the process"),
    value("apparmor", None, "PROFILE", "AppArmor profile of the process"),
    switch("no-new-privs", None, "set no_new_privs"),
    value("cap", Some('c'), "CAPABILITY", "add a capability, such as CAP_NET_ADMIN (repeatable)"),
    PRESERVE_FDS,
    value("cgroup", None, "GROUP", "[CONTROLLERS:]PATH of a group inside the container's (repeatable)"),
    switch("ignore-paused", None, "allow it in a paused container"),
];

const UPDATE_TEXT: &str = "\
What isn't named stays as it is. A change that fails is taken back. Sizes are
bytes, or have a unit: 64M, 1.5g; -1 is unlimited. FILE is JSON as
linux.resources in config.json; beside it only the last two options count.

    forgeone update --memory 64M --pids-limit 100 web";

pub(super) const UPDATE_FLAGS: &[Flag] = &[
    value("resources", Some('r'), "FILE", "read the limits from FILE; - is standard input"),
    value("blkio-weight", None, "NUMBER", "weight of block I/O, 10 to 1000"),
    value("cpu-period", None, "NUMBER", "period of the CPU quota, microseconds"),
    value("cpu-quota", None, "NUMBER", "CPU time in a period, microseconds"),
    value("cpu-burst", None, "NUMBER", "CPU time that may be saved up, microseconds"),
    value("cpu-share", None, "NUMBER", "weight of CPU time, 2 to 262144"),
    value("cpu-rt-period", None, "NUMBER", "period of realtime CPU time, microseconds"),
    value("cpu-rt-runtime", None, "NUMBER", "realtime CPU time in a period, microseconds"),
    value("cpu-idle", None, "0|1", "1 runs it only when a CPU is idle"),
    value("cpuset-cpus", None, "LIST", "CPUs that it may use, such as 0-3,7"),
    value("cpuset-mems", None, "LIST", "memory nodes that it may use"),
    value("memory", None, "SIZE", "limit of memory, bytes"),
    value("memory-reservation", None, "SIZE", "memory that is left to it when others want it"),
    value("memory-swap", None, "SIZE", "limit of memory and swap together"),
    value("kernel-memory", None, "SIZE", "obsolete, ignored with a warning"),
    value("kernel-memory-tcp", None, "SIZE", "obsolete: limit of TCP buffers, on cgroup v1 only"),
    value("pids-limit", None, "NUMBER", "limit of processes and threads; -1 is none"),
    value("l3-cache-schema", None, "LINE", "share of the L3 cache (Intel RDT)"),
    value("mem-bw-schema", None, "LINE", "share of the memory bandwidth (Intel RDT)"),
];

const EVENTS_TEXT: &str = "\
A line of JSON for each, until the container has stopped.";
