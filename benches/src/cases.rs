//! What is measured, as data: the cases and their goals.

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Action {
    /// `run` of a program that ends at once.
    Run,
    /// `create`, `start`, waiting for the program as a shim does, `delete`.
    Life,
    /// `exec` of such a program in a running container.
    Exec,
    /// `state` of a running container.
    State,
}

/// Who starts the container, and as whom it runs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum User {
    /// The host's root.
    Root,
    /// Root of a user namespace, started by root.
    Mapped,
    /// Root of a user namespace, started by an ordinary user: `spec --rootless`.
    Ordinary,
}

/// What the median should be at most.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// So many times crun's.
    Crun(f64),
    /// So many times that of the fastest other runtime.
    Best(f64),
    /// So many times the floor's.
    Floor(f64),
    /// So many milliseconds.
    Millis(f64),
}

/// A row of the tables.
pub(crate) struct Case {
    /// Its short name.
    pub(crate) name: &'static str,
    /// What it is, for a reader.
    pub(crate) what: &'static str,
    pub(crate) action: Action,
    /// Whether memory and processes are limited; otherwise the case is measured in v2 alone.
    pub(crate) limits: bool,
    /// Whether there is a filter of system calls.
    pub(crate) seccomp: bool,
    pub(crate) user: User,
    /// How many directories are bound into it.
    pub(crate) binds: u32,
    /// One run right after the other.
    pub(crate) warm: &'static [Goal],
    /// After idleness.
    pub(crate) cold: &'static [Goal],
}

const CASE: Case = Case {
    name: "",
    what: "",
    action: Action::Run,
    limits: false,
    seccomp: false,
    user: User::Root,
    binds: 0,
    warm: &[],
    cold: &[],
};

/// The bounds of [`Case::limits`], in bytes and processes.
pub(crate) const MEMORY: u64 = 64 << 20;
pub(crate) const PIDS: u64 = 64;
/// The ordinary user, who is in no database.
pub(crate) const ORDINARY: u32 = 54_321;
/// The first of the ids of a user namespace, and how many.
pub(crate) const MAPPED: (u32, u32) = (100_000, 65_536);

use Goal::{Best, Crun, Floor, Millis};

/// All of them.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "run",
        what: "`run` of `/bin/true`, the config of `forgeone spec`, no limits, no seccomp",
        warm: &[Crun(0.5), Floor(1.5)],
        cold: &[Crun(0.25)],
        ..CASE
    },
    Case { name: "run-limits", what: "`run` with limits of memory and processes", limits: true, ..CASE },
    Case {
        name: "run-seccomp",
        what: "`run` with limits of memory and processes and a filter of Docker's size",
        limits: true,
        seccomp: true,
        warm: &[Crun(0.25), Floor(1.7)],
        cold: &[Crun(0.2)],
        ..CASE
    },
    Case {
        name: "life",
        what: "`create`, `start`, the program's end, `delete`: with limits and filter",
        action: Action::Life,
        limits: true,
        seccomp: true,
        warm: &[Crun(0.3)],
        cold: &[Crun(0.25)],
        ..CASE
    },
    Case {
        name: "exec",
        what: "`exec` of `/bin/true` in a container with limits and filter",
        action: Action::Exec,
        limits: true,
        seccomp: true,
        warm: &[Best(0.3), Floor(1.5)],
        cold: &[Best(0.2)],
        ..CASE
    },
    Case {
        name: "userns",
        what: "`run` with limits, filter and a user namespace",
        limits: true,
        seccomp: true,
        user: User::Mapped,
        warm: &[Crun(0.5)],
        cold: &[Crun(0.4)],
        ..CASE
    },
    Case {
        name: "binds",
        what: "`run` with limits, filter and 100 bind mounts",
        limits: true,
        seccomp: true,
        binds: 100,
        warm: &[Crun(0.5)],
        cold: &[Crun(0.4)],
        ..CASE
    },
    Case {
        name: "rootless",
        what: "`run` by an ordinary user, the config of `forgeone spec --rootless`",
        user: User::Ordinary,
        warm: &[Crun(0.5)],
        cold: &[Crun(0.4)],
        ..CASE
    },
    Case {
        name: "state",
        what: "`state` of a running container",
        action: Action::State,
        warm: &[Millis(1.0)],
        ..CASE
    },
];

impl Case {
    /// Whether a container has to run while it is measured.
    pub(crate) fn needs_running(&self) -> bool {
        matches!(self.action, Action::Exec | Action::State)
    }

    /// Whether the floor has something to do in it.
    pub(crate) fn has_floor(&self) -> bool {
        matches!(self.action, Action::Run | Action::Exec)
    }

    /// What a program inside has to print to show that it is confined as asked, line by line.
    pub(crate) fn evidence(&self, v1: bool) -> Vec<(String, String)> {
        let line = |command: &str, expected: &str| (command.to_owned(), expected.to_owned());
        let mode = if self.seccomp { 2 } else { 0 };
        let mut evidence = vec![
            line("hostname", "forgeone"),
            line("grep ^CapEff: /proc/self/status", "CapEff:\t0000000020000420"),
            line("grep ^NoNewPrivs: /proc/self/status", "NoNewPrivs:\t1"),
            line("grep ^Seccomp: /proc/self/status", &format!("Seccomp:\t{mode}")),
        ];
        if self.limits {
            let [memory, pids] = match v1 {
                true => ["memory/memory.limit_in_bytes", "pids/pids.max"],
                false => ["memory.max", "pids.max"],
            };
            evidence.push(line(&format!("cat /sys/fs/cgroup/{memory}"), &MEMORY.to_string()));
            evidence.push(line(&format!("cat /sys/fs/cgroup/{pids}"), &PIDS.to_string()));
        }
        let map = match self.user {
            User::Root => "0 0 4294967295".to_owned(),
            User::Mapped => format!("0 {} {}", MAPPED.0, MAPPED.1),
            User::Ordinary => format!("0 {ORDINARY} 1"),
        };
        evidence.push((String::from("echo $(cat /proc/self/uid_map)"), map));
        if self.binds > 0 {
            let count = "grep -c ' /m[0-9]* ' /proc/self/mountinfo";
            evidence.push(line(count, &self.binds.to_string()));
        }
        evidence
    }
}
