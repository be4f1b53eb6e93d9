//! `linux.seccomp`: the system call filter, as it is written down.

use crate::object;

object! {
    /// A system call filter.
    pub struct Seccomp {
        /// For calls that no rule names: `SCMP_ACT_…`.
        pub default_action: String = "defaultAction" required,
        /// errno of a default action that has one; absent means EPERM.
        pub default_errno_ret: Option<u32> = "defaultErrnoRet",
        /// `SCMP_ARCH_…`, beside the native one.
        pub architectures: Vec<String> = "architectures",
        /// `SECCOMP_FILTER_FLAG_…`. Absent is not the same as empty: runc then has a default of its own.
        pub flags: Option<Vec<String>> = "flags",
        /// A socket that gets the notification fd.
        pub listener_path: String = "listenerPath",
        /// Sent along with it.
        pub listener_metadata: String = "listenerMetadata",
        /// Rules.
        pub syscalls: Vec<SyscallRule> = "syscalls",
    }
}

object! {
    /// A rule for some system calls.
    pub struct SyscallRule {
        /// System calls by name.
        pub names: Vec<String> = "names" required,
        /// `SCMP_ACT_…`.
        pub action: String = "action" required,
        /// errno of an action that has one; absent means EPERM.
        pub errno_ret: Option<u32> = "errnoRet",
        /// Conditions, all of which must hold.
        pub args: Vec<SyscallArg> = "args",
    }
}

object! {
    /// A condition on one argument.
    pub struct SyscallArg {
        /// 0 to 5.
        pub index: u32 = "index" required,
        /// What it is compared with; the mask for `SCMP_CMP_MASKED_EQ`.
        pub value: u64 = "value" required,
        /// The masked value's counterpart.
        pub value_two: u64 = "valueTwo",
        /// `SCMP_CMP_…`.
        pub op: String = "op" required,
    }
}
