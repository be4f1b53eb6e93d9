//! CVE-2021-43784: the length of what the config says overflows on its way to init, and the rest of it is read as
//! something else. Here init is a fork that has the plan in memory: nothing is packed. What goes to the kernel by
//! netlink (`linux.netDevices`) has its length checked.

use super::{everywhere, run};
use serde_json::json;
use testkit::Bundle;

#[test]
fn what_is_longer_than_a_length_can_say_is_refused_whole() {
    everywhere(|door| {
        let door = door();
        // Beyond 65,535, of which a 16-bit length keeps a small rest; the end would be read as another attribute.
        let long = |length: usize| "/proc/self/ns/".to_owned() + &"x".repeat(length);
        let user = |size: u32| json!([{ "containerID": 0, "hostID": 100_000, "size": size }]);
        let many = |count: u32| {
            let one = |n: u32| json!({ "containerID": n, "hostID": 100_000 + n, "size": 1 });
            json!((0..count).map(one).collect::<Vec<_>>())
        };
        let name = |length: usize| "y".repeat(length);
        let bundle = || Bundle::busybox().args(["id", "-u"]);
        let with_maps = |maps: serde_json::Value| {
            bundle().owned_by(100_000, 100_000).namespace(json!({ "type": "user" })).edit(|config| {
                config["linux"]["uidMappings"] = maps;
                config["linux"]["gidMappings"] = user(65_536);
            })
        };
        let cases = [
            ("namespaces", bundle().namespace(json!({ "type": "network", "path": long(65_536 + 20) }))),
            ("namespaces", bundle().namespace(json!({ "type": "network", "path": long(4_096) }))),
            // The kernel takes 340 lines of a map.
            ("uidMappings", with_maps(many(4_000))),
            (
                "netDevices",
                bundle().edit(|config| {
                    config["linux"]["netDevices"] = json!({ (name(65_536 + 8)): { "name": "eth0" } });
                }),
            ),
            (
                "netDevices",
                bundle().edit(|config| {
                    config["linux"]["netDevices"] = json!({ "lo": { "name": name(65_536 + 8) } });
                }),
            ),
            (
                "netDevices",
                bundle().edit(|config| {
                    config["linux"]["netDevices"] = json!({ (name(16)): {} });
                }),
            ),
        ];
        for (said, bundle) in cases {
            let output = run(&door, &bundle);
            assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{said}: {}", output.stderr);
            assert!(output.stderr.contains(said), "{said}: {}", output.stderr);
        }
    });
}
