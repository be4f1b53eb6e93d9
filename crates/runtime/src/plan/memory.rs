//! `linux.memoryPolicy`, as set_mempolicy(2) takes it.

use crate::error::{Error, Kind, Result};
use crate::numbers::numbers;
use crate::spec::MemoryPolicy;

/// A memory policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Mode and flags, as a number.
    pub mode: u32,
    /// NUMA nodes.
    pub nodes: Vec<usize>,
}

/// How many nodes a mode takes.
#[derive(Clone, Copy, PartialEq)]
enum Nodes {
    None,
    Some,
    Any,
}

/// `<linux/mempolicy.h>`.
const MODES: [(&str, u32, Nodes); 7] = [
    ("MPOL_BIND", 2, Nodes::Some),
    ("MPOL_DEFAULT", 0, Nodes::None),
    ("MPOL_INTERLEAVE", 3, Nodes::Some),
    ("MPOL_LOCAL", 4, Nodes::None),
    ("MPOL_PREFERRED", 1, Nodes::Any),
    ("MPOL_PREFERRED_MANY", 5, Nodes::Some),
    ("MPOL_WEIGHTED_INTERLEAVE", 6, Nodes::Some),
];

const FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// As many as a kernel can be built for (`NODES_SHIFT`).
const NODES_MAX: usize = 1024;

/// The modes that are known, sorted.
pub fn modes() -> impl Iterator<Item = &'static str> {
    MODES.iter().map(|(name, ..)| *name)
}

/// The flags that are known, sorted.
pub fn flags() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|(name, _)| *name)
}

fn refuse(part: &str, cause: String) -> Error {
    Error::new(Kind::Config, format!("linux.memoryPolicy.{part}: {cause}"))
}

/// Plans the policy.
///
/// # Errors
/// [`Kind::Config`], naming the field.
pub fn plan(policy: &MemoryPolicy) -> Result<MemoryPlan> {
    let known = MODES.iter().find(|(name, ..)| *name == policy.mode);
    let (_, mut mode, takes) =
        *known.ok_or_else(|| refuse("mode", format!("{:?}: is not a memory policy", policy.mode)))?;
    for (i, word) in policy.flags.iter().enumerate() {
        let flag = FLAGS.iter().find(|(name, _)| name == word);
        let (_, flag) =
            flag.ok_or_else(|| refuse(&format!("flags[{i}]"), format!("{word:?}: is unknown")))?;
        mode |= flag;
    }
    let nodes = nodes(&policy.nodes)?;
    match (takes, nodes.is_empty()) {
        (Nodes::None, false) => Err(refuse("nodes", format!("{} takes none", policy.mode))),
        (Nodes::Some, true) => Err(refuse("nodes", format!("{} needs at least one", policy.mode))),
        _ => Ok(MemoryPlan { mode, nodes }),
    }
}

/// A list such as `0-3,7`; an empty one has none.
fn nodes(list: &str) -> Result<Vec<usize>> {
    if list.trim().is_empty() {
        return Ok(Vec::new());
    }
    numbers(list, NODES_MAX).map_err(|part| {
        let cause = "is neither a node's number nor a range of them";
        refuse("nodes", format!("{list:?}: {part:?} {cause} (0 to {})", NODES_MAX - 1))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn planned(mode: &str, nodes: &str, flags: &[&str]) -> Result<MemoryPlan> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        plan(&MemoryPolicy { mode: mode.into(), nodes: nodes.into(), flags, ..MemoryPolicy::default() })
    }

    #[test]
    fn modes_flags_and_nodes_become_numbers() {
        for (mode, nodes, flags, number, expected) in [
            ("MPOL_DEFAULT", "", &[][..], 0, vec![]),
            ("MPOL_BIND", "0-2,7", &["MPOL_F_STATIC_NODES"], 0x8002, vec![0, 1, 2, 7]),
            ("MPOL_INTERLEAVE", "1, 3", &["MPOL_F_RELATIVE_NODES"], 0x4003, vec![1, 3]),
            ("MPOL_WEIGHTED_INTERLEAVE", "1023", &[], 6, vec![1023]),
            ("MPOL_PREFERRED", "", &[], 1, vec![]),
            ("MPOL_PREFERRED", "5-5", &[], 1, vec![5]),
            ("MPOL_PREFERRED_MANY", "0", &["MPOL_F_NUMA_BALANCING"], 0x2005, vec![0]),
            ("MPOL_LOCAL", " ", &[], 4, vec![]),
        ] {
            let expected = MemoryPlan { mode: number, nodes: expected };
            assert_eq!(planned(mode, nodes, flags).unwrap(), expected, "{mode}");
        }
        assert!(modes().is_sorted() && flags().is_sorted());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (mode, nodes, flags, message) in [
            ("MPOL_NEAR", "", &[][..], "mode: \"MPOL_NEAR\": is not a memory policy"),
            ("", "", &[], "mode: \"\": is not a memory policy"),
            ("MPOL_BIND", "", &[], "nodes: MPOL_BIND needs at least one"),
            ("MPOL_LOCAL", "0", &[], "nodes: MPOL_LOCAL takes none"),
            ("MPOL_BIND", "0", &["MPOL_F_STATIC_NODES", "X"], "flags[1]: \"X\": is unknown"),
        ] {
            let e = planned(mode, nodes, flags).unwrap_err();
            assert_eq!(e.to_string(), format!("linux.memoryPolicy.{message}"));
        }
        for list in ["a", ",", "0,", "3-1", "-1", "1-", "1-2-3", "1024", "0-99999999999999999999", "+1"] {
            let e = planned("MPOL_BIND", list, &[]).unwrap_err();
            assert!(e.to_string().starts_with(&format!("linux.memoryPolicy.nodes: {list:?}: ")), "{e}");
        }
    }
}
