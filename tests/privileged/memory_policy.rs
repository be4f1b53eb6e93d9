//! `linux.memoryPolicy`, as the kernel shows it inside.

use crate::inside::{dir, refused, shell, writable};
use serde_json::{Value, json};
use testkit::{Bundle, Door, privileged};

/// numa(7): an address, the policy, what is there.
const STACK: &str = "grep stack /proc/self/numa_maps";

fn ready() -> bool {
    privileged::root() && privileged::file("/proc/self/numa_maps")
}

fn with(policy: Value) -> Bundle {
    writable().edit(|config| config["linux"]["memoryPolicy"] = policy)
}

#[test]
fn the_program_takes_its_memory_by_the_policy() {
    if !ready() {
        return;
    }
    let flag = |name: &str| json!([name]);
    for (mode, nodes, flags, shown) in [
        ("MPOL_DEFAULT", "", json!([]), "default"),
        ("MPOL_LOCAL", "", json!([]), "local"),
        ("MPOL_BIND", "0", json!([]), "bind:0"),
        ("MPOL_BIND", "0", flag("MPOL_F_STATIC_NODES"), "bind=static:0"),
        ("MPOL_INTERLEAVE", "0-0", flag("MPOL_F_RELATIVE_NODES"), "interleave=relative:0"),
        ("MPOL_PREFERRED", "0", json!([]), "prefer:0"),
        ("MPOL_PREFERRED_MANY", "0", json!([]), "prefer (many):0"),
    ] {
        let said = shell(with(json!({ "mode": mode, "nodes": nodes, "flags": flags })), STACK);
        assert!(said.contains(&format!(" {shown} stack")), "{mode}: {said}");
    }
}

#[test]
fn exec_takes_it_by_the_policy_too() {
    if !ready() {
        return;
    }
    let bundle = with(json!({ "mode": "MPOL_BIND", "nodes": "0" })).args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("policy");
    door.ok(["run", "--detach", "--bundle", dir(&bundle), &id]);
    let said = door.ok(["exec", &id, "sh", "-c", STACK]).stdout;
    assert!(said.contains(" bind:0 stack"), "{said}");
    door.ok(["delete", "--force", &id]);
}

#[test]
fn what_is_no_policy_here_is_refused_by_name() {
    if !ready() {
        return;
    }
    for (policy, expected) in [
        (json!({ "mode": "MPOL_NEAR" }), "linux.memoryPolicy.mode: \"MPOL_NEAR\""),
        (json!({ "mode": "MPOL_BIND" }), "linux.memoryPolicy.nodes: MPOL_BIND needs at least one"),
        (json!({ "mode": "MPOL_DEFAULT", "nodes": "0" }), "linux.memoryPolicy.nodes"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["X"] }), "linux.memoryPolicy.flags[0]"),
        // There is no such node on any ordinary machine.
        (json!({ "mode": "MPOL_BIND", "nodes": "1023" }), "linux.memoryPolicy: set_mempolicy"),
    ] {
        let said = refused(&with(policy.clone()));
        assert!(said.contains(expected), "{policy}: {said}");
    }
}
