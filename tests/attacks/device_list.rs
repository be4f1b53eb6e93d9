//! GHSA-g54h (2020): an empty list of devices is read as "all".

use super::{capabilities, everywhere, run};
use serde_json::json;
use testkit::Bundle;

/// GHSA-g54h: an empty list of devices allows none.
#[test]
fn an_empty_list_of_devices_denies_them() {
    everywhere(|door| {
        let door = door();
        for list in [json!([]), json!(null), json!([{ "allow": false, "access": "rwm" }])] {
            // /dev/kmsg, which isn't among the default devices.
            let bundle = capabilities(Bundle::busybox(), &["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"])
                .writable()
                .edit(|config| config["linux"]["resources"]["devices"] = list.clone())
                .shell("mknod /tmp/kmsg c 1 11; dd if=/tmp/kmsg of=/dev/null bs=8192 count=1; head -c 1 /dev/zero | wc -c");
            let output = run(&door, &bundle);
            assert!(
                output.stderr.contains("Operation not permitted"),
                "{list}: {} {}",
                output.stdout,
                output.stderr
            );
            assert_eq!(output.stdout, "1\n", "{list}: {}", output.stderr);
        }
    });
}
