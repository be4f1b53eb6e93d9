//! `process`: the program, who runs it and with what rights.

use crate::object;

object! {
    /// The program to run and its credentials.
    pub struct Process {
        /// Whether it gets a pseudo-terminal.
        pub terminal: bool = "terminal",
        /// The terminal's size, in characters.
        pub console_size: Option<ConsoleSize> = "consoleSize",
        /// Who runs it.
        pub user: User = "user" required,
        /// The program and its arguments, as in execvp(3).
        pub args: Vec<String> = "args",
        /// Its environment, `KEY=value`.
        pub env: Vec<String> = "env",
        /// Its working directory, absolute, inside the container.
        pub cwd: String = "cwd" required,
        /// Capability sets; absent means none at all.
        pub capabilities: Option<Capabilities> = "capabilities",
        /// Resource limits, setrlimit(2).
        pub rlimits: Vec<Rlimit> = "rlimits",
        /// PR_SET_NO_NEW_PRIVS.
        pub no_new_privileges: bool = "noNewPrivileges",
        /// AppArmor profile.
        pub apparmor_profile: String = "apparmorProfile",
        /// `/proc/self/oom_score_adj`, -1000 to 1000.
        pub oom_score_adj: Option<i64> = "oomScoreAdj",
        /// sched_setattr(2).
        pub scheduler: Option<Scheduler> = "scheduler",
        /// SELinux label.
        pub selinux_label: String = "selinuxLabel",
        /// ioprio_set(2).
        pub io_priority: Option<IoPriority> = "ioPriority",
        /// CPUs for processes that join the container.
        pub exec_cpu_affinity: Option<CpuAffinity> = "execCPUAffinity",
    }
}

object! {
    /// A terminal's size, in characters.
    pub struct ConsoleSize {
        /// Rows.
        pub height: u32 = "height" required,
        /// Columns.
        pub width: u32 = "width" required,
    }
}

object! {
    /// Numeric user and groups, as seen inside the container.
    pub struct User {
        /// User id.
        pub uid: u32 = "uid" required,
        /// Group id.
        pub gid: u32 = "gid" required,
        /// File mode creation mask; absent means 0022.
        pub umask: Option<u32> = "umask",
        /// Supplementary groups.
        pub additional_gids: Vec<u32> = "additionalGids",
    }
}

object! {
    /// capabilities(7): names with their `CAP_` prefix.
    pub struct Capabilities {
        /// Upper bound for what execve can gain.
        pub bounding: Vec<String> = "bounding",
        /// What the kernel checks.
        pub effective: Vec<String> = "effective",
        /// Preserved across execve, with the file's.
        pub inheritable: Vec<String> = "inheritable",
        /// Superset of effective.
        pub permitted: Vec<String> = "permitted",
        /// Preserved across execve of an unprivileged program.
        pub ambient: Vec<String> = "ambient",
    }
}

object! {
    /// One resource limit; `u64::MAX` is infinity.
    pub struct Rlimit {
        /// `RLIMIT_…`.
        pub kind: String = "type" required,
        /// The ceiling.
        pub hard: u64 = "hard" required,
        /// What is enforced.
        pub soft: u64 = "soft" required,
    }
}

object! {
    /// sched_setattr(2).
    pub struct Scheduler {
        /// `SCHED_…`.
        pub policy: String = "policy" required,
        /// Nice value, for SCHED_OTHER and SCHED_BATCH.
        pub nice: i32 = "nice",
        /// Static priority, for SCHED_FIFO and SCHED_RR.
        pub priority: i32 = "priority",
        /// `SCHED_FLAG_…`.
        pub flags: Vec<String> = "flags",
        /// Nanoseconds, SCHED_DEADLINE.
        pub runtime: u64 = "runtime",
        /// Nanoseconds, SCHED_DEADLINE.
        pub deadline: u64 = "deadline",
        /// Nanoseconds, SCHED_DEADLINE.
        pub period: u64 = "period",
    }
}

object! {
    /// ioprio_set(2).
    pub struct IoPriority {
        /// `IOPRIO_CLASS_…`.
        pub class: String = "class" required,
        /// 0 (highest) to 7.
        pub priority: i32 = "priority" required,
    }
}

object! {
    /// CPU lists such as `0-3,7`.
    pub struct CpuAffinity {
        /// While the runtime still runs in the process.
        pub initial: String = "initial",
        /// From the program's start.
        pub r#final: String = "final",
    }
}
