//! The same functions with the seeds, and with bytes that are near them.

use super::TARGETS;
use testkit::fuzz::feed;

fn fed(name: &str, times: u64) {
    let (_, read) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    feed(name, *read, times);
}

macro_rules! fed {
    ($(fn $test:ident() = $target:ident $times:literal;)*) => {
        const FED: &[&str] = &[$(stringify!($target)),*];
        $(
            #[test]
            fn $test() {
                fed(stringify!($target), $times);
            }
        )*
    };
}

fed! {
    fn any_config_is_refused_or_read_the_same_twice() = config 2000;
    fn any_profile_means_what_it_says() = seccomp 300;
    fn any_mountinfo_is_read() = mountinfo 20000;
    fn any_file_of_proc_is_read() = proc_files 20000;
    fn any_id_map_fits_or_is_refused() = uid_maps 5000;
    fn any_passwd_is_read() = users 20000;
    fn any_netlink_answer_is_read() = netlink 20000;
    fn any_message_of_a_bus_is_read() = dbus 20000;
    fn any_message_of_init_is_read() = protocol 20000;
    fn any_name_is_plain_or_refused() = names 20000;
    fn any_question_is_answered_or_left_alone() = dns 20000;
}

#[test]
fn every_target_is_fed() {
    assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), FED);
}
