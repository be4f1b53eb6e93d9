//! The one table of commands and options: parsing, help and whatever else is made from the command line read it.
//!
//! Names, short forms and meanings are runc's (1.1 to 1.5). A runc option whose feature isn't built is absent,
//! so that it is refused and not ignored.

use crate::commands::{self, Run};

/// An option.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its name after `--`.
    pub(crate) long: &'static str,
    /// Its one-letter name.
    pub(crate) short: Option<char>,
    /// What follows it.
    pub(crate) takes: Takes,
    /// What it does, one line.
    pub(crate) help: &'static str,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing; `--name=true` and `--name=false` are understood.
    Nothing,
    /// A value, called so in the help.
    Value(&'static str),
    /// `true`, `false` or `auto`: behind `=`, or as the next word if it is one of these; bare it means `true`.
    Mode,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its words in order: `<required>`, `[optional]`, `[any number...]`.
    pub(crate) words: &'static [&'static str],
    /// From this many words on everything is a word, options too: it is meant for another program.
    pub(crate) verbatim: Option<usize>,
    /// What it does, one line.
    pub(crate) about: &'static str,
    /// What else there is to know, lines of at most 80 characters.
    pub(crate) text: &'static str,
    /// Its options, besides the global ones.
    pub(crate) flags: &'static [Flag],
    /// Whether it starts a program that isn't ours, so that the binary must be out of its reach.
    pub(crate) starts_program: bool,
    /// The exit status of its failures.
    pub(crate) failure: u8,
    /// What carries it out.
    pub(crate) run: Run,
}

impl Command {
    /// Whether it makes a container: its id is a new one, and who calls may be a service manager.
    pub(crate) fn makes_container(&self) -> bool {
        matches!(self.name, "create" | "run" | "restore")
    }
}

const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { long, short, takes: Takes::Nothing, help }
}

const fn value(long: &'static str, short: Option<char>, name: &'static str, help: &'static str) -> Flag {
    Flag { long, short, takes: Takes::Value(name), help }
}

/// Options that stand before the command, or among its own.
pub(crate) const GLOBAL: &[Flag] = &[
    value("root", None, "DIR", "where states are kept (/run/forgeone, or $XDG_RUNTIME_DIR/forgeone)"),
    value("log", None, "FILE", "append errors to FILE as well as to standard error"),
    value("log-format", None, "FORMAT", "of the log: text or json (text)"),
    switch("debug", None, "log what is done, too"),
    switch("systemd-cgroup", None, "let systemd make the cgroups; cgroupsPath is slice:prefix:name"),
    Flag {
        long: "rootless",
        short: None,
        takes: Takes::Mode,
        help: "bear with lacking rights over cgroups: true, false or auto (auto)",
    },
    switch("help", Some('h'), "show this help"),
    switch("version", Some('v'), "show the version"),
];

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
const FORMAT: Flag = value("format", Some('f'), "FORMAT", "table or json (table)");

const BUNDLE_TEXT: &str = "\
The bundle is a directory with a config.json (see 'forgeone spec') and a root
file system. <container-id> is your name for the container, unique below the
state root.

Called by systemd, it passes on the sockets of the unit (LISTEN_FDS), and the
program can say that it is ready (Type=notify, NOTIFY_SOCKET).";

const fn plain(name: &'static str, about: &'static str, run: Run) -> Command {
    Command {
        name,
        words: &[ID],
        verbatim: None,
        about,
        text: "",
        flags: &[],
        starts_program: false,
        failure: 1,
        run,
    }
}

