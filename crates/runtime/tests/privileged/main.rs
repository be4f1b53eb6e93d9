//! The runtime's parts on the real kernel, as root; what they change is in private namespaces or gone afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

mod cgroup;

macro_rules! tests {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($((concat!("cgroup::", stringify!($module), "::", stringify!($name)), cgroup::$module::$name as fn())),*),*]
    };
}

fn main() {
    testkit::single::main(tests! {
        create: limits_are_there_before_anybody_is_in huge_pages_are_limited_beside_v1 cpus_come_from_above
            a_failed_create_leaves_nothing groups_in_use_are_refused levels_above_go_with_who_made_them
            two_at_once_share_a_level survey_tells_what_will_be_made update_changes_limits_in_any_order;
        entry: born_in_every_hierarchy born_without_clone3 born_by_a_mapped_root born_beside_an_init_that_moved
            devices_are_denied_unless_allowed;
        members: frozen_processes_stand_still kill_ends_processes_that_fork signals_reach_all
            delete_takes_groups_inside delete_names_who_is_in_it what_is_gone_is_no_error;
        v1_alone: everything_works_without_cgroup2;
        v2_alone: limits_and_view devices_are_denied_by_program missing_controllers_are_named
            everything_works_without_v1 the_owner_may_make_groups groups_below_threads_join_them;
        rights: without_rights_there_is_no_group limits_need_rights a_read_only_mount_is_a_lack_of_rights;
    })
}
