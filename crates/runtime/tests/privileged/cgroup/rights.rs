//! Callers without rights over cgroups.

use super::support::{Ground, in_child, layout};
use forgeone_runtime::cgroup::{self, Group, Options};
use forgeone_runtime::{Kind, Result, json};
use forgeone_sys::credentials;
use forgeone_sys::mount::{self, MountFlags};
use forgeone_sys::process::Namespaces;

fn create(path: &str, resources: &str, tolerate: bool) -> Result<(Group, Vec<String>)> {
    let resources = json::from_slice(resources.as_bytes()).unwrap();
    let options = Options { tolerate_missing_rights: tolerate, ..Options::default() };
    let (plan, warnings) = cgroup::plan(&layout(), "forgeone-test-rights", path, Some(&resources), &options)?;
    Ok((Group::create(&plan)?, warnings))
}

pub(crate) fn without_rights_there_is_no_group() {
    let ground = Ground::hybrid();
    in_child(Namespaces::empty(), || {
        credentials::setgroups(&[]).unwrap();
        credentials::setresgid(65534).unwrap();
        credentials::setresuid(65534).unwrap();
        let (mut group, warnings) = create("", r#"{"devices": [{"allow": false}]}"#, true).unwrap();
        assert!(group.paths().is_empty());
        assert!(warnings.is_empty(), "{warnings:?}");
        let birth = group.birth().unwrap();
        assert!(birth.into_cgroup().is_none());
        birth.enter_v1().unwrap();
        group.delete().unwrap();
        assert_eq!(create("", "{}", false).unwrap_err().kind(), Kind::Permission);
        assert_eq!(create(&ground.path, "{}", true).unwrap_err().kind(), Kind::Permission);
    });
    ground.end();
}

pub(crate) fn limits_need_rights() {
    let ground = Ground::hybrid();
    in_child(Namespaces::empty(), || {
        credentials::setgroups(&[]).unwrap();
        credentials::setresgid(65534).unwrap();
        credentials::setresuid(65534).unwrap();
        let error = create("", r#"{"pids": {"limit": 5}}"#, true).unwrap_err();
        assert_eq!(error.kind(), Kind::Permission);
        assert!(error.to_string().starts_with("linux.resources.pids.limit: mkdirat("), "{error}");
    });
    ground.end();
}

pub(crate) fn a_read_only_mount_is_a_lack_of_rights() {
    let ground = Ground::hybrid();
    in_child(Namespaces::MOUNT, || {
        for hierarchy in layout().v1.iter().map(|h| h.mount.clone()).chain(layout().v2.map(|v2| v2.mount)) {
            mount::mount_remount(hierarchy.as_str(), MountFlags::BIND | MountFlags::RDONLY, None).unwrap();
        }
        assert_eq!(create("", "{}", false).unwrap_err().kind(), Kind::Permission);
        let (group, warnings) = create("", "{}", true).unwrap();
        assert!(group.paths().is_empty() && warnings.is_empty(), "{warnings:?}");
    });
    ground.end();
}