const DATA_ROOT: Flag = value("data-root", None, "DIR", "where images are kept (/var/lib/forgeone)");

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        text: BUNDLE_TEXT,
        flags: &[BUNDLE, CONSOLE_SOCKET, PIDFD_SOCKET, PID_FILE, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS],
        starts_program: true,
        ..plain(
            "create",
            "create a container from a bundle; its program waits for start",
            commands::create::run,
        )
    },
    plain("start", "start the program of a created container", commands::start::run),
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
        ..plain("run", "create a container, start it and wait for its end", commands::run::run)
    },
    Command {
        words: &[ID, "[command]", "[arguments...]"],
        verbatim: Some(2),
        text: EXEC_TEXT,
        flags: EXEC_FLAGS,
        starts_program: true,
        failure: 255,
        ..plain("exec", "start another program in a running container", commands::exec::run)
    },
    plain("state", "show the state of a container as JSON", commands::state::run),
    Command {
        words: &[ID, "[signal]"],
        text: "\
The signal is a name, with or without SIG, or a number; TERM if there is none.

    forgeone kill web KILL",
        flags: &[switch("all", Some('a'), "to all processes of the container; a stopped one is no error")],
        ..plain("kill", "send a signal to the first process of a container", commands::kill::run)
    },
    plain("pause", "suspend all processes of a container", commands::pause::run),
    plain("resume", "let the processes of a paused container go on", commands::resume::run),
    Command {
        text: UPDATE_TEXT,
        flags: UPDATE_FLAGS,
        ..plain("update", "change the limits of a container", commands::update::run)
    },
    Command {
        text: EVENTS_TEXT,
        flags: &[
            value("interval", None, "TIME", "time between two lines of numbers, such as 500ms or 1m (5s)"),
            switch("stats", None, "show the numbers once"),
        ],
        ..plain("events", "show what a container uses, and when it runs out of memory", commands::events::run)
    },
    Command {
        flags: &[switch("force", Some('f'), "kill it first if it still runs; a missing one is no error")],
        ..plain("delete", "delete a stopped container and all that it holds", commands::delete::run)
    },
    Command {
        words: &[],
        flags: &[FORMAT, switch("quiet", Some('q'), "only ids")],
        ..plain("list", "list the containers below the state root", commands::list::run)
    },
    Command {
        words: &[ID, "[ps options...]"],
        verbatim: Some(1),
        text: "The table is the ps program's, with these options (-ef if there are none).",
        flags: &[FORMAT],
        ..plain("ps", "list the processes of a container", commands::ps::run)
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
        ..plain("spec", "write a config.json to start from", commands::spec::run)
    },
    Command {
        words: &[],
        ..plain("features", "show as JSON what this runtime implements", commands::features::run)
    },
    Command {
        words: &["<command>", "[arguments...]"],
        verbatim: Some(1),
        text: "'forgeone config help' lists the commands: validate, show, merge, diff.",
        ..plain("config", "check, show, merge and compare configurations", commands::helper::run)
    },
    Command {
        words: &["[file]"],
        text: "\
An OCI image layout, as a directory or in a tar archive, or what 'docker save' or
'podman save' wrote, compressed or not; standard input if no file is named.

    podman save docker.io/library/alpine | forgeone load",
        flags: &[
            value("input", Some('i'), "FILE", "the archive or directory"),
            switch("quiet", Some('q'), "don't tell what was loaded"),
            DATA_ROOT,
        ],
        ..plain("load", "take images out of an archive or a directory", commands::helper::run)
    },
    Command {
        words: &[],
        flags: &[FORMAT, switch("quiet", Some('q'), "only ids"), DATA_ROOT],
        ..plain("images", "list the images of this machine", commands::helper::run)
    },
    Command {
        words: &["<image>", "<name>"],
        flags: &[DATA_ROOT],
        ..plain("tag", "give an image a further name", commands::helper::run)
    },
    Command {
        words: &["<image>", "[images...]"],
        text: "\
An image is a name, a digest, or the beginning of an id. Its name is removed, and
with its last name the image.",
        flags: &[switch("force", Some('f'), "remove all names of an id"), DATA_ROOT],
        ..plain("rmi", "remove images", commands::helper::run)
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
        ..plain("completion", "show a script that completes commands in a shell", commands::completion::run)
    },
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

const UPDATE_FLAGS: &[Flag] = &[
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

/// The command of this name.
pub(crate) fn command(name: &std::ffi::OsStr) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| name == c.name)
}
