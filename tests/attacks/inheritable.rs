//! CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable capabilities.

use super::{dir, everywhere, start};
use testkit::Bundle;

/// CVE-2022-29162, CVE-2025-27612: inheritable capabilities, by `run` and by `exec --cap`.
#[test]
fn no_capability_is_inheritable_unless_the_config_says_so() {
    everywhere(|door| {
        let door = door();
        let line = "grep -E 'Cap(Inh|Amb)' /proc/self/status";
        let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
        // Whatever the caller's own are.
        let bundle = Bundle::busybox().shell(line);
        let inheritable = ["setpriv", "--inh-caps=+chown,+kill", "--ambient-caps=+chown"];
        let mut command = door.through(inheritable, ["run", "--bundle", dir(&bundle), &door.id("inherit")]);
        assert_eq!(door.finish(&mut command).stdout, none);
        let (_running, id) = start(&door, Bundle::busybox());
        for more in
            [&[][..], &["--cap", "CAP_CHOWN"], &["--user", "1000"], &["--user", "1000", "--cap", "CAP_CHOWN"]]
        {
            let args = [&["exec"][..], more, &[&id, "sh", "-c", line]].concat();
            assert_eq!(door.ok(args).stdout, none, "{more:?}");
        }
    });
}
