//! Users, groups, capabilities.

use crate::support::{in_child, need_root, status};
use forgeone_sys::Errno;
use forgeone_sys::credentials::{self, Capabilities, capability_number};
use forgeone_sys::process::{self, Namespaces};
use std::os::unix::fs::MetadataExt;

pub(crate) fn user_and_groups_change() {
    need_root();
    in_child(Namespaces::empty(), || {
        credentials::setgroups(&[7, 5]).unwrap();
        credentials::setresgid(1001).unwrap();
        credentials::setresuid(1000).unwrap();
        assert_eq!(status("Uid"), "1000 1000 1000 1000");
        assert_eq!(status("Gid"), "1001 1001 1001 1001");
        assert_eq!(status("Groups"), "5 7");
        assert_eq!((process::getuid(), process::geteuid()), (1000, 1000));
        assert_eq!((process::getgid(), process::getegid()), (1001, 1001));
        let error = credentials::setresuid(0).unwrap_err();
        assert_eq!(error.to_string(), "setresuid(0, 0, 0): EPERM (Operation not permitted)");
        assert_eq!(credentials::setgroups(&[0]).unwrap_err().errno(), Errno::PERM);
    });
}

pub(crate) fn ids_that_mean_unchanged_are_refused() {
    need_root();
    in_child(Namespaces::empty(), || {
        assert_eq!(credentials::setresuid(u32::MAX).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(credentials::setresgid(u32::MAX).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(credentials::setgroups(&[1, u32::MAX]).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(process::geteuid(), 0);
        credentials::setresuid(u32::MAX - 1).unwrap();
        assert_eq!(process::geteuid(), u32::MAX - 1);
    });
}

pub(crate) fn capabilities_change() {
    need_root();
    in_child(Namespaces::empty(), || {
        let net_raw = capability_number("CAP_NET_RAW").unwrap();
        let kill = capability_number("CAP_KILL").unwrap();
        assert!(credentials::bounding_contains(net_raw));
        credentials::bounding_drop(net_raw).unwrap();
        assert!(!credentials::bounding_contains(net_raw));
        assert!(!credentials::bounding_contains(63));
        assert_eq!(credentials::bounding_drop(63).unwrap_err().errno(), Errno::INVAL);
        let sets = Capabilities { effective: 0, permitted: 1 << kill, inheritable: 1 << kill };
        credentials::capset(&sets).unwrap();
        assert_eq!(credentials::capget().unwrap(), sets);
        credentials::ambient_raise(kill).unwrap();
        assert_eq!(status("CapAmb"), "0000000000000020");
        assert_eq!(credentials::ambient_raise(net_raw).unwrap_err().errno(), Errno::PERM);
        credentials::ambient_clear().unwrap();
        assert_eq!(status("CapAmb"), "0000000000000000");
        let more = Capabilities { permitted: 3 << kill, ..sets };
        assert_eq!(credentials::capset(&more).unwrap_err().errno(), Errno::PERM);
    });
    assert_eq!(credentials::CAPABILITIES.len(), 41);
    assert_eq!(capability_number("CAP_CHECKPOINT_RESTORE"), Some(40));
    assert_eq!(capability_number("cap_chown"), None);
}

pub(crate) fn last_capability_is_the_kernels() {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    assert_eq!(credentials::last_capability().to_string(), last.trim());
}

pub(crate) fn keep_caps_and_dumpable() {
    need_root();
    in_child(Namespaces::empty(), || {
        process::set_keep_caps(true).unwrap();
        credentials::setresuid(1000).unwrap();
        assert_ne!(credentials::capget().unwrap().permitted, 0);
        let owner = || std::fs::metadata("/proc/self/status").unwrap().uid();
        process::set_dumpable(true).unwrap();
        assert_eq!(owner(), 1000);
        process::set_dumpable(false).unwrap();
        assert_eq!(owner(), 0);
    });
}
