//! The system calls on the real kernel, as root; what they change is in private namespaces or gone
//! afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

mod bpf;
mod credentials;
mod exec;
mod fallback;
mod fs;
mod misc;
mod mount;
mod net;
mod nftables;
mod process;
mod pty;
mod signal;
mod socket;
mod support;

macro_rules! tests {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())),*),*]
    };
}

fn main() {
    testkit::single::main(tests! {
        bpf: device_program_decides_and_can_be_replaced verifier_log_is_in_the_error;
        credentials: user_and_groups_change ids_that_mean_unchanged_are_refused capabilities_change
            last_capability_is_the_kernels keep_caps_and_dumpable;
        exec: execve_runs_a_program execveat_runs_a_sealed_copy_from_memory failure_names_program_and_arguments;
        fallback: missing_calls_are_reported_and_clone_and_close_range_go_on
            filtered_calls_are_reported_and_clone_and_close_range_go_on clone_without_pidfd
            descriptors_are_closed_without_proc threads_are_counted_where_unshare_is_filtered
            a_real_eperm_of_clone3_stays pty_peer_is_opened_by_number;
        fs: openat2_stays_in_the_root directories_and_links files_are_read_and_written_whole mounts_are_told_apart
            memfd_can_be_sealed locks_exclude descriptors_are_adopted_and_copied device_nodes
            extended_attributes_are_set;
        misc: host_name_is_the_namespaces loopback_comes_up limits_change session_keyring_is_new
            seccomp_filter_and_listener scheduling events_are_counted;
        mount: by_descriptor attributes_change_recursively idmapped fsconfig_error_has_the_kernels_reason
            by_path root_is_pivoted;
        net: pairs_bridges_and_routes links_that_go_are_told rates_are_limited_both_ways;
        nftables: rules_are_what_nft_lists frames_of_bridges_are_seen_too a_batch_is_carried_out_whole_or_not_at_all
            a_large_batch_fits deletions_are_told;
        process: clone_makes_namespaces clone_refuses_threads clone_makes_a_sibling clone_into_cgroup
            setns_by_namespace_and_by_pidfd wait_tells_how_it_ended orphans_and_their_death_signal
            attributes_of_the_process close_range_marks_and_closes;
        pty: open_and_become_controlling_terminal raw_mode_is_undone what_is_not_a_devpts_is_refused;
        signal: signals_come_by_descriptor everything_is_reset children_are_kept_for_who_waits poll_waits_for_what_is_asked;
        socket: messages_carry_descriptors truncation_and_end_are_seen path_sockets_of_any_length
            datagram_sockets_are_for_everybody peer_is_known;
    })
}
