//! The runtime's parts on the real kernel, as root; what they change is in private namespaces or gone afterwards.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::print_stderr, reason = "a test talks to who reads its output")]

mod cgroup;
mod firewall;
mod fs;
mod network;
mod registry;

macro_rules! tests {
    ($($part:ident $module:ident: $($name:ident)*;)*) => {
        &[$($((
            concat!(stringify!($part), "::", stringify!($module), "::", stringify!($name)),
            $part::$module::$name as fn(),
        )),*),*]
    };
}

fn main() {
    testkit::single::main(tests! {
        cgroup create: limits_are_there_before_anybody_is_in huge_pages_are_limited_beside_v1 cpus_come_from_above
            a_failed_create_leaves_nothing groups_in_use_are_refused levels_above_go_with_who_made_them
            two_at_once_share_a_level survey_tells_what_will_be_made update_changes_limits_in_any_order;
        cgroup entry: born_in_every_hierarchy born_without_clone3 born_by_a_mapped_root born_beside_an_init_that_moved
            devices_are_denied_unless_allowed;
        cgroup members: frozen_processes_stand_still kill_ends_processes_that_fork signals_reach_all
            delete_takes_groups_inside delete_names_who_is_in_it what_is_gone_is_no_error;
        cgroup v1_alone: everything_works_without_cgroup2;
        cgroup v2_alone: limits_and_view devices_are_denied_by_program missing_controllers_are_named
            everything_works_without_v1 the_owner_may_make_groups groups_below_threads_join_them;
        cgroup rights: without_rights_there_is_no_group limits_need_rights a_read_only_mount_is_a_lack_of_rights;
        firewall isolation: networks_reach_each_other_by_published_ports_alone isolated_networks_are_not_reached_by_them_either
            internal_networks_end_at_their_gateway from_outside_published_ports_alone_are_reached
            nobody_else_reaches_the_hosts_loopback nobody_sends_in_anothers_name nobody_advertises_routes;
        firewall policies: ingress_is_by_label_address_and_port neighbours_are_kept_apart_with_and_without_br_netfilter
            what_is_said_past_the_host_is_dropped egress_leaves_the_resolver_reachable labels_are_found_in_other_networks
            a_policy_that_can_not_be_had_is_refused;
        firewall ports: what_leaves_has_the_hosts_address frames_of_one_network_are_let_alone_by_br_netfilter
            a_published_port_leads_inside a_port_may_be_of_one_address sctp_is_published_too
            names_are_resolved_at_the_gateway;
        firewall table: tables_come_and_go_with_the_containers applying_again_keeps_what_is_there it_reads_well
            a_watch_notices_what_others_take_away many_containers_are_lookups_not_rules;
        fs attacks: dev_as_a_link_stays_inside proc_and_sys_behind_links_are_refused links_into_proc_are_refused
            a_false_null_masks_nothing a_false_device_is_refused a_false_console_is_refused
            a_shared_volume_that_is_swapped_while_mounting a_destination_that_is_the_root;
        fs cgroups: hierarchies_are_bound hierarchies_are_mounted_in_a_cgroup_namespace unified_group_is_bound
            unified_group_is_mounted_in_a_cgroup_namespace nothing_to_show;
        fs kernel: a_covered_file_of_proc_is_not_written a_false_proc_is_refused sysctls_are_the_containers
            a_joined_namespace_of_the_host_is_refused;
        fs mounts: options_are_what_mountinfo_shows binds_keep_their_flags_until_one_is_named recursive_options_reach_below
            files_and_missing_places tmpfs_takes_mode_and_content remount_changes_what_is_there
            propagation_words read_only_comes_last failures_name_the_mount options_for_mount2_alone;
        fs roots: the_default_bundle nothing_is_left_open standard_streams devices_have_owner_and_mode dev_of_the_host_is_left_alone
            masked_and_read_only_paths read_only_root console_is_the_terminal no_pivot
            propagation_of_the_root the_host_sees_nothing a_replaced_root_is_noticed;
        fs users: devices_are_bound out_of_reach_is_reached sysfs_is_bound_without_a_network_namespace
            terminal_group_in_a_joined_namespace an_ordinary_user;
        network connect: containers_and_the_host_reach_each_other
            the_outside_is_reached_and_the_hosts_uplink_goes_on
            internal_networks_lead_nowhere
            fifty_at_once_get_addresses_of_their_own
            wishes_are_granted_or_refused_whole
            a_lease_that_was_given_back_is_not_given_at_once
            neighbours_are_told_who_has_an_address
            bridges_of_others_are_never_touched
            a_joined_bridge_stays
            what_the_host_loses_is_made_again
            rates_bind_both_directions
            macvlan_has_addresses_beside_the_hosts
            a_vlan_leaves_by_the_hosts_interface
            who_died_leaves_nothing_behind;
        network faults: killed_at_each_call_nothing_is_orphaned failing_at_each_call_nothing_is_half_made;
        network networks: each_gets_the_lowest_free_subnet_and_name what_overlaps_is_refused
            other_interfaces_are_joined_or_refused without_ipv6_networks_have_none damaged_files_are_named
            the_tables_name_tells_data_roots_apart;
        network keeper: what_is_flushed_or_deleted_comes_back who_was_killed_is_gone_without_a_command;
        network resolver: members_find_each_other_by_name others_are_asked_for_the_rest
            servers_that_hang_fail_or_lie_are_not_believed nothing_is_forwarded_from_an_internal_network
            strangers_and_hostile_questions_do_no_harm a_server_of_the_host_keeps_its_port
            it_lives_as_long_as_the_network_has_members it_has_few_rights_and_little_memory;
        network user: pasta_keeps_the_addresses_of_who_comes slirp4netns_publishes_ports
            the_hosts_loopback_is_reached_only_if_asked_for what_can_not_be_had_is_one_line_and_leaves_nothing
            whoever_comes_later_ends_it another_program_serves_or_its_package_is_named without_any_the_packages_are_named;
        registry containers: a_container_that_says_nothing_is_confined each_field_is_seen_inside
            another_containers_namespaces_are_shared a_volume_outlives_its_containers_and_begins_with_the_images_files
            a_volume_of_the_image_goes_with_its_container secrets_are_files_of_the_users_in_memory_and_nowhere_else
            names_are_given_once_and_found_by_their_beginning what_fails_leaves_nothing
            what_a_killed_command_left_is_taken_away
            an_init_reaps_passes_signals_on_and_ends_as_the_program_does the_filter_refuses_what_leads_out_and_lets_programs_live;
        registry rootfs: layers_are_one_tree_that_is_written_above a_directory_is_written_in_place
            a_disk_image_is_written_by_one_and_read_by_many a_killed_monitor_leaves_no_loop_device
            every_file_system_that_is_known_is_mounted
            what_is_no_file_system_is_refused_by_name disk_bytes_are_the_most_that_is_written
            a_users_layers_are_mounted_in_a_user_namespace;
    })
}
