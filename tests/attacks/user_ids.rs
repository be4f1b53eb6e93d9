//! CVE-2026-30892, CVE-2024-40635: a user is misread and becomes root.

use super::{everywhere, run, start};
use serde_json::json;
use testkit::{Bundle, privileged};

/// CVE-2026-30892, CVE-2024-40635: what looks like a user and isn't becomes nobody, least of all root.
#[test]
fn user_ids_that_are_none_are_refused() {
    if !privileged::machine_root() {
        return;
    }
    everywhere(|door| {
        let door = door();
        let (_running, id) = start(&door, Bundle::busybox());
        let wrong = [
            "4294967295",
            "4294967296",
            "-1",
            "+0",
            "1000:4294967295",
            "0x10",
            ":",
            "1000:",
            ":1000",
            " 1",
            "1e3",
        ];
        for user in wrong {
            let output = door.run(["exec", "--user", user, &id, "id"]);
            assert_ne!(output.code, 0, "{user:?}: {}", output.stdout);
            assert_eq!(output.stdout, "", "{user:?}");
        }
        for (user, seen) in [("2147483648:4294967294", "2147483648 4294967294"), ("7", "7 0")] {
            let output = door.ok(["exec", "--user", user, &id, "sh", "-c", "echo $(id -u) $(id -g)"]);
            assert_eq!(output.stdout.trim(), seen, "{user}");
        }
        for (field, value) in
            [("uid", json!(4294967295_u32)), ("gid", json!(4294967295_u32)), ("uid", json!(-1))]
        {
            let bundle = Bundle::busybox()
                .args(["id"])
                .edit(|config| config["process"]["user"][field] = value.clone());
            let output = run(&door, &bundle);
            assert!(output.code == 1 && output.stderr.contains(field), "{field} {value}: {}", output.stderr);
        }
        let bundle = Bundle::busybox().args(["id"]).edit(|config| {
            config["process"]["user"]["additionalGids"] = json!([1, 4294967295_u32]);
        });
        assert!(run(&door, &bundle).stderr.contains("additionalGids"));
    });
}
