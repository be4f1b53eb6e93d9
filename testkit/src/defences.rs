//! That the attacks are real: without the defence, the attack gets through, and its test fails.
//!
//! One door has a switch for each defence (`FORGEONE_WITHOUT`, see `forgeone_runtime::faults`). With all of them every
//! test here passes, with one of them off its own fails.

use crate::programs;
use std::path::PathBuf;
use std::process::Stdio;

/// What each defence is against: the switch, and the test in `tests/attacks` that fails without it.
pub const DEFENCES: &[(&str, &str)] = &[
    ("host-proc", "false_proc::sysctls_are_not_written_into_a_false_proc"),
    ("in-root", "swapped_targets::a_volume_that_is_swapped_under_a_starting_container_leads_nowhere"),
    ("in-root", "dev_link::dev_that_is_a_link_is_filled_inside"),
    ("device-list", "device_list::an_empty_list_of_devices_denies_them"),
    ("inheritable", "inheritable::no_capability_is_inheritable_unless_the_config_says_so"),
    ("cgroup", "host_cgroups::cgroups_can_not_be_changed_nor_their_release_agent"),
    ("close", "traced::a_created_container_shows_nothing_of_the_host"),
    ("device", "false_null::a_false_dev_null_is_refused_and_given_to_nobody"),
    ("stdio", "false_null::the_hosts_devices_keep_their_owner_as_standard_streams"),
    ("console", "console_link::a_console_or_devpts_that_is_a_link_gets_no_terminal_mounted_on_the_host"),
    ("read-only", "read_only::what_is_to_be_read_only_is_so_whatever_the_image_has_in_proc"),
    ("peer", "start_socket::the_start_socket_is_its_owners_alone"),
    ("environment", "environment::no_variable_of_the_caller_comes_into_the_container"),
    ("keyring", "environment::keys_of_the_caller_are_not_seen_inside"),
    ("owner", "own_files::a_state_that_belongs_to_another_user_is_refused"),
    ("own-binary", "own_binary::the_binary_stays_read_only_when_nobody_runs_it_any_more"),
    ("user-range", "user_ids::user_ids_that_are_none_are_refused"),
    ("dumpable", "traced::a_created_container_shows_nothing_of_the_host"),
];

/// Runs each test twice, with the defence and without; gives what isn't as it should be, and prints what is.
#[allow(clippy::print_stdout, reason = "it is asked for what came of it")]
pub fn try_all(built: &[(&'static str, PathBuf)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (defence, test) in DEFENCES {
        let verdict = match (passes(built, test, ""), passes(built, test, defence)) {
            (true, false) => {
                println!("without {defence}: {test} fails");
                continue;
            }
            (false, _) => format!("{test} fails with the door that has fail-points, and all defences"),
            (_, true) => format!("without {defence}: {test} passes: it shows nothing"),
        };
        wrong.push(verdict);
    }
    wrong
}

fn passes(built: &[(&'static str, PathBuf)], test: &str, without: &str) -> bool {
    let mut command = programs::cargo();
    command.args(["nextest", "run", "--locked", "--cargo-profile", "ci", "--package", "forgeone-tests"]);
    command.args(["--test", "attacks", "--filterset", &format!("test(={test})"), "--no-tests", "fail"]);
    command.envs(built.iter().cloned()).env("FORGEONE_BIN", programs::faults());
    command.env("FORGEONE_WITHOUT", without).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("run cargo nextest").success()
}
