//! Processes: making, joining, waiting for, signalling and becoming them.

mod affinity;
mod attributes;
mod clone;
mod close;
mod exec;
mod spawn;
mod wait;

pub use affinity::{CPUS_MAX, CpuSet, sched_getaffinity, sched_setaffinity};
pub use attributes::{
    SchedAttr, chdir, fchdir, getcwd, getegid, geteuid, getgid, getpid, getppid, getuid, ioprio_set,
    personality, sched_setattr, set_child_subreaper, set_dumpable, set_keep_caps, set_name, set_no_new_privs,
    set_parent_death_signal, setsid, umask,
};
pub use clone::{Child, CloneArgs, Forked, Namespaces, clone, setns, single_threaded, unshare};
pub use close::{close_all_but, close_from, close_range_cloexec, close_together};
pub use exec::{execve, execveat, exit};
pub use spawn::spawn;
pub use wait::{
    Exit, kill, pidfd_exit, pidfd_getfd, pidfd_inode, pidfd_open, pidfd_send_signal, wait, wait_any_nohang,
    wait_nohang, wait_with_peak,
};
