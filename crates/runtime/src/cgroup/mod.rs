//! cgroups: v1, hybrid and v2, through files.
//!
//! ```text
//!  /proc/self/{mountinfo,cgroup} ──► Layout ─┐
//!  linux.cgroupsPath, linux.resources ───────┴─ plan() ──► Plan      decided on plain data, nothing touched
//!                                                            │
//!                        Group::create: directories, limits, device rules, all before anybody is in
//!                                                            │
//!                     Group::birth: fds by which the new process enters (clone3, or `0` into v1's tasks)
//!                                                            │     or, with systemd: Group::move_in, while it waits
//!                                                            │
//!              Group::open(Paths): freeze, thaw, pids, kill, update, delete, from the container's state
//! ```
//!
//! Invariants:
//! - `cgroup.procs` is not written when a container starts: that write waits for an RCU grace period (some 11 ms
//!   when the machine was idle). The v2 group is entered by `CLONE_INTO_CGROUP`; the v1 groups by writing `0` to
//!   their `tasks`, which moves one thread, the caller, and takes no such lock.
//! - Where cgroup2 is mounted beside v1 (hybrid), every container also has a group there: it is what kill,
//!   freeze and "is anybody in it" use.
//! - A container's own group (the leaf) is removed with it; of the levels above only those that were made for it,
//!   and only while they are empty.
//! - Names: a *hierarchy* is a mounted tree, a *place* is a container's group in one hierarchy, a *group* is all
//!   of its places together.

mod birth;
mod change;
mod devices;
mod freezer;
mod group;
mod inside;
mod kill;
mod layout;
mod make;
mod members;
mod oom;
mod path;
mod paths;
mod plan;
mod program;
mod remove;
mod step;
pub mod systemd;
mod update;
mod v1;
mod v2;

pub use birth::Birth;
pub use change::Changed;
pub use devices::{DeviceRules, Rule};
pub use group::Group;
pub use layout::{Hierarchy, Layout, Mode, Unified, detect};
pub use oom::OomWatch;
pub use paths::Paths;
pub use plan::{CgroupView, Cpuset, Devices, Enable, Entry, Options, Place, Plan, Subsystem, plan};
pub use step::{Absent, Step, Write};
pub use update::{Update, plan_update};
