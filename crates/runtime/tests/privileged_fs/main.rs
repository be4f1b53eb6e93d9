//! The root file system on the real kernel, as root, in private namespaces: with the newest calls, and with
//! those of Linux 5.2 and later answering ENOSYS or EPERM.
#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod cgroups;
mod kernel;
mod mounts;
mod roots;
mod support;
mod users;

macro_rules! tests {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())),*),*]
    };
}

fn main() {
    testkit::single::main(tests! {
        attacks: dev_as_a_link_stays_inside proc_and_sys_behind_links_are_refused links_into_proc_are_refused
            a_false_null_masks_nothing a_false_device_is_refused a_false_console_is_refused
            a_shared_volume_that_is_swapped_while_mounting a_destination_that_is_the_root;
        cgroups: hierarchies_are_bound hierarchies_are_mounted_in_a_cgroup_namespace unified_group_is_bound
            unified_group_is_mounted_in_a_cgroup_namespace nothing_to_show;
        kernel: a_covered_file_of_proc_is_not_written a_false_proc_is_refused sysctls_are_the_containers
            a_joined_namespace_of_the_host_is_refused;
        mounts: options_are_what_mountinfo_shows binds_keep_what_is_not_named recursive_options_reach_below
            files_and_missing_places tmpfs_takes_mode_and_content remount_changes_what_is_there
            propagation_words read_only_comes_last failures_name_the_mount options_for_mount2_alone;
        roots: the_default_bundle devices_have_owner_and_mode dev_of_the_host_is_left_alone
            masked_and_read_only_paths read_only_root console_is_the_terminal no_pivot
            propagation_of_the_root the_host_sees_nothing a_replaced_root_is_noticed;
        users: devices_are_bound out_of_reach_is_reached sysfs_is_bound_without_a_network_namespace
            terminal_group_in_a_joined_namespace;
    })
}
